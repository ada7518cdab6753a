import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from biomatrix_jax.model import Decoder
from biomatrix_jax.tokens.segments import MODALITIES
from biomatrix_jax.train.objective import batch_sums, gradient

from .comparing import QUICK, compare


@pytest.fixture(scope="module")
def model(config):
    """(graph, parameters) of the test's decoder."""
    return nnx.split(Decoder(config.model, config.compute, rngs=nnx.Rngs(0)), nnx.Param)


def ours(model, batch, **options):
    """-> (gradients, sums)"""
    graphdef, params = model
    arrays = {name: jnp.asarray(array) for name, array in batch.items()}

    def sums(params, batch):
        return batch_sums(nnx.merge(graphdef, params), batch)

    function = jax.jit(lambda params, batch: gradient(sums, params, batch, **options))
    return function.lower(params, arrays).compile(QUICK)(params, arrays)


def mean_loss(sums):
    return sums.loss.sum() / sums.weight.sum()


@pytest.fixture(scope="module")
def found(model, batch):
    return ours(model, batch)


@pytest.fixture(scope="module")
def plain(model, batch):
    """With full logits, for a z-loss of 0 and of 0.1: ((loss, (surprise, log Z)), gradients)."""
    graphdef, params = model

    def loss(params, z_loss):
        model = nnx.merge(graphdef, params)
        logits = model(*(jnp.asarray(batch[k]) for k in ("tokens", "segment_ids", "positions")))
        surprise = optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])
        log_z = jax.nn.logsumexp(logits, axis=-1)
        total = surprise + z_loss * log_z**2
        return jnp.average(total, weights=batch["loss_weights"]), (surprise, log_z)

    function = jax.jit(jax.value_and_grad(loss, has_aux=True))
    function = function.lower(params, 0.0).compile(QUICK)
    return {z_loss: function(params, z_loss) for z_loss in (0.0, 0.1)}


def test_sums_are_those_of_the_plain_cross_entropy_over_full_logits(found, plain, batch):
    _, sums = found
    (loss, (surprise, log_z)), _ = plain[0]
    np.testing.assert_allclose(mean_loss(sums), loss, rtol=1e-6)
    weights = batch["loss_weights"]
    for index, name in enumerate(MODALITIES):
        there = (batch["modality"] == index) & (weights > 0)
        assert sums.targets[index] == there.sum()
        total = (np.asarray(surprise) * weights)[there].sum()
        np.testing.assert_allclose(sums.loss[index], total, 1e-5, 1e-7, err_msg=name)
        np.testing.assert_allclose(sums.weight[index], weights[there].sum(), 1e-6, err_msg=name)
    np.testing.assert_allclose(sums.log_z, (log_z**2 * weights).sum(), rtol=1e-5)
    assert sums.tokens == (batch["segment_ids"] > 0).sum() < batch["tokens"].size


def test_gradient_is_that_of_the_plain_cross_entropy(found, plain):
    compare(found[0], plain[0][1], rtol=1e-4, of_largest=1e-6)


def test_z_loss_is_minimised_and_not_reported(model, batch, found, plain):
    gradients, sums = ours(model, batch, z_loss=0.1)
    compare(gradients, plain[0.1][1], rtol=1e-4, of_largest=1e-6)
    np.testing.assert_array_equal(sums.loss, found[1].loss)


@pytest.mark.parametrize("parts", [2, 8])
def test_parts_add_up_to_the_batch_whatever_their_weight(model, batch, found, parts):
    gradients, sums = ours(model, batch, parts=parts)
    # A plain mean over parts would be another gradient, since these weigh unlike:
    weights = [batch["loss_weights"][i::parts].sum() for i in range(parts)]
    assert max(weights) > 1.02 * min(weights)
    compare(gradients, found[0], rtol=1e-4, of_largest=1e-6)
    for here, there in zip(sums, found[1], strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-6)


def test_parts_of_bfloat16_are_summed_in_float32(config, batch):
    compute = dataclasses.replace(config.compute, param_dtype="bfloat16")
    model = nnx.split(Decoder(config.model, compute, rngs=nnx.Rngs(0)), nnx.Param)
    gradients, _ = ours(model, batch, parts=2)
    assert {x.dtype for x in jax.tree.leaves(gradients)} == {jnp.dtype("float32")}


def test_a_batch_without_targets_has_no_gradient(model, batch):
    empty = {**batch, "loss_weights": np.zeros_like(batch["loss_weights"])}
    gradients, sums = ours(model, empty)
    assert all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(gradients))
    assert not sums.targets.any()
