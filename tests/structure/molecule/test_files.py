"""Files of molecules: sound, damaged, of every kind; whatever is in them, nothing but BadInput."""

import gzip
import lzma
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import files
from biomatrix_jax.structure.molecule.conformers import Described, describe_molecules
from biomatrix_jax.structure.molecule.errors import (
    CollinearReferences,
    ImplicitHydrogens,
    IsotopeLabel,
    MoleculeError,
    NoConformer,
    NotSelfies,
    SeveralFragments,
    UnreadableMolecule,
)
from biomatrix_jax.structure.molecule.files import Entry, entries, molecule, molecule_files
from tests.structure.molecule.conftest import embed


def block(mol: Chem.Mol, name: str = "") -> str:
    """The text of a molecule without the line that ends an entry."""
    text = Chem.MolToMolBlock(mol)
    return name + text[text.index("\n") :]


def write(path: Path, *blocks: str, end: str = "$$$$\n") -> Path:
    path.write_text("".join(text + end for text in blocks), encoding="utf-8")
    return path


def flat_smiles(mol: Chem.Mol) -> str:
    return Chem.MolToSmiles(mol, isomericSmiles=False)


def problem(entry: Entry, error: type[MoleculeError]) -> str:
    """What becomes of an entry that can be read or encoded only up to `error`."""
    with pytest.raises(error) as caught:
        [result] = describe_molecules([molecule(entry, 0)])
        if isinstance(result, MoleculeError):
            raise result
    assert caught.value.molecule == entry.name
    assert "\n" not in str(caught.value)
    return caught.value.problem


def test_entries_of_an_sdf_file_with_their_names(mols, tmp_path):
    path = write(
        tmp_path / "some.sdf",
        block(mols[0], "  first of them ") + ">  <name>\nM  END\n\n",
        block(mols[1]),
        block(mols[2], "same"),
        block(mols[3], "same"),
    )
    found = list(entries(path))
    assert [entry.name for entry in found] == ["first of them", "some.sdf:2", "same", "same"]
    for entry, mol in zip(found, mols, strict=False):
        read = molecule(entry, 0)
        assert read.GetProp("_Name") == entry.name
        assert flat_smiles(read) == flat_smiles(mol)
        np.testing.assert_allclose(
            read.GetConformer().GetPositions(), mol.GetConformer().GetPositions(), atol=1e-4
        )


def test_a_title_may_say_anything(mols, tmp_path):
    path = write(tmp_path / "x.sdf", block(mols[0], "M  END of it"), block(mols[1], "M  END"))
    assert [molecule(entry, 0).GetProp("_Name") for entry in entries(path)] == [
        "M END of it",
        "M END",
    ]
    assert "cut off" in problem(next(entries(write(path, "M  END\n\n\n"))), UnreadableMolecule)


