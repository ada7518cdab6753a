"""How often tokens occur in a corpus, which of them a vocabulary keeps, and the files of both."""

import os
import re
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import parse_json
from biomatrix_jax.tokens import families

COVERAGE = 0.99  # of all occurrences, in the published joint vocabulary

_COUNT = re.compile("[0-9]{1,18}")  # of occurrences; no corpus has more


class Chosen(NamedTuple):
    """The tokens to extend a vocabulary by, in the order of their ids."""

    selfies: list[str]
    molecule_tokens: list[str]
    notes: list[str]  # for the user, one line each


def by_frequency(counts: Counter[str]) -> list[str]:
    """Most frequent first; equals in the order of their spelling, so that ids are reproducible."""
    return sorted(counts, key=lambda token: (-counts[token], token))


def covering(counts: Counter[str], coverage: float) -> list[str]:
    """The shortest prefix, most frequent first, with more than `coverage` of all occurrences.

    The rule of the original for its joint vocabulary, with 0.99 there; 1 keeps every token.
    """
    if not 0 < coverage <= 1:
        raise BadInput(f"coverage must be above 0 and at most 1, not {coverage}")
    kept, covered, total = [], 0, counts.total()
    for token in by_frequency(counts):
        if covered > coverage * total:
            break
        kept.append(token)
        covered += counts[token]
    return kept


def choose(
    counts: str | os.PathLike | None,
    selfies: str | os.PathLike | None,
    coverage: float = COVERAGE,
) -> Chosen:
    """Joint molecule tokens and SELFIES symbols from what a user has.

    Args:
      counts: a file as `read_counts` takes; the prefix that covers more than `coverage` is kept.
        None: no joint tokens.
      selfies: a file as `read_selfies` takes. None: the symbols that the kept joint tokens use,
        most frequent first.
    """
    notes = []
    counted = Counter() if counts is None else read_counts(counts)
    kept = covering(counted, coverage)
    if counts is None:
        notes.append("no counts of joint molecule tokens given: the vocabulary gets none")
    else:
        share = sum(counted[token] for token in kept) / counted.total()
        notes.append(
            f"{counts}: {len(kept):,} of {len(counted):,} joint molecule tokens kept, "
            f"{share:.3%} of their occurrences"
        )
    if selfies is not None:
        return Chosen(read_selfies(selfies), kept, notes)
    symbols: Counter[str] = Counter()
    for token in kept:
        symbols[families.symbol_of(token)] += counted[token]
    if kept:
        notes.append(f"no SELFIES symbols given: taken are the {len(symbols)} of the joint tokens")
    else:
        notes.append("no SELFIES symbols given: the vocabulary gets none")
    return Chosen(by_frequency(symbols), kept, notes)


def read_counts(path: str | os.PathLike) -> Counter[str]:
    """Occurrences of joint molecule tokens: a JSON object `{"[C 42]": 123}`, or lines of token, tab
    and count.

    Raises:
      BadInput: nothing in it, a token that is no joint one or comes twice, a count that is not a
        whole number of 0 or more, no occurrences at all; names the line, or the token in JSON.
    """
    path = Path(path)
    text = _read_text(path)
    counts: Counter[str] = Counter()
    for where, token, count in _json(path, text) if text.lstrip()[:1] == "{" else _tsv(path, text):
        _check_spelling(where, token, families.MOLECULE_TOKENS, counts)
        counts[token] = count
    if not counts.total():
        raise BadInput(f"{path}: counts no occurrence of any token")
    return counts


def read_selfies(path: str | os.PathLike) -> list[str]:
    """SELFIES symbols, one a line, in the order of the file.

    Raises:
      BadInput: nothing in it, or a line that is no SELFIES symbol or comes twice; names the line.
    """
    path = Path(path)
    symbols: dict[str, None] = {}
    for where, line in _lines(path, _read_text(path)):
        _check_spelling(where, line, families.SELFIES, symbols)
        symbols[line] = None
    if not symbols:
        raise BadInput(f"{path}: holds no SELFIES symbols; leave the option out for none")
    return list(symbols)


def _json(path: Path, text: str) -> Iterator[tuple[str, str, int]]:
    for token, count in parse_json(text.encode(), str(path)).items():
        if type(count) is not int or count < 0:
            raise BadInput(f"{path}: count of {token!r} is no whole number of 0 or more: {count!r}")
        yield str(path), token, count


def _tsv(path: Path, text: str) -> Iterator[tuple[str, str, int]]:
    for where, line in _lines(path, text):
        token, tab, count = line.partition("\t")
        if not tab:
            raise BadInput(f"{where}: {line!r} is not a token, a tab and a count")
        if not _COUNT.fullmatch(count):
            raise BadInput(f"{where}: count of {token!r} is no whole number of 0 or more: {count}")
        yield where, token, int(count)


def _lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """The lines with their places, for messages; the last may lack its end."""
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, 1):
        yield f"{path}, line {number}", line.removesuffix("\r")


def _check_spelling(where: str, token: str, family: str, before: Container[str]) -> None:
    if families.family_of(token) != family:
        raise BadInput(f"{where}: {token!r} is not spelled like a token of the family {family!r}")
    if token in before:
        raise BadInput(f"{where}: {token!r} is there a second time")


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: no UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise BadInput(f"{path}: not readable ({error.strerror})") from None
