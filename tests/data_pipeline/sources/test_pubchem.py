"""PubChem, on files of its form: molfiles by OEChem's layout, its tags, its Extras."""

import gzip

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources import conformers
from data_pipeline.sources.pubchem import Options
from data_pipeline.sources.tally import Tally

ASPIRIN = {
    "PUBCHEM_CACTVS_COMPLEXITY": "212",
    "PUBCHEM_CACTVS_HBOND_ACCEPTOR": "4",
    "PUBCHEM_CACTVS_HBOND_DONOR": "1",
    "PUBCHEM_CACTVS_ROTATABLE_BOND": "3",
    "PUBCHEM_IUPAC_NAME": "2-acetyloxybenzoic acid",
    "PUBCHEM_XLOGP3": "1.2",
    "PUBCHEM_EXACT_MASS": "180.04225873",
    "PUBCHEM_MOLECULAR_FORMULA": "C9H8O4",
    "PUBCHEM_MOLECULAR_WEIGHT": "180.16",
    "PUBCHEM_SMILES": "CC(=O)OC1=CC=CC=C1C(=O)O",
    "PUBCHEM_CONNECTIVITY_SMILES": "CC(=O)OC1=CC=CC=C1C(=O)O",
    "PUBCHEM_CACTVS_TPSA": "63.6",
    "PUBCHEM_MONOISOTOPIC_WEIGHT": "180.04225873",
    "PUBCHEM_TOTAL_CHARGE": "0",
    "PUBCHEM_HEAVY_ATOM_COUNT": "13",
    "PUBCHEM_COORDINATE_TYPE": "1\n5\n255",
}


def entry(cid, mol: Chem.Mol, tags: dict[str, str]) -> str:
    lines = Chem.MolToMolBlock(mol).split("\n")
    lines[:2] = [str(cid), f"  -OEChem-0101260000{lines[1][20:22]}"]
    fields = {"PUBCHEM_COMPOUND_CID": str(cid), **tags}
    text = "".join(f"> <{name}>\n{value}\n\n" for name, value in fields.items())
    return "\n".join(lines) + text + "$$$$\n"


def flat(cid, smiles: str, **tags: str) -> str:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.Compute2DCoords(mol)
    return entry(cid, mol, {"PUBCHEM_SMILES": smiles, **tags})


def conformer(cid, smiles: str, number: int = 1, **tags: str) -> str:
    mol = conformers.with_conformer(Chem.MolFromSmiles(smiles), seed=number)
    name = f"{int(cid):08X}{number:08X}"
    return entry(cid, mol, {"PUBCHEM_CONFORMER_ID": name, "PUBCHEM_MMFF94_ENERGY": "6.4", **tags})


def read(path, options=None):
    tally = Tally()
    return list(sources.read("pubchem", str(path), options, tally)), tally


@pytest.fixture
def extras(tmp_path):
    """The tables of Extras, with CIDs that no entry has before, between and behind."""

    def table(name: str, rows: dict[int, list[str]]) -> str:
        lines = [f"{cid}\t{value}\n" for cid, values in rows.items() for value in values]
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress("".join(lines).encode()))
        return str(tmp_path / f"{name}.gz")

    return Options(
        titles=table("CID-Title", {1: ["Acetylcarnitine"], 2244: ["Aspirin"], 9999: ["?"]}),
        iupac_names=table("CID-IUPAC", {1: ["?"], 5950: ["(2S)-2-aminopropanoic acid"]}),
        synonyms=table(
            "CID-Synonym-filtered", {2244: ["aspirin", "ASA"], 5950: list("abcdefg"), 6000: ["?"]}
        ),
        max_synonyms=3,
        descriptions=table("descriptions", {5950: ["An amino acid.", "Made of\ttwo lines."]}),
    )


