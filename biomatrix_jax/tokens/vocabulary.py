"""The unified vocabulary: typed segments to token ids, and back.

Every id is looked up by its spelling in the tokenizer's own files. A segment of SELFIES, residues
or structure codes becomes ids through a table; only text and SMILES go through the tokenizer. The
result is what the tokenizer itself gives for the segments' wrapped text, joined.

Added tokens match anywhere in a string, and that has three consequences, all chosen so that this
equality holds and that no content can pass for structure:

- A control token or another special token (`<|im_end|>`) spelled inside `Text` or `Smiles` would
  open or close something. It is refused, unless the caller says `allow_special=True` for text that
  is meant to have them, such as a chat template or a prompt with wrapped segments in it.
- A SMILES atom that is spelled like a SELFIES token, `[C@@]` or `[Si]` say, becomes that token
  where the vocabulary has it, as in the published models' own tokenizer. Decoding spells it again.
- So does text that spells a token of another family, `[C]` or `<A M>`. It decodes to the same
  text; `parse` remarks on it, since in generated text it may be a segment without its start.

One case has no answer in the tokenizer: where family tokens are matched after Unicode
normalisation (`normalized: true`), text after a segment that begins with U+0338 melts into the `>`
before it. Here a control token stays whole.
"""

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import families, inventory, parsing, tokenizer_files
from biomatrix_jax.tokens.segments import (
    MODALITIES,
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Segment,
    Selfies,
    Smiles,
    Text,
)


