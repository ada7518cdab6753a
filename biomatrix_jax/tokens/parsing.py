"""Token ids back to typed segments, taking malformed input for what it is.

What a model generates may break off, nest or mix families. Nothing of that is an error here:
`Parser.parse` returns the segments that are there and names each problem with its position, and the
caller decides.

How the ids are read: control tokens, and the tokens that end or pad a document, divide them. A
start token with its own end token next makes a segment of what lies between. Without that end the
segment keeps what fits from its start on, and the rest is text. Everything outside is text. The
kinds of problem:

- unknown_id: an id that the vocabulary does not have; left out.
- unclosed_segment: a start token without its end token.
- end_without_start: an end token with no such segment open; left out.
- empty_segment: nothing in it that fits; no segment comes of it.
- wrong_token: tokens of another kind inside a segment; left out of it.
- stray_token: tokens of a family outside a segment; kept in the text as they are spelled.
- invalid_utf8: text pieces that are no UTF-8 together; U+FFFD stands for them.
"""

import bisect
import itertools
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import families
from biomatrix_jax.tokens.segments import (
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Segment,
    Selfies,
    Smiles,
    Text,
)

if TYPE_CHECKING:
    from biomatrix_jax.tokens.vocabulary import Vocabulary

_SEGMENT_FAMILY = {
    "selfies": families.SELFIES,
    "molecule_3d": families.MOLECULE_TOKENS,
    "protein_sequence": families.RESIDUES,
    "protein_3d": families.PROTEIN_CODES,
}
_SMILES_PIECE = re.compile("[!-~]+")