def test_a_flat_entry_gives_its_smiles_name_and_numbers(tmp_path):
    path = tmp_path / "Compound_000000001_000500000.sdf.gz"
    path.write_bytes(gzip.compress(flat(2244, ASPIRIN["PUBCHEM_SMILES"], **ASPIRIN).encode()))
    [record], tally = read(path)
    assert (record.id, record.smiles, record.name) == ("pubchem:2244", "CC(=O)Oc1ccccc1C(=O)O", "")
    assert record.mol.GetNumConformers() == 0
    assert record.texts == {"IUPAC name": "2-acetyloxybenzoic acid"}
    assert record.properties == (
        Property("Molecular formula", "C9H8O4"),
        Property("Molecular weight", 180.16, "g/mol", decimals=2),
        Property("Exact mass", 180.04225873, "Da", decimals=4),
        Property("Monoisotopic mass", 180.04225873, "Da", decimals=4),
        Property("XLogP3", 1.2),
        Property("Topological polar surface area", 63.6, "Å²"),
        Property("Complexity", 212.0),
        Property("Hydrogen bond donors", 1),
        Property("Hydrogen bond acceptors", 4),
        Property("Rotatable bonds", 3),
        Property("Heavy atoms", 13),
        Property("Formal charge", 0),
    )
    assert not tally.lost


def test_releases_before_2025_call_the_smiles_otherwise(tmp_path):
    path = tmp_path / "old.sdf"
    old = flat(5950, "CC(N)C(=O)O").replace("PUBCHEM_SMILES", "PUBCHEM_OPENEYE_CAN_SMILES")
    isomeric = "> <PUBCHEM_OPENEYE_ISO_SMILES>\nC[C@@H](C(=O)O)N\n\n$$$$\n"
    path.write_text(old.replace("$$$$\n", isomeric))
    [record], _ = read(path)
    assert record.smiles == "C[C@H](N)C(=O)O"


def test_a_conformer_gives_coordinates_and_their_stereo(tmp_path):
    path = tmp_path / "00000001_00025000.sdf"
    smiles = "C[C@H](N)C(=O)O"
    path.write_text(conformer(5950, smiles) + conformer(5950, smiles, 2) + conformer(241, "N"))
    with pytest.raises(BadInput, match="no SMILES"):  # 2D entries have no coordinates to fall on
        (tmp_path / "flat.sdf").write_text(flat(1, "C").replace("PUBCHEM_SMILES", "OTHER"))
        read(tmp_path / "flat.sdf")
    records, _ = read(path)
    assert [record.id for record in records] == [
        "pubchem:5950/0000173E00000001",
        "pubchem:5950/0000173E00000002",
        "pubchem:241/000000F100000001",
    ]
    assert [record.smiles for record in records] == [smiles, smiles, "N"]
    assert records[0].properties == (Property("MMFF94 energy", 6.4, "kcal/mol"),)
    positions = [record.mol.GetConformer().GetPositions() for record in records]
    assert positions[0].shape == (13, 3)
    assert not np.array_equal(positions[0], positions[1])
    assert records[0].mol.GetProp("_Name") == records[0].id


def test_tables_are_joined_by_cid(tmp_path, extras):
    path = tmp_path / "some.sdf"
    named = flat(5950, "C[C@@H](C(=O)O)N", PUBCHEM_IUPAC_NAME="another name")
    alanines = conformer(5950, "C[C@H](N)C(=O)O") + conformer(5950, "C[C@H](N)C(=O)O", 2)
    path.write_text(flat(2244, "CC(=O)OC1=CC=CC=C1C(=O)O") + named + alanines + flat(7000, "CC"))
    records, tally = read(path, extras)
    assert [record.name for record in records] == ["Aspirin", "", "", "", ""]
    texts = {
        "IUPAC name": "(2S)-2-aminopropanoic acid",
        "Synonyms": "a; b; c",
        "Description": "An amino acid.\nMade of\ttwo lines.",
    }
    assert [record.texts for record in records] == [
        {"Synonyms": "aspirin; ASA"},
        texts,
        texts,
        texts,
        {},
    ]
    assert (tally.records_in, tally.records_out, tally.lost) == (5, 5, {})


