"""The decoder against transformers' Qwen3: golden logits always, live where torch is installed."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from biomatrix_jax.config import ComputeConfig
from biomatrix_jax.convert import rules
from biomatrix_jax.convert.load import build
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model import Cache, Decoder
from biomatrix_jax.model.decoder import RMSNorm
from tests.model import cases

FLOAT32 = ComputeConfig(dtype="float32", remat="none")
TOLERANCE = 1e-4  # max abs difference of float32 logits, whose magnitudes reach 4
SEGMENTS = np.repeat([1, 2], cases.DOCUMENTS).astype(np.int32)[None]
by_case = pytest.mark.parametrize("name", cases.CASES)


@pytest.fixture(scope="module")
def model_of():
    """Decoder with the weights that the golden logits were made with, by case name."""

    def make(name, compute=FLOAT32):
        config = cases.CASES[name]
        return build(config, compute, rules.from_hf_tensors(config, cases.hf_weights(config)))

    return make


@pytest.fixture(scope="module")
def rows_of(model_of):
    """Our logits in the three situations of the golden files, each [LENGTH, V], by case name."""

    @functools.cache
    def run(name):
        tokens = np.repeat(cases.tokens(cases.CASES[name]), 3, axis=0)
        packed_positions = np.concatenate([np.arange(n) for n in cases.DOCUMENTS])
        ones = np.ones(cases.LENGTH, np.int32)
        segments = np.stack([ones, SEGMENTS[0], ones])
        positions = np.stack([np.arange(cases.LENGTH), packed_positions, cases.FAR])
        logits = model_of(name)(tokens, segments, positions.astype(np.int32))
        return dict(zip(("whole", "packed", "far"), logits, strict=True))

    return run


def test_segments_and_positions_have_the_natural_defaults(model_of):
    name = "tied_gqa"
    model, tokens = model_of(name), cases.tokens(cases.CASES[name])[:, :50]
    index = np.arange(50, dtype=np.int32)[None]
    segments = (index // 20 + 1).astype(np.int32)
    whole = model(tokens, np.ones_like(tokens), index)
    assert np.array_equal(model(tokens), whole)
    packed = model(tokens, segments, index % 20)
    assert np.array_equal(model(tokens, segments), packed)
    assert np.abs(whole - packed).max() > 0.1


@by_case
def test_logits_are_those_of_transformers(rows_of, name):
    golden = np.load(Path(__file__).parent / "golden" / f"{name}.npz")
    assert set(golden) == {"whole", "packed", "far", "bfloat16_error"}
    for kind, row in rows_of(name).items():
        difference = np.abs(np.asarray(row)[cases.KEPT] - golden[kind]).max()
        assert difference < TOLERANCE, f"{kind}: {difference}"


def test_the_golden_situations_differ_far_beyond_the_tolerance():
    """Guards the comparison itself: each situation must be able to expose a mistake."""
    for name in cases.CASES:
        golden = np.load(Path(__file__).parent / "golden" / f"{name}.npz")
        second = cases.DOCUMENTS[0] <= cases.KEPT
        assert np.abs(golden["whole"] - golden["packed"])[second].max() > 0.5


@by_case
def test_every_position_is_that_of_transformers_live(rows_of, name):
    pytest.importorskip("torch", reason="the live comparison needs the torch extra")
    pytest.importorskip("transformers", reason="the live comparison needs the torch extra")
    from tests.model.make_golden import reference_rows

    for kind, want in reference_rows(cases.CASES[name]).items():
        assert np.abs(np.asarray(rows_of(name)[kind]) - want).max() < TOLERANCE, kind


def test_padding_changes_nothing(model_of):
    model, tokens = model_of("tied_gqa"), cases.tokens(cases.CASES["tied_gqa"])[:, :40]
    padded = np.pad(tokens, ((0, 0), (0, 24)), constant_values=5)
    segments = np.pad(np.ones_like(tokens), ((0, 0), (0, 24)))
    logits = model(padded, segments)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(logits[:, :40], model(tokens), atol=1e-5)


@pytest.mark.parametrize("first", [1, 37, 64])
def test_extending_a_cache_piecewise_gives_the_same_logits(model_of, first):
    name = "untied_wide_heads"
    model, config = model_of(name), cases.CASES[name]
    tokens = cases.tokens(config)[:, :64]
    positions = np.arange(64, dtype=np.int32)[None]
    cache = Cache.empty(config, 1, 80, jnp.float32)
    extend = nnx.jit(lambda model, *arguments: model.extend(*arguments))
    hidden = []
    for part in (slice(0, first), *(slice(i, i + 1) for i in range(first, 64))):
        ones = np.ones_like(tokens[:, part])
        out, cache = extend(model, tokens[:, part], ones, positions[:, part], cache)
        hidden.append(out)
    assert cache.used == 64
    logits = model.logits(jnp.concatenate(hidden, axis=1))
    np.testing.assert_allclose(logits, model(tokens), atol=2e-5)


def test_norms_are_computed_in_float32():
    """In bfloat16 the mean of 4,096 squares would be off by per cents, not by the last bit."""
    x = np.random.default_rng(0).standard_normal((1, 1, 4096)).astype(jnp.bfloat16)
    norm = RMSNorm((4096,), ("norm",), 1e-6, ComputeConfig("bfloat16"), nnx.Rngs(0))
    wide = x.astype(np.float64)
    want = wide / np.sqrt((wide**2).mean() + 1e-6)
    assert norm(x).dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(norm(x), np.float64), want, rtol=2**-8)


def test_a_norms_gradient_is_summed_over_tokens_in_float32():
    rng = np.random.default_rng(0)
    x, upper = (jnp.asarray(rng.normal(size=(2, 3000, 8)), jnp.bfloat16) for _ in range(2))
    norm = RMSNorm((8,), ("norm",), 1e-6, ComputeConfig("bfloat16"), nnx.Rngs(0))

    def total(norm, x):
        return (norm(x) * upper).astype(jnp.float32).sum()

    gradient, of_x = nnx.grad(total, argnums=(0, 1))(norm, x)
    summed = (np.float64(upper) * np.float64(norm(x))).sum((0, 1))  # the scale is 1
    np.testing.assert_allclose(gradient.scale[...], summed, rtol=1e-5)
    assert of_x.dtype == x.dtype


@by_case
def test_bfloat16_strays_no_further_than_transformers_does(model_of, rows_of, name):
    golden = np.load(Path(__file__).parent / "golden" / f"{name}.npz")
    rounded = model_of(name, ComputeConfig("bfloat16"))(cases.tokens(cases.CASES[name]))
    assert rounded.dtype == jnp.float32
    error = np.abs(rounded[0] - rows_of(name)["whole"]).mean()
    assert 0.1 * golden["bfloat16_error"] < error < golden["bfloat16_error"]


def test_every_parameter_names_its_axes_and_layers_are_stacked():
    config = cases.CASES["untied_wide_heads"]
    model = nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0)))
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        axes = variable.get_metadata()["axes"]
        assert len(axes) == len(variable.get_value().shape), path
        if path[0] == "layers":
            assert axes[0] == "layers"
            assert variable.get_value().shape[0] == config.layers


def test_the_program_does_not_grow_with_depth():
    import dataclasses

    def lines(layers):
        config = dataclasses.replace(cases.CASES["tied_gqa"], layers=layers)
        model = nnx.eval_shape(lambda: Decoder(config, FLOAT32, rngs=nnx.Rngs(0)))
        graphdef, state = nnx.split(model)
        tokens = jax.ShapeDtypeStruct((1, 8), jnp.int32)
        lowered = jax.jit(lambda s, t: nnx.merge(graphdef, s)(t)).lower(state, tokens)
        return lowered.as_text().count("\n")

    assert lines(2) == lines(12)


@pytest.mark.parametrize("bad", [131, -1])
def test_a_token_outside_the_vocabulary_is_named(model_of, bad):
    tokens = np.array([[1, 2, bad, 3]], np.int32)
    with pytest.raises(BadInput, match=f"token id {bad} at row 0, position 2 .* vocabulary of 131"):
        model_of("tied_gqa")(tokens)


@pytest.mark.parametrize("bad", [131, -1])
def test_a_token_outside_the_vocabulary_gives_nan_where_values_are_unknown(model_of, bad):
    tokens = np.array([[1, 2, bad, 3]], np.int32)
    logits = nnx.jit(lambda model, tokens: model(tokens))(model_of("tied_gqa"), tokens)
    assert np.isnan(logits[0, 2:]).all()


@pytest.mark.parametrize(("dtype", "full"), [("float32", True), ("bfloat16", False)])
def test_float32_products_are_asked_for_in_full(model_of, dtype, full):
    """On a CPU they always are; on a GPU or TPU only where the program says so."""
    model = model_of("tied_gqa", ComputeConfig(dtype, remat="none"))
    text = str(jax.make_jaxpr(model)(cases.tokens(model.config)[:, :8]))
    assert text.count("dot_general") == 10
    assert text.count("precision=(Precision.HIGHEST") == (10 if full else 0)
