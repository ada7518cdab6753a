"""Typed segments: what a document is made of before it becomes tokens.

Each segment checks its content when it is made, so that whatever exists can be written down. What
depends on a vocabulary (is this SELFIES symbol in it?) is checked when it is encoded.
"""

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import families

# The index of a name is the modality number in stored rows: append, never reorder.
MODALITIES = ("text", "smiles", "selfies", "molecule_3d", "protein_sequence", "protein_3d")

_SELFIES = re.compile(rf"{families.SELFIES_SYMBOL}(?:\.?{families.SELFIES_SYMBOL})*")
_SELFIES_PARTS = re.compile(rf"{families.SELFIES_SYMBOL}|\.")
_MOLECULE = re.compile(rf"(?:{families.MOLECULE_SYMBOL})+")
_MOLECULE_PARTS = re.compile(families.MOLECULE_SYMBOL)
_NOT_SMILES = re.compile(r"[^!-~]")
_NOT_RESIDUE = re.compile(r"[^A-Z]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Segment:
    """What the six kinds share. `modality` is one of `MODALITIES`."""

    modality: ClassVar[str]

    def body(self) -> str:
        """The content as the tokenizer reads it, without control tokens."""
        raise NotImplementedError

    def wrapped(self) -> str:
        """The content between its control tokens, e.g. `<|prot_aa_start|><A M><|prot_aa_end|>`;
        for text the text itself."""
        start, end = families.WRAPPERS.get(self.modality, ("", ""))
        return start + self.body() + end


@dataclass(frozen=True)
class Text(Segment):
    """Natural language, unwrapped. May be empty."""

    text: str
    modality: ClassVar[str] = "text"

    def __post_init__(self):
        _check_text(self, self.text)
        if found := _SURROGATE.search(self.text):
            raise BadInput(
                f"Text has an unpaired surrogate at character {found.start()}: decode the source "
                "as UTF-8"
            )

    def body(self) -> str:
        return self.text


@dataclass(frozen=True)
class Smiles(Segment):
    """A molecule as SMILES: printable ASCII without spaces. Its chemistry is not checked."""

    smiles: str
    modality: ClassVar[str] = "smiles"

    def __post_init__(self):
        _check_filled(self, self.smiles)
        if found := _NOT_SMILES.search(self.smiles):
            raise BadInput(
                f"Smiles has {found.group()!r} at character {found.start()} of "
                f"{_short(self.smiles)}: SMILES is printable ASCII without spaces"
            )

    def body(self) -> str:
        return self.smiles


@dataclass(frozen=True)
class Selfies(Segment):
    """A molecule as SELFIES: `[C][=C]`, with single dots between fragments."""

    selfies: str
    modality: ClassVar[str] = "selfies"

    def __post_init__(self):
        _check_filled(self, self.selfies)
        _check_symbols(self, self.selfies, _SELFIES, "symbols such as [C], [=C], [Branch1]")

    def body(self) -> str:
        return self.selfies

    def parts(self) -> list[str]:
        """Its symbols and dots, one by one."""
        return _SELFIES_PARTS.findall(self.selfies)


@dataclass(frozen=True)
class Molecule3D(Segment):
    """A conformer as SELFIES symbols, each with its structure code: `[C 42][Branch1 -1][H 3]`.

    A symbol that places no atom has code -1.
    """

    struct_selfies: str
    modality: ClassVar[str] = "molecule_3d"

    def __post_init__(self):
        _check_filled(self, self.struct_selfies)
        _check_symbols(self, self.struct_selfies, _MOLECULE, "symbols such as [C 42], [Branch1 -1]")

    def body(self) -> str:
        return self.struct_selfies

    def parts(self) -> list[str]:
        """Its joint symbols, one by one."""
        return _MOLECULE_PARTS.findall(self.struct_selfies)


@dataclass(frozen=True)
class ProteinSequence(Segment):
    """A protein as one-letter residues, A to Z in capitals; X is an unknown residue."""

    sequence: str
    modality: ClassVar[str] = "protein_sequence"

    def __post_init__(self):
        _check_filled(self, self.sequence)
        if found := _NOT_RESIDUE.search(self.sequence):
            raise BadInput(
                f"ProteinSequence has {found.group()!r} at residue {found.start()}: residues are "
                "the capital letters A to Z (X where unknown)"
            )

    def body(self) -> str:
        return "".join(map(families.residue_token, self.sequence))


@dataclass(frozen=True)
class Protein3D(Segment):
    """A protein's backbone as structure codes, one per residue, each at least 0.

    Takes any iterable of integers, a NumPy array for example.
    """

    codes: tuple[int, ...]
    modality: ClassVar[str] = "protein_3d"

    def __post_init__(self):
        object.__setattr__(self, "codes", _integers(self.codes))
        if not self.codes:
            raise BadInput("Protein3D is empty: leave the segment out instead")
        for position, code in enumerate(self.codes):
            if code < 0:
                raise BadInput(
                    f"Protein3D has code {code} at residue {position}: an unobserved residue (-1) "
                    "has no token, so cut the chain or leave the structure out"
                )

    def body(self) -> str:
        return "".join(map(families.protein_code_token, self.codes))


def _integers(codes: Iterable[int]) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, codes))
    except TypeError:
        raise BadInput(f"Protein3D takes a sequence of integers, not {_short(codes)}") from None


def _check_text(segment: Segment, value: object) -> None:
    if not isinstance(value, str):
        raise BadInput(f"{type(segment).__name__} takes a string, not {_short(value)}")


def _check_filled(segment: Segment, value: object) -> None:
    _check_text(segment, value)
    if not value:
        raise BadInput(f"{type(segment).__name__} is empty: leave the segment out instead")


def _check_symbols(segment: Segment, value: str, pattern: re.Pattern, expected: str) -> None:
    if pattern.fullmatch(value):
        return
    match = pattern.match(value)
    position = match.end() if match else 0
    raise BadInput(
        f"{type(segment).__name__} is malformed at character {position}: "
        f"{_short(value[position:])} where only {expected} may stand"
    )


def _short(value: object) -> str:
    shown = repr(value).replace("\n", " ")
    return shown if len(shown) <= 60 else shown[:57] + "..."
