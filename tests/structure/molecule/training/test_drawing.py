import dataclasses

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule.training import TrainingConfig
from biomatrix_jax.structure.molecule.training.drawing import check, draw, mirror

DATA = np.array([[0.8, 0.2, 0.7, 1.0], [0.8, 0.5073, 0.68, 0.0], [0.9, 0.9, 0.1, -1.0]], np.float32)


def test_mirror_images_are_of_atoms_with_a_frame_only():
    turned = mirror(DATA, np.array([True, True, False]))
    np.testing.assert_allclose(turned[:, 1], [0.8, 0.5073, 0.9])
    np.testing.assert_array_equal(turned[:, [0, 2, 3]], DATA[:, [0, 2, 3]])
    np.testing.assert_allclose(DATA[0, 1], 0.2)


def test_a_draw_is_a_function_of_seed_and_step():
    config = TrainingConfig(batch_size=300, codes=7, seed=5)
    x, revival = draw(DATA, config, 11)
    assert x.shape == (300, 4)
    assert revival.shape == (7,)
    assert revival.max() < 300
    for other, same in (
        (draw(DATA, config, 11), True),
        (draw(DATA, config, 12), False),
        (draw(DATA, dataclasses.replace(config, seed=6), 11), False),
    ):
        assert np.array_equal(other[0], x) == same
    assert set(np.round(x[x[:, 3] == 1][:, 1], 4)) == {np.float32(0.2), np.float32(0.8)}
    assert set(np.round(x[:, 0], 4)) == {np.float32(0.8), np.float32(0.9)}


@pytest.mark.parametrize("data", [np.zeros((0, 4)), np.zeros((3, 5)), np.zeros(4)])
def test_shapes_that_are_no_descriptors(data):
    with pytest.raises(BadInput, match="needs descriptors"):
        check(data)


def test_settings_that_cannot_be():
    for settings, problem in (
        ({"codes": 0}, "codes must be a positive integer, not 0"),
        ({"steps": 1.5}, "steps must be a positive integer, not 1.5"),
        ({"batch_size": True}, "batch_size must be a positive integer"),
        ({"seed": -1}, "seed must be an integer, 0 or more"),
        ({"lloyd_iterations": -1}, "lloyd_iterations must be an integer, 0 or more"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number"),
        ({"commitment": -0.1}, "commitment must be a number, 0 or more"),
        ({"codebook_decay": 1.0}, "codebook_decay must be below 1"),
        ({"revive_below": 1.5}, "revive_below must be below 1"),
        ({"latent": 5}, "latent must be at least 6 with the geometry loss"),
    ):
        with pytest.raises(BadInput, match=problem):
            TrainingConfig(**settings)
    assert TrainingConfig(latent=5, geometry=0).latent == 5
