"""The worked examples of the published protein tokenizer, and the small model that made them."""

from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from biomatrix_jax.structure.protein import weights
from biomatrix_jax.structure.protein.graph import Graph

CHAINS = ("1a8o_A", "4cup_A")


@pytest.fixture(scope="session")
def gcp_vqvae(shared_reference) -> Path:
    """The directory of the published tokenizer's specification."""
    directory = shared_reference / "gcp_vqvae"
    if not directory.is_dir():
        pytest.skip(f"{directory} is absent")
    return directory


@pytest.fixture(scope="session", params=CHAINS)
def worked(gcp_vqvae, request) -> dict[str, np.ndarray]:
    """One chain with all that the published code makes of it; MANIFEST.json says what is what."""
    return dict(np.load(gcp_vqvae / f"{request.param}.npz"))


@pytest.fixture(scope="session")
def small(gcp_vqvae):
    """(config, model) of the small network that the worked examples went through."""
    return weights.read(gcp_vqvae / "small")


@pytest.fixture(scope="session")
def model(small):
    return small[1]


def graph_of(worked: dict[str, np.ndarray], length: int) -> Graph:
    """The worked example's graph, padded to `length` residues and 16 edges for each."""
    edges = 16 * length
    scalars = np.concatenate([worked["edge_s_in"], worked["edge_rbf"]], axis=1)
    rows, columns = worked["edge_index"].astype(np.int32)
    return Graph(
        padded(worked["node_s_in"], length),
        padded(worked["node_v_in"], length),
        padded(scalars, edges),
        padded(worked["edge_v_in"], edges),
        padded(worked["edge_frames"], edges),
        padded(rows, edges, length),
        padded(columns, edges),
    )


def padded(array: np.ndarray, length: int, value: float = 0) -> np.ndarray:
    """`array` with `value` behind it, `length` long on its first axis."""
    behind = [(0, length - len(array))] + [(0, 0)] * (array.ndim - 1)
    return np.pad(array, behind, constant_values=value)


def layer(stack: nnx.Module, index: int) -> nnx.Module:
    """One layer of a stacked module."""
    graphdef, state = nnx.split(stack)
    return nnx.merge(graphdef, jax.tree.map(lambda x: x[index], state))


def random_graph(length: int = 7, edges: int = 20, seed: int = 0) -> Graph:
    """A graph of numbers that no chain has; no edge leads onto the last residue."""
    random = np.random.default_rng(seed)

    def normal(*shape):
        return random.normal(size=shape).astype(np.float32)

    return Graph(
        normal(length, 49),
        normal(length, 2, 3),
        normal(edges, 9),
        normal(edges, 1, 3),
        normal(edges, 3, 3),
        random.integers(0, length - 1, edges).astype(np.int32),
        random.integers(0, length, edges).astype(np.int32),
    )
