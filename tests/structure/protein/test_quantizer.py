import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from biomatrix_jax.structure.protein.config import QuantizerConfig
from biomatrix_jax.structure.protein.quantizer import NO_CODE, Quantizer


@pytest.fixture
def quantizer():
    quantizer = Quantizer(QuantizerConfig(dim=2, codes=4), nnx.Rngs(0))
    quantizer.codebook[...] = jnp.array([[5.0, 5.0], [0.0, 2.0], [0.0, -2.0], [0.0, 2.0]])
    return quantizer


def test_the_nearest_code_and_the_first_on_ties(quantizer):
    latents = jnp.array([[[4.0, 4.0], [0.1, 3.0], [7.0, 0.0], [0.0, -1.0], [0.0, 0.0]]])
    #                     code 0      1 ties 3    0           2            1, 2, 3 tie
    assert quantizer.nearest(latents).tolist() == [[0, 1, 0, 2, 1]]


def test_vectors_are_zero_where_there_is_no_code(quantizer):
    found = quantizer.vectors(jnp.array([[2, NO_CODE, 3]]))
    assert found.tolist() == [[[0, -2], [0, 0], [0, 2]]]


def test_worked_examples(model, worked):
    observed = (worked["masks"] & worked["nan_masks"])[None]
    codes = model.quantize(worked["latents"][None], observed)
    np.testing.assert_array_equal(codes[0], worked["vq_indices"])
    assert codes.dtype == jnp.int32
    np.testing.assert_array_equal(model.embed(codes)[0], worked["quantized"])


def test_margins_of_the_worked_examples(model, worked):
    """The distances themselves, not only their order: how much farther the second code is."""
    latents = worked["latents"][worked["masks"] & worked["nan_masks"]].astype(np.float64)
    codebook = np.asarray(model.quantizer.codebook[...], np.float64)
    distances = np.sort(np.linalg.norm(latents[:, None] - codebook, axis=-1), axis=-1)
    np.testing.assert_allclose(distances[:, 1] - distances[:, 0], worked["vq_margin"], atol=2e-5)


def test_moving_averages_start_at_the_codes():
    quantizer = Quantizer(QuantizerConfig(dim=3, codes=5), nnx.Rngs(0))
    means = quantizer.sums[...] / quantizer.counts[...][:, None]
    np.testing.assert_array_equal(means, quantizer.codebook[...])
    assert set(nnx.state(quantizer, nnx.Param)) == {"codebook"}
