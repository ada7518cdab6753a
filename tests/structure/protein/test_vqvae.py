"""The whole network. Its parts' stages are compared in the tests of the parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P

from biomatrix_jax.config import MeshConfig, ShardingRules
from biomatrix_jax.sharding.mesh import make_mesh
from biomatrix_jax.sharding.rules import parameter_shardings
from biomatrix_jax.structure.protein.config import LARGE, LITE
from biomatrix_jax.structure.protein.vqvae import ProteinVQVAE
from tests.structure.protein.conftest import CHAINS, graph_of, padded

encoded = nnx.jit(lambda model, *args: model.latents(*args))
decoded = nnx.jit(lambda model, *args: model.coordinates(*args))
LENGTH = 160  # residues and padding of the worked examples


@pytest.fixture(scope="module")
def both(gcp_vqvae) -> list[dict[str, np.ndarray]]:
    return [dict(np.load(gcp_vqvae / f"{chain}.npz")) for chain in CHAINS]


def batch(chains, length: int):
    """(graphs, present, observed) with a leading axis."""
    graphs = [graph_of(chain, length) for chain in chains]
    masks = [[padded(c[name][:length], length) for c in chains] for name in ("masks", "nan_masks")]
    present, filled_in = map(np.array, masks)
    return jax.tree.map(lambda *x: np.stack(x), *graphs), present, present & filled_in


def test_worked_examples_in_one_batch(model, both):
    graph, present, observed = batch(both, LENGTH)
    latents = encoded(model, graph, present, observed)
    for row, chain in zip(latents, both, strict=True):
        np.testing.assert_allclose(row, chain["latents"], atol=2e-5, rtol=0)  # padding, too
    codes = model.quantize(latents, observed)
    np.testing.assert_array_equal(codes, [chain["vq_indices"] for chain in both])
    quantized = model.embed(codes)
    np.testing.assert_array_equal(quantized, [chain["quantized"] for chain in both])
    found = decoded(model, quantized, observed)
    for row, chain, counts in zip(found, both, observed, strict=True):
        np.testing.assert_allclose(row[counts], chain["coords_out"][counts], atol=1e-4, rtol=0)


def test_layers_between_the_parts(model, worked):
    nodes = padded(worked["node_embedding"], LENGTH)
    for layer, x, expected in (
        (model.encoder_in, nodes, "enc_tail"),
        (model.encoder_out, worked["enc_project_out"], "latents"),
        (model.decoder_in, worked["quantized"], "dec_projector_in"),
    ):
        np.testing.assert_allclose(layer(x), worked[expected], atol=2e-5, rtol=0)


def test_what_stands_in_padding_changes_nothing(model, both):
    graph, present, observed = batch(both, LENGTH)
    noise = np.random.default_rng(0).normal(size=graph.node_scalars.shape).astype(np.float32)
    noisy = np.where(present[..., None], graph.node_scalars, noise)
    found = encoded(model, graph._replace(node_scalars=noisy), present, observed)
    np.testing.assert_array_equal(found, encoded(model, graph, present, observed))


def test_decoding_codes_alone(model, both):
    """The way of BioMatrix's tables: what was not observed is gone, positions count anew."""
    codes = jnp.array([padded(chain["decode_only_indices"], LENGTH, -1) for chain in both])
    found = decoded(model, model.embed(codes), codes >= 0)
    for row, chain in zip(found, both, strict=True):
        expected = chain["decode_only_coords"]
        np.testing.assert_allclose(row[: len(expected)], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("config", "count"), [(LARGE, 420_935_140), (LITE, 286_373_220)])
def test_parameter_counts(config, count):
    model = nnx.eval_shape(lambda: ProteinVQVAE(config, nnx.Rngs(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))) == count


def test_shards_like_the_language_model():
    """Every parameter of Large has axes that the rules know and a common mesh divides."""
    model = nnx.eval_shape(lambda: ProteinVQVAE(LARGE, nnx.Rngs(0)))
    mesh = make_mesh(MeshConfig(fsdp=4, tensor=2))
    rules = ShardingRules(kv_heads=())  # of which it has 3 and 1
    shardings = parameter_shardings(mesh, rules, nnx.state(model, nnx.Param))
    found = nnx.to_pure_dict(shardings)["encoder"]["layers"]
    assert found["ffn"]["up"].spec == P(None, None, ("tensor",), ("fsdp",))
    assert found["attention"]["q"].spec == P(None, ("tensor",), None, ("fsdp",))
