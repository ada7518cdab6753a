"""The order of rows by real processes, as many as there are of them, on one mesh of devices."""

import json

import pytest

from biomatrix_jax.config import DataConfig, MixtureStage, dump
from biomatrix_jax.data.loader import Loader
from tests import processes

CONFIG = DataConfig(
    row_length=16,
    batch_rows=8,
    mixture={"first": 2, "second": 1},
    mixture_schedule=(MixtureStage(4, {"second": 1, "third": 1}),),
)
SCRIPT = """
import json, pathlib
import numpy as np
from jax.experimental import multihost_utils
from biomatrix_jax.config import DataConfig, MeshConfig, ShardingRules, load_as
from biomatrix_jax.data.batch_sizes import BatchSizes
from biomatrix_jax.data.loader import Loader
from biomatrix_jax.data.monitor import tokens_of
from biomatrix_jax.processes import Total, is_first_with
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.sharding.rules import batch_sharding, own_share, place_rows
import jax

config = load_as(DataConfig, {config!r})
mesh = make_mesh(MeshConfig(data={data_axis}, fsdp=-1, tensor={tensor}))
shape = (config.batch_rows, config.row_length)
lies = jax.ShapeDtypeStruct(shape, np.int32, sharding=batch_sharding(mesh, ShardingRules()))
share = own_share(lies)
loader = Loader({path!r}, config, 3, *share, BatchSizes.of({sizes!r}))
speaks, total = is_first_with(share[0]), Total()
rows, tokens = [], []
for step in range({start}, {stop}):
    own = loader.batch(step)
    placed = place_rows(lies, own["tokens"])
    whole = multihost_utils.process_allgather(placed, tiled=True)
    rows += whole[:, 0].tolist()
    tokens.append(np.asarray(total(tokens_of(own, 3) * speaks, placed)).tolist())
answer([rows, tokens])
"""


@pytest.fixture(scope="module")
def draw(tmp_path_factory):
    """(data, config, steps, processes) -> rows in order, and their tokens by source by step."""
    folder = tmp_path_factory.mktemp("hosts")

    def run(data, config, steps, count, sizes=((0, 8),), data_axis=2, tensor=1):
        path = folder / "data.yaml"
        path.write_text(dump(config))
        script = SCRIPT.format(
            config=str(path),
            path=str(data),
            sizes=json.loads(json.dumps(sizes)),
            data_axis=data_axis,
            tensor=tensor,
            start=steps.start,
            stop=steps.stop,
        )
        first, *others = processes.run(script, count, 8 // count)
        assert others == [first] * (count - 1)
        return first

    return run


@pytest.mark.slow
def test_the_order_of_rows_is_the_same_on_any_number_of_processes(data, draw):
    loader = Loader(data, CONFIG, 3)
    batches = [loader.batch(step) for step in range(9)]
    want = [int(token) for batch in batches for token in batch["tokens"][:, 0]]
    got, tokens = [], []
    # Two processes join in the midst of the run; two that stay to the end hold the same rows.
    for steps, count, axes in (
        (range(3), 2, {}),
        (range(3, 6), 4, {}),
        (range(6, 9), 2, {"data_axis": 1, "tensor": 8}),
    ):
        rows, counted = draw(data, CONFIG, steps, count, **axes)
        got += rows
        tokens += counted
    assert got == want
    assert tokens == [_tokens(batch) for batch in batches]


@pytest.mark.slow
def test_another_global_batch_goes_on_at_the_next_row_on_any_number_of_processes(data, draw):
    config = DataConfig(row_length=16, batch_rows=16, mixture={"first": 2, "second": 1})
    rows, _ = draw(data, config, range(5, 7), 2, sizes=((0, 8), (5, 16)))
    eights = Loader(data, DataConfig(row_length=16, batch_rows=8, mixture=config.mixture), 3)
    want = [int(token) for step in range(5, 9) for token in eights.batch(step)["tokens"][:, 0]]
    assert rows == want


def _tokens(batch):
    """[sources, modalities] of a batch, one token after the other: 2, 3 and 3 in a row."""
    counts = [[0] * 6 for _ in range(3)]
    for first in batch["tokens"][:, 0]:
        for modality, number in ((0, 2), (1, 3), (4, 3)):
            counts[first // 1000 - 1][modality] += number
    return counts
