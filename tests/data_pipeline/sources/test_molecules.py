"""Molecules: the NCI set, conformers, SDF in and out."""

import gzip
import re

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, rdForceFieldHelpers

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import MoleculeRecord, Property
from data_pipeline.sources import conformers, nci, sdf
from data_pipeline.sources.molecules import NoMolecule, from_smiles, parse_mol2, parse_molfile
from data_pipeline.sources.tally import Tally

ALANINE = "CC(N)C(=O)O"


def positions(mol: Chem.Mol) -> np.ndarray:
    return mol.GetConformer().GetPositions()


@pytest.mark.parametrize(
    ("smiles", "canonical"),
    [
        ("OC(=O)[C@@H](N)C", "C[C@H](N)C(=O)O"),
        ("C(C)O\n", "CCO"),
        ("[H]/N=C(/C)CC", "CCC(C)=N"),
        ("[H][H]", "[H][H]"),
        ("CCO |$_AV:a;;$|", "CCO"),
        ("[H]*", "*[H]"),  # RDKit warns that it leaves the hydrogen
    ],
)
def test_a_smiles_becomes_a_record_with_the_canonical_one(smiles, canonical, capfd):
    gap = Property("HOMO-LUMO gap", 3.5, "eV")
    record = from_smiles(smiles, "x:1", "a name", {"Description": "An acid."}, [gap])
    assert capfd.readouterr() == ("", "")
    assert (record.id, record.smiles, record.name) == ("x:1", canonical, "a name")
    assert conformers.smiles_of(record.mol) == canonical
    assert record.mol.GetNumConformers() == 0
    assert record.mol.GetProp("_Name") == "x:1"
    assert (record.texts, record.properties) == ({"Description": "An acid."}, (gap,))


@pytest.mark.parametrize(
    ("smiles", "why"),
    [
        ("", "no atoms"),
        (" ", "no atoms"),
        ("C1CC", "does not parse"),
        ("C(C)(C)(C)(C)C", "does not parse"),
        ("CCO ethanol", "does not parse"),
        ("C" * 1_000_000, "SMILES of more than 10,000 characters"),  # would end the process
    ],
)
def test_a_smiles_without_a_molecule_says_why(smiles, why, capfd):
    with pytest.raises(NoMolecule, match=why):
        from_smiles(smiles, "x:1")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("parse", [parse_molfile, parse_mol2])
def test_a_molecule_that_rdkit_would_not_survive_is_refused(parse):
    with pytest.raises(NoMolecule, match="molecule of more than 20,000 lines"):
        parse("M  V30 1 C 0 0 0 0\n" * 100_000)


@pytest.fixture(scope="module")
def molecules() -> tuple[list[MoleculeRecord], Tally]:
    tally = Tally()
    return list(sources.read("nci", None, nci.Options(limit=60, max_heavy_atoms=20), tally)), tally


def test_nci_gives_molecules_with_conformers_and_counts_the_rest(molecules):
    records, tally = molecules
    assert tally.balanced
    assert (tally.records_in, tally.records_out) == (60, len(records))
    assert tally.dropped == {
        "more than 20 heavy atoms": 9,
        "MMFF94 has no parameters for it": 1,
    }
    assert tally.first["MMFF94 has no parameters for it"] == "nci:48"
    first = records[0]
    assert (first.id, first.smiles, first.name) == ("nci:1", "CC1=CC(=O)C=CC1=O", "")
    assert first.mol.GetNumAtoms() == 15  # 9 heavy, 6 hydrogens
    for record in records:
        assert record.mol.GetConformer().Is3D()
        assert not any(atom.GetTotalNumHs() for atom in record.mol.GetAtoms())
        assert conformers.smiles_of(record.mol) == record.smiles
        assert record.mol.GetProp("_Name") == record.id


def test_conformers_are_relaxed_and_reproducible_whatever_the_threads(molecules):
    again = list(
        sources.read("nci", None, nci.Options(limit=25, max_heavy_atoms=20, workers=1), Tally())
    )
    for one, other in zip(molecules[0], again, strict=False):
        assert one.id == other.id
        assert np.array_equal(positions(one.mol), positions(other.mol))
    other_seed = list(sources.read("nci", None, nci.Options(limit=1, seed=2), Tally()))
    assert not np.array_equal(positions(other_seed[0].mol), positions(again[0].mol))
    mol = Chem.Mol(again[0].mol)
    force_field = rdForceFieldHelpers.MMFFGetMoleculeForceField(
        mol, rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    )
    assert np.abs(force_field.CalcGrad()).max() < 0.2  # kcal/mol/angstrom; unrelaxed it is tens


