import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from biomatrix_jax.errors import BadInput
from biomatrix_jax.train.step import make_step

from .comparing import QUICK
from .conftest import LENGTH, ROWS, VOCABULARY, packed_batch
from .steps import initial_state, on_mesh, place, small_step


def with_optimizer(config, param_dtype="float32", **options):
    return dataclasses.replace(
        config,
        optimizer=dataclasses.replace(config.optimizer, **options),
        compute=dataclasses.replace(config.compute, param_dtype=param_dtype),
    )


def updates(config, batches, **sizes):
    """[(state on the host, metrics)] before and after each update."""
    step = small_step(config, **sizes)
    state = jax.device_get(initial_state(step))
    train = step.train.lower(step.state, step.batch).compile(QUICK)
    seen = [(state, None)]
    for batch in batches:
        state, metrics = train(on_mesh(step, state), place(step, batch))
        seen.append(jax.device_get((state, metrics)))
    return seen


@pytest.fixture(scope="module")
def batches():
    return [packed_batch(seed) for seed in range(3)]


def flat(params):
    return {".".join(map(str, path)): x.get_value() for path, x in nnx.to_flat_state(params)}


def test_frozen_parameters_stay_to_the_bit_and_have_no_moments(config, batches):
    config = with_optimizer(config, frozen=("layers", "final_norm"), weight_decay=0.3)
    (before, _), *_, (after, _) = updates(config, batches)
    old, new = flat(before.params), flat(after.params)
    for name, x in new.items():
        stays = name.startswith(("layers.", "final_norm."))
        assert (x == old[name]).all() == stays, name
    moments = sum(x.size for x in jax.tree.leaves(after.optimizer))
    tables = 2 * VOCABULARY * config.model.embed_dim
    assert moments == 2 * tables + 1  # two moments and Adam's count


@pytest.mark.parametrize("name", ["adafactor", "muon"])
def test_every_optimizer_takes_new_rows_alone(config, name):
    config = with_optimizer(config, name=name, frozen=("layers", "final_norm"), frozen_rows=60)
    step = small_step(config)
    after, metrics = jax.eval_shape(step.train, step.state, step.batch)
    assert jax.tree.structure(after) == jax.tree.structure(step.state)
    assert metrics.loss.shape == ()


def test_frozen_rows_stay_and_do_not_count_in_the_gradient(config, batches):
    first = 60
    options = {"frozen": ("layers", "final_norm"), "weight_decay": 0.3}
    frozen = updates(with_optimizer(config, frozen_rows=first, **options), batches)
    free = updates(with_optimizer(config, **options), batches)
    (before, _), (_, metrics), *_, (after, _) = frozen
    for name in ("embedding.table", "head.table"):
        old, new = flat(before.params)[name], flat(after.params)[name]
        assert (new[:first] == old[:first]).all()
        assert (new[first:] != old[first:]).any(1).all()
    assert metrics.grad_norm < 0.9 * free[1][1].grad_norm


def test_what_cannot_be_frozen_is_named(config):
    def make(**options):
        make_step(with_optimizer(config, **options), small_step(config).state.step.sharding.mesh)

    with pytest.raises(BadInput, match=r"no parameter layer; they are .*layers.attention.k"):
        make(frozen=("layer",))
    with pytest.raises(BadInput, match="leaves no parameter to train"):
        make(frozen=("layers", "final_norm", "embedding", "head"))
    with pytest.raises(BadInput, match=rf"leaves no row of embedding.table.*has {VOCABULARY}"):
        make(frozen_rows=VOCABULARY)


def test_a_master_copy_adds_up_what_bfloat16_would_lose(config, batches):
    config = with_optimizer(config, "bfloat16", peak_learning_rate=2e-5)
    (before, _), *_, (after, _) = updates(config, batches * 2)
    lost = updates(with_optimizer(config, "bfloat16", master_copy=False), batches * 2)[-1][0]
    assert lost.master is None
    name = "layers.attention_norm.scale"  # 1, which a bfloat16 step of 2e-5 does not move
    assert (flat(lost.params)[name] == 1).all()
    assert (flat(after.params)[name] == 1).all()
    assert np.abs(flat(after.master)[name] - 1).mean() > 2e-5
    for name, x in flat(after.master).items():
        assert x.dtype == jnp.float32
        np.testing.assert_array_equal(x.astype(jnp.bfloat16), flat(after.params)[name], name)
    assert {x.dtype for x in jax.tree.leaves(before.params)} == {jnp.dtype("bfloat16")}


