"""QM9, on constructed files of its two distributions."""

import csv
import gzip
import io
import zipfile

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.assets import qm9pack
from data_pipeline.records import Property
from data_pipeline.sources import conformers
from data_pipeline.sources.qm9 import GDB9, QM9PACK, Options
from data_pipeline.sources.tally import Tally

SMILES = ["C", "OCC", "C[C@H](O)F", "C1CC1"]


def read(path, options=None):
    tally = Tally()
    return list(sources.read("qm9", str(path), options, tally)), tally


def conformer(smiles: str) -> Chem.Mol:
    return conformers.with_conformer(Chem.MolFromSmiles(smiles), seed=0)


@pytest.fixture
def gdb9(tmp_path):
    """gdb9.sdf with gdb9.sdf.csv: the value of the c-th column in row r is r + c / 100."""
    entries, rows = [], ["mol_id,smiles," + ",".join(column.key for column in GDB9)]
    for number, smiles in enumerate(SMILES, start=1):
        block = Chem.MolToMolBlock(conformer(smiles)).split("\n", 2)[2]
        entries.append(f"gdb_{number}\n  -OEChem-03231823243D\n{block}$$$$\n")
        values = (f"{number + column / 100:.2f}" for column in range(len(GDB9)))
        rows.append(f"gdb_{number},{smiles},{','.join(values)}")
    (tmp_path / "gdb9.sdf").write_text("".join(entries))
    (tmp_path / "gdb9.sdf.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "gdb9.sdf"


@pytest.fixture
def wheel(tmp_path):
    """qm9pack: the value of the c-th quantity in row r is r + c / 100."""
    header = [*qm9pack.COLUMNS, *(column.key for column in QM9PACK)]
    tables = []
    for part in (SMILES[:2], SMILES[2:3], SMILES[3:]):
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(header)
        for smiles in part:
            number = SMILES.index(smiles) + 1
            mol = conformer(smiles)
            symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
            positions = mol.GetConformer().GetPositions().tolist()
            values = [f"{number + column / 100:.2f}" for column in range(len(QM9PACK))]
            table.writerow([number, smiles, str(symbols), str(positions), *values])
        tables.append(text.getvalue())
    path = tmp_path / "qm9pack-1.0.3-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for part, text in zip(qm9pack.PARTS, tables, strict=True):
            archive.writestr(part, text)
    return path


def test_both_distributions_give_the_same_molecules(gdb9, wheel):
    (here, tally), (there, other) = read(gdb9), read(wheel)
    assert [record.id for record in here] == ["qm9:1", "qm9:2", "qm9:3", "qm9:4"]
    assert [record.smiles for record in here] == ["C", "CCO", "C[C@H](O)F", "C1CC1"]
    for one, two in zip(here, there, strict=True):
        assert (one.id, one.smiles) == (two.id, two.smiles)
        assert one.properties[: len(QM9PACK)] == two.properties
        np.testing.assert_allclose(
            one.mol.GetConformer().GetPositions(), two.mol.GetConformer().GetPositions(), atol=1e-4
        )
        assert not any(atom.GetTotalNumHs() for atom in two.mol.GetAtoms())
    assert tally.records_out == other.records_out == 4
    assert not tally.lost + other.lost


def test_quantities_have_their_names_and_units(gdb9):
    properties = {value.name: value for value in read(gdb9)[0][1].properties}
    assert len(properties) == 19
    assert properties["Rotational constant B"] == Property("Rotational constant B", 2.01, "GHz")
    assert properties["Dipole moment"] == Property("Dipole moment", 2.03, "D")
    assert properties["HOMO-LUMO gap"] == Property("HOMO-LUMO gap", 2.07, "hartree")
    cv = properties["Heat capacity at 298.15 K"]
    assert (cv.value, cv.unit) == (2.14, "cal/(mol K)")
    u0 = properties["Atomization energy at 0 K"]
    assert (u0.value, u0.unit) == (2.15, "kcal/mol")


def test_the_table_lies_beside_or_where_the_option_says(gdb9, tmp_path):
    packed = tmp_path / "gdb9.sdf.gz"
    packed.write_bytes(gzip.compress(gdb9.read_bytes()))
    assert len(read(packed)[0]) == 4
    table = (tmp_path / "gdb9.sdf.csv").rename(tmp_path / "elsewhere.csv")
    with pytest.raises(BadInput, match=r"gdb9\.sdf\.csv"):
        read(gdb9)
    records, _ = read(gdb9, Options(limit=2, table=str(table)))
    assert [record.id for record in records] == ["qm9:1", "qm9:2"]


def test_a_table_that_does_not_match_stops_with_one_line(gdb9, tmp_path):
    path = tmp_path / "gdb9.sdf.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2] + lines[3:]))
    with pytest.raises(BadInput, match=r"gdb_3 stands where .*gdb9\.sdf has gdb_2"):
        read(gdb9)
    path.write_text("".join(lines[:4]))
    with pytest.raises(BadInput, match=r"gdb9\.sdf\.csv: ends before gdb_4"):
        read(gdb9)
    path.write_text("".join(lines).replace("u0_atom", "u_0"))
    with pytest.raises(BadInput, match="no column 'u0_atom'"):
        read(gdb9)


def test_entries_that_rdkit_refuses_are_dropped_and_bad_values_lost(gdb9, tmp_path):
    table = (tmp_path / "gdb9.sdf.csv").read_bytes()
    table = table.replace(b"gdb_1,C,1.00,", b"gdb_1,C,?,").replace(b"gdb_2,OCC", b"gdb_2,\xff")
    (tmp_path / "gdb9.sdf.csv").write_bytes(table)
    blocks = gdb9.read_text().split("$$$$\n")
    blocks[2] = blocks[2].replace("M  END", "M  CHG  1   2   1\nM  END")  # a carbon with 4 bonds
    gdb9.write_text("$$$$\n".join(blocks[:3]) + "$$$$\n" + blocks[3].split("M  END")[0])
    records, tally = read(gdb9)
    assert [record.id for record in records] == ["qm9:1", "qm9:2"]
    assert tally.dropped == {
        "RDKit reads no molecule": 1,
        "entry is cut off ($$$$ is missing)": 1,
    }
    assert tally.lost == {"A: not a number": 1, "row of the table: not UTF-8": 1}
    assert (len(records[0].properties), records[1].properties) == (18, ())
    assert tally.balanced


def test_a_geometry_that_contradicts_its_smiles_is_dropped(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tables = {part: archive.read(part).decode() for part in qm9pack.PARTS}
    tables[qm9pack.PARTS[0]] = tables[qm9pack.PARTS[0]].replace("2,OCC,", "2,CCO,")
    with zipfile.ZipFile(wheel, "w") as archive:
        for part, text in tables.items():
            archive.writestr(part, text)
    records, tally = read(wheel)
    assert [record.id for record in records] == ["qm9:1", "qm9:3", "qm9:4"]
    assert tally.dropped == {"heavy atoms are not those of the SMILES, in its order": 1}


def test_a_wheel_cut_short_stops_with_one_line(wheel):
    wheel.write_bytes(wheel.read_bytes()[:-40])
    with pytest.raises(BadInput, match="not a wheel of qm9pack") as error:
        read(wheel)
    assert "\n" not in str(error.value)
