"""Near-duplicates: signatures estimate similarity, repetitions are found, others are not."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("datasketch")

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.removal.near_duplicates import (
    HASHES,
    SIGNATURE_BYTES,
    SIGNED,
    band_rows,
    repetitions,
    signature,
    similarity,
)
from data_pipeline.removal.tables import Table
from data_pipeline.sources.tally import Tally

ONE_GO = 2**24  # bytes, in which all fits


@pytest.fixture
def duplicates(tmp_path):
    """What `repetitions` finds, by the names of the texts; they lie in several files."""

    def find(signed, threshold, memory=ONE_GO, files=3):
        signed = list(signed)
        rows = np.zeros(len(signed), SIGNED)
        for row, (_, one) in zip(rows, signed, strict=True):
            row["hashes"] = np.frombuffer(one, "<u4")
        paths = [tmp_path / f"table-{i}" for i in range(files)]
        for path, part in zip(paths, np.array_split(rows, files), strict=True):
            part.tofile(path)
        table = Table(paths, SIGNED)
        chosen = (
            (np.arange(start, start + len(block)), block["hashes"])
            for start, block in table.blocks(memory // 8)
        )
        blocks = list(repetitions(table, chosen, threshold, tmp_path, memory))
        assert sorted(tmp_path.iterdir()) == paths  # nothing else is left
        found = np.concatenate(blocks) if blocks else []
        return [(signed[later][0], signed[first][0]) for later, first in found]

    return find


@pytest.fixture(scope="module")
def texts():
    return [record.text for record in sources.read("text", None, None, Tally())][:240]


def jaccard(one: str, other: str) -> float:
    def runs(text):
        words = text.split()
        return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}

    return len(runs(one) & runs(other)) / len(runs(one) | runs(other))


def words(count: int, prefix: str = "w") -> list[str]:
    return [f"{prefix}{i}" for i in range(count)]


def test_a_signature_estimates_the_share_of_common_runs():
    base = words(400)
    for keep in (396, 380, 320, 200):
        other = base[:keep] + words(400 - keep, "x")
        one, two = " ".join(base), " ".join(other)
        assert similarity(signature(one), signature(two)) == pytest.approx(
            jaccard(one, two), abs=0.1
        )
    assert similarity(signature(one), signature(" ".join(words(400, "y")))) < 0.05


def test_a_signature_does_not_see_case_punctuation_and_blanks():
    one = signature("The citrate (TCA) cycle: in yeast, and Ähren.")
    assert one == signature("the Citrate, TCA cycle\n in  yeast and ähren")
    assert len(one) == SIGNATURE_BYTES
    assert one != signature("the citrate TCA cycle in Ähren and yeast")


def test_short_texts_and_texts_without_words():
    assert signature("two words") == signature("Two words!")
    assert signature("two words") != signature("words two")
    assert signature("...") == signature("...") != signature("!!!")
    assert signature("") != signature(" ")


def test_a_signature_is_the_same_in_every_process_and_version():
    text = "Autophagy maintains tumour growth through circulating arginine."
    digest = hashlib.sha256(signature(text)).hexdigest()
    assert digest == "edafc93b08bce808a401fbadbf9a8d4d057179f4e2bca0a2d0168b1ef0f3165f"


def changed(text: str, every: int) -> str:
    """The text with one word in so many replaced."""
    return " ".join(
        f"other{i}" if i % every == every - 1 else word for i, word in enumerate(text.split())
    )


def test_repetitions_are_found_and_unrelated_texts_are_not(texts, duplicates):
    whole = [" ".join(texts[i : i + 8]) for i in range(0, 240, 8)]
    near = [changed(text, 60) for text in whole]  # about 0.84 of the runs in common
    far = [changed(text, 6) for text in whole]
    pool = [(f"whole{i}", text) for i, text in enumerate(whole)]
    pool += [(f"far{i}", text) for i, text in enumerate(far)]
    pool += [(f"near{i}", text) for i, text in enumerate(near)]
    signed = [(name, signature(text)) for name, text in pool]
    assert min(similarity(signed[i][1], signed[60 + i][1]) for i in range(30)) > 0.7
    expected = [(f"near{i}", f"whole{i}") for i in range(30)]
    assert list(duplicates(signed, 0.7)) == expected
    assert list(duplicates(iter(signed), 0.7)) == expected  # the same again
    assert list(duplicates(reversed(signed), 0.7)) == [
        (f"whole{i}", f"near{i}") for i in reversed(range(30))
    ]


def like(base: np.ndarray, same: int, rng: np.random.Generator) -> np.ndarray:
    """Hashes of which so many, anywhere, are those of `base`."""
    other = rng.integers(0, 2**32, HASHES, dtype=np.uint32)
    places = rng.permutation(HASHES)[:same]
    other[places] = base[places]
    return other


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95])
def test_pairs_at_the_threshold_are_found_and_those_below_are_not(threshold, duplicates):
    rng = np.random.default_rng(0)
    at, below = int(np.ceil(threshold * HASHES)), int(np.ceil(threshold * HASHES)) - 1
    bases = rng.integers(0, 2**32, (500, HASHES), dtype=np.uint32)
    signed = [(f"b{i}", base.astype("<u4").tobytes()) for i, base in enumerate(bases)]
    for i, base in enumerate(bases):
        signed.append((f"at{i}", like(base, at, rng).astype("<u4").tobytes()))
        signed.append((f"below{i}", like(base, below, rng).astype("<u4").tobytes()))
    found = dict(duplicates(signed, threshold))
    assert all(found[f"at{i}"] == f"b{i}" for i in range(500) if f"at{i}" in found)
    assert set(found) <= {f"at{i}" for i in range(500)}
    assert len(found) >= 480  # 98% is what band_rows promises


def test_a_chain_leaves_its_first(duplicates):
    rng = np.random.default_rng(1)
    a = rng.integers(0, 2**32, HASHES, dtype=np.uint32)
    b, c = a.copy(), a.copy()
    b[:16], c[:32] = 1, 1  # b repeats a, c repeats b but not a
    signed = [(name, x.astype("<u4").tobytes()) for name, x in (("a", a), ("b", b), ("c", c))]
    assert list(duplicates(signed, 0.87)) == [("b", "a"), ("c", "b")]
    assert list(duplicates([signed[0], signed[2]], 0.87)) == []
    same = [(str(i), signed[0][1]) for i in range(5)]
    assert list(duplicates(same, 1.0)) == [(str(i), "0") for i in range(1, 5)]


def test_bands():
    assert [band_rows(t) for t in (0.01, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)] == [1, 2, 3, 5, 7, 11, 128]


def by_the_rule(values_nh: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """(later, earlier): of all that a text shares a band with, the first and the last before it in
    each band are compared, and the first that is similar enough counts."""
    rows = band_rows(threshold)
    found = {}
    for start in range(0, HASHES - rows + 1, rows):
        groups = {}
        for later, hashes in enumerate(values_nh):
            group = groups.setdefault(hashes[start : start + rows].tobytes(), [])
            for earlier in {*group[:1], *group[-1:]}:
                if np.mean(hashes == values_nh[earlier]) >= threshold:
                    found[later] = min(earlier, found.get(later, earlier))
            group.append(later)
    return sorted(found.items())


@pytest.mark.parametrize(
    ("threshold", "memory"), [(0.8, 80_000), (0.8, 300_000), (0.5, 300_000), (0.8, ONE_GO)]
)
def test_what_is_found_does_not_depend_on_memory(threshold, memory, duplicates):
    """Chains, pairs about the threshold, and one text that very many repeat."""
    rng = np.random.default_rng(2)
    values_nh = rng.integers(0, 2**32, (300, HASHES), dtype=np.uint32)
    for later in range(60, 220):
        shared = rng.random(HASHES) < rng.uniform(threshold - 0.1, 1)
        values_nh[later, shared] = values_nh[rng.integers(later), shared]
    values_nh[rng.integers(60, 300, 40)] = values_nh[50]
    expected = by_the_rule(values_nh, threshold)
    assert 100 < len(expected) < 200
    signed = [(i, row.astype("<u4").tobytes()) for i, row in enumerate(values_nh)]
    assert duplicates(signed, threshold, memory) == expected


def test_texts_that_are_not_chosen_are_not_compared(tmp_path):
    np.zeros(5, SIGNED).tofile(tmp_path / "table")
    table = Table([tmp_path / "table"], SIGNED)
    chosen = [(np.array([1, 4]), np.zeros((2, HASHES), np.uint32))]
    told = []
    blocks = repetitions(table, chosen, 0.8, tmp_path, ONE_GO, lambda *step: told.append(step))
    assert np.concatenate(list(blocks)).tolist() == [(4, 1)]
    assert told == [(done, 19) for done in range(20)]  # 18 bands, and the comparison


def test_bad_input(duplicates):
    for threshold in (0, -0.5, 1.01, float("nan")):
        with pytest.raises(BadInput, match="threshold must be above 0 and at most 1"):
            duplicates([], threshold)
    assert duplicates([], 0.8) == []
    assert duplicates([("x", signature("a"))], 0.8) == []
