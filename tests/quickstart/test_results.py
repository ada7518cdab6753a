import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from biomatrix_jax.quickstart.backbones import BackboneVerdict
from biomatrix_jax.quickstart.journal import Stage
from biomatrix_jax.quickstart.molecules import Judged, Verdict, tally
from biomatrix_jax.quickstart.results import write_structures
from biomatrix_jax.structure.protein.chains import Limits, read_chain
from biomatrix_jax.structure.protein.files import parse
from tests.quickstart.helices import helix


def molecule(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    return Verdict(mol, smiles)


@pytest.fixture
def written(tmp_path):
    verdicts = [molecule("CCO"), Verdict(reason="refused by RDKit"), molecule("CCO"), molecule("N")]
    backbones = [
        BackboneVerdict(reason="unclosed segment"),
        BackboneVerdict(helix(8).astype(np.float32)),
        BackboneVerdict(helix(5).astype(np.float32)),
    ]
    stage = Stage("structures", "")
    molecules = Judged(verdicts, tally(verdicts, set()))
    write_structures(tmp_path / "structures", molecules, backbones, stage)
    return tmp_path / "structures", verdicts, stage


def test_each_distinct_molecule_and_each_backbone_is_a_file(written):
    directory, _, stage = written
    names = ["backbone1.pdb", "backbone2.pdb", "molecule1.sdf", "molecule2.sdf"]
    assert sorted(path.name for path in directory.iterdir()) == names
    assert stage.outcome == (
        "3 of 4 molecules with coordinates, 2 of them distinct; 2 of 3 backbones"
    )


def test_a_molecule_reads_back_with_its_coordinates(written):
    directory, verdicts, _ = written
    [mol] = Chem.SDMolSupplier(str(directory / "molecule1.sdf"), removeHs=False)
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == "CCO"
    before = verdicts[0].mol.GetConformer().GetPositions()
    assert np.allclose(mol.GetConformer().GetPositions(), before, atol=1e-4)


def test_a_backbone_is_a_pdb_file_of_unknown_residues(written):
    directory, _, _ = written
    text = (directory / "backbone1.pdb").read_text()
    assert len([line for line in text.splitlines() if line.startswith("ATOM")]) == 3 * 8
    assert " CA  UNK A   1 " in text
    [chain] = parse(directory / "backbone1.pdb").chains
    assert chain.id == "A"
    # It has no O, so nothing of it passes for a whole residue.
    with pytest.raises(ValueError, match="missing"):
        read_chain(chain, Limits())
