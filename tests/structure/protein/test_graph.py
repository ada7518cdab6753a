import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax.structure.protein import graph

EXAMPLES = ["1a8o_A", "4cup_A"]
LENGTH = 160  # the same in most tests, for one compilation
featurise = jax.jit(graph.featurise, static_argnames="neighbours")
featurise_batch = jax.jit(jax.vmap(graph.featurise))


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request, shared_reference):
    return np.load(shared_reference / "gcp_vqvae" / f"{request.param}.npz")


def coil(length: int, seed: int = 0) -> np.ndarray:
    """A chain of random steps, no two of a length, with N and C beside each CA."""
    random = np.random.default_rng(seed)
    ca = np.cumsum(random.normal(size=(length, 3), scale=2.2), axis=0)
    around = random.normal(size=(length, 2, 3))
    return np.stack([ca + around[:, 0], ca, ca + around[:, 1]], axis=1).astype(np.float32)


def arguments(backbone: np.ndarray, residues: np.ndarray | None = None, length: int | None = None):
    """Those of featurise, padded to `length` with what must not matter."""
    count = len(backbone)
    length = length or count
    padded = np.full((length, 3, 3), np.nan, np.float32)
    padded[:count] = backbone
    classes = np.full(length, 7, np.int32)
    classes[:count] = np.arange(count) % 23 if residues is None else residues
    return padded, classes, np.arange(length) < count


def edges(built: graph.Graph) -> dict[tuple[int, int], int]:
    """(neighbour, centre) -> place, without those that are padding."""
    length = len(built.node_scalars)
    pairs = zip(np.asarray(built.rows).tolist(), np.asarray(built.columns).tolist(), strict=True)
    return {pair: place for place, pair in enumerate(pairs) if pair[0] < length}


def test_worked_examples(example):
    count = len(example["bb_input"])
    built = featurise(*arguments(example["bb_input"], example["seq_index"], LENGTH))
    close = {"atol": 2e-5, "rtol": 0}
    np.testing.assert_allclose(built.node_scalars[:count], example["node_s_in"], **close)
    np.testing.assert_allclose(built.node_vectors[:count], example["node_v_in"], **close)
    places = edges(built)
    expected = [tuple(pair) for pair in example["edge_index"].T.tolist()]
    assert places.keys() == set(expected)
    order = np.array([places[pair] for pair in expected])
    np.testing.assert_allclose(built.edge_scalars[order, :1], example["edge_s_in"], **close)
    np.testing.assert_allclose(built.edge_scalars[order, 1:], example["edge_rbf"], **close)
    np.testing.assert_allclose(built.edge_vectors[order], example["edge_v_in"], **close)
    np.testing.assert_allclose(built.frames[order], example["edge_frames"], **close)


@pytest.mark.parametrize("count", [3, 17])
def test_padding_and_company_change_nothing(count):
    """The last residues, too, which the original gives other angles in a batch."""
    alone = featurise(*arguments(coil(count)))
    batch = [arguments(coil(n, seed), length=64) for seed, n in enumerate([count, 64, 9])]
    padded = featurise_batch(*map(jnp.stack, zip(*batch, strict=True)))
    padded = jax.tree.map(lambda x: x[0], padded)
    assert all(np.isfinite(x).all() for x in padded)
    same = {"atol": 2e-6, "rtol": 1e-6}
    np.testing.assert_allclose(padded.node_scalars[:count], alone.node_scalars, **same)
    np.testing.assert_allclose(padded.node_vectors[:count], alone.node_vectors, **same)
    here, there = edges(alone), edges(padded)
    assert here.keys() == there.keys()
    assert len(here) == count * min(16, count - 1)
    for name in ("edge_scalars", "edge_vectors", "frames"):
        one = np.asarray(getattr(alone, name))[list(here.values())]
        other = np.asarray(getattr(padded, name))[[there[pair] for pair in here]]
        np.testing.assert_allclose(other, one, **same)


def test_shapes_and_types():
    chain = arguments(coil(20), length=64)
    built = jax.eval_shape(featurise, *chain)
    shapes = {name: (x.shape, str(x.dtype)) for name, x in built._asdict().items()}
    assert shapes == {
        "node_scalars": ((64, 49), "float32"),
        "node_vectors": ((64, 2, 3), "float32"),
        "edge_scalars": ((1024, 9), "float32"),
        "edge_vectors": ((1024, 1, 3), "float32"),
        "frames": ((1024, 3, 3), "float32"),
        "rows": ((1024,), "int32"),
        "columns": ((1024,), "int32"),
    }
    assert jax.eval_shape(featurise, *chain, neighbours=4).rows.shape == (256,)


def test_edges_are_those_of_the_nearest_and_the_lower_index_wins_ties():
    # On a line with equal steps every residue has two neighbours at each distance.
    line = np.zeros((9, 3, 3), np.float32)
    line[:, :, 0] = 4.0 * np.arange(9)[:, None]
    found = edges(featurise(*arguments(line), neighbours=3))
    of = {centre: {row for row, column in found if column == centre} for centre in range(9)}
    assert of[0] == {1, 2, 3}
    assert of[4] == {3, 5, 2}
    assert of[8] == {7, 6, 5}


def test_undefined_angles_are_zero():
    scalars = np.asarray(featurise(*arguments(coil(6), length=LENGTH)).node_scalars)
    scalars = scalars[:6, 39:].reshape(6, 5, 2)
    undefined = {
        "alpha": [0, 4, 5],
        "kappa": [0, 1, 4, 5],
        "phi": [0],
        "psi": [5],
        "omega": [5],
    }
    for angle, places in enumerate(undefined.values()):
        zero = (scalars[:, angle] == [1, 0]).all(axis=-1)
        assert np.flatnonzero(zero).tolist() == places
    np.testing.assert_allclose(np.linalg.norm(scalars, axis=-1), 1, atol=1e-6)


def test_rotation_turns_vectors_and_frames_and_leaves_scalars():
    random = np.random.default_rng(3)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn = (turn * np.sign(np.linalg.det(turn))).astype(np.float32)
    chain = coil(20)
    here, there = (featurise(*arguments(x, length=LENGTH)) for x in (chain, chain @ turn + 5))
    close = {"atol": 5e-5, "rtol": 0}
    assert edges(there).keys() == edges(here).keys()
    np.testing.assert_allclose(there.node_scalars, here.node_scalars, **close)
    np.testing.assert_allclose(there.node_vectors, here.node_vectors @ turn, **close)
    places = [(place, edges(there)[pair]) for pair, place in edges(here).items()]
    ours, theirs = (np.array(order) for order in zip(*places, strict=True))
    np.testing.assert_allclose(there.edge_scalars[theirs], here.edge_scalars[ours], **close)
    np.testing.assert_allclose(there.edge_vectors[theirs], here.edge_vectors[ours] @ turn, **close)
    np.testing.assert_allclose(there.frames[theirs], here.frames[ours] @ turn, **close)


def test_coincident_atoms_give_finite_features():
    same = np.zeros((20, 3, 3), np.float32)
    built = featurise(*arguments(same, length=LENGTH))
    assert all(np.isfinite(x).all() for x in built)
