"""No conversion ever holds a tensor, let alone a stack of layers: arrays are counted as they come.

Counted is what Python and numpy allocate; `benchmarks/convert.py` measures what is resident.
"""

import json
import tracemalloc
from collections.abc import Callable

import jax
import numpy as np
import pytest

from biomatrix_jax.blocks import BLOCK_BYTES
from biomatrix_jax.config import MeshConfig
from biomatrix_jax.convert import rules
from biomatrix_jax.convert.exporter import save, to_hf
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.load import load
from biomatrix_jax.convert.verify import verify
from biomatrix_jax.sharding.mesh import make_mesh
from tests.convert import hf

# Each table and each stack of the feed-forward has 24 MiB, a layer of it 6 MiB: two chunks.
CONFIG = hf.ModelConfig(98_304, 128, 4, 4, 4, 32, 24_576, tied_embeddings=False)
LARGEST = 24 << 20
MOST = 4 * BLOCK_BYTES  # being read, cast or compared, written


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A model, its checkpoint, and its weights."""
    root = tmp_path_factory.mktemp("large")
    bits = np.arange(LARGEST // 2, dtype=np.uint32)
    weights = {}
    for number, tensor in enumerate(rules.in_file_order(CONFIG)):
        values = bits[: int(np.prod(tensor.shape))] * np.uint32(40_503 + 2 * number)
        values = (values >> np.uint32(9)).astype(np.uint16) & np.uint16(0xBFFF)  # all finite
        weights[tensor.name] = values.view(hf.numpy_dtype("bfloat16")).reshape(tensor.shape)
    hf.write(root / "hf", CONFIG, weights, shards=2)
    from_hf(root / "hf", root / "ckpt")
    return root, weights


def peak(call: Callable[[], object]) -> int:
    """Bytes that were allocated at most, above what there was."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_from_hf(places, tmp_path):
    root, weights = places
    assert peak(lambda: from_hf(root / "hf", tmp_path / "ckpt")) < MOST
    to_hf(tmp_path / "ckpt", tmp_path / "back")
    hf.assert_same_bits(hf.read_weights(tmp_path / "back"), weights)


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_to_hf(places, tmp_path, dtype):
    root, weights = places
    call = lambda: to_hf(root / "ckpt", tmp_path / "hf", dtype=dtype, shard_size="50MB")  # noqa: E731
    assert peak(call) < MOST
    index = json.loads((tmp_path / "hf" / "model.safetensors.index.json").read_text())
    total = sum(array.size for array in weights.values()) * (4 if dtype else 2)
    assert index["metadata"]["total_size"] == total


def test_verify(places):
    root, _ = places
    assert peak(lambda: verify(root / "hf", root / "ckpt")) < MOST


@pytest.mark.parametrize("mesh", [None, MeshConfig(fsdp=4, tensor=2), MeshConfig(data=8)])
def test_save(places, tmp_path, mesh):
    root, weights = places
    model = load(root / "hf", mesh=mesh and make_mesh(mesh, jax.devices()))
    assert peak(lambda: save(model, tmp_path / "hf")) < MOST
    hf.assert_same_bits(hf.read_weights(tmp_path / "hf"), weights)
