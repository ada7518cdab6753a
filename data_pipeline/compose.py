"""Records -> instances: lists of typed segments, each of which becomes one document.

Stochastic composition: a record gives an instance per view that stands alone (a SMILES, a SELFIES,
a conformer, a sequence), so that a start token by itself suffices to ask for one, and a composite
in which each field appears with its probability, in an order of its own. What is drawn is a pure
function of the record's id and the seed: not of the other records, nor of their order.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens.segments import (
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Segment,
    Selfies,
    Smiles,
    Text,
)
from data_pipeline import properties
from data_pipeline.records import MoleculeRecord, ProteinRecord, Record, TextRecord
from data_pipeline.sources.tally import Tally

if TYPE_CHECKING:
    from biomatrix_jax.structure.molecule import MoleculeTokenizer

Instance = list[Segment]
Views = dict[str, Segment]  # by the names of `_VIEWS`
CHUNK = 256  # records whose molecules are encoded together


class ProteinTokenizer(Protocol):
    """float32 [L, 4, 3] angstrom and its sequence -> int32 [L] codes, -1 where unobserved."""

    def encode(self, backbone: np.ndarray, sequence: str) -> np.ndarray: ...


@dataclass(frozen=True)
class Composition:
    """Probabilities: of each kind of instance, then of each field within a composite one.

    The published ones are not known. A view whose tokenizer is missing is never made.
    """

    smiles_alone: float = 1.0
    selfies_alone: float = 1.0
    molecule_3d_alone: float = 1.0
    protein_sequence_alone: float = 1.0
    protein_3d_alone: float = 1.0
    protein_pair: float = 1.0  # sequence and structure, in random order
    composite: float = 1.0

    smiles: float = 0.8
    selfies: float = 0.8
    molecule_3d: float = 0.8
    protein_sequence: float = 0.8
    protein_3d: float = 0.8
    name: float = 0.8
    title: float = 0.8
    formula: float = 0.5
    molecular_weight: float = 0.5
    logp: float = 0.5
    tpsa: float = 0.5
    h_bond_donors: float = 0.5
    h_bond_acceptors: float = 0.5

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value <= 1:
                raise BadInput(f"the probability of {name} must be from 0 to 1, not {value}")


_FIELDS = [field.name for field in dataclasses.fields(Composition)]
_VIEWS = {
    "smiles": "SMILES: ",
    "selfies": "SELFIES: ",
    "molecule_3d": "Conformer: ",
    "protein_sequence": "Sequence: ",
    "protein_3d": "Structure: ",
}


def compose(
    records: Iterable[Record],
    composition: Composition,
    seed: int,
    tally: Tally,
    *,
    molecule_tokenizer: "MoleculeTokenizer | None" = None,
    protein_tokenizer: ProteinTokenizer | None = None,
    spells: Callable[[Segment], bool] = lambda segment: True,
) -> Iterator[Instance]:
    """The instances of each record, in the records' order.

    Args:
      tally: counts records as kept (with at least one instance) or dropped, and as lost each view
        that a record has not, for instance the 3D view of a salt.
      molecule_tokenizer, protein_tokenizer: without them there are no 3D views.
      spells: whether a vocabulary has all tokens of a view. One that it lacks is lost alone: its
        record goes on without it.
    """
    records = iter(records)
    while chunk := list(islice(records, CHUNK)):
        conformers = _conformers(chunk, molecule_tokenizer, tally)
        for record, conformer in zip(chunk, conformers, strict=True):
            tally.begin()
            try:
                if isinstance(record, TextRecord):
                    instances = [[Text(record.text)]]
                elif isinstance(record, MoleculeRecord):
                    views = _spelled(
                        _molecule_views(record, conformer, tally), record, spells, tally
                    )
                    instances = _molecule(record, views, _Draw(record.id, seed, composition))
                else:
                    views = _protein_views(record, protein_tokenizer, tally)
                    views = _spelled(views, record, spells, tally)
                    instances = _protein(record, views, _Draw(record.id, seed, composition))
            except BadInput as error:
                tally.drop("no segment can hold it", f"{record.id}: {error}")
                continue
            if instances:
                tally.keep()
            else:
                tally.drop("nothing of it was drawn", record.id)
            yield from instances


def generator_for(record_id: str, seed: int) -> np.random.Generator:
    """The random numbers of one record, from its id and the seed alone."""
    digest = hashlib.blake2b(f"{seed}\0{record_id}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


class _Draw:
    """What one record draws. Every field has its draw, present or not, so that a field that a
    record lacks (no tokenizer, no name) changes nothing about the others."""

    def __init__(self, record_id: str, seed: int, composition: Composition):
        random = generator_for(record_id, seed)
        draws = random.random(len(_FIELDS))
        self._wanted = {
            name: draw < getattr(composition, name)
            for name, draw in zip(_FIELDS, draws, strict=True)
        }
        self._rank = dict(zip(_FIELDS, random.permutation(len(_FIELDS)).tolist(), strict=True))

    def wants(self, name: str) -> bool:
        return self._wanted[name]

    def order(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=self._rank.__getitem__)


def _molecule_views(record: MoleculeRecord, conformer: Segment | None, tally: Tally) -> Views:
    views: Views = {"smiles": Smiles(record.smiles)}
    if selfies := _selfies(record, tally):
        views["selfies"] = selfies
    if conformer:
        views["molecule_3d"] = conformer
    return views


def _protein_views(
    record: ProteinRecord, tokenizer: ProteinTokenizer | None, tally: Tally
) -> Views:
    views: Views = {"protein_sequence": ProteinSequence(record.sequence)}
    if tokenizer and (structure := _structure(record, tokenizer, tally)):
        views["protein_3d"] = structure
    return views


def _spelled(
    views: Views, record: Record, spells: Callable[[Segment], bool], tally: Tally
) -> Views:
    """Those views that the vocabulary has all tokens of; the others are counted as lost."""
    kept = {name: view for name, view in views.items() if spells(view)}
    for name in views.keys() - kept.keys():
        tally.lose(f"{_VIEWS[name]}beyond the vocabulary", record.id)
    return kept


def _molecule(record: MoleculeRecord, views: Views, draw: "_Draw") -> list[Instance]:
    facts = properties.molecule_facts(record.mol)
    if record.name:
        facts["name"] = lambda: f"Name: {record.name}"
    return [*_alone(views, draw), *_composite(views, facts, draw)]


def _protein(record: ProteinRecord, views: Views, draw: "_Draw") -> list[Instance]:
    instances = _alone(views, draw)
    if len(views) == 2 and draw.wants("protein_pair"):
        instances.append([views[name] for name in draw.order(views)])
    if record.title:
        instances += _composite(views, {"title": lambda: f"Title: {record.title}"}, draw)
    return instances


def _alone(views: Views, draw: _Draw) -> list[Instance]:
    return [[view] for name, view in views.items() if draw.wants(f"{name}_alone")]


def _composite(views: Views, facts: dict[str, Callable[[], str]], draw: _Draw) -> list[Instance]:
    """One instance with a line per field drawn, or none where that leaves no view or one field."""
    chosen = [name for name in draw.order([*views, *facts]) if draw.wants(name)]
    if not draw.wants("composite") or len(chosen) < 2 or not views.keys() & set(chosen):
        return []
    segments: Instance = []
    text = ""
    for position, name in enumerate(chosen):
        text += "\n" if position else ""
        if name in views:
            segments += [Text(text + _VIEWS[name]), views[name]]
            text = ""
        else:
            text += facts[name]()
    return [[*segments, Text(text)] if text else segments]


def _conformers(
    records: Sequence[Record], tokenizer: "MoleculeTokenizer | None", tally: Tally
) -> list[Molecule3D | None]:
    """The 3D view of every molecule that has one, encoded in one batch."""
    conformers: list[Molecule3D | None] = [None] * len(records)
    molecules = [i for i, record in enumerate(records) if isinstance(record, MoleculeRecord)]
    if not tokenizer or not molecules:
        return conformers
    encodings = tokenizer.encode_batch([records[i].mol for i in molecules])
    for i, encoding in zip(molecules, encodings, strict=True):
        if isinstance(encoding, BadInput):
            tally.lose(f"3D view: {type(encoding).__name__}", records[i].id)
        else:
            conformers[i] = Molecule3D(encoding.struct_selfies)
    return conformers


def _selfies(record: MoleculeRecord, tally: Tally) -> Selfies | None:
    import selfies

    try:
        return Selfies(selfies.encoder(record.smiles))
    except selfies.EncoderError:
        tally.lose("SELFIES: beyond its valence rules", record.id)
        return None


def _structure(
    record: ProteinRecord, tokenizer: ProteinTokenizer, tally: Tally
) -> Protein3D | None:
    try:
        codes = tokenizer.encode(record.backbone, record.sequence)
        # An unobserved residue has no code: the structure is that of the residues observed.
        return Protein3D(codes[codes >= 0])
    except BadInput as error:
        tally.lose(f"3D view: {type(error).__name__}", record.id)
        return None
