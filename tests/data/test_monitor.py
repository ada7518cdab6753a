import dataclasses
import json

import numpy as np
import pytest

from biomatrix_jax.config import DataConfig, MixtureStage
from biomatrix_jax.data.loader import Loader
from biomatrix_jax.data.monitor import Monitor, tokens_of
from biomatrix_jax.tokens.segments import MODALITIES

# Rows of 8 tokens: 2 of text, 3 of SMILES, 3 of protein sequence, see conftest.
CONFIG = DataConfig(
    row_length=16,
    batch_rows=8,
    mixture={"first": 3, "second": 1},
    mixture_schedule=(MixtureStage(2, {"third": 1}),),
)


@pytest.fixture
def loader(data):
    return Loader(data, CONFIG, seed=0)


def count(loader, monitor, steps):
    sources = len(loader.manifest.sources)
    return [
        monitor.add(tokens_of(loader.batch(step), sources), loader.stage(step)) for step in steps
    ]


def test_tokens_of_a_batch(loader):
    batch = loader.batch(0)
    tokens = tokens_of(batch, 3)
    assert tokens.sum() == (batch["segment_ids"] > 0).sum()
    want = np.zeros((3, len(MODALITIES)), int)
    want[0, [0, 1, 4]] = 6 * np.array([2, 3, 3])
    want[1, [0, 1, 4]] = 2 * np.array([2, 3, 3])
    np.testing.assert_array_equal(tokens, want)


def test_parts_of_a_batch_add_up_to_it(data, loader):
    parts = [tokens_of(Loader(data, CONFIG, 0, p, 4).batch(1), 3) for p in range(4)]
    np.testing.assert_array_equal(sum(parts), tokens_of(loader.batch(1), 3))


def test_drawn_and_asked_for_step_by_step(loader):
    first, _, third = count(loader, Monitor(loader.manifest), range(3))
    assert first["tokens_by_source"] == {"first": 48, "second": 16}
    assert first["tokens_by_modality"] == {"text": 16, "smiles": 24, "protein_sequence": 24}
    assert first["drawn_by_source"] == {"first": [48, 48.0], "second": [16, 16.0]}
    # Another mixture from step 2 on.
    assert third["tokens_by_source"] == {"third": 64}
    assert third["drawn_by_source"] == {
        "first": [96, 96.0],
        "second": [32, 32.0],
        "third": [64, 64.0],
    }
    assert third["drawn_by_modality"] == {
        "text": [48, 48.0],
        "smiles": [72, 72.0],
        "protein_sequence": [72, 72.0],
    }


def test_what_is_drawn_otherwise_than_asked_for_shows(loader):
    tokens = np.zeros((3, len(MODALITIES)), np.int32)
    tokens[1, 2] = 80  # only of the second, and a modality that no source says it has
    line = Monitor(loader.manifest).add(tokens, loader.stage(0))
    assert line["drawn_by_source"] == {"first": [0, 60.0], "second": [80, 20.0]}
    assert line["drawn_by_modality"]["selfies"] == [80, 0.0]
    assert line["drawn_by_modality"]["text"] == [0, 20.0]


def test_a_resumed_monitor_says_the_very_same(data):
    uneven = dataclasses.replace(CONFIG, mixture={"first": 0.1, "second": 1 / 3, "third": 7})
    loader = Loader(data, uneven, seed=0)
    want = count(loader, Monitor(loader.manifest), range(6))
    resumed = Monitor(loader.manifest)
    resumed.resume(json.loads(json.dumps({"step": 3, **want[2]})))
    assert count(loader, resumed, range(3, 6)) == want[3:]


def test_a_record_from_before_there_were_monitors(loader):
    monitor = Monitor(loader.manifest)
    monitor.resume({"step": 7, "loss": 1.0})
    assert count(loader, monitor, [7])[0]["drawn_by_source"] == {"third": [64, 64.0]}


def test_a_source_named_like_a_modality_is_not_counted_as_one(data, rewrite):
    loader = Loader(data, dataclasses.replace(CONFIG, mixture={}, mixture_schedule=()), seed=0)
    manifest = loader.manifest
    source = dataclasses.replace(manifest.sources[0], name="text")
    shards = tuple(
        dataclasses.replace(shard, source="text" if shard.source == "first" else shard.source)
        for shard in manifest.shards
    )
    rewrite(sources=(source, *manifest.sources[1:]), shards=shards)
    loader = Loader(data, dataclasses.replace(CONFIG, mixture={"text": 1}, mixture_schedule=()), 0)
    line = count(loader, Monitor(loader.manifest), [0])[0]
    assert line["drawn_by_source"] == {"text": [64, 64.0]}
    assert line["drawn_by_modality"]["text"] == [16, 16.0]
