"""Batches: padded, drawn by family, and the same whenever they are made."""

import dataclasses

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import gaps
from biomatrix_jax.structure.protein.graph import RESIDUES
from biomatrix_jax.structure.protein.training.config import BatchConfig
from biomatrix_jax.structure.protein.training.data import Sampler, padded, prepare

SETTINGS = BatchConfig(residues=64, lengths=(16, 32), shares=(1.0, 3.0))


def sampler(chains, seed=0, **changes):
    return Sampler([prepare(c) for c in chains], dataclasses.replace(SETTINGS, **changes), seed)


def test_a_chain_is_prepared_with_its_gap_filled(chains):
    chain = prepare(chains[5])
    filled, observed = gaps.fill(chains[5].backbone)
    np.testing.assert_array_equal(chain.backbone, filled[:, :3])
    assert list(np.flatnonzero(~observed)) == [7, 8]
    assert "".join(RESIDUES[i] for i in chain.residues) == chains[5].sequence


def test_a_batch_depends_on_seed_and_step_alone(chains):
    first, again = sampler(chains), sampler(chains)
    again.batch(3)
    for a, b in zip(first.batch(7), again.batch(7), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(
        not np.array_equal(a, b) for a, b in zip(first.batch(7), first.batch(8), strict=True)
    )
    assert any(
        not np.array_equal(a, b)
        for a, b in zip(first.batch(7), sampler(chains, seed=1).batch(7), strict=True)
    )


def test_batches_have_the_lengths_asked_for_as_often_as_asked_for(chains):
    source = sampler(chains)
    shapes = [source.batch(step).present.shape for step in range(400)]
    assert set(shapes) == {(4, 16), (2, 32)}
    assert 0.7 < np.mean([shape == (2, 32) for shape in shapes]) < 0.8
    # Chains that the shorter length would hold are not padded to the longer one.
    for step in range(40):
        batch = source.batch(step)
        if batch.present.shape[1] == 32:
            assert batch.present.sum(1).min() > 16


def test_a_row_is_a_window_of_a_chain_then_padding(chains):
    known = [prepare(chain) for chain in chains]
    batch = sampler(chains).batch(0)
    for row in range(len(batch.present)):
        length = batch.present[row].sum()
        assert batch.present[row, :length].all()
        assert not batch.observed[row, length:].any()
        assert np.all(batch.backbone[row, length:] == 0)
        windows = [
            (chain.backbone[i : i + length], chain.residues[i : i + length])
            for chain in known
            for i in range(len(chain.residues) - length + 1)
        ]
        assert any(
            np.array_equal(backbone, batch.backbone[row, :length])
            and np.array_equal(residues, batch.residues[row, :length])
            for backbone, residues in windows
        )


def test_a_family_is_drawn_by_the_square_root_of_its_size(chains):
    many = [dataclasses.replace(chain, family=int(i > 0)) for i, chain in enumerate(chains)]
    source = sampler(many, lengths=(32,), shares=(1.0,), residues=32 * 50)
    alone = prepare(many[0]).backbone[0]
    found = np.mean(
        [(source.batch(step).backbone[:, 0] == alone).all(axis=(1, 2)).mean() for step in range(40)]
    )
    assert found == pytest.approx(1 / (1 + 11**0.5), abs=0.03)  # not 1 / 12, not 1 / 2


def test_a_length_is_drawn_from_its_step_on(chains):
    source = sampler(chains, opens=(0, 20))
    drawn = [source.batch(step).backbone.shape[1] for step in range(120)]
    assert set(drawn[:20]) == {16}
    assert drawn[20:].count(32) == pytest.approx(75, abs=15)  # by its share of 3 in 4


def test_bent_rows_are_as_many_as_asked_for(chains):
    straight = sampler(chains).batch(2)
    bent = sampler(chains, bent=1.0).batch(2)
    assert straight.backbone.shape == bent.backbone.shape
    assert np.abs(straight.backbone - bent.backbone).max() > 0.1


def test_padding_to_a_length(chains):
    batch = padded([prepare(chains[0]), prepare(chains[3])], 20)
    assert batch.backbone.shape == (2, 20, 3, 3)
    assert batch.present.sum(1).tolist() == [9, 15]
    np.testing.assert_array_equal(batch.backbone[1, :15], prepare(chains[3]).backbone)


def test_settings_that_cannot_be_are_refused(chains):
    with pytest.raises(BadInput, match="no chain to train on is longer than 40"):
        sampler(chains, lengths=(40, 64), shares=(1.0, 1.0))
    with pytest.raises(BadInput, match="one share for each"):
        BatchConfig(lengths=(16,), shares=(1.0, 1.0))
    with pytest.raises(BadInput, match="one step for each"):
        BatchConfig(lengths=(16,), shares=(1.0,), opens=(0, 5))
    for shares, opens in (((1.0, 1.0), (5, 6)), ((0.0, 1.0), (0, 6)), ((0.0, 0.0), ())):
        with pytest.raises(BadInput, match="a place in step 0"):
            BatchConfig(lengths=(16, 32), shares=shares, opens=opens)
    with pytest.raises(BadInput, match="at least one chain"):
        BatchConfig(residues=100, lengths=(128,), shares=(1.0,))
