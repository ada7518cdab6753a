"""Chains to files: read again by this package and by Biopython they are the same."""

import gzip
import io
import re
from pathlib import Path

import numpy as np
import pytest
from Bio.PDB.MMCIF2Dict import MMCIF2Dict
from Bio.PDB.MMCIFParser import MMCIFParser
from Bio.PDB.PDBParser import PDBParser

import biomatrix_jax
from biomatrix_jax.structure.protein import writer
from biomatrix_jax.structure.protein.chains import BACKBONE, Chain, Limits, atoms_of, read_chain
from biomatrix_jax.structure.protein.errors import CannotWrite
from biomatrix_jax.structure.protein.files import parse

PROTEINS = Path(biomatrix_jax.__file__).parent / "assets/proteins"
FORMATS = ["x.pdb", "x.cif"]
ANY = Limits(max_residues=100_000, max_missing=1, max_missing_run=100_000)


def chain(length=3, id="A", atoms=4, numbers=None, **rest) -> Chain:
    values = {
        "id": id,
        "sequence": ("ACDEFGHIKLMNPQRSTVWYX" * (length // 21 + 1))[:length],
        "backbone": np.random.default_rng(length).normal(0, 50, (length, atoms, 3)).round(3),
        "numbers": numbers or (None,) * length,
        "b_factors": np.linspace(0, 99, length).round(2).astype(np.float32),
    }
    values["backbone"] = values["backbone"].astype(np.float32)
    return Chain(**{**values, **rest})


def read_again(path: Path, chains: list[Chain], **rest) -> list[Chain]:
    writer.write(path, chains, **rest)
    return [read_chain(one, ANY, atoms_of(one)) for one in parse(path).chains]


def assert_equal(one: Chain, other: Chain) -> None:
    assert (one.id, one.sequence, one.numbers) == (other.id, other.sequence, other.numbers)
    np.testing.assert_array_equal(one.backbone, other.backbone)
    np.testing.assert_array_equal(one.b_factors, other.b_factors)


def observed(values, chain: Chain) -> list:
    """The values of the residues that have coordinates."""
    whole = ~np.isnan(chain.backbone).any(axis=(1, 2))
    return [value for value, there in zip(values, whole, strict=True) if there]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("entry", ["1a8o", "2xhe", "7cth"])
def test_real_chains_survive(tmp_path, name, entry):
    """Among them gaps, insertion codes (7CTH) and residues not observed whole."""
    chains = [
        read_chain(one, Limits()) for one in parse(PROTEINS / f"{entry}-backbone.pdb.gz").chains
    ]
    again = read_again(tmp_path / name, chains, entry=entry)
    for one, other in zip(again, chains, strict=True):
        # What was not observed is not written, so that it is gone from the ends.
        assert observed(one.sequence, one) == observed(other.sequence, other)
        assert observed(one.numbers, one) == observed(other.numbers, other)
        assert observed(one.b_factors, one) == observed(other.b_factors, other)
        assert observed(one.backbone.tolist(), one) == observed(other.backbone.tolist(), other)


def test_there_are_insertion_codes_among_the_real_chains():
    heavy = parse(PROTEINS / "7cth-backbone.pdb.gz").chains[2]
    codes = [number[1] for number in read_chain(heavy, Limits()).numbers if number]
    assert "A" in codes


NUMBERS = ((-3, ""), (52, ""), (52, "A"), (52, "B"), (53, ""))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("atoms", [3, 4])
def test_numbers_b_factors_and_several_chains_are_as_given(tmp_path, name, atoms):
    chains = [
        chain(
            5,
            "A",
            atoms,
            NUMBERS[:1] + ((-2, ""), *NUMBERS[1:])[1:5],
            b_factors=np.float32([1, 2, 3, 4, 99.99]),
        ),
        chain(40, "b", atoms, tuple((n, "") for n in range(1, 41))),
        chain(2, "", atoms, ((9, "Z"), (10, ""))),
    ]
    again = read_again(tmp_path / name, chains)
    # The first has a jump in its numbers, which reading fills.
    kept = [i for i, number in enumerate(again[0].numbers) if number is not None]
    np.testing.assert_array_equal(again[0].backbone[kept], chains[0].backbone)
    assert tuple(again[0].numbers[i] for i in kept) == chains[0].numbers
    np.testing.assert_array_equal(again[0].b_factors[kept], chains[0].b_factors)
    assert_equal(again[1], chains[1])
    assert_equal(again[2], chains[2])
    assert (
        b" O  " in (tmp_path / name).read_bytes() or b" O O " in (tmp_path / name).read_bytes()
    ) == (atoms == 4)


@pytest.mark.parametrize("name", FORMATS)
def test_without_numbers_residues_count_from_1_those_left_out_included(tmp_path, name):
    one = chain(5, atoms=3)
    one.backbone[2] = np.nan
    [again] = read_again(tmp_path / name, [one])
    assert again.numbers == ((1, ""), (2, ""), None, (4, ""), (5, ""))
    assert again.sequence == "ACXEF"
    np.testing.assert_array_equal(again.backbone, one.backbone)


@pytest.mark.parametrize("name", FORMATS)
def test_biopython_reads_the_same(tmp_path, name):
    chains = [
        chain(30, "A", numbers=tuple((n // 2, "A" * (n % 2)) for n in range(30))),
        chain(4, "B"),
    ]
    writer.write(tmp_path / name, chains, entry="9XYZ", title="A title")
    text = (tmp_path / name).read_text()
    parser = (PDBParser if name.endswith("pdb") else MMCIFParser)(QUIET=True)
    model = parser.get_structure("x", io.StringIO(text))[0]
    assert [one.id for one in model] == ["A", "B"]
    for one, found in zip(chains, model, strict=True):
        backbone = [[residue[name].coord for name in BACKBONE] for residue in found]
        np.testing.assert_array_equal(np.array(backbone), one.backbone)
        assert [residue["CA"].bfactor for residue in found] == pytest.approx(one.b_factors.tolist())
        assert {residue.id[0] for residue in found} == {" "}
        assert {atom.element for residue in found for atom in residue} == {"N", "C", "O"}
    numbers = [(residue.id[1], residue.id[2].strip()) for residue in model["A"]]
    assert numbers == list(chains[0].numbers)


def test_mmcif_has_what_other_programs_want(tmp_path):
    writer.write(
        tmp_path / "x.cif", [chain(3, "AbC"), chain(2, "D")], entry="9XYZ", title='it\'s a "title" '
    )
    table = MMCIF2Dict(str(tmp_path / "x.cif"))
    assert table["_entry.id"] == ["9XYZ"]
    assert table["_struct.title"] == ['it\'s a "title"']
    assert table["_atom_site.auth_asym_id"] == ["AbC"] * 12 + ["D"] * 8
    assert table["_atom_site.label_seq_id"] == [
        *np.repeat(["1", "2", "3"], 4),
        *np.repeat(["1", "2"], 4),
    ]
    assert table["_atom_site.id"] == [str(n) for n in range(1, 21)]
    assert table["_atom_site.label_entity_id"] == ["1"] * 12 + ["2"] * 8


AWKWARD = [
    "plain",
    "two words",
    "it's",
    "_under",
    "loop_",
    "data_x",
    "#1",
    "?",
    ".",
    "'a' b",
    'a\' "b" c',
    ";x",
    "[a",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_any_text_is_one_value_of_mmcif(tmp_path, text):
    writer.write(tmp_path / "x.cif", [chain(2)], title=text)
    if text != "loop_":  # which Biopython takes for the word even in quotes
        assert MMCIF2Dict(str(tmp_path / "x.cif"))["_struct.title"] == [text]
    assert parse(tmp_path / "x.cif").title == text


@pytest.mark.parametrize("id", ["AAA", "A-2", "x y", "'", "?", "loop_", "7"])
def test_any_chain_id_is_one_value_of_mmcif(tmp_path, id):
    [again] = read_again(tmp_path / "x.cif", [chain(3, id, numbers=((1, ""), (2, ""), (3, "")))])
    assert (again.id, again.sequence) == (id, "ACD")


def test_pdb_lines_are_as_the_format_says():
    one = chain(
        1, backbone=np.float32([[[-1.5, 0, 123.4567], [0, 0, 0], [1, 2, 3], [4, 5, -999.999]]])
    )
    text = writer.pdb_text([one], "9xyz", "A long title, " * 8)
    lines = text.splitlines()
    assert lines[0] == "HEADER" + " " * 56 + "9XYZ"
    assert lines[1].startswith("TITLE     A long title, ")
    assert lines[2].startswith("TITLE    2 ")
    assert [line for line in lines if line.startswith("ATOM")] == [
        "ATOM      1  N   ALA A   1      -1.500   0.000 123.457  1.00  0.00           N",
        "ATOM      2  CA  ALA A   1       0.000   0.000   0.000  1.00  0.00           C",
        "ATOM      3  C   ALA A   1       1.000   2.000   3.000  1.00  0.00           C",
        "ATOM      4  O   ALA A   1       4.000   5.000-999.999  1.00  0.00           O",
    ]
    assert lines[-2:] == ["TER       5      ALA A   1 ", "END"]


@pytest.mark.parametrize(
    ("chains", "problem"),
    [
        (
            [chain(2, "AB")],
            "chain AB: the PDB format has one ASCII letter for a chain: write it as",
        ),
        ([chain(2, "é")], "one ASCII letter"),
        ([chain(10_000)], "residue 10000: .* too long for the PDB format: write it as mmCIF"),
        ([chain(2, numbers=((-1000, ""), (1, "")))], "residue -1000: .* too long"),
        ([chain(2, numbers=((1, "AB"), (2, "")))], "residue 1AB: .* too long"),
        ([chain(1, backbone=np.full((1, 4, 3), 10_000, np.float32))], "too long"),
        ([chain(1, backbone=np.full((1, 4, 3), -1000, np.float32))], "too long"),
        ([chain(1, b_factors=np.float32([1000]))], "too long"),
        ([chain(8_340, id) for id in "ABC"], "more than 99,999 atoms: write it as mmCIF"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_pdb_has_no_room_for_is_refused_and_mmcif_takes_it(tmp_path, chains, problem):
    with pytest.raises(CannotWrite, match=problem) as error:
        writer.write(tmp_path / "x.pdb", chains, "entry")
    assert str(error.value).startswith("entry")
    assert list(tmp_path.iterdir()) == []
    if "é" not in chains[0].id:
        again = read_again(tmp_path / "x.cif", chains[:1])
        np.testing.assert_array_equal(again[0].backbone[0], chains[0].backbone[0])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("chains", "problem"),
    [
        ([chain(2), chain(3)], "chain A: 2 chains have this id"),
        ([chain(2, numbers=((5, ""), (5, "")))], "chain A: two residues have the number 5"),
        ([chain(2, backbone=np.full((2, 3, 3), np.nan))], "chain A: no atom has coordinates"),
    ],
    ids=["ids", "numbers", "coordinates"],
)
def test_what_reads_back_as_something_else_is_refused(tmp_path, name, chains, problem):
    with pytest.raises(CannotWrite, match=problem):
        writer.write(tmp_path / name, chains)


def test_gzipped_files_are_the_same_each_time(tmp_path):
    writer.write(tmp_path / "a.pdb.gz", [chain(3)])
    first = (tmp_path / "a.pdb.gz").read_bytes()
    writer.write(tmp_path / "a.pdb.gz", [chain(3)])
    assert (tmp_path / "a.pdb.gz").read_bytes() == first
    assert gzip.decompress(first).decode() == writer.pdb_text([chain(3)])
    assert re.match(rb"data_", writer.content("b.CIF", [chain(3)]))
