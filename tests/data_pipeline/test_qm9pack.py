import zipfile

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.assets import qm9pack

# Ethanol's heavy atoms in the order of "OCC", its hydrogens in none.
ETHANOL = {
    "O": [(1.17, -0.33, 0.0)],
    "C": [(0.0, 0.48, 0.0), (-1.22, -0.42, 0.0)],
    "H": [
        (-2.13, 0.18, 0.0),
        (1.93, 0.25, 0.0),
        (0.02, 1.13, 0.88),
        (-1.22, -1.05, 0.89),
        (0.02, 1.13, -0.88),
        (-1.22, -1.05, -0.89),
    ],
}


def row(smiles="OCC", move=None) -> qm9pack.Row:
    symbols = [symbol for symbol, positions in ETHANOL.items() for _ in positions]
    positions = [list(position) for places in ETHANOL.values() for position in places]
    for index, place in (move or {}).items():
        positions[index] = list(place)
    return "7", smiles, str(symbols).replace(" ", ""), str(positions).replace("0.0,", "0.,")


def test_bonds_come_from_the_smiles_and_hydrogens_from_the_geometry():
    mol = qm9pack.molecule(row())
    assert mol.GetProp("_Name") == "qm9:7"
    assert [atom.GetSymbol() for atom in mol.GetAtoms()] == list("OCC") + ["H"] * 6
    positions = mol.GetConformer().GetPositions()
    np.testing.assert_allclose(positions[3], (1.93, 0.25, 0.0))  # the oxygen's hydrogen first
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        assert np.linalg.norm(positions[ends[0]] - positions[ends[1]]) < 1.6, ends


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"smiles": "CCO"}, "heavy atoms are not those of the SMILES"),
        ({"smiles": "not a SMILES"}, "does not parse"),
        # The hydroxyl's hydrogen on the methyl group.
        ({"move": {4: (-1.9, -1.2, 0.0)}}, "hydrogens lie at other atoms"),
        # The methyl group with its hydrogens 1 angstrom away.
        (
            {
                "move": {
                    2: (-2.22, -0.42, 0.0),
                    3: (-3.13, 0.18, 0.0),
                    6: (-2.22, -1.05, 0.89),
                    8: (-2.22, -1.05, -0.89),
                }
            },
            "a bond of the SMILES is broken",
        ),
    ],
)
def test_a_geometry_that_contradicts_the_smiles(changed, reason):
    with pytest.raises(qm9pack.Mismatch, match=reason):
        qm9pack.molecule(row(**changed))


def test_rows_of_the_wheel(tmp_path):
    header = "XYZ_file,Index,SMILES,InChi,Elements,XYZ_Ang\n"
    line = '"a.xyz",{0},"C","x","[\'C\']","[[0.,{0}.5,1.]]"\n'
    path = tmp_path / "qm9pack.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for number, part in enumerate(qm9pack.PARTS):
            archive.writestr(part, header + line.format(number))
    assert list(qm9pack.rows(path)) == [
        (str(number), "C", "['C']", f"[[0.,{number}.5,1.]]") for number in range(3)
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.csv", header)
    with pytest.raises(BadInput, match="not a wheel of qm9pack"):
        list(qm9pack.rows(path))