def test_without_conformers_the_molecules_are_as_written():
    tally = Tally()
    records = list(sources.read("nci", None, nci.Options(limit=60, conformers=False), tally))
    assert (tally.records_in, tally.records_out) == (60, 60)
    assert all(record.mol.GetNumConformers() == 0 for record in records)
    assert records[0].mol.GetNumAtoms() == 15


def test_nci_file_of_ones_own_with_bad_lines(tmp_path):
    path = tmp_path / "own.smi"
    path.write_bytes(b"CCO\tethanol\nC1CC\tring\n\nnonsense\nC(C)(C)(C)(C)C\n\xff\nN\n")
    tally = Tally()
    records = list(sources.read("nci", str(path), nci.Options(conformers=False), tally))
    assert [(r.id, r.smiles) for r in records] == [("nci:ethanol", "CCO"), ("nci:own.smi:7", "N")]
    assert tally.dropped == {"SMILES does not parse": 4}
    assert tally.records_in == 6
    assert tally.balanced


@pytest.mark.parametrize(
    ("option", "value"), [("max_heavy_atoms", 0), ("seed", -1), ("workers", 0), ("limit", 0)]
)
def test_nci_options_out_of_range(option, value):
    with pytest.raises(BadInput, match=f"{option} must be at least"):
        nci.Options(**{option: value})


def test_nci_takes_every_seed_that_rdkit_takes_and_no_other():
    mol = conformers.with_conformer(Chem.MolFromSmiles("CC"), nci.Options(seed=2**31 - 1).seed)
    assert mol.GetNumConformers() == 1
    with pytest.raises(BadInput, match="seed must be below 2147483648"):
        nci.Options(seed=2**31)


def test_a_conformer_settles_open_stereo_and_the_labels_say_how():
    mol = conformers.with_conformer(Chem.MolFromSmiles(ALANINE), seed=3)
    smiles = conformers.smiles_of(mol)
    assert smiles in ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O")
    mirrored = Chem.Mol(mol)
    mirrored.GetConformer().SetPositions(positions(mol) * [1, 1, -1])
    conformers.label_stereo(mirrored)
    assert conformers.smiles_of(mirrored) != smiles


def test_given_stereo_is_kept_and_coordinates_are_what_an_sdf_file_holds():
    smiles = "C/C=C\\[C@@H](N)C(=O)O"
    mol = conformers.with_conformer(Chem.MolFromSmiles(smiles), seed=0)
    assert conformers.smiles_of(mol) == Chem.CanonSmiles(smiles)
    assert np.array_equal(np.round(positions(mol), 4), positions(mol))


def test_the_force_field_changes_coordinates_and_nothing_else():
    mol = Chem.MolFromSmiles("N=c1[nH]cc([N+](=O)[O-])s1")
    made = conformers.with_conformer(mol, seed=0)
    assert [bond.GetBondType() for bond in made.GetBonds()] == [
        bond.GetBondType() for bond in Chem.AddHs(mol).GetBonds()
    ]


def test_smiles_leaves_imine_hydrogens_implicit():
    mol = conformers.with_conformer(Chem.MolFromSmiles("CC(=N)C"), seed=0)
    assert conformers.smiles_of(mol) == "CC(C)=N"


@pytest.mark.parametrize(
    ("smiles", "why"),
    [
        ("[Cu]Cl", "MMFF94 has no parameters"),
        ("C1=[N+]2CC[N+]3=Cc4ccccc4[O][Zn]23[O]c2ccccc21", "MMFF94 has no parameters"),
        ("C1#CC1", "ETKDGv3 finds no embedding"),
    ],
)
def test_molecules_without_a_conformer_say_why(smiles, why):
    mol = Chem.MolFromSmiles(smiles)
    with pytest.raises(conformers.NoConformer, match=why):
        conformers.with_conformer(mol, seed=0)
    keyed = conformers.with_conformers([("bad", mol), ("good", Chem.MolFromSmiles("CC"))], 0, 2)
    [(bad, error), (good, made)] = keyed
    assert (bad, good) == ("bad", "good")
    assert why in str(error)
    assert made.GetNumAtoms() == 8


