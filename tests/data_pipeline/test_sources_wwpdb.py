"""Protein chains: gap rules, limits, titles and ids, and agreement with the reference's parsing."""

import gzip
import io
from collections.abc import Iterable

import numpy as np
import pytest
from Bio.PDB.PDBParser import PDBParser
from hypothesis import given, settings
from hypothesis import strategies as st

from biomatrix_jax.errors import BadInput
from data_pipeline.sources import chains, wwpdb
from data_pipeline.sources.chains import Limits
from data_pipeline.sources.tally import Tally

NAN = np.nan


def atom_line(number, atom="CA", x=0.0, residue="ALA", chain="A", code=" ", hetero=False) -> str:
    kind = "HETATM" if hetero else "ATOM"
    return (
        f"{kind:6}    1  {atom:3} {residue:>3} {chain}{number:4}{code}   "
        f"{x:8.3f}{0:8.3f}{0:8.3f}{1:6.2f}{0:6.2f}          {atom[0]:>2}\n"
    )


def residue_lines(number, x=0.0, atoms=chains.BACKBONE, **rest) -> str:
    return "".join(atom_line(number, atom, x + i / 10, **rest) for i, atom in enumerate(atoms))


def chain_of(text: str, name: str = "A"):
    return PDBParser(QUIET=True).get_structure("test", io.StringIO(text))[0][name]


def read(numbers: Iterable[int], xs: Iterable[float] = (), limits: Limits | None = None):
    numbers = list(numbers)
    xs = list(xs) or [3.8 * n for n in numbers]
    text = "".join(residue_lines(n, x) for n, x in zip(numbers, xs, strict=True))
    return chains.read_chain(chain_of(text), limits or Limits(max_missing=1))


def test_backbone_holds_n_ca_c_o_of_every_residue():
    text = residue_lines(1, 1.0, residue="MET") + residue_lines(2, 5.0, residue="TRP")
    sequence, backbone = chains.read_chain(chain_of(text), Limits())
    assert sequence == "MW"
    assert backbone.dtype == np.float32
    expected = np.zeros((2, 4, 3), np.float32)
    expected[..., 0] = [[1.0, 1.1, 1.2, 1.3], [5.0, 5.1, 5.2, 5.3]]
    np.testing.assert_array_equal(backbone, expected)


@pytest.mark.parametrize(
    ("after", "distance", "inserted"),
    [
        (2, 3.8, 0),
        (3, 7.6, 1),
        (7, 3.8, 5),  # believed although five residues do not fit
        (8, 3.8, 0),  # floor(1.2) - 1
        (8, 12.0, 2),  # floor(1.2 * 12 / 3.8) - 1 = 2
        (8, 100.0, 6),  # never more than the numbering says
        (1001, 30.0, 8),
        (-5, 3.8, 0),
    ],
)
def test_gaps_in_the_numbering_become_unknown_residues(after, distance, inserted):
    sequence, backbone = read([1, after], [0, distance])
    assert sequence == "A" + "X" * inserted + "A"
    assert np.isnan(backbone[1:-1]).all()
    assert not np.isnan(backbone[[0, -1]]).any()


def test_a_wide_gap_beside_a_residue_without_ca_is_five():
    text = residue_lines(1, atoms=("N", "C", "O")) + residue_lines(50, 90.0)
    sequence, backbone = chains.read_chain(chain_of(text), Limits(max_missing=1))
    assert sequence == "AXXXXXA"
    assert np.isnan(backbone[:6]).all()


def test_insertion_codes_and_negative_numbers_are_no_gaps():
    text = "".join(
        residue_lines(number, x, code=code, residue=residue)
        for number, code, x, residue in [
            (-1, " ", 0, "GLY"),
            (0, " ", 4, "ALA"),
            (1, " ", 8, "SER"),
            (1, "A", 12, "CYS"),
            (2, " ", 16, "VAL"),
        ]
    )
    assert chains.read_chain(chain_of(text), Limits())[0] == "GASCV"


def test_hetero_groups_are_gaps_and_unknown_names_are_x():
    text = (
        residue_lines(1, 0.0)
        + residue_lines(2, 3.8, residue="MSE", hetero=True)
        + residue_lines(3, 7.6, residue="UNK")
        + residue_lines(4, 11.4, atoms=("N", "CA", "C"))
        + residue_lines(101, 0.0, residue="HOH", hetero=True)
    )
    sequence, backbone = chains.read_chain(chain_of(text), Limits(max_missing=0.5))
    assert sequence == "AXXA"
    assert np.isnan(backbone).all(axis=(1, 2)).tolist() == [False, True, False, True]
    assert np.isnan(backbone[3]).all()  # one atom is missing, so the residue is


