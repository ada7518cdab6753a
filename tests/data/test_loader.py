import dataclasses
import itertools
import threading
from collections import Counter

import numpy as np
import pytest

from biomatrix_jax.config import DataConfig, MixtureStage
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.batch_sizes import BatchSizes
from biomatrix_jax.data.loader import Loader
from biomatrix_jax.errors import BadInput
from data_pipeline.shards import write_shards

SCHEDULE = (MixtureStage(2, {"second": 1, "third": 1}), MixtureStage(5, {"first": 1, "third": 3}))
ROW_LENGTH, VOCABULARY_SIZE = 16, 50_000  # of the data that conftest makes
CONFIG = DataConfig(row_length=ROW_LENGTH, batch_rows=8, mixture={"first": 2, "second": 1.0})


SCHEDULED = dataclasses.replace(CONFIG, mixture_schedule=SCHEDULE)


def numbers(batches):
    """Which rows were drawn, in order: their first tokens."""
    return np.concatenate([batch["tokens"][:, 0] for batch in batches]).tolist()


def draw(data, steps, *, config=CONFIG, seed=3, **processes):
    loader = Loader(data, config, seed, **processes)
    return [loader.batch(step) for step in range(steps)]


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for key in left:
        np.testing.assert_array_equal(left[key], right[key], err_msg=key)
        assert left[key].dtype == right[key].dtype


def test_iterating_equals_random_access_in_any_order(data):
    loader = Loader(data, CONFIG, seed=3)
    iterated = list(itertools.islice(loader.iterate(), 12))
    for step in (7, 0, 11, 3, 3):
        assert_equal(loader.batch(step), iterated[step])


def test_resuming_equals_going_on(data):
    uninterrupted = draw(data, 14)
    resumed = Loader(data, CONFIG, seed=3).iterate(start_step=9)
    for want, got in zip(uninterrupted[9:], resumed, strict=False):
        assert_equal(got, want)


