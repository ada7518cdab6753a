import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from biomatrix_jax.config import MeshConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model import token_loss as both
from biomatrix_jax.model.placement import Across, Placement
from biomatrix_jax.sharding.mesh import make_mesh
from biomatrix_jax.sharding.rules import spec

B, T, D, V = 3, 10, 8, 37


def whole_logits_loss(hidden, head, targets):
    """The textbook formula with every logit in memory."""
    log_probabilities = jax.nn.log_softmax(jnp.einsum("btd,vd->btv", hidden, head), axis=-1)
    return -jnp.take_along_axis(log_probabilities, targets[..., None], -1)[..., 0]


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((B, T, D), dtype=np.float32)
    head = rng.standard_normal((V, D), dtype=np.float32)
    weights = rng.random((B, T), dtype=np.float32)
    return hidden, head, rng.integers(0, V, (B, T), dtype=np.int32), weights


def token_loss(*arguments, **options):
    return both(*arguments, **options)[0]


def test_large_logits_neither_overflow_nor_lose_the_small_difference():
    hidden = jnp.full((1, 1, 1), 1.0)
    head = jnp.array([[2000.0], [1999.0]])
    loss = token_loss(hidden, head, jnp.zeros((1, 1), jnp.int32), 1, 2)
    np.testing.assert_allclose(loss, np.log1p(np.exp(-1.0)), rtol=1e-4)


def test_the_whole_logits_appear_nowhere_in_the_program(arrays):
    hidden, head, targets, _ = arrays
    chunk, tile = 2, 5

    def loss(hidden, head):
        return token_loss(hidden, head, targets, chunk, tile).sum()

    text = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(hidden, head))
    assert f"[{B},{chunk},{tile}]" in text  # a piece's logits do, so the shapes below would show
    assert not re.search(rf"\[[\d,]*{T},{tile}\]|\[{B},[\d,]*{V}\]", text)


def test_bfloat16_hidden_states_get_a_float32_loss(arrays):
    hidden, head, targets, _ = arrays
    loss = token_loss(jnp.asarray(hidden, jnp.bfloat16), head, targets, 4, 64)
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, whole_logits_loss(hidden, head, targets), atol=0.1)
    gradient = jax.grad(lambda w: token_loss(hidden, w, targets, 4, 64).sum())(
        jnp.asarray(head, jnp.bfloat16)
    )
    assert gradient.dtype == jnp.bfloat16


def test_float32_products_are_asked_for_in_full_in_both_passes(arrays):
    """On a CPU they always are; on a GPU or TPU only where the program says so."""
    hidden, head, targets, _ = arrays

    def loss(hidden, head):
        return token_loss(hidden, head, targets, 4, 5).sum()

    text = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(hidden, head))
    assert text.count("dot_general") == text.count("precision=(Precision.HIGHEST") > 3


def weighted_gradients(loss, weights, hidden, head):
    return jax.grad(lambda x, w: (weights * loss(x, w)).sum(), (0, 1))(hidden, head)


@pytest.mark.parametrize("chunk", [1, 3, 10, 64])
@pytest.mark.parametrize("tile", [5, 36, 64])
def test_tiles_of_the_vocabulary_change_neither_loss_nor_gradients(arrays, chunk, tile):
    hidden, head, targets, weights = arrays
    targets[0, :2] = 0, V - 1  # the ends, where tiles overlap
    weights[:, -2:] = 0  # as padding has

    def tiled(x, w):
        return token_loss(x, w, targets, chunk, vocab_tile=tile)

    def plain(x, w):
        return whole_logits_loss(x, w, targets)

    np.testing.assert_allclose(tiled(hidden, head), plain(hidden, head), rtol=2e-6, atol=2e-6)
    ours = weighted_gradients(tiled, weights, hidden, head)
    theirs = weighted_gradients(plain, weights, hidden, head)
    for got, want in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-6)
    assert not ours[0][:, -2:].any()


def test_the_largest_logit_may_come_in_any_tile():
    hidden = jnp.full((1, 1, 1), 1.0)
    for rows in ([2000.0, 0.0, 1999.0], [1999.0, 0.0, 2000.0], [-2000.0, -1999.0, -4000.0]):
        head = jnp.array(rows)[:, None]
        loss = token_loss(hidden, head, jnp.zeros((1, 1), jnp.int32), 1, vocab_tile=1)
        want = whole_logits_loss(hidden, head, np.zeros((1, 1), np.int32))
        np.testing.assert_allclose(loss, want, rtol=1e-3)


def test_the_normaliser_and_its_gradient_are_the_textbook_ones(arrays):
    hidden, head, targets, weights = arrays

    def ours(x, w):
        loss, log_z = both(x, w, targets, 4, 5)
        return loss + 0.1 * log_z**2

    def textbook(x, w):
        log_z = jax.nn.logsumexp(jnp.einsum("btd,vd->btv", x, w), axis=-1)
        return whole_logits_loss(x, w, targets) + 0.1 * log_z**2

    np.testing.assert_allclose(ours(hidden, head), textbook(hidden, head), rtol=1e-5)
    for got, want in zip(
        weighted_gradients(ours, weights, hidden, head),
        weighted_gradients(textbook, weights, hidden, head),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=5e-6)


