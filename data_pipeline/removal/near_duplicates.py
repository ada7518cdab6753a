"""Texts that are nearly the same, found by MinHash.

Two texts are as similar as the sets of their runs of five words: the share that both have of all
that either has (Jaccard similarity). A signature of 128 hashes, made once per text, gives it
within a standard deviation of 0.04. Signatures of one length are compared only where a band of
their hashes is the same (locality-sensitive hashing; Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, chapter 3), so that the time does not grow with the square of the number.

Signatures lie on disk, and so does all that is derived from them; it is sorted and read from front
to back (see `ordering`), and memory is bounded whatever the number of texts.

The hashes are datasketch's, under a scheme and a seed that are given here: a signature depends
on the text alone, whatever the machine.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from data_pipeline.removal.ordering import Sorter, followers
from data_pipeline.removal.tables import PAIR, Table

HASHES = 128
SIGNATURE_BYTES = 4 * HASHES
SEED = 1
WORDS = 5  # in a run
FOUND = 0.98  # the least chance that a pair at the threshold is compared
_WORD = re.compile(r"\w+")
SIGNED = np.dtype([("record", "<i8"), ("hashes", "<u4", (HASHES,))])  # a text of a table
_KEYED = np.dtype([("key", "<u8"), ("value", "<i8")])
_CANDIDATE = np.dtype([("key", "<i8"), ("later", "<i8")])
_HALF_COMPARED = np.dtype([("key", "<i8"), ("first", "<i8"), ("hashes", "<u4", (HASHES,))])


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


def repetitions(
    texts: Table,
    chosen: Iterable[tuple[np.ndarray, np.ndarray]],
    threshold: float,
    directory: Path,
    memory: int,
    progress: Callable[[int, int], None] = lambda done, steps: None,
) -> Iterator[np.ndarray]:
    """Blocks of PAIR: every text that repeats an earlier one, ascending, and that one.

    The earlier one is the first that was found, and may repeat another in turn. Leaving out the
    first text of every pair thus leaves the first text of each group of similar ones.

    Args:
      texts: of SIGNED; a text is known by its number there.
      chosen: (numbers, hashes) of the texts to compare, ascending, in blocks.
      threshold: the estimated similarity from which on a text is a repetition, above 0 up to 1.
      directory: an empty one, for what memory does not hold: 16 bytes for each text and band, and
        up to 0.5 kB for each pair that is compared.
      memory: how many bytes to use, about.

    Raises:
      BadInput: the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise BadInput(f"the threshold must be above 0 and at most 1, not {threshold}")
    memory //= 2  # one sorter gives rows back while another takes what is made of them
    pairs = Sorter(directory / "pairs", _CANDIDATE, memory)
    bands = _bands(chosen, threshold, directory, memory)
    steps = len(bands) + 1
    for done in range(len(bands)):
        progress(done, steps)
        band = bands.pop()  # one that was read is forgotten
        for later, first, previous in followers(band.blocks(memory)):
            pairs.add(key=first, later=later)
            apart = first != previous
            pairs.add(key=previous[apart], later=later[apart])
    progress(steps - 1, steps)
    # Each text's signature goes where it is needed in the order of the files.
    compared = Sorter(directory / "compared", _HALF_COMPARED, memory)
    for block in map(_distinct, pairs.blocks(memory)):
        for part in _parts(block, memory // (8 * SIGNED.itemsize)):  # copied several times
            hashes = texts.take(part["key"])["hashes"]
            compared.add(key=part["later"], first=part["key"], hashes=hashes)
    last = -1
    for block in compared.blocks(memory):
        same = np.mean(texts.take(block["key"])["hashes"] == block["hashes"], axis=1) >= threshold
        later, first = block["key"][same], block["first"][same]
        new = np.diff(later, prepend=last) != 0
        found = np.empty(new.sum(), PAIR)
        found["key"], found["first"] = later[new], first[new]
        yield found
        last = int(later[-1]) if len(later) else last
    progress(steps, steps)


def band_rows(threshold: float) -> int:
    """How many hashes make a band: as many as still let a pair at the threshold be compared with
    a probability of FOUND."""
    chance = [1 - (1 - threshold**rows) ** (HASHES // rows) for rows in range(1, HASHES + 1)]
    return max((rows for rows, p in enumerate(chance, start=1) if p >= FOUND), default=1)


def _bands(
    chosen: Iterable[tuple[np.ndarray, np.ndarray]], threshold: float, directory: Path, memory: int
) -> list[Sorter]:
    """The texts by what they have in each band."""
    rows = band_rows(threshold)
    count = HASHES // rows
    bands = [Sorter(directory / f"band-{i}", _KEYED, memory // count) for i in range(count)]
    for numbers, hashes_nh in chosen:
        for i, band in enumerate(bands):
            band.add(key=_band_keys(hashes_nh[:, i * rows : (i + 1) * rows]), value=numbers)
    return bands


def _band_keys(band_nr: np.ndarray) -> np.ndarray:
    keys = np.full(len(band_nr), 0xCBF29CE484222325, np.uint64)
    for column in band_nr.T:  # FNV-1a, hash by hash; equal keys by chance are compared in vain
        keys = (keys ^ column) * np.uint64(0x100000001B3)
        keys ^= keys >> np.uint64(32)
    return keys


def _distinct(pairs: np.ndarray) -> np.ndarray:
    """Pairs in order of both, each once: most are found in several bands."""
    pairs = pairs[np.lexsort((pairs["later"], pairs["key"]))]
    return pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])[: len(pairs)]]


def _parts(rows: np.ndarray, most: int) -> Iterator[np.ndarray]:
    most = max(1, most)
    return (rows[start : start + most] for start in range(0, len(rows), most))


@cache
def _permutations() -> np.ndarray:
    from datasketch import MinHash

    return MinHash(HASHES, SEED, scheme="affine32").permutations