@pytest.mark.parametrize("config", [CONFIG, SCHEDULED])
@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_processes_together_draw_the_global_batch(data, processes, config):
    parts = [
        draw(data, 7, config=config, process_index=p, process_count=processes)
        for p in range(processes)
    ]
    for step, want in enumerate(draw(data, 7, config=config)):
        whole = {k: np.concatenate([part[step][k] for part in parts]) for k in want}
        assert_equal(whole, want)
        assert parts[0][step]["tokens"].shape == (8 // processes, ROW_LENGTH)


def test_another_global_batch_draws_the_same_rows_in_the_same_order(data):
    eights = numbers(draw(data, 6))
    twelves = numbers(draw(data, 4, config=dataclasses.replace(CONFIG, batch_rows=12)))
    assert eights == twelves


def global_rows(data, config, steps, processes, batches=None):
    """Which rows so many processes draw together in `steps`, in order."""
    drawn = []
    loaders = [Loader(data, config, 3, p, processes, batches) for p in range(processes)]
    for step in steps:
        drawn += numbers([loader.batch(step) for loader in loaders])
    return drawn


def test_hosts_that_join_and_leave_in_the_midst_of_a_run_change_nothing(data):
    want = numbers(draw(data, 16, config=SCHEDULED))
    got, start = [], 0
    for end, processes in ((3, 2), (4, 4), (7, 8), (12, 1), (16, 4)):
        got += global_rows(data, SCHEDULED, range(start, end), processes)
        start = end
    assert got == want


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_another_global_batch_in_the_midst_of_a_run_goes_on_at_the_next_row(data, processes):
    """Between two stages of the mixture: the first began at row 16, the next does at its step."""

    def run(batch_rows, *from_steps):
        stages = [
            dataclasses.replace(stage, from_step=step)
            for stage, step in zip(SCHEDULE, from_steps, strict=True)
        ]
        return dataclasses.replace(CONFIG, batch_rows=batch_rows, mixture_schedule=tuple(stages))

    sizes = BatchSizes(((0, 8),)).then(5, 12)
    got = global_rows(data, run(8, 2, 7), range(5), processes)
    got += global_rows(data, run(12, 2, 7), range(5, 11), processes, sizes)
    row_by_row = run(1, 2 * 8, 5 * 8 + 2 * 12)
    assert got == numbers(draw(data, 5 * 8 + 6 * 12, config=row_by_row))


def test_a_source_goes_on_through_a_schedule_where_it_stopped(data):
    """Its k-th draw is the same row whatever is mixed when: no row early, none left out."""
    drawn = numbers(draw(data, 12, config=SCHEDULED))
    for source, name in enumerate(("first", "second", "third"), start=1):
        alone = dataclasses.replace(CONFIG, mixture={name: 1})
        mixed = [n for n in drawn if n // 1000 == source]
        assert len(mixed) > 12
        steps = -(-len(mixed) // alone.batch_rows)
        assert mixed == numbers(draw(data, steps, config=alone))[: len(mixed)]


def test_each_stage_is_drawn_by_its_own_weights(data):
    drawn = numbers(draw(data, 11, config=SCHEDULED))
    stages = [
        Counter(n // 1000 for n in drawn[a * 8 : b * 8]) for a, b in ((0, 2), (2, 5), (5, 11))
    ]
    assert stages[0] == {1: 10, 2: 6}
    assert stages[1] == {2: 12, 3: 12}
    assert stages[2] == {1: 12, 3: 36}


def test_a_schedule_that_changes_nothing_draws_the_shares_of_one_mixture(data):
    same = dataclasses.replace(CONFIG, mixture_schedule=(MixtureStage(3, CONFIG.mixture),))
    assert numbers(draw(data, 9, config=same)) == numbers(draw(data, 9))


def test_resuming_in_any_stage_equals_going_on(data):
    uninterrupted = draw(data, 9, config=SCHEDULED)
    for start in (1, 2, 4, 5, 8):
        resumed = Loader(data, SCHEDULED, seed=3).iterate(start_step=start)
        for want, got in zip(uninterrupted[start:], resumed, strict=False):
            assert_equal(got, want)


def test_the_stage_of_a_step(data):
    loader = Loader(data, SCHEDULED, seed=0)
    assert [loader.stage(step).from_step for step in (0, 1, 2, 4, 5, 99)] == [0, 0, 2, 2, 5, 5]
    assert loader.stage(0).weights == {"first": 2, "second": 1, "third": 0}
    assert loader.stage(7).shares == {"first": 0.25, "second": 0, "third": 0.75}


def test_batches_hold_the_rows_that_were_written(data, make_row):
    for batch in draw(data, 4):
        for b, first in enumerate(batch["tokens"][:, 0]):
            source, number = divmod(int(first), 1000)
            row = make_row(source - 1, number)
            np.testing.assert_array_equal(batch["tokens"][b], row.tokens)
            np.testing.assert_array_equal(batch["segment_ids"][b], row.segment_ids)
            np.testing.assert_array_equal(batch["source"][b], (source - 1) * (row.tokens > 0))


def test_every_epoch_draws_each_row_once_in_a_new_order(data):
    config = dataclasses.replace(CONFIG, batch_rows=5, mixture={"first": 1})
    drawn = numbers(draw(data, 8, config=config))
    epochs = [tuple(drawn[start : start + 10]) for start in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(1000, 1010)) for epoch in epochs)
    assert len(set(epochs)) == 4
    assert tuple(range(1000, 1010)) not in epochs


def test_the_seed_decides_the_order(data):
    assert numbers(draw(data, 3, seed=3)) != numbers(draw(data, 3, seed=4))


def test_a_source_keeps_its_order_whatever_is_mixed_with_it(data):
    alone = numbers(draw(data, 2, config=dataclasses.replace(CONFIG, mixture={"first": 1})))
    mixed = [n for n in numbers(draw(data, 4)) if n < 2000]
    assert mixed[:16] == alone[: len(mixed)]


def test_weights_are_kept_in_every_stretch(data):
    drawn = Counter(n // 1000 for n in numbers(draw(data, 30)))
    assert drawn == {1: 160, 2: 80}


def test_without_a_mixture_sources_are_drawn_by_their_rows(data):
    config = dataclasses.replace(CONFIG, batch_rows=18, mixture={})
    assert sorted(numbers(draw(data, 1, config=config))) == sorted(
        [*range(1000, 1010), *range(2000, 2007), 3000]
    )


def test_the_mixture_follows_the_data_not_the_order_it_is_written_in(data):
    turned = dataclasses.replace(CONFIG, mixture=dict(reversed(CONFIG.mixture.items())))
    assert numbers(draw(data, 4, config=turned)) == numbers(draw(data, 4))


def test_loss_weights_come_from_the_configuration(data):
    config = dataclasses.replace(CONFIG, loss_weights={"smiles": 0.25, "protein_sequence": 0})
    weights = draw(data, 1, config=config)[0]["loss_weights"]
    # Targets of the first document are text, smiles, smiles, smiles; of the second protein.
    np.testing.assert_array_equal(weights, [[1, 0.25, 0.25, 0.25] + [0] * 12] * 8)


@pytest.mark.parametrize(
    ("change", "processes", "says"),
    [
        ({"mixture": {"frist": 1}}, 1, "no source frist in this data, which has: first, second"),
        ({"mixture": {"first": 0}}, 1, "weight of first must be positive, not 0"),
        ({"mixture": {"second": -1.0}}, 1, "weight of second must be positive"),
        ({"mixture": {"second": float("nan")}}, 1, "weight of second must be positive"),
        (
            {"mixture_schedule": (SCHEDULE[0], MixtureStage(7, {"forth": 1}))},
            1,
            r"data\.mixture_schedule\.1\.mixture: no source forth in this data",
        ),
        ({"row_length": 32}, 1, "rows of 16 tokens, but data.row_length is 32"),
        ({}, 3, r"batch_rows \(8\) must be a multiple of the 3 processes"),
        ({"loss_weights": {"txet": 1}}, 1, "no modality txet; there are: text, smiles"),
        ({"loss_weights": {"text": -1}}, 1, "text must be 0 or more"),
    ],
)
def test_a_configuration_that_does_not_fit_the_data(data, change, processes, says):
    config = dataclasses.replace(CONFIG, **change)
    with pytest.raises(BadInput, match=says):
        Loader(data, config, seed=0, process_count=processes)


def test_a_flipped_bit_is_named_by_shard_and_row(tmp_path, make_data):
    """Of 300 rows in 3 shards, whichever is hit: all others are still read."""
    made = make_data(tmp_path, {"first": 300}, rows_per_shard=100)
    shard = tmp_path / made.shards[1].path
    content = bytearray(shard.read_bytes())
    content[10_000] ^= 4  # past the header, in one of the rows
    shard.write_bytes(content)
    config = DataConfig(row_length=ROW_LENGTH, batch_rows=1)
    loader, messages = Loader(tmp_path, config, seed=0), []
    for step in range(300):
        try:
            loader.batch(step)
        except BadInput as error:
            messages.append(str(error))
    assert len(messages) == 1
    assert f"{shard}, row " in messages[0]
    assert "mismatch" in messages[0]
    assert "\n" not in messages[0]


@pytest.mark.parametrize("token", [VOCABULARY_SIZE, -1])
def test_an_id_outside_the_vocabulary_stops_the_run(data, make_row, rewrite, token):
    row = make_row(2, 0)
    row.tokens[3] = token
    made = manifests.read(data)
    shards = write_shards([row], data, "third")
    rewrite(shards=(*made.shards[:-1], *shards))
    loader = Loader(data, dataclasses.replace(CONFIG, mixture={"third": 1}), seed=0)
    with pytest.raises(BadInput, match=r"third-00000\.arrayrecord, row 0: a token id outside"):
        loader.batch(0)


def test_a_document_of_another_source_stops_the_run(data, make_row, rewrite):
    made = manifests.read(data)
    rewrite(shards=(*made.shards[:-1], *write_shards([make_row(1, 0)], data, "third")))
    loader = Loader(data, dataclasses.replace(CONFIG, mixture={"third": 1}), seed=0)
    with pytest.raises(BadInput, match=r"third-00000\.arrayrecord, row 0: a document of another"):
        loader.batch(0)


def test_an_error_while_reading_ahead_reaches_the_caller_at_its_step(data):
    loader = Loader(data, CONFIG, seed=0)
    good = loader.batch

    def failing(step):
        if step == 2:
            raise BadInput("row 2 is damaged")
        return good(step)

    loader.batch = failing
    batches = loader.iterate()
    next(batches), next(batches)
    with pytest.raises(BadInput, match="row 2 is damaged"):
        next(batches)


def test_closing_the_iterator_ends_its_thread(data):
    batches = Loader(data, CONFIG, seed=0).iterate()
    next(batches)
    assert any(thread.name.startswith("loader") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("loader") for thread in threading.enumerate())