def test_line_ends_encodings_and_compression_change_nothing(mols, tmp_path):
    text = block(mols[1], "Bären-Säure") + "$$$$\n"
    (tmp_path / "a.sdf").write_bytes(text.encode("utf-8"))
    (tmp_path / "b.sdf").write_bytes(text.replace("\n", "\r\n").encode("latin-1"))
    (tmp_path / "c.SDF.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode("utf-8")))
    (tmp_path / "d.sdf.xz").write_bytes(lzma.compress(text.encode("utf-8")))
    one, two, three, four = (list(entries(path)) for path in molecule_files(tmp_path))
    assert one == two == three == four
    assert one[0].name == "Bären-Säure"


def test_an_entry_that_is_whole_but_for_its_last_line(mols, tmp_path):
    path = write(tmp_path / "x.sdf", block(mols[0], "a"), block(mols[1], "b"))
    path.write_text(path.read_text()[: -len("$$$$\n")])
    assert [molecule(entry, 0).GetProp("_Name") for entry in entries(path)] == ["a", "b"]
    single = write(tmp_path / "x.mol", block(mols[0], "alone"), end="")
    assert [entry.name for entry in entries(single)] == ["alone"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_keeps_what_is_whole(mols, tmp_path, share):
    last = block(mols[1], "b")
    path = write(tmp_path / "x.sdf", block(mols[0], "a"), last[: int(share * len(last))], end="")
    path.write_text(path.read_text().replace("M  END\n", "M  END\n$$$$\n", 1))
    whole, cut = entries(path)
    assert molecule(whole, 0).GetNumAtoms() == 9
    assert "cut off" in problem(cut, UnreadableMolecule)


@pytest.mark.parametrize("content", [b"", b"\n \n\n"])
@pytest.mark.parametrize("suffix", [*files.SUFFIXES, ".sdf.gz"])
def test_a_file_without_molecules_is_an_entry_that_says_so(tmp_path, suffix, content):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    [entry] = entries(path)
    assert (entry.name, entry.problem) == (path.name, "the file holds no molecule")
    assert problem(entry, UnreadableMolecule) == "the file holds no molecule"


def test_damaged_gzip_data_are_the_last_entry(mols, tmp_path):
    path = tmp_path / "x.sdf.gz"
    noise = np.random.default_rng(0).bytes(200_000).hex()  # so that there is something behind it
    data = gzip.compress((block(mols[0], "a") + "$$$$\n" + noise).encode())
    path.write_bytes(data[: len(data) // 2])
    first, last = entries(path)
    assert first.name == "a"
    assert last.problem.startswith("damaged or truncated gzip data")


def test_an_entry_without_end_is_not_kept_in_memory(monkeypatch, mols, tmp_path):
    monkeypatch.setattr(files, "MAX_ENTRY", 20_000)
    path = write(tmp_path / "x.sdf", block(mols[0], "a"), "b\n" + "x" * 50_000 + "\n" * 9)
    first, second = entries(path)
    assert molecule(first, 0).GetNumAtoms() == 9
    assert problem(second, UnreadableMolecule) == "the entry has 50,011 bytes, more than 20,000"


def test_v3000(mols, tmp_path):
    text = Chem.MolToV3KMolBlock(mols[3])
    [entry] = entries(write(tmp_path / "x.sdf", "big" + text[text.index("\n") :]))
    assert flat_smiles(molecule(entry, 0)) == flat_smiles(mols[3])


def flat(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    Chem.rdDepictor.Compute2DCoords(mol)
    return mol


def on_a_line(smiles: str) -> Chem.Mol:
    mol = embed(smiles)
    mol.GetConformer().SetPositions(np.arange(float(mol.GetNumAtoms()))[:, None] * [1, 0, 0])
    return mol


def changed(pattern: str, replacement: str) -> str:
    text, count = re.subn(pattern, replacement, block(embed("CCO"), "x"), count=1, flags=re.M)
    assert count
    return text


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", UnreadableMolecule, "cut off"),
        ("x\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n", UnreadableMolecule, "no mol"),
        (changed(r"^ +9 +8 ", " 99  8 "), UnreadableMolecule, "RDKit"),
        (changed(r"^ +9 +8 ", " 0x9 8 "), UnreadableMolecule, "RDKit"),
        (changed(r"V2000", "V9000"), UnreadableMolecule, "RDKit"),
        (changed(r"(?<= )O  ", "Qq "), UnreadableMolecule, "RDKit"),
        (changed(r"^  2  3  1", "  2  3  3"), UnreadableMolecule, "Explicit valence"),
        (changed(r"^  2  3  1", "  2 77  1"), UnreadableMolecule, "RDKit"),
        (changed(r"^ +-?\d+\.\d+ ", "       nan "), UnreadableMolecule, "RDKit"),
        (changed(r"^ +-?\d+\.\d+ ", "       inf "), UnreadableMolecule, "RDKit"),
        (changed(r"^M  END", "M  ISO  1   1  13\nM  END"), IsotopeLabel, "13"),
        (block(flat("CCO"), "x"), NoConformer, "2D"),
        (block(Chem.RemoveHs(embed("CCO")), "x"), ImplicitHydrogens, "implicit hydrogens"),
        (block(Chem.CombineMols(embed("CCO"), embed("CO")), "x"), SeveralFragments, "2 fragments"),
        (block(on_a_line("C#CC#C"), "x"), CollinearReferences, "no frame"),
    ],
)
def test_entries_that_are_no_use(tmp_path, text, error, words):
    [entry] = entries(write(tmp_path / "x.sdf", text))
    assert words in problem(entry, error)


def test_a_branch_longer_than_selfies_can_count():
    mol = Chem.AddHs(Chem.MolFromSmiles(f"C({'C' * 700})({'C' * 700}){'C' * 700}"))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.random.default_rng(0).normal(size=(mol.GetNumAtoms(), 3)) * 99)
    mol.AddConformer(conformer)
    [result] = describe_molecules([mol])
    assert isinstance(result, NotSelfies)
    assert "longer than 4096" in result.problem


def test_a_thousand_atoms(tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("C" * 340))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.random.default_rng(0).normal(size=(mol.GetNumAtoms(), 3)) * 99)
    mol.AddConformer(conformer)
    [entry] = entries(write(tmp_path / "x.sdf", block(mol, "long")))
    [result] = describe_molecules([molecule(entry, 0)])
    assert isinstance(result, Described)
    assert len(result.descriptors) == 1022


def test_tables(tmp_path):
    (tmp_path / "a.smi").write_text("SMILES name\nCCO ethanol\n\nc1ccccc1\tbenzene ring\nCC\n")
    (tmp_path / "b.csv").write_text('Id,Smiles,x\n7,CCO,"a, b"\n\n,CO,1\n9\n')
    (tmp_path / "c.tsv").write_text("canonical\tsmiles\nx\tCCO\n")
    assert [(e.name, e.smiles, e.problem) for e in entries(tmp_path / "a.smi")] == [
        ("ethanol", "CCO", ""),
        ("benzene ring", "c1ccccc1", ""),
        ("a.smi:5", "CC", ""),
    ]
    assert [(e.name, e.smiles, e.problem) for e in entries(tmp_path / "b.csv")] == [
        ("7", "CCO", ""),
        ("b.csv:3", "CO", ""),
        ("9", "", "its row has no SMILES"),
    ]
    assert [(e.name, e.smiles) for e in entries(tmp_path / "c.tsv")] == [("c.tsv:1", "CCO")]


def test_extensions_of_smiles_are_no_names(tmp_path):
    (tmp_path / "a.smi").write_text("CCO |$a;b;c$| ethanol\nN->[Cu] |C:0.0|\nCC\t|x\n")
    (tmp_path / "b.csv").write_text("smiles\nCCO |$a;b;c$|\nCCO CC\n")
    found = [e for name in ("a.smi", "b.csv") for e in entries(tmp_path / name)]
    assert [(e.name, e.smiles) for e in found] == [
        ("ethanol", "CCO |$a;b;c$|"),
        ("a.smi:2", "N->[Cu] |C:0.0|"),
        ("|x", "CC"),
        ("b.csv:1", "CCO |$a;b;c$|"),
        ("b.csv:2", "CCO CC"),
    ]
    for i in (0, 3):
        assert flat_smiles(Chem.RemoveHs(molecule(found[i], 0))) == "CCO"
    assert "no molecule in 'CCO CC'" in problem(found[4], UnreadableMolecule)


def test_cells_over_several_lines(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'smiles,name\r\nCCO,"a\r\nb"\r\nCC,c\r\n')
    assert [(e.name, e.smiles) for e in entries(tmp_path / "t.csv")] == [
        ("a b", "CCO"),
        ("c", "CC"),
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ('CCO,"ethanol\nCC,ethane\n', "from line 4 on (unexpected end of data)"),
        ('CC,"a" b\nCCO,x\n', "from line 3 on (',' expected after"),
    ],
)
def test_quotes_that_would_swallow_molecules(tmp_path, rows, words):
    (tmp_path / "t.csv").write_text(f"smiles,name\nC,methane\n{rows}")
    first, last = entries(tmp_path / "t.csv")
    assert (first.name, last.name) == ("methane", "t.csv")
    assert words in last.problem