@pytest.mark.parametrize(
    ("numbers", "limits", "why"),
    [
        (range(1, 12), Limits(max_residues=10), "longer than 10 residues"),
        ([1, 3], Limits(max_missing=0.2), "more than 20% of the residues are missing"),
        ([1, 5, *range(6, 40)], Limits(max_missing_run=2), "more than 2 residues missing in a row"),
    ],
)
def test_limits_are_what_they_say(numbers, limits, why):
    with pytest.raises(BadInput, match=why):
        read(numbers, limits=limits)


def test_limits_are_inclusive():
    assert read(range(1, 11), limits=Limits(max_residues=10))[0] == "A" * 10
    assert read([1, 3, 4, 5, 6], limits=Limits(max_missing=1 / 6))[0] == "AXAAAA"
    numbers = [1, 4, *range(5, 40)]
    assert "XX" in read(numbers, limits=Limits(max_missing_run=2))[0]


def test_a_chain_of_alpha_carbons_only_has_nothing_usable():
    text = "".join(atom_line(n, "CA", 3.8 * n) for n in range(1, 30))
    with pytest.raises(BadInput, match="of the residues are missing"):
        chains.read_chain(chain_of(text), Limits())


def test_nucleic_acids_and_water_are_no_protein():
    dna = "".join(atom_line(n, "P", residue="DA") for n in range(1, 5))
    water = residue_lines(1, residue="HOH", hetero=True)
    for text in (dna, water):
        with pytest.raises(BadInput, match="no protein residue"):
            chains.read_chain(chain_of(text), Limits())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0, 40)), min_size=1, max_size=12))
def test_every_residue_of_the_file_is_there_once_and_gaps_only_add_x(steps):
    numbers = np.cumsum([step for step, _ in steps]).tolist()
    sequence, backbone = read(
        numbers, np.cumsum([step for _, step in steps]), Limits(max_missing=1, max_missing_run=99)
    )
    assert sequence.replace("X", "") == "A" * len(numbers)
    assert backbone.shape == (len(sequence), 4, 3)
    missing = np.isnan(backbone[:, 1, 0])
    assert missing.tolist() == [letter == "X" for letter in sequence]
    assert missing.sum() <= sum(step - 1 for step, _ in steps[1:])


PDB_HEAD = (
    "HEADER    HYDROLASE                               01-JAN-99   9XYZ              \n"
    "TITLE     A STRUCTURE WITH A LONG                                               \n"
    "TITLE    2 TITLE, IN TWO LINES                                                  \n"
)


def test_folder_of_files_is_read_in_order_with_ids_and_titles(tmp_path):
    body = "".join(residue_lines(n, 3.8 * n) for n in range(1, 9))
    (tmp_path / "b.pdb").write_text(PDB_HEAD + body + body.replace(" A", " B") + "END\n")
    (tmp_path / "a1.ent.gz").write_bytes(gzip.compress((body + "END\n").encode()))
    (tmp_path / "notes.txt").write_text("not a structure")
    records = list(wwpdb.read(str(tmp_path), wwpdb.Options(), Tally()))
    assert [record.id for record in records] == ["a1_A", "9XYZ_A", "9XYZ_B"]
    assert [record.title for record in records] == [
        "",
        *["A STRUCTURE WITH A LONG TITLE, IN TWO LINES"] * 2,
    ]
    limited = wwpdb.read(str(tmp_path), wwpdb.Options(limit=1), Tally())
    assert [record.id for record in limited] == ["a1_A"]


def test_only_the_first_model_is_read(tmp_path):
    models = "".join(f"MODEL     {m:4}\n" + residue_lines(1, 10.0 * m) + "ENDMDL\n" for m in (1, 2))
    (tmp_path / "nmr.pdb").write_text(models + "END\n")
    [record] = wwpdb.read(str(tmp_path / "nmr.pdb"), wwpdb.Options(), Tally())
    assert record.backbone[0, 0, 0] == 10


CIF = """data_9ABC
_entry.id 9ABC
_struct.entry_id 9ABC
_struct.title 'A small mmCIF'
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
_atom_site.auth_seq_id
_atom_site.auth_asym_id
_atom_site.pdbx_PDB_model_num
"""


def cif_text(numbers: Iterable[int]) -> str:
    rows = [
        f"ATOM 1 {atom[0]} {atom} . GLY A {i} ? {3.8 * n:.3f} {k}.5 0.0 1.0 9.0 {n} Z 1"
        for i, n in enumerate(numbers, start=1)
        for k, atom in enumerate(chains.BACKBONE)
    ]
    return CIF + "\n".join(rows) + "\n#\n"