def same(one: MoleculeRecord, other: MoleculeRecord) -> bool:
    return (
        (one.id, one.smiles, one.name) == (other.id, other.smiles, other.name)
        and np.array_equal(positions(one.mol), positions(other.mol))
        and Chem.MolToSmiles(one.mol) == Chem.MolToSmiles(other.mol)
    )


@pytest.mark.parametrize("name", ["cache.sdf", "cache.sdf.gz"])
def test_sdf_returns_what_was_written(molecules, tmp_path, name):
    records = [MoleculeRecord(r.id, r.smiles, f"name of {r.id}", r.mol) for r in molecules[0]]
    records[1] = MoleculeRecord(records[1].id, records[1].smiles, "", records[1].mol)
    path = tmp_path / name
    assert sdf.write(path, records) == len(records)
    first_bytes = path.read_bytes()
    tally = Tally()
    back = list(sources.read("sdf", str(path), sdf.Options(), tally))
    assert len(back) == len(records) == tally.records_in == tally.records_out
    assert all(map(same, records, back))
    sdf.write(path, back)
    assert path.read_bytes() == first_bytes
    assert [r.id for r in sources.read("sdf", str(path), sdf.Options(limit=2), Tally())] == [
        "nci:1",
        "nci:2",
    ]


def test_sdf_refuses_to_write_without_a_conformer_and_leaves_the_old_file(molecules, tmp_path):
    path = tmp_path / "cache.sdf.gz"
    sdf.write(path, molecules[0][:2])
    before = path.read_bytes()
    flat = MoleculeRecord("flat", "CC", "", Chem.AddHs(Chem.MolFromSmiles("CC")))
    with pytest.raises(BadInput, match="flat has no conformer to write"):
        sdf.write(path, [*molecules[0][:2], flat])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_sdf_entries_that_are_no_molecules_are_counted(molecules, tmp_path):
    good = tmp_path / "good.sdf"
    sdf.write(good, molecules[0][:1])
    entry = good.read_text()
    coordinates = entry.split("M  END")[0]
    flat = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")) + "$$$$\n"
    heavy_only = Chem.MolToMolBlock(Chem.RemoveHs(molecules[0][0].mol)) + "$$$$\n"
    path = tmp_path / "mixed.sdf"
    path.write_text(
        entry
        + flat
        + heavy_only
        + "garbage\n\n\nwhat is this\n$$$$\n"
        + re.sub(r"(?m)^nci:1$", "", entry, count=1)
        + coordinates
    )
    tally = Tally()
    records = list(sources.read("sdf", str(path), sdf.Options(), tally))
    assert [record.id for record in records] == ["nci:1", "mixed:5"]
    assert tally.dropped == {
        "no 3D coordinates": 1,
        "hydrogens without coordinates": 1,
        "RDKit reads no molecule": 1,
        "entry is cut off ($$$$ is missing)": 1,
    }
    assert tally.balanced


def test_sdf_takes_a_flat_molecule_for_3d_where_its_header_says_so(tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("c1ccccc1"))
    AllChem.Compute2DCoords(mol)
    path = tmp_path / "flat.sdf"
    path.write_text(Chem.MolToMolBlock(mol).replace("          2D", "          3D") + "$$$$\n")
    [record] = sources.read("sdf", str(path), None, Tally())
    assert record.smiles == "c1ccccc1"
    assert np.all(positions(record.mol)[:, 2] == 0)


def test_sdf_cut_in_its_gzip_stops_with_one_line(molecules, tmp_path):
    path = tmp_path / "cut.sdf.gz"
    sdf.write(path, molecules[0])
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BadInput, match=r"cut\.sdf\.gz: damaged or truncated gzip") as error:
        list(sources.read("sdf", str(path), sdf.Options(), Tally()))
    assert "\n" not in str(error.value)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(BadInput, match="no usable record"):
        list(sources.read("sdf", str(path), sdf.Options(), Tally()))