_Run = list[tuple[int, int]]  # (position in the sequence, id), ...


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a sequence: `kind` as listed above, `position` the index of its first
    id, `message` one line for people."""

    kind: str
    position: int
    message: str


@dataclass(frozen=True)
class Parsed:
    """What a sequence holds, in order, and what was wrong with it, by position."""

    segments: list[Segment]
    problems: list[Problem]


class Parser:
    """Reads ids of one vocabulary."""

    def __init__(self, vocabulary: "Vocabulary", added: frozenset[int]):
        """`added`: the ids whose spelling is literal, not in the byte-level alphabet."""
        self._vocabulary = vocabulary
        self._added = added
        self._family = {
            token_id: family
            for family, ids in vocabulary.families.items()
            for token_id in ids.tolist()
        }
        self._starts: dict[int, str] = {}
        self._ends: dict[int, str] = {}
        if families.CONTROL in vocabulary.families:
            self._starts = {vocabulary.start_id(name): name for name in families.WRAPPERS}
            self._ends = {vocabulary.end_id(name): name for name in families.WRAPPERS}
        self._edges = {*self._starts, *self._ends, *vocabulary.eos_ids, vocabulary.pad_id}

    def parse(self, ids: Iterable[int]) -> Parsed:
        """Segments and problems of ids [n]. The tokens that end or pad a document end what is open
        and appear in no segment.

        Raises:
          BadInput: `ids` is not one row of integers.
        """
        found = Parsed([], [])
        run = self._known(ids, found)
        cuts = [i for i, (_, token) in enumerate(run) if token in self._edges] + [len(run)]
        self._read_text(run[: cuts[0]], found)
        closed = False  # whether the end token that comes next has its start
        for cut, next_cut in itertools.pairwise(cuts):
            position, token = run[cut]
            content = run[cut + 1 : next_cut]
            if token in self._starts:
                modality = self._starts[token]
                closed = next_cut < len(run) and self._ends.get(run[next_cut][1]) == modality
                content = self._read_segment(modality, position, content, closed, found)
            else:
                if token in self._ends and not closed:
                    _note(found, "end_without_start", position, f"no {self._ends[token]} is open")
                closed = False
            self._read_text(content, found)
        found.problems.sort(key=lambda problem: problem.position)
        return found

    def _known(self, ids: Iterable[int], found: Parsed) -> _Run:
        row = np.asarray(ids if hasattr(ids, "__array__") else list(ids))
        if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
            raise BadInput(f"token ids are one row of integers, not {row.dtype} {row.shape}")
        known = []
        for position, token in enumerate(row.tolist()):
            if self._vocabulary.has(token):
                known.append((position, token))
            else:
                _note(found, "unknown_id", position, f"{token} is not in the vocabulary")
        return known

    def _read_segment(
        self, modality: str, start: int, content: _Run, closed: bool, found: Parsed
    ) -> _Run:
        """Adds one segment; returns the part of `content` that lies outside of it."""
        fits = self._fits(modality, content)
        if closed:
            for run in _runs(content, [not fit for fit in fits]):
                _note(found, "wrong_token", run[0][0], f"in {modality}: {self._show(run)}")
            inside = [pair for pair, fit in zip(content, fits, strict=True) if fit]
            outside = []
        else:
            _note(found, "unclosed_segment", start, f"{modality} has no end token")
            length = fits.index(False) if False in fits else len(fits)
            inside, outside = content[:length], content[length:]
        if inside:
            found.segments.append(self._build(modality, inside))
        else:
            _note(found, "empty_segment", start, f"{modality} has no content")
        return outside

    def _fits(self, modality: str, run: _Run) -> list[bool]:
        if modality == "smiles":
            special = self._vocabulary.is_special([token for _, token in run])
            return [
                not is_special and bool(_SMILES_PIECE.fullmatch(self._vocabulary.token(token)))
                for (_, token), is_special in zip(run, special, strict=True)
            ]
        family = _SEGMENT_FAMILY[modality]
        fits = [self._family.get(token) == family for _, token in run]
        if modality == "selfies":
            dots = [self._vocabulary.token(token) == "." for _, token in run]
            joins = zip(fits, dots[1:], fits[2:], strict=False)  # a symbol, a dot, a symbol
            fits[1:-1] = [fit or all(join) for fit, join in zip(fits[1:-1], joins, strict=False)]
        return fits

    def _build(self, modality: str, run: _Run) -> Segment:
        spellings = [self._vocabulary.token(token) for _, token in run]
        match modality:
            case "smiles":
                return Smiles("".join(spellings))
            case "selfies":
                return Selfies("".join(spellings))
            case "molecule_3d":
                return Molecule3D("".join(spellings))
            case "protein_sequence":
                return ProteinSequence("".join(map(families.residue_of, spellings)))
        return Protein3D(tuple(map(families.code_of, spellings)))

    def _read_text(self, run: _Run, found: Parsed) -> None:
        if not run:
            return
        for stray in _runs(run, [token in self._family for _, token in run]):
            _note(found, "stray_token", stray[0][0], f"outside a segment: {self._show(stray)}")
        pieces = [self._bytes(token) for _, token in run]
        data = b"".join(pieces)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            text = data.decode("utf-8", errors="replace")
            ends = list(itertools.accumulate(map(len, pieces)))
            position = run[bisect.bisect_right(ends, error.start)][0]
            _note(found, "invalid_utf8", position, "the bytes from here on are not UTF-8")
        found.segments.append(Text(text))

    def _bytes(self, token: int) -> bytes:
        spelling = self._vocabulary.token(token)
        if token in self._added:
            return spelling.encode("utf-8")
        return bytes(_BYTE_OF[character] for character in spelling)

    def _show(self, run: _Run) -> str:
        first = repr(self._vocabulary.token(run[0][1]))
        return first if len(run) == 1 else f"{first} and {len(run) - 1} more"


def _note(found: Parsed, kind: str, position: int, message: str) -> None:
    found.problems.append(Problem(kind, position, f"{kind} at position {position}: {message}"))


def _runs(run: _Run, chosen: list[bool]) -> list[_Run]:
    """The unbroken stretches of `run` that are chosen."""
    groups = itertools.groupby(zip(run, chosen, strict=True), key=operator.itemgetter(1))
    return [[pair for pair, _ in group] for is_chosen, group in groups if is_chosen]


def _byte_level_alphabet() -> dict[str, int]:
    """Character -> byte of byte-level BPE (GPT-2): printable Latin-1 stands for itself, the other
    68 bytes, in order, for the characters from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_level_alphabet()
