import json

import pytest
from rdkit import Chem

from biomatrix_jax.structure.molecule import MoleculeTokenizer
from biomatrix_jax.structure.molecule.training.__main__ import main

# As in test_trainer.py, so that its compiled programs serve.
SMALL = ["codes=16", "hidden=8", "latent=8", "steps=12", "batch_size=32"]
SMALL += ["lloyd_iterations=2", "decoder_steps=5"]


@pytest.fixture
def sdf(mols, tmp_path):
    path = tmp_path / "mols.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for mol in mols:
            writer.write(mol)
    return path


def test_files_to_a_tokenizer(sdf, mols, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [str(sdf), *SMALL, "geometry=10.0", "--out", str(out), "--held-out", "30"]
    assert main(arguments) == 0
    assert "molecules to train on" in capsys.readouterr().out
    tokenizer = MoleculeTokenizer.from_pretrained(out / "tokenizer")
    assert tokenizer.config.codes == 16
    assert len(tokenizer.encode(mols[0]).codes) == mols[0].GetNumAtoms()
    lines = (out / "metrics.jsonl").read_text().splitlines()
    assert "held_out" in json.loads(lines[-1])
    assert main(arguments) == 2  # nothing is overwritten
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["stepz=3"], "stepz"),
        (["steps=many"], "'many' is not a number"),
        (["steps=0"], "steps must be a positive integer"),
        (["absent.sdf"], "no such file or folder"),
        (["--held-out", "100"], "0 to 99 percent"),
    ],
)
def test_what_is_refused(words, problem, sdf, tmp_path, capsys):
    assert main([str(sdf), "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_molecule_at_all(tmp_path, capsys):
    path = tmp_path / "empty.sdf"
    path.write_text("")
    assert main([str(path), "--out", str(tmp_path / "out")]) == 2
    assert "no molecule to train on" in capsys.readouterr().err