def test_rows_longer_than_their_header(tmp_path):
    (tmp_path / "t.csv").write_text("smiles,name\nCCO,ethanol,\nCC,1,2-dimethyl\n1,CC,ethane\n")
    sound, *longer = entries(tmp_path / "t.csv")
    assert (sound.name, sound.smiles) == ("ethanol", "CCO")
    assert [entry.problem for entry in longer] == ["its row has 3 cells, the header has 2"] * 2


def test_tables_get_conformers_that_depend_on_the_seed_alone():
    entry = Entry("ethanol", smiles="CCO")
    one, same, other = (molecule(entry, seed) for seed in (3, 3, 4))
    assert one.GetNumAtoms() == 9
    assert one.GetConformer().Is3D()
    positions = [mol.GetConformer().GetPositions() for mol in (one, same, other)]
    np.testing.assert_array_equal(positions[0], positions[1])
    assert not np.allclose(positions[0], positions[2])


@pytest.mark.parametrize(
    ("smiles", "error", "words"),
    [
        ("C1CC", UnreadableMolecule, "no molecule in 'C1CC'"),
        ("C(C)(C)(C)(C)C", UnreadableMolecule, "no molecule"),
        ("[Cu]Cl", NoConformer, "MMFF94 has no parameters"),
        ("C1#CC1", NoConformer, "ETKDGv3 finds no embedding"),
        ("*", NoConformer, "MMFF94 has no parameters"),
        ("CCO.O", SeveralFragments, "2 fragments"),
    ],
)
def test_smiles_that_are_no_use(smiles, error, words):
    assert words in problem(Entry("x", smiles=smiles), error)


