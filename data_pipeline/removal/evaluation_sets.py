"""Evaluation sets: the molecules and proteins that a model is to be tested on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import decoded, numbered, table
from data_pipeline.removal.identity import Kind, entity_key, parses

_RESIDUES = re.compile("[A-Z]+")


@dataclass(frozen=True)
class EvaluationSet:
    """A file that says what a test set is made of.

    Attributes:
      name: in the account of what was left out.
      path: one SMILES or sequence a line (what follows a blank or tab is not read), FASTA, or with
        `column` a table: .csv with commas, others with tabs.
      kind: molecule or protein.
    """

    name: str
    path: str
    kind: Kind
    column: str = ""

    def __post_init__(self):
        if self.kind not in ("molecule", "protein"):
            raise BadInput(f"evaluation set {self.name}: kind is molecule or protein")


def evaluation_keys(evaluation: EvaluationSet) -> set[bytes]:
    """The keys of all its entities.

    Raises:
      BadInput: the file is missing, lacks the column or holds nothing of its kind.
    """
    is_one = parses if evaluation.kind == "molecule" else _RESIDUES.fullmatch
    strings = {_as_records_have_it(evaluation.kind, string) for string in _strings(evaluation)}
    # What is no molecule, a header say, is in no record either; but then all cannot be like it.
    if not any(map(is_one, strings)):
        raise BadInput(
            f"evaluation set {evaluation.name}: {evaluation.path} holds nothing that is a "
            f"{evaluation.kind}"
        )
    return {entity_key(evaluation.kind, string) for string in strings}


def _as_records_have_it(kind: Kind, string: str) -> str:
    """A sequence in capitals, without the stop that translation writes behind it."""
    return string if kind == "molecule" else string.upper().removesuffix("*")


def _strings(evaluation: EvaluationSet) -> Iterator[str]:
    path = Path(evaluation.path)
    if evaluation.column:
        separator = "," if ".csv" in path.suffixes else "\t"
        for where, row in table(path, [evaluation.column], separator):
            if isinstance(row, BadInput):  # part of a test set must not be missed
                raise BadInput(f"evaluation set {evaluation.name}, {where}: {row}")
            if string := row[evaluation.column].strip():
                yield string
        return
    lines = _lines(evaluation, path)
    first = next(lines, "")
    if first.startswith(">"):
        yield from _fasta(lines)
    else:
        yield from (line.split(None, 1)[0] for line in (first, *lines) if line.strip())


def _lines(evaluation: EvaluationSet, path: Path) -> Iterator[str]:
    for where, line in numbered(path):
        try:
            yield decoded(line).removeprefix("\ufeff")
        except BadInput as error:
            raise BadInput(f"evaluation set {evaluation.name}, {where}: {error}") from None


def _fasta(lines: Iterator[str]) -> Iterator[str]:
    """The sequences of FASTA behind its first header."""
    parts: list[str] = []
    for line in lines:
        if line.startswith(">"):
            yield "".join(parts)
            parts = []
        else:
            parts.append(line.strip())
    yield "".join(parts)