def test_without_tables_or_in_files_apart_it_is_the_same(tmp_path, extras):
    first, second = flat(2244, "CC(=O)OC1=CC=CC=C1C(=O)O"), flat(5950, "C[C@@H](C(=O)O)N")
    (tmp_path / "both").mkdir()
    (tmp_path / "both/a.sdf").write_text(second)
    (tmp_path / "both/b.sdf.gz").write_bytes(gzip.compress(first.encode()))
    records, _ = read(tmp_path / "both", extras)
    assert [record.name for record in records] == ["", "Aspirin"]
    assert records[0].texts["Synonyms"] == "a; b; c"
    assert [record.texts for record in read(tmp_path / "both")[0]] == [{}, {}]
    with pytest.raises(BadInput, match=r"CID 2244 comes after CID 5950, but .*CID-Title\.gz can"):
        (tmp_path / "descending.sdf").write_text(second + first)
        read(tmp_path / "descending.sdf", extras)


def test_bad_entries_are_dropped_by_reason_and_bad_values_are_lost(tmp_path):
    cut = conformer(9, "CCO").split("M  END")[0]
    heavy = Chem.RemoveHs(Chem.MolFromMolBlock(conformer(8, "CCO")))
    entries = [
        flat(1, "CC", PUBCHEM_XLOGP3="low", PUBCHEM_TOTAL_CHARGE="0.5", PUBCHEM_CACTVS_TPSA=""),
        flat(2, "CC").replace("PUBCHEM_COMPOUND_CID", "PUBCHEM_SUBSTANCE_ID"),
        flat(3, "CC").replace("\nCC\n", "\nC1CC\n"),
        flat(4, "CC").replace("\nCC\n", "\n\n").replace("PUBCHEM_SMILES>\n", "PUBCHEM_SMILES>"),
        flat(5, "CC", PUBCHEM_IUPAC_NAME="\N{REPLACEMENT CHARACTER}"),
        entry(8, heavy, {"PUBCHEM_CONFORMER_ID": "0000000800000001"}),
        cut + "M  END\n$$$$\n",
        cut,
    ]
    path = tmp_path / "bad.sdf"
    text = "".join(entries).encode().replace("\N{REPLACEMENT CHARACTER}".encode(), b"\xff")
    path.write_bytes(text)
    records, tally = read(path)
    assert [record.id for record in records] == ["pubchem:1"]
    assert tally.records_in == 8
    assert tally.balanced
    assert tally.dropped == {
        "no PUBCHEM_COMPOUND_CID": 2,
        "SMILES does not parse": 1,
        "no atoms": 1,
        "not UTF-8": 1,
        "hydrogens without coordinates": 1,
        "entry is cut off ($$$$ is missing)": 1,
    }
    assert tally.lost == {
        "PUBCHEM_XLOGP3: not a number": 1,
        "PUBCHEM_TOTAL_CHARGE: not a number": 1,
    }
    assert tally.first["not UTF-8"] == "5"


def test_a_joined_value_that_is_no_utf8_is_lost_alone(tmp_path):
    (tmp_path / "CID-Title").write_bytes(b"1\tcaf\xe9\n2\tfine\n")
    (tmp_path / "some.sdf").write_text(flat(1, "C") + flat(2, "CC"))
    records, tally = read(tmp_path / "some.sdf", Options(titles=str(tmp_path / "CID-Title")))
    assert [record.name for record in records] == ["", "fine"]
    assert tally.lost == {"Title: not UTF-8": 1}


def test_truncated_gzip_of_entries_or_of_a_table_stops_with_one_line(tmp_path, extras):
    path = tmp_path / "cut.sdf.gz"
    whole = gzip.compress("".join(flat(cid, "C" * cid) for cid in range(1, 40)).encode())
    path.write_bytes(whole[:-20])
    with pytest.raises(BadInput, match=r"cut\.sdf\.gz: damaged or truncated gzip"):
        read(path)
    path.write_bytes(whole)
    table = tmp_path / "CID-Title.gz"
    table.write_bytes(table.read_bytes()[:25])
    with pytest.raises(BadInput, match=r"CID-Title\.gz: damaged or truncated gzip"):
        read(path, extras)
    with pytest.raises(BadInput, match="nowhere"):
        read(path, Options(synonyms=str(tmp_path / "nowhere.gz")))


def test_options_out_of_range():
    with pytest.raises(BadInput, match="max_synonyms must be at least 1, not 0"):
        Options(max_synonyms=0)
