"""Texts that are nearly the same, found by MinHash.

Two texts are as similar as the sets of their runs of five words: the share that both have of all
that either has (Jaccard similarity). A signature of 128 hashes, made once per text, gives it
within a standard deviation of 0.04. Signatures of one length are compared only where a band of
their hashes is the same (locality-sensitive hashing; Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, chapter 3), so that the time does not grow with the square of the number.

The hashes are datasketch's, under a scheme and a seed that are given here: a signature depends
on the text alone, whatever the machine.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np

from biomatrix_jax.errors import BadInput

HASHES = 128
SIGNATURE_BYTES = 4 * HASHES
SEED = 1
WORDS = 5  # in a run
FOUND = 0.98  # the least chance that a pair at the threshold is compared
_WORD = re.compile(r"\w+")
_COMPARED = 1 << 16  # pairs at a time


def signature(text: str) -> bytes:
    """The text's signature, SIGNATURE_BYTES long. Case, punctuation and white space do not matter.

    A text of less than WORDS words is like one that has the same words only, one of no words like
    itself.
    """
    from datasketch import MinHash

    words = _WORD.findall(text.lower())
    runs = {" ".join(words[i : i + WORDS]) for i in range(max(1, len(words) - WORDS + 1))}
    if not words:
        runs = {text}
    minhash = MinHash(
        HASHES, SEED, hashfunc=zlib.crc32, permutations=_permutations(), scheme="affine32"
    )
    minhash.update_batch([run.encode("utf-8", "surrogatepass") for run in runs])
    return minhash.hashvalues.astype("<u4").tobytes()


def similarity(one: bytes, other: bytes) -> float:
    """The estimated Jaccard similarity of the texts behind two signatures, 0 to 1."""
    return float(np.mean(np.frombuffer(one, "<u4") == np.frombuffer(other, "<u4")))


def duplicates(
    signatures: Iterable[tuple[str, bytes]], threshold: float
) -> Iterator[tuple[str, str]]:
    """(id, an earlier id) of every text that repeats an earlier one, in the order of `signatures`.

    The earlier one is the first that was found, and may repeat another in turn. Leaving out the
    first id of every pair thus leaves the first text of each group of similar ones.

    All signatures are in memory at once: 0.6 kB for a text, and its id.

    Args:
      signatures: (id, signature) of the texts; the order decides which of two is the repetition.
      threshold: the estimated similarity from which on a text is a repetition, above 0 up to 1.

    Raises:
      BadInput: the threshold is out of range, or a signature has another length.
    """
    if not 0 < threshold <= 1:
        raise BadInput(f"the threshold must be above 0 and at most 1, not {threshold}")
    ids, packed = [], bytearray()
    for identifier, one in signatures:
        if len(one) != SIGNATURE_BYTES:
            raise BadInput(f"signature of {identifier}: {len(one)} bytes, not {SIGNATURE_BYTES}")
        ids.append(identifier)
        packed += one
    values_nh = np.frombuffer(packed, "<u4").reshape(-1, HASHES)
    first_n = np.full(len(ids), len(ids))  # the first text that each repeats, if any
    rows = band_rows(threshold)
    for start in range(0, HASHES - rows + 1, rows):
        for later, earlier in _candidates(values_nh[:, start : start + rows]):
            _compare(values_nh, later, earlier, threshold, first_n)
    for later in np.flatnonzero(first_n < len(ids)):
        yield ids[later], ids[first_n[later]]


def band_rows(threshold: float) -> int:
    """How many hashes make a band: as many as still let a pair at the threshold be compared with
    a probability of FOUND."""
    chance = [1 - (1 - threshold**rows) ** (HASHES // rows) for rows in range(1, HASHES + 1)]
    return max((rows for rows, p in enumerate(chance, start=1) if p >= FOUND), default=1)


def _candidates(band_nr: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(later, earlier) texts with the same band: each beside the first one and the one before."""
    keys = np.full(len(band_nr), 0xCBF29CE484222325, np.uint64)
    for column in band_nr.T:  # FNV-1a, hash by hash; equal keys by chance are compared in vain
        keys = (keys ^ column) * np.uint64(0x100000001B3)
        keys ^= keys >> np.uint64(32)
    order = np.argsort(keys, kind="stable")
    same = np.concatenate([[False], keys[order[1:]] == keys[order[:-1]]])
    begin = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    place = np.flatnonzero(same)
    yield order[place], order[begin[place]]
    apart = place[begin[place] != place - 1]
    yield order[apart], order[apart - 1]


def _compare(
    values_nh: np.ndarray,
    later: np.ndarray,
    earlier: np.ndarray,
    threshold: float,
    first_n: np.ndarray,
) -> None:
    """Enters into `first_n` those pairs that are similar enough."""
    news = earlier < first_n[later]
    later, earlier = later[news], earlier[news]
    for start in range(0, len(later), _COMPARED):
        one, other = later[start : start + _COMPARED], earlier[start : start + _COMPARED]
        same = np.mean(values_nh[one] == values_nh[other], axis=1) >= threshold
        first_n[one[same]] = other[same]  # a band has each later text once


@cache
def _permutations() -> np.ndarray:
    from datasketch import MinHash

    return MinHash(HASHES, SEED, scheme="affine32").permutations
