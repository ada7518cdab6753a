import dataclasses
import itertools
import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomatrix_jax.config import DataConfig
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.loader import Loader, Mixture
from biomatrix_jax.errors import BadInput
from data_pipeline.shards import write_shards

ROW_LENGTH, VOCABULARY_SIZE = 16, 50_000  # of the data that conftest makes
CONFIG = DataConfig(row_length=ROW_LENGTH, batch_rows=8, mixture={"first": 2, "second": 1.0})


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


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_processes_together_draw_the_global_batch(data, processes):
    parts = [draw(data, 6, process_index=p, process_count=processes) for p in range(processes)]
    for step, want in enumerate(draw(data, 6)):
        whole = {k: np.concatenate([part[step][k] for part in parts]) for k in want}
        assert_equal(whole, want)
        assert parts[0][step]["tokens"].shape == (8 // processes, ROW_LENGTH)


def test_another_global_batch_draws_the_same_rows_in_the_same_order(data):
    eights = numbers(draw(data, 6))
    twelves = numbers(draw(data, 4, config=dataclasses.replace(CONFIG, batch_rows=12)))
    assert eights == twelves


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


@given(
    st.lists(
        st.sampled_from([1, 2, 3, 7, 100, 0.1, 0.3, 25.6, 79.7, 1 / 3]), min_size=1, max_size=9
    ),
    st.integers(0, 10**12),
)
def test_a_mixture_counts_each_source_without_gaps_and_close_to_its_weight(weights, start):
    mixture = Mixture(weights)
    drawn = [mixture[k] for k in range(start, start + 200)]
    for source, weight in enumerate(weights):
        places = [place for chosen, place in drawn if chosen == source]
        assert places == list(range(places[0], places[0] + len(places))) if places else True
        for place in places[-1:]:
            last = max(k for k in range(200) if drawn[k] == (source, place))
            share = (start + last + 1) * weight / sum(weights)
            assert abs(place + 1 - share) <= len(weights) + share * 1e-12


def test_a_mixture_starts_at_the_first_row_of_each_source():
    drawn = [Mixture([1, 2, 3])[k] for k in range(60)]
    assert sorted(drawn) == [(s, n) for s, times in enumerate((10, 20, 30)) for n in range(times)]


@pytest.mark.parametrize(
    ("change", "processes", "says"),
    [
        ({"mixture": {"frist": 1}}, 1, "no source frist in this data, which has: first, second"),
        ({"mixture": {"first": 0}}, 1, "weight of first must be positive, not 0"),
        ({"mixture": {"second": -1.0}}, 1, "weight of second must be positive"),
        ({"mixture": {"second": float("nan")}}, 1, "weight of second must be positive"),
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