class Vocabulary:
    """A tokenizer together with the token families found in it.

    Attributes:
      path: the directory it was read from.
      size: largest id + 1. A model's embedding may have more rows.
      eos_ids: the ids that end a document; `eos_id`, the first of them, is what training appends.
      pad_id: the id that fills up rows.
      families: family name -> its ids [n] int32: control tokens in the order of
        `families.CONTROL_TOKENS`, residues A to Z, protein codes from 0, the others by id. Families
        that the tokenizer lacks are absent.
    """

    def __init__(self, path: Path, tokenizer, eos_ids: tuple[int, ...], pad_id: int):
        self.path = path
        self.eos_ids = eos_ids
        self.eos_id = eos_ids[0]
        self.pad_id = pad_id
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self.size = max([*added, *tokenizer.get_vocab(with_added_tokens=False).values()]) + 1
        members = inventory.find_families(path, added)
        self.families = {name: np.array([*ids.values()], np.int32) for name, ids in members.items()}
        # SELFIES joins fragments with a dot, which is a plain piece of text.
        self._symbols = {".": self.id("."), **members.get(families.SELFIES, {})}
        self._joint = members.get(families.MOLECULE_TOKENS, {})
        self._residues = np.zeros(128, np.int32)  # by ASCII code of the letter
        for spelling, token_id in members.get(families.RESIDUES, {}).items():
            self._residues[ord(families.residue_of(spelling))] = token_id
        self._special = np.zeros(self.size, bool)
        self._special[inventory.find_special(added)] = True

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike) -> "Vocabulary":
        """Reads a directory with tokenizer.json, and what lies beside it.

        Raises:
          BadInput: no or a damaged tokenizer; a family with missing members; no end token.
        """
        path = Path(path)
        tokenizer = tokenizer_files.load_tokenizer(path)
        config = tokenizer_files.read_config(path)
        tokenizer_files.check_agreement(path, config, tokenizer)
        return cls(path, tokenizer, *tokenizer_files.read_end_ids(path, config, tokenizer))

    def save(self, directory: str | os.PathLike) -> list[str]:
        """Copies the tokenizer's files byte for byte into `directory`, which exists.

        Returns:
          Their paths below it.
        """
        return tokenizer_files.copy_files(self.path, directory)

    def __contains__(self, spelling: str) -> bool:
        """Whether there is a token of exactly this spelling."""
        return self._tokenizer.token_to_id(spelling) is not None

    def token(self, token_id: int) -> str:
        """The spelling of an id, in the byte-level alphabet where it is a piece of text."""
        if not self.has(int(token_id)):
            raise BadInput(f"token id {token_id} is not in {self.path} (size {self.size})")
        return self._tokenizer.id_to_token(int(token_id))

    def id(self, spelling: str) -> int:
        """The id of a token by its exact spelling."""
        if spelling not in self:
            raise BadInput(f"{self.path} has no token {spelling!r}")
        return self._tokenizer.token_to_id(spelling)

    def tokens_of(self, family: str) -> np.ndarray:
        """The ids [n] int32 of a family of `families.FAMILIES`; empty where it is absent."""
        if family not in families.FAMILIES:
            raise BadInput(f"no token family {family!r}: there are {', '.join(families.FAMILIES)}")
        return self.families.get(family, np.zeros(0, np.int32))

    def start_id(self, modality: str) -> int:
        """The control token before a segment of this modality (one of the five wrapped ones)."""
        return self._control(modality, 0)

    def end_id(self, modality: str) -> int:
        """The control token after a segment of this modality (one of the five wrapped ones)."""
        return self._control(modality, 1)

    def encode(self, segments: Iterable[Segment], *, allow_special: bool = False) -> np.ndarray:
        """The ids [n] int32 of a document. No end-of-document token is appended.

        Raises:
          BadInput: a symbol or code that has no token here, or, without `allow_special`, text
            that spells a control or special token.
        """
        return self.encode_with_modality(segments, allow_special=allow_special)[0]

    def encode_with_modality(
        self, segments: Iterable[Segment], *, allow_special: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `encode`, with each token's modality [n] uint8, an index into `MODALITIES`.

        Control tokens have the modality of their segment.
        """
        pieces: list[np.ndarray] = []
        modalities: list[int] = []
        for segment in _merge_texts(segments):
            pieces.append(self._encode_one(segment, allow_special))
            modalities.append(MODALITIES.index(segment.modality))
        if not pieces:
            return np.zeros(0, np.int32), np.zeros(0, np.uint8)
        ids = np.concatenate(pieces).astype(np.int32)
        return ids, np.repeat(np.array(modalities, np.uint8), [len(piece) for piece in pieces])

    def has(self, token_id: int) -> bool:
        """Whether there is a token of this id."""
        return tokenizer_files.is_token_id(self._tokenizer, token_id)

    def is_special(self, ids: Sequence[int]) -> np.ndarray:
        """Which of these ids [n] open, close or steer something: the ten control tokens and the
        base tokenizer's special ones. [n] bool."""
        return self._special[np.asarray(ids, np.int64)]

    def parse(self, ids: Iterable[int]) -> parsing.Parsed:
        """Reads ids [n] back: the segments that are there, and what was wrong, by position."""
        return self._parser.parse(ids)

    def decode(self, ids: Iterable[int]) -> list[Segment]:
        """The segments of `parse`, for a caller whom problems do not concern."""
        return self._parser.parse(ids).segments

    @functools.cached_property
    def _parser(self) -> parsing.Parser:
        return parsing.Parser(self, frozenset(self._tokenizer.get_added_tokens_decoder()))

    def _control(self, modality: str, side: int) -> int:
        if modality not in families.WRAPPERS:
            known = ", ".join(families.WRAPPERS)
            raise BadInput(f"{modality!r} segments have no control tokens: only {known} have")
        return self.id(families.WRAPPERS[modality][side])

    def _encode_one(self, segment: Segment, allow_special: bool) -> np.ndarray:
        match segment:
            case Text():
                return self._encode_text(segment, allow_special)
            case Smiles():
                body = self._encode_text(segment, allow_special=False)
            case Selfies():
                body = self._look_up(segment, self._symbols)
            case Molecule3D():
                body = self._look_up(segment, self._joint)
            case ProteinSequence():
                self._require(families.RESIDUES)
                body = self._residues[np.frombuffer(segment.sequence.encode("ascii"), np.uint8)]
            case Protein3D():
                body = self._encode_codes(segment)
            case _:
                raise BadInput(f"{segment!r} is not a segment: use Text, ProteinSequence, ...")
        start, end = self.start_id(segment.modality), self.end_id(segment.modality)
        return np.concatenate([[start], body, [end]])

    def _encode_text(self, segment: Text | Smiles, allow_special: bool) -> np.ndarray:
        ids = np.array(
            self._tokenizer.encode(segment.body(), add_special_tokens=False).ids, np.int64
        )
        special = self.is_special(ids)
        if not allow_special and special.any():
            spelling = self.token(ids[special][0])
            raise BadInput(
                f"{type(segment).__name__} contains the special token {spelling!r}, which would "
                "act as one: take it out, or pass allow_special=True where a text is meant to"
            )
        return ids

    def _encode_codes(self, segment: Protein3D) -> np.ndarray:
        self._require(families.PROTEIN_CODES)
        table = self.families[families.PROTEIN_CODES]
        if max(segment.codes) >= len(table):
            raise BadInput(
                f"Protein3D has code {max(segment.codes)}, {self.path} has codes 0 to "
                f"{len(table) - 1}: the codes come from another structure tokenizer"
            )
        return table[list(segment.codes)]

    def _look_up(self, segment: Selfies | Molecule3D, table: dict[str, int]) -> list[int]:
        try:
            return [table[part] for part in segment.parts()]
        except KeyError as error:
            raise BadInput(
                f"{type(segment).__name__} has {error.args[0]!r}, which is not in the vocabulary "
                f"{self.path}: leave the molecule out or extend the vocabulary"
            ) from None

    def _require(self, family: str) -> None:
        if family not in self.families:
            raise BadInput(f"{self.path} has no tokens of the family {family!r}: extend it first")


def _merge_texts(segments: Iterable[Segment]) -> Iterator[Segment]:
    # Adjacent texts are one text to the tokenizer: pieces of words may merge across them.
    for kind, group in itertools.groupby(segments, type):
        if kind is Text:
            yield Text("".join(text.text for text in group))
        else:
            yield from group
