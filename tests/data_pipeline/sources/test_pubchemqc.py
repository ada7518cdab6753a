"""PubChemQC, on constructed arrays of records with its keys."""

import gzip
import json

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources import conformers
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

CARNITINE = "CC(=O)O[C@H](CC(=O)[O-])C[N+](C)(C)C"


def entry(cid: int, smiles: str, shuffle: int = 1, **changed) -> dict:
    """A record as the corpus has it: flat lists, atoms in an order of their own, counted from 1."""
    mol = conformers.with_conformer(Chem.MolFromSmiles(smiles), seed=0)
    order = np.random.default_rng(shuffle).permutation(mol.GetNumAtoms())
    mol = Chem.RenumberAtoms(mol, order.tolist())
    ends = [(bond.GetBeginAtomIdx() + 1, bond.GetEndAtomIdx() + 1) for bond in mol.GetBonds()]
    return {
        "cid": cid,
        "state": "S0",
        "name": f"{cid:09d}.B3LYP@PM6.S0",
        "coordinates": mol.GetConformer().GetPositions().ravel().tolist(),
        "atomic-numbers": [atom.GetAtomicNum() for atom in mol.GetAtoms()],
        "bond-order": [1] * len(ends),
        "connection-indices": [index for bond in ends for index in bond],
        "multiplicity": 1,
        "energy-alpha-homo": -4.60960862747,
        "energy-alpha-lumo": -0.26122929648,
        "energy-alpha-gap": 4.34837933099,
        "orbital-energies": [[-4.60960862747, -0.26122929648]],
        "total-energy": -19314.25,
        "dipole-moment": 11.4,
        "pubchem-isomeric-smiles": Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False),
    } | changed


def read(path, limit=None):
    tally = Tally()
    return list(sources.read("pubchemqc", str(path), Limited(limit), tally)), tally


@pytest.fixture
def written(tmp_path):
    def write(*entries, name="000000001-000253696.json"):
        path = tmp_path / name
        path.write_text(json.dumps(entries, indent=1))
        return path

    return write


def test_a_record_has_the_geometry_its_stereo_and_the_energies(written):
    path = written(entry(1, CARNITINE), entry(5950, "C[C@H](N)C(=O)O"))
    records, tally = read(path)
    assert [record.id for record in records] == ["pubchemqc:1", "pubchemqc:5950"]
    assert [record.smiles for record in records] == [CARNITINE, "C[C@H](N)C(=O)O"]
    assert records[0].properties == (
        Property("HOMO energy", -4.60960862747, "eV"),
        Property("LUMO energy", -0.26122929648, "eV"),
        Property("HOMO-LUMO gap", 4.34837933099, "eV"),
        Property("Total energy", -19314.25, "eV", decimals=3),
        Property("Dipole moment", 11.4, "D"),
    )
    assert not tally.lost
    assert Chem.GetFormalCharge(records[0].mol) == 0
    for record in records:
        assert not any(atom.GetTotalNumHs() for atom in record.mol.GetAtoms())


@pytest.mark.parametrize("smiles", [CARNITINE, "Oc1ccc2[nH]ccc2c1", "[Na+].CC(=O)[O-]", "C#CC=C=O"])
@pytest.mark.parametrize("shuffle", [2, 3])
def test_atoms_find_their_coordinates_in_any_order(written, smiles, shuffle):
    [record], _ = read(written(entry(1, smiles, shuffle)))
    expected = conformers.with_conformer(Chem.MolFromSmiles(smiles), seed=0)
    positions = record.mol.GetConformer().GetPositions()
    match = record.mol.GetSubstructMatch(expected)
    assert len(match) == expected.GetNumAtoms()
    for bond in record.mol.GetBonds():
        length = np.linalg.norm(positions[bond.GetBeginAtomIdx()] - positions[bond.GetEndAtomIdx()])
        assert 0.9 < length < 1.6, (bond.GetBeginAtom().GetSymbol(), bond.GetEndAtom().GetSymbol())
    assert sorted(map(tuple, positions)) == sorted(
        map(tuple, expected.GetConformer().GetPositions())
    )


def test_an_open_shell_has_no_orbital_energies(written):
    [record], tally = read(written(entry(1, "CC", multiplicity=3)))
    assert [value.name for value in record.properties] == ["Total energy", "Dipole moment"]
    assert tally.lost == {"orbital energies of an open shell": 1}


def test_what_contradicts_itself_is_dropped_by_reason(written):
    moved = entry(2, "CC(=O)O")  # its SMILES has the hydrogen of the acid elsewhere
    moved["pubchem-isomeric-smiles"] = "C=C(O)O"
    short = entry(3, "CC")
    short["coordinates"].pop()
    nan = entry(4, "CC")
    nan["coordinates"][0] = float("nan")
    out_of_range = entry(5, "CC")
    out_of_range["connection-indices"][0] = 0
    nothing = entry(6, "CC")
    del nothing["connection-indices"]
    polymer = entry(10, "CC")  # RDKit would not survive it
    polymer["atomic-numbers"] = [6] * 30_000
    polymer["coordinates"] = [0.0] * 90_000
    polymer["connection-indices"] = [[n, n + 1] for n in range(1, 30_000)]
    entries = [
        entry(1, "CC", **{"dipole-moment": [1.0, 2.0], "total-energy": None}),
        moved,
        short,
        nan,
        out_of_range,
        nothing,
        entry(7, "CC", **{"pubchem-isomeric-smiles": "C1CC"}),
        entry(8, "CC", **{"pubchem-isomeric-smiles": None}),
        {"cid": 9, "data": {"pubchem": {"B3LYP@PM6": {}}}},  # the original's own JSON
        polymer,
    ]
    records, tally = read(written(*entries))
    assert [record.id for record in records] == ["pubchemqc:1"]
    assert tally.dropped == {
        "geometry has other bonds than the SMILES": 1,
        "geometry has other atoms than the SMILES": 1,
        "geometry is incomplete": 4,
        "SMILES does not parse": 1,
        "no cid or no pubchem-isomeric-smiles": 2,
    }
    assert tally.lost == {"dipole-moment: not a number": 1}
    assert tally.first["geometry is incomplete"] == "000000001-000253696.json:2"
    assert (tally.records_in, tally.balanced) == (10, True)


def test_packed_arrays_limits_and_damage(written, tmp_path):
    path = written(*(entry(cid, "CC") for cid in (1, 2, 3)))
    packed = tmp_path / "packed.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    records, tally = read(packed, limit=2)
    assert ([record.id for record in records], tally.records_in) == (
        ["pubchemqc:1", "pubchemqc:2"],
        2,
    )
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(BadInput, match=r"000253696\.json: not a JSON array .*its end is missing"):
        read(path)
