import dataclasses
import json

import jax
import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import MoleculeTokenizer
from biomatrix_jax.structure.molecule.conformers import describe_molecules
from biomatrix_jax.structure.molecule.training import TrainingConfig, train, trainer
from biomatrix_jax.structure.molecule.training.run import METRICS_FILE, STATE_FILE

CONFIG = TrainingConfig(
    codes=16, hidden=8, latent=8, steps=12, batch_size=32, lloyd_iterations=2, decoder_steps=5
)
OFTEN = {"report_every": 2, "save_every": 4}


@pytest.fixture(scope="module")
def atoms(mols) -> np.ndarray:
    return np.concatenate([item.descriptors for item in describe_molecules(mols)])


@pytest.fixture(scope="module")
def uninterrupted(atoms, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    tokenizer = train(atoms[20:], CONFIG, held_out_n4=atoms[:20], directory=directory, **OFTEN)
    return tokenizer, directory


def leaves(tokenizer: MoleculeTokenizer) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tokenizer.weights)]


def metrics(directory) -> list[dict]:
    return [json.loads(line) for line in (directory / METRICS_FILE).read_text().splitlines()]


def test_what_a_run_writes(uninterrupted):
    tokenizer, directory = uninterrupted
    lines = metrics(directory)
    assert [line["step"] for line in lines] == [0, 2, 3, 4, 6, 7, 8, 10, 11, 12]
    assert [line["step"] for line in lines if "loss" in line] == [0, 2, 4, 6, 8, 10, 11]
    assert [line["step"] for line in lines if "held_out" in line] == [3, 7, 12]
    assert lines[-1]["held_out"].keys() > {"length", "angle", "torsion", "sign", "codes"}
    assert tokenizer.config.codes == 16


def test_a_run_goes_on_where_it_was_interrupted(uninterrupted, atoms, tmp_path):
    def interrupt(step, _):
        if step == 9:
            raise KeyboardInterrupt

    arguments = {"held_out_n4": atoms[:20], "directory": tmp_path, **OFTEN}
    with pytest.raises(KeyboardInterrupt):
        train(atoms[20:], CONFIG, on_step=interrupt, **arguments)
    with open(tmp_path / METRICS_FILE, "a") as file:
        file.write('{"step": 9, "lo')  # cut off in the middle of a line
    done = []
    tokenizer = train(atoms[20:], CONFIG, on_step=lambda step, _: done.append(step), **arguments)
    assert done == [8, 9, 10, 11]
    expected, directory = uninterrupted
    assert leaves(tokenizer) == leaves(expected)
    assert metrics(tmp_path) == metrics(directory)
    # Once more, when all is done: the same again, without a step.
    done.clear()
    again = train(atoms[20:], CONFIG, on_step=lambda step, _: done.append(step), **arguments)
    assert not done
    assert leaves(again) == leaves(expected)
    assert metrics(tmp_path) == metrics(directory)


def test_a_directory_makes_no_difference(uninterrupted, atoms):
    expected, _ = uninterrupted
    assert leaves(train(atoms[20:], CONFIG)) == leaves(expected)


def test_the_state_of_another_run_is_refused(uninterrupted, atoms):
    _, directory = uninterrupted
    other = dataclasses.replace(CONFIG, learning_rate=0.1)
    with pytest.raises(BadInput, match="other data or settings"):
        train(atoms[20:], other, directory=directory)
    with pytest.raises(BadInput, match="other data or settings"):
        train(atoms[21:], CONFIG, directory=directory)


@pytest.mark.parametrize("content", [b"", b"not a state", b"\x00" * 64])
def test_a_damaged_state_is_one_line(content, atoms, tmp_path):
    (tmp_path / STATE_FILE).write_bytes(content)
    with pytest.raises(BadInput, match="not a state of this trainer") as caught:
        train(atoms, CONFIG, directory=tmp_path)
    assert "\n" not in str(caught.value)


def test_the_learning_rate_rises_and_falls():
    schedule = trainer._schedule(TrainingConfig(steps=100, learning_rate=2.0))
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[5] == pytest.approx(2)
    assert np.argmax(rates) == 5
    assert 0 < rates[0] < rates[3] < 2
    assert rates[100] == pytest.approx(0, abs=1e-6)
    assert rates[53] == pytest.approx(1, rel=0.05)


def test_data_that_is_none(tmp_path):
    with pytest.raises(BadInput, match="finite"):
        train(np.array([[1.4, np.nan, 2.0, 1.0]]), CONFIG, directory=tmp_path)
    assert not any(tmp_path.iterdir())