def test_mmcif_uses_the_authors_chains_and_numbers(tmp_path):
    path = tmp_path / "9abc.cif.gz"
    path.write_bytes(gzip.compress(cif_text([10, 12, 13, 14, 15]).encode()))
    [record] = wwpdb.read(str(path), wwpdb.Options(), Tally())
    assert (record.id, record.chain, record.title) == ("9ABC_Z", "Z", "A small mmCIF")
    assert record.sequence == "GXGGGG"
    expected = [[45.6, k + 0.5, 0] for k in range(4)]
    np.testing.assert_array_equal(record.backbone[2], np.float32(expected))


def test_unusable_files_and_chains_are_counted_and_named(tmp_path):
    body = "".join(residue_lines(n, 3.8 * n) for n in range(1, 9))
    dna = "".join(atom_line(n, "P", residue="DA", chain="D") for n in range(1, 5))
    (tmp_path / "1good.pdb").write_text(body + dna + "END\n")
    (tmp_path / "2empty.pdb").touch()
    (tmp_path / "3cut.cif.gz").write_bytes(gzip.compress(cif_text(range(500)).encode())[:-400])
    (tmp_path / "4half.cif").write_text(cif_text(range(20))[:-200])
    (tmp_path / "5text.cif").write_text("hello\n")
    (tmp_path / "6coordinates.pdb").write_text(body.replace("   3.800", "   x.yyy"))
    tally = Tally()
    records = list(wwpdb.read(str(tmp_path), wwpdb.Options(), tally))
    assert [record.id for record in records] == ["1good_A"]
    assert tally.balanced
    assert tally.records_in == 7
    reasons = dict(tally.dropped)
    assert reasons.pop("no protein residue") == 1
    assert reasons.pop("not a readable pdb file") == 2
    assert reasons.pop("not a readable mmcif file") == 2
    [damaged] = reasons
    assert reasons[damaged] == 1
    assert damaged.startswith("damaged or truncated gzip data")
    assert tally.first["no protein residue"] == "1good_D"
    assert tally.first["not a readable pdb file"].endswith("2empty.pdb")


def test_folder_without_structures_is_one_line(tmp_path):
    (tmp_path / "readme.md").touch()
    with pytest.raises(BadInput, match="no structure file") as error:
        list(wwpdb.read(str(tmp_path), wwpdb.Options(), Tally()))
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def in_the_box():
    tally = Tally()
    records = list(wwpdb.read(None, wwpdb.Options(), tally))
    assert tally.records_in == tally.records_out == len(records)
    return {record.id: record for record in records}


def test_structures_in_the_box(in_the_box):
    assert len(in_the_box) == 49
    ubiquitin = in_the_box["1UBI_A"]
    assert ubiquitin.sequence == (
        "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
    )
    assert in_the_box["1EJG_A"].title.startswith("CRAMBIN AT ULTRA-HIGH RESOLUTION")
    assert in_the_box["2XHE_B"].title.startswith("Crystal structure of the Unc18-syntaxin 1")


def test_bonds_in_the_box_are_bonds(in_the_box):
    """Coordinates have their places: bond lengths are those of peptides (angstrom)."""
    n, ca, c, o = np.moveaxis(np.concatenate([r.backbone for r in in_the_box.values()]), 1, 0)
    for one, other, length in ((n, ca, 1.458), (ca, c, 1.525), (c, o, 1.231)):
        measured = np.linalg.norm(one - other, axis=1)
        measured = measured[~np.isnan(measured)]
        assert abs(np.median(measured) - length) < 0.02
        assert 0.9 < measured.min() < measured.max() < 2.0


@pytest.mark.parametrize(
    ("record", "file", "array"),
    [
        ("1A8O_A", "1a8o_A.npz", "coords_raw"),
        ("4CUP_A", "4cup_A.npz", "coords_raw"),
        ("1GBT_A", "gap_filling.npz", "1gbt_A_raw"),
        ("2XHE_B", "gap_filling.npz", "2xhe_B_raw"),
        ("7CFN_A", "gap_filling.npz", "7cfn_A_raw"),
    ],
)
def test_parsing_equals_the_reference(shared_reference, in_the_box, record, file, array):
    """The published wrapper's own parsing of five chains, three of them with gaps."""
    with np.load(shared_reference / "gcp_vqvae" / file) as arrays:
        np.testing.assert_array_equal(in_the_box[record].backbone, arrays[array])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_residues": 0}, "max_residues must be at least 1"),
        ({"max_missing": -1}, "max_missing from 0 to 1"),
        ({"max_missing": 1.5}, "max_missing from 0 to 1"),
        ({"limit": 0}, "limit must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(wrong, message):
    with pytest.raises(BadInput, match=message):
        wwpdb.Options(**wrong)