def test_what_would_end_the_process_is_refused():
    smiles, block = "C" * 30_000, "\n" * 60_000
    assert "10,000 characters" in problem(Entry("x", smiles=smiles), UnreadableMolecule)
    assert "20,000 lines" in problem(Entry("x", block=block), UnreadableMolecule)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", "no column SMILES among a, b"),
        ('smiles\n"' + "C" * 200_000 + "\n", "field larger than field limit"),
        ("sm\0iles\nCCO\n", "no column SMILES"),
    ],
)
def test_tables_that_are_none(tmp_path, content, words):
    (tmp_path / "t.csv").write_text(content)
    *_, last = entries(tmp_path / "t.csv")
    assert last.name == "t.csv"
    assert words in last.problem


def test_which_files(mols, tmp_path):
    for name in ("b.sdf", "a.smi.gz", "notes.txt", "c.SDF", "d.csv", "e.sdf.zst", "F.MOL.BZ2"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder.sdf").mkdir()
    assert [path.name for path in molecule_files(tmp_path)] == [
        "F.MOL.BZ2",
        "a.smi.gz",
        "b.sdf",
        "c.SDF",
        "d.csv",
        "e.sdf.zst",
    ]
    assert [path.name for path in molecule_files(f"{tmp_path}/*.sdf")] == ["b.sdf"]
    assert molecule_files(tmp_path / "b.sdf") == [tmp_path / "b.sdf"]
    for where, words in (
        (tmp_path / "absent.sdf", "no such file or folder"),
        (tmp_path / "notes.txt", "not a kind of file"),
        (f"{tmp_path}/*.pdb", "no file of molecules"),
        (tmp_path / "folder.sdf", "no file of molecules"),
    ):
        with pytest.raises(BadInput, match=words):
            molecule_files(where)


SOUND = block(embed("CC(=O)NC"), "sound")
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "swap lines", "cut"]),
        st.integers(0, len(SOUND)),
        st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(list("0123456789 -.")),
    ),
    min_size=1,
    max_size=8,
)


@given(MUTATIONS)
@settings(max_examples=300, deadline=None)
def test_mutated_blocks_give_molecules_or_bad_input(tmp_path_factory, mutations):
    text = SOUND
    for kind, at, piece in mutations:
        at = min(at, len(text))
        if kind == "replace":
            text = text[:at] + piece + text[at + len(piece) :]
        elif kind == "insert":
            text = text[:at] + piece + text[at:]
        elif kind == "delete":
            text = text[:at] + text[at + len(piece) :]
        elif kind == "cut":
            text = text[:at] if at > len(text) // 2 else text
        else:
            lines = text.split("\n")
            i = at % len(lines)
            lines[i - 1], lines[i] = lines[i], lines[i - 1]
            text = "\n".join(lines)
    path = tmp_path_factory.getbasetemp() / "fuzzed.sdf"
    path.write_bytes(text.encode("utf-8") + b"$$$$\n")
    for entry in entries(path):
        try:
            mol = molecule(entry, 0)
        except MoleculeError:
            continue
        [result] = describe_molecules([mol])
        assert isinstance(result, Described | MoleculeError)
        if isinstance(result, Described):
            assert np.isfinite(result.descriptors).all()