def test_bfloat16_in_tiles_is_bfloat16_in_one_piece(arrays):
    hidden, head, targets, weights = arrays
    hidden = jnp.asarray(hidden, jnp.bfloat16)
    for dtype in (jnp.bfloat16, jnp.float32):
        results = []
        for tile in (64, 5):

            def loss(x, w, tile=tile):
                return token_loss(x, w, targets, 4, vocab_tile=tile)

            w = jnp.asarray(head, dtype)
            results.append((loss(hidden, w), *weighted_gradients(loss, weights, hidden, w)))
        for got, want in zip(*results, strict=True):
            assert got.dtype == want.dtype
            got, want = np.float32(got), np.float32(want)
            np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-3)


MESHES = {
    "fsdp": MeshConfig(fsdp=8),
    "tensor": MeshConfig(fsdp=1, tensor=8),
    "all": MeshConfig(data=2, fsdp=2, tensor=2),
    "context": MeshConfig(fsdp=4, context=2),
}


def on_mesh(mesh_config, tile, placed=True, rows=8, length=32, width=64, vocab=1048):
    """-> the jitted (loss, gradients) of sharded arrays, and the arrays."""
    mesh, rules = make_mesh(mesh_config), ShardingRules()
    lies = {
        axes: NamedSharding(mesh, spec(rules, axes, mesh))
        for axes in (("batch", "length", "act_embed"), ("vocab", "embed"), ("batch", "length"))
    }
    hidden_lies, head_lies, tokens_lie = lies.values()
    rng = np.random.default_rng(1)
    hidden = rng.standard_normal((rows, length, width), dtype=np.float32)
    head = rng.standard_normal((vocab, width), dtype=np.float32) / 4
    targets = rng.integers(0, vocab, (rows, length), dtype=np.int32)
    weights = rng.random((rows, length), dtype=np.float32)
    placement = Placement(hidden_lies, head_lies) if placed else None

    def loss(hidden, head, targets, weights):
        loss_bt = token_loss(hidden, head, targets, 8, tile, placement)
        return (weights * loss_bt).sum() / weights.sum(), loss_bt

    function = jax.jit(
        jax.value_and_grad(loss, (0, 1), has_aux=True),
        in_shardings=(hidden_lies, head_lies, tokens_lie, tokens_lie),
        out_shardings=((None, tokens_lie), (hidden_lies, head_lies)),
    )
    return function, (hidden, head, targets, weights)


@pytest.mark.parametrize("name", MESHES)
def test_tiles_on_a_mesh_give_what_one_device_gives(name):
    function, (hidden, head, targets, weights) = on_mesh(MESHES[name], 100)
    (_, loss), gradients = function(hidden, head, targets, weights)
    np.testing.assert_allclose(loss, whole_logits_loss(hidden, head, targets), rtol=5e-6, atol=5e-6)

    def plain(x, w):
        return whole_logits_loss(x, w, targets)

    wanted = weighted_gradients(plain, weights / weights.sum(), hidden, head)
    for got, want in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-7)


def shapes(text):
    """The shapes of all buffers of a compiled program, as tuples of their sizes above 1."""
    found = re.findall(r"\b(?:f32|bf16|pred|s32)\[([\d,]+)\]", text)
    return {tuple(size for size in map(int, dims.split(",")) if size > 1) for dims in found}


def test_no_device_holds_the_logits_the_head_or_its_gradient_whole():
    sizes = {"rows": 8, "length": 256, "width": 128, "vocab": 8200}
    compiled = {}
    for placed, tile in ((False, 8200), (True, 512)):
        function, arrays = on_mesh(MESHES["fsdp"], tile, placed, **sizes)
        compiled[tile] = function.lower(*arrays).compile()
    plain, tiled = (shapes(program.as_text()) for program in compiled.values())
    assert (8200, 128) in plain  # so it would be seen
    assert (8200, 128) not in tiled
    assert (8200, 16) in tiled  # a device's own share of the head and of its gradient
    assert (512, 128) in tiled
    wide = {shape for shape in tiled if 8200 in shape and shape != (8200, 16)}
    logits = {shape for shape in tiled if 512 in shape and 256 in shape}
    assert not wide
    assert not logits
    assert (8, 512) in tiled  # the logits of 8 tokens and 512 rows at a time
    temporary = [program.memory_analysis().temp_size_in_bytes for program in compiled.values()]
    whole_head = 8200 * 128 * 4
    assert temporary[0] > 2 * whole_head
    assert temporary[1] < whole_head / 2  # an eighth is a device's share, a sixteenth a tile


def test_a_tile_is_gathered_once_a_pass_and_its_gradient_summed_once():
    function, arrays = on_mesh(MESHES["fsdp"], 100)
    text = str(jax.make_jaxpr(function)(*arrays))
    assert text.count("all_gather[") == 2
    assert text.count("reduce_scatter[") == 1
    assert "psum" not in text[text.index("all_gather[") : text.rindex("reduce_scatter[")]


def test_an_axis_of_one_device_splits_nothing():
    mesh = make_mesh(MeshConfig(data=8, fsdp=1))
    rows, columns = NamedSharding(mesh, P("data")), NamedSharding(mesh, P(None, "fsdp"))
    across = Across.of(Placement(rows, columns))
    assert (across.batch, across.embed) == (("data",), ())


def test_a_placement_that_cannot_be_is_refused():
    mesh = make_mesh(MESHES["fsdp"])
    whole, split = NamedSharding(mesh, P()), NamedSharding(mesh, P(None, "fsdp"))
    x, w, targets = jnp.zeros((8, 2, 8)), jnp.zeros((5, 8)), jnp.zeros((8, 2), jnp.int32)
    with pytest.raises(BadInput, match=r"axes fsdp, which split no tokens: let rules\.batch"):
        token_loss(x, w, targets, 2, 2, Placement(whole, split))