def test_a_master_copy_moves_as_float32_parameters_do(config, batches):
    """The first update from the same values: gradients differ by bfloat16's rounding alone."""
    narrow = with_optimizer(config, "bfloat16", peak_learning_rate=2e-5)
    (start, _), (after, _) = updates(narrow, batches[:1])
    wide = small_step(with_optimizer(config, peak_learning_rate=2e-5))
    state = wide.start(jax.tree.map(lambda x: jnp.float32(x), start.params))
    train = wide.train.lower(wide.state, wide.batch).compile(QUICK)
    expected = flat(train(on_mesh(wide, state), place(wide, batches[0]))[0].params)
    for name, x in flat(after.master).items():
        moved = np.asarray(expected[name]) - np.float32(flat(start.params)[name])
        found = x - np.float32(flat(start.params)[name])
        assert np.corrcoef(moved.ravel(), found.ravel())[0, 1] > 0.98, name


def test_float32_parameters_have_no_master_copy(config):
    assert small_step(config).state.master is None


def test_the_average_follows_all_parameters(config, batches):
    config = with_optimizer(config, "bfloat16", ema_decay=0.2, frozen=("head",))
    (before, _), *after = updates(config, batches)
    expected = {k: np.float32(x) for k, x in flat(before.params).items()}
    for n, (state, _) in enumerate(after, 1):
        exact = flat(state.params) | flat(state.master)
        keep = min(0.2, (1 + n) / (10 + n))  # 2/11, then 0.2
        expected = {k: keep * x + (1 - keep) * np.float32(exact[k]) for k, x in expected.items()}
        for name, x in flat(state.average).items():
            np.testing.assert_allclose(x, expected[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_a_skipped_update_changes_nothing_but_the_step(config, batches):
    config = with_optimizer(config, ema_decay=0.5)
    bad = {**batches[0], "loss_weights": np.full((ROWS, LENGTH), np.nan, np.float32)}
    _, (before, good), (after, metrics), (later, _) = updates(config, [batches[0], bad, batches[1]])
    assert not good.skipped
    assert (metrics.skipped, metrics.skipped_in_a_row, metrics.skipped_in_all) == (True, 1, 1)
    assert after.step == 2
    for part in ("params", "average", "optimizer"):
        for x, y in zip(
            jax.tree.leaves(getattr(after, part)),
            jax.tree.leaves(getattr(before, part)),
            strict=True,
        ):
            np.testing.assert_array_equal(x, y)
    # The next step has the learning rate of its place, and moves.
    assert (flat(later.params)["head.table"] != flat(after.params)["head.table"]).any()


def test_the_state_may_lie_in_more_pieces_than_the_parameters(config, batches):
    rules = dataclasses.replace(config.rules, embed=(), state={"embed": ("fsdp",)})
    config = with_optimizer(config, "bfloat16", ema_decay=0.5)
    alone = updates(config, batches)
    split = dataclasses.replace(config, rules=rules)
    step = small_step(split, fsdp=4, tensor=2)
    up = dict(nnx.to_flat_state(step.state.params))[("layers", "ffn", "up")]
    assert up.get_value().sharding.shard_shape(up.shape) == (2, 24, 32)
    for tree in (step.state.master, step.state.average):
        up = dict(nnx.to_flat_state(tree))[("layers", "ffn", "up")]
        assert up.get_value().sharding.shard_shape(up.shape) == (2, 24, 8)
    found = updates(split, batches, fsdp=4, tensor=2)
    for (_, here), (_, there) in zip(found[1:], alone[1:], strict=True):
        np.testing.assert_allclose(here.loss, there.loss, rtol=2e-3)
