import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from biomatrix_jax.structure.protein import gcpnet
from biomatrix_jax.structure.protein.config import GCPNetConfig
from biomatrix_jax.structure.protein.gcpnet import GCP, Features, GCPNet
from biomatrix_jax.structure.protein.graph import Graph
from tests.structure.protein.conftest import graph_of, layer, random_graph

SMALL = GCPNetConfig(layers=2, node_scalars=6, node_vectors=4, edge_scalars=5, edge_vectors=2)


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return (q * np.sign(np.linalg.det(q))).astype(np.float32)


def stages(net: GCPNet, graph: Graph) -> dict[str, Features]:
    """What the worked examples have of each step, by their names."""
    found = {
        "gcp_embed_node_norm": net.node_norm(Features(graph.node_scalars, graph.node_vectors)),
        "gcp_embed_edge_norm": net.edge_norm(Features(graph.edge_scalars, graph.edge_vectors)),
    }
    frames = gcpnet.mean_frames(graph)
    nodes, edges = net.embed(graph, frames)
    found |= {"gcp_embed_node": nodes, "gcp_embed_edge": edges}
    first = layer(net.layers, 0).messages[0]
    found["gcp_layer0_msg0"] = first(gcpnet.along_edges(nodes, edges, graph), graph.frames)
    for i in range(2):
        interaction = layer(net.layers, i)
        received = gcpnet.summed(interaction.message(nodes, edges, graph), graph)
        found[f"gcp_layer{i}_agg"] = received
        found[f"gcp_layer{i}_ff"] = interaction.feed_forward(nodes, received, frames)
        nodes = interaction(nodes, edges, graph, frames)
        found[f"gcp_layer{i}_out"] = nodes
    return found | {"gcp_final_norm": net.final_norm(nodes)}


compiled_stages = nnx.jit(stages)
whole = nnx.jit(lambda net, graph: net(graph))
LENGTH = 120  # to which both worked examples are padded, for one compilation


@pytest.fixture(scope="module")
def net() -> GCPNet:
    return GCPNet(SMALL, nnx.Rngs(0))


def test_every_stage_of_the_worked_examples(model, worked):
    found = compiled_stages(model.gcpnet, graph_of(worked, LENGTH))
    assert {f"{name}_{kind}" for name in found for kind in "sv"} == {
        name for name in worked if name.startswith("gcp_")
    }
    for name, features in found.items():
        for kind, array in zip("sv", features, strict=True):
            expected = worked[f"{name}_{kind}"]
            array = array[: len(expected)]
            np.testing.assert_allclose(array, expected, atol=2e-5, rtol=0, err_msg=f"{name}_{kind}")


def test_whole_and_padded(model, worked):
    """The scan over layers is the layers in turn, and what pads edges changes nothing."""
    expected = worked["node_embedding"]
    graph = graph_of(worked, LENGTH)
    found = whole(model.gcpnet, graph)[: len(expected)]
    np.testing.assert_allclose(found, expected, atol=2e-5, rtol=0)
    random = np.random.default_rng(0)
    noise = {
        name: np.where(
            (graph.rows < LENGTH).reshape(-1, *[1] * (array.ndim - 1)),
            array,
            random.normal(size=array.shape).astype(np.float32),
        )
        for name, array in graph._asdict().items()
        if name in ("edge_scalars", "edge_vectors", "frames")
    }
    again = whole(model.gcpnet, graph._replace(**noise))[: len(expected)]
    np.testing.assert_array_equal(again, found)


def test_a_unit_by_hand():
    """One residue, one vector channel: every step in plain numpy."""
    gcp = GCP((2, 4), (3, 2), nnx.Rngs(1))
    random = np.random.default_rng(5)
    s, v, frame = (random.normal(size=shape) for shape in ((2,), (4, 3), (3, 3)))
    w = {
        name: np.asarray(getattr(gcp, name).weight[...], np.float64)
        for name in (
            "vector_down", "vector_down_frames", "scalar_out", "vector_up", "vector_out_scale"
        )
    }  # fmt: skip
    h = w["vector_down"] @ v
    assert h.shape == (1, 3)
    three = w["vector_down_frames"] @ v
    local = [three[c] @ frame[f] for c in range(3) for f in range(3)]
    t = w["scalar_out"] @ np.concatenate([s, np.linalg.norm(h, axis=1), local])
    t = t + np.asarray(gcp.scalar_out.bias[...])
    silu = t / (1 + np.exp(-t))
    gate = w["vector_out_scale"] @ silu + np.asarray(gcp.vector_out_scale.bias[...])
    vectors = (w["vector_up"] @ h) / (1 + np.exp(-gate))[:, None]
    call = nnx.jit(lambda gcp, x, frame: gcp(x, frame))
    found = call(gcp, Features(jnp.float32(s), jnp.float32(v)), jnp.float32(frame))
    np.testing.assert_allclose(found.scalars, silu, atol=1e-6)
    np.testing.assert_allclose(found.vectors, vectors, atol=1e-6)


def test_sums_go_to_rows_and_drop_edges_that_do_not_exist():
    graph = random_graph(3, 4)._replace(rows=np.array([1, 3, 1, 0], np.int32))
    found = gcpnet.summed(jnp.array([1.0, 10.0, 100.0, 1000.0]), graph)
    assert found.tolist() == [1000.0, 101.0, 0.0]


def test_frames_are_averaged_by_row():
    graph = random_graph(3, 4)._replace(rows=np.array([1, 3, 1, 0], np.int32))
    frames = gcpnet.mean_frames(graph)
    np.testing.assert_allclose(frames[0], graph.frames[3], atol=1e-6)
    np.testing.assert_allclose(frames[1], (graph.frames[0] + graph.frames[2]) / 2, atol=1e-6)
    assert not np.asarray(frames[2]).any()


def test_rotations_change_nothing_and_reflections_do(net):
    graph = random_graph()

    def turned(r):
        vectors = {
            name: getattr(graph, name) @ r.T for name in ("node_vectors", "edge_vectors", "frames")
        }
        return graph._replace(**vectors)

    found = whole(net, graph)
    np.testing.assert_allclose(whole(net, turned(rotation(3))), found, atol=1e-5)
    mirrored = turned(np.diag(np.float32([1, 1, -1])))
    # The third axis of a frame is a cross product, which a reflection turns the other way.
    mirrored.frames[:, 2] *= -1
    assert np.abs(np.asarray(whole(net, mirrored)) - found).max() > 1e-3


def test_gradients_are_finite_where_vectors_vanish():
    """The ends of a chain have no vector to one side, padding none at all."""
    gcp, norm = GCP((2, 4), (3, 2), nnx.Rngs(1)), gcpnet.FeatureNorm(2, nnx.Rngs(0))

    def total(vectors):
        x = gcp(norm(Features(jnp.array([1.0, 2.0]), vectors)), jnp.eye(3))
        return x.scalars.sum() + x.vectors.sum()

    assert np.isfinite(jax.jit(jax.grad(total))(jnp.zeros((4, 3)))).all()


@pytest.mark.parametrize("vectors", [0.0, 2.0])
def test_vector_norm(vectors):
    norm = gcpnet.FeatureNorm(3, nnx.Rngs(0))
    found = norm(Features(jnp.array([1.0, 2.0, 6.0]), jnp.full((5, 3), vectors)))
    expected = (np.array([1, 2, 6]) - 3) / np.sqrt((4 + 1 + 9) / 3)
    np.testing.assert_allclose(found.scalars, expected, atol=1e-5)
    np.testing.assert_allclose(found.vectors, np.full((5, 3), vectors and 3**-0.5), atol=1e-6)
