"""PDBbind: both forms of the index, and the folders of proteins and ligands."""

import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources import pdbbind
from data_pipeline.sources.tally import Tally
from tests.data_pipeline.sources.complex_files import LIGAND, pose, receptor, sdf

HEAD = """\
# ==============================================================================
# List of protein-ligand complexes with known binding data in PDBbind v.2019
# PDB code, resolution, release year, -logKd/Ki, Kd/Ki, reference, ligand name
# ==============================================================================
"""
FIRST = "3zzf  2.20  2012   0.40  Ki=400mM      // 3zzf.pdf (NLG)"
MOL2 = """@<TRIPOS>MOLECULE
3zzf_ligand
 3 2 0 0 0
SMALL
NO_CHARGES

@<TRIPOS>ATOM
  1 O   0.000 0.000 0.000 O.3 1 HOH 0
  2 H1  0.957 0.000 0.000 H   1 HOH 0
  3 H2 -0.240 0.927 0.000 H   1 HOH 0
@<TRIPOS>BOND
 1 1 2 1
 2 1 3 1
"""


def add(folder, code: str, ligand: str | None = None) -> None:
    folder = folder / code
    folder.mkdir(parents=True)
    (folder / f"{code}_protein.pdb").write_text(receptor("AB"))
    (folder / f"{code}_ligand.sdf").write_text(
        sdf(pose(hydrogens=True)) if ligand is None else ligand
    )


def read(root, *lines: str, name="INDEX_general_PL_data.2019", **options) -> tuple[list, Tally]:
    (root / "index").mkdir(exist_ok=True)
    path = root / "index" / name
    path.write_text(HEAD + "\n".join(lines) + "\n")
    options, tally = pdbbind.Options(**options), Tally()
    return list(sources.read("pdbbind", str(path), options, tally)), tally


def test_a_line_is_the_proteins_chains_the_ligand_and_the_affinity(tmp_path):
    add(tmp_path, "3zzf")
    [record], tally = read(tmp_path, FIRST)
    assert record.id == "pdbbind:3zzf"
    assert record.properties == (
        Property("Ki", 400, "mM"),
        Property("pKi", 0.4),
        Property("resolution", 2.2, "Å"),
        Property("release year", 2012),
    )
    first, second, ligand = record.partners
    assert (first.id, second.id) == ("3zzf_protein_A", "3zzf_protein_B")
    assert first.backbone.shape == (9, 4, 3)
    assert (ligand.id, ligand.smiles, ligand.mol.GetNumConformers()) == ("ligand:NLG", LIGAND, 1)
    assert (record.texts, tally.lost, tally.records_in) == ({}, {}, 1)


@pytest.mark.parametrize(
    ("line", "properties"),
    [
        ("6rsa   NMR  1986  Ki=40uM       // 6rsa.pdf (UVC) covalent complex",
         [("Ki", 40, "µM", "=")]),
        ("4cts  2.90  1984  Kd<10uM       // 4cts.pdf (OAA)", [("Kd", 10, "µM", "<")]),
        ("4fci  1.82  2012   1.26  Ki~55mM       // 4fci.pdf (GPA)",
         [("Ki", 55, "mM", "~"), ("pKi", 1.26, "", "=")]),
        ("3fl9  2.40  2009   1.11  IC50=77.2mM   // 3fl8.pdf (TOP)",
         [("IC50", 77.2, "mM", "="), ("pIC50", 1.11, "", "=")]),
        ("6cpa  2.00  1991  Ki<=3pM        // 6cpa.pdf (3-mer)", [("Ki", 3, "pM", "<")]),
    ],
)  # fmt: skip
def test_lines_of_every_form(tmp_path, line, properties):
    add(tmp_path, line[:4])
    [record], tally = read(tmp_path, line)
    found = [p for p in record.properties if p.name not in ("resolution", "release year")]
    assert found == [Property(*rest) for rest in properties]
    assert record.texts == ({"Remark": "covalent complex"} if "covalent" in line else {})
    assert any(p.name == "resolution" for p in record.properties) == ("NMR" not in line)
    assert record.partners[-1].id == (
        "6cpa_ligand" if "mer" in line else f"ligand:{line.split('(')[1][:3]}"
    )
    assert not tally.lost


def test_a_ligand_that_rdkit_does_not_read_is_taken_from_mol2(tmp_path):
    pentavalent = (
        Chem.MolToMolBlock(Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False)) + "$$$$\n"
    )
    add(tmp_path, "3zzf", pentavalent)
    (tmp_path / "3zzf" / "3zzf_ligand.mol2").write_text(MOL2)
    add(tmp_path, "3gww", pentavalent)
    add(tmp_path, "1w8l", sdf(pose())[:-5])  # cut off
    (tmp_path / "1w8l" / "1w8l_ligand.mol2").write_text("@<TRIPOS>MOLECULE\n")
    [record], tally = read(
        tmp_path, FIRST, FIRST.replace("3zzf", "3gww"), FIRST.replace("3zzf", "1w8l")
    )
    assert record.partners[-1].smiles == "O"
    assert tally.lost == {"ligand: read from MOL2, no SDF that parses": 1}
    assert tally.dropped == {"no file of the ligand that parses": 1, "RDKit reads no molecule": 1}


def test_lines_that_give_no_complex_are_counted(tmp_path):
    add(tmp_path, "3zzf")
    add(tmp_path, "1p05")
    _, tally = read(
        tmp_path,
        FIRST,
        "1p05  2.10  1990  Ki=1100nM     // 1p05.pdf (5-mer) incomplete ligand structure",
        FIRST.replace("3zzf", "9zzz"),
        FIRST.replace("400mM", "about 400"),
        "3t8s  2011  P29994  INOSITOL 1,4,5-TRISPHOSPHATE RECEPTOR TYPE 1",
    )
    assert tally.dropped == {
        "ligand's structure is incomplete": 1,
        "no file of the protein": 1,
        "not a line of PDBbind's index": 2,
    }
    assert (tally.records_in, tally.records_out) == (5, 1)


def test_complexes_may_lie_in_folders_of_folders(tmp_path):
    """As in release 2020R1, and with the refined set beside the others."""
    add(tmp_path / "P-L" / "2011-2019", "3zzf")
    add(tmp_path / "refined-set", "3gww")
    line = "3gww  2.46  2009  IC50=355mM    // 3gwu.pdf (SFX)"
    records, _ = read(tmp_path, FIRST, line, name="INDEX_general_PL.2020R1.lst")
    assert [record.id for record in records] == ["pdbbind:3zzf", "pdbbind:3gww"]
    found = sources.read("pdbbind", str(tmp_path), pdbbind.Options(limit=1), Tally())
    assert [record.id for record in found] == ["pdbbind:3zzf"]
    elsewhere = pdbbind.Options(structures=str(tmp_path / "refined-set"))
    found = sources.read("pdbbind", str(tmp_path / "index"), elsewhere, Tally())
    assert [record.id for record in found] == ["pdbbind:3gww"]


def test_a_folder_without_an_index_or_structures_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"no INDEX_general_PL_data\.\* there"):
        list(sources.read("pdbbind", str(tmp_path), None, Tally()))
    with pytest.raises(BadInput, match=r"absent: no such folder"):
        read(tmp_path, FIRST, structures=str(tmp_path / "absent"))
