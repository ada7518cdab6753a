"""The instances of records, kind by kind."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens.segments import ProteinSequence, Segment, Smiles, Text
from data_pipeline.composition.draw import Draw
from data_pipeline.composition.facts import Facts, given_facts, labelled, molecule_facts
from data_pipeline.composition.settings import Composition
from data_pipeline.composition.views import (
    LABELS,
    NO_TOKENIZERS,
    Instance,
    Structures,
    StructureTokenizers,
    Views,
    selfies_of,
    views_of,
)
from data_pipeline.records import (
    InteractionRecord,
    InterleavedRecord,
    Mention,
    MoleculeRecord,
    ProteinRecord,
    Record,
    TextRecord,
)
from data_pipeline.sources.tally import Tally

CHUNK = 256  # records whose structures are encoded together

Line = Sequence[str | Segment]


class BeyondVocabulary(BadInput):
    """A view whose tokens the vocabulary lacks, where a record may not go on without."""


def compose(
    records: Iterable[Record],
    composition: Composition,
    seed: int,
    tally: Tally,
    *,
    tokenizers: StructureTokenizers = NO_TOKENIZERS,
    spells: Callable[[Segment], bool] = lambda segment: True,
    fields: set[str] | None = None,
) -> Iterator[Instance]:
    """The instances of each record, in the records' order.

    Args:
      tally: counts records as kept (with at least one instance) or dropped, and as lost each view
        that a record has not, for instance the 3D view of a salt.
      spells: whether a vocabulary has all tokens of a view.
      fields: gets the label of each field that a composite could have had, whether drawn or not.
    """
    records = iter(records)
    fields = set() if fields is None else fields
    while chunk := list(islice(records, CHUNK)):
        structures = tokenizers.structures(chunk, tally)
        for record in chunk:
            tally.begin()
            composer = _Composer(record, composition, seed, structures, tally, spells, fields)
            try:
                instances = composer.instances()
            except BeyondVocabulary as error:
                tally.drop(str(error), record.id)
                continue
            except BadInput as error:
                tally.drop("no segment can hold it", f"{record.id}: {error}")
                continue
            if instances:
                tally.keep()
            else:
                tally.drop("nothing of it was drawn", record.id)
            yield from instances


class _Composer:
    """Composes one record."""

    def __init__(
        self,
        record: Record,
        composition: Composition,
        seed: int,
        structures: Structures,
        tally: Tally,
        spells: Callable[[Segment], bool],
        fields: set[str],
    ):
        self.record, self.composition, self.structures = record, composition, structures
        self.tally, self.spells, self.fields = tally, spells, fields
        self.seed, self.draw = seed, Draw(record.id, seed)

    def instances(self) -> list[Instance]:
        record = self.record
        if isinstance(record, TextRecord):
            return [[Text(record.text)]]
        if isinstance(record, InterleavedRecord):
            return [self.interleaved(record)]
        if isinstance(record, InteractionRecord):
            return self.interaction(record)
        if isinstance(record, MoleculeRecord):
            return self.molecule(record)
        return self.protein(record)

    def molecule(self, record: MoleculeRecord) -> list[Instance]:
        views = self.views(record, self.draw)
        facts = molecule_facts(record.mol) | given_facts(record.texts, record.properties)
        if record.name:
            facts["name"] = labelled("Name", record.name, "name")
        return [*self.alone(views), *self.composite(views, facts)]

    def protein(self, record: ProteinRecord) -> list[Instance]:
        views = self.views(record, self.draw)
        facts = given_facts(record.texts, record.properties)
        if record.title:
            facts["title"] = labelled("Title", record.title, "title")
        instances = self.alone(views)
        if len(views) == 2 and self.wants("protein_pair"):
            instances.append([views[name] for name in self.draw.order(views)])
        # Without facts it would say no more than the pair.
        return [*instances, *(self.composite(views, facts) if facts else [])]

    def interaction(self, record: InteractionRecord) -> list[Instance]:
        """One instance: each partner by one view at least, and what is known of them together."""
        if not self.wants("composite"):
            return []
        lines: dict[str, Line] = {}
        for label, partner in zip(numbered(record.partners), record.partners, strict=True):
            lines |= self.partner(label, partner)
        facts = given_facts(record.texts, record.properties)
        lines |= {name: [facts[name].line()] for name in self.wanted(facts, self.draw)}
        return [joined([lines[name] for name in self.draw.order(lines)])]

    def partner(self, label: str, partner: MoleculeRecord | ProteinRecord) -> dict[str, Line]:
        """The lines of one partner of an interaction, by names of their own."""
        draw = Draw(f"{self.record.id}\0{label}", self.seed)
        views = self.views(partner, draw)
        chosen = [name for name in views if draw.happens(name, self.probability(name, name))]
        lines: dict[str, Line] = {
            f"{label} {name}": [f"{label}, {LABELS[name]}: ", views[name]]
            for name in chosen or draw.order(views)[:1]
        }
        facts = given_facts(partner.texts, partner.properties)
        if name := partner.name if isinstance(partner, MoleculeRecord) else partner.title:
            facts["Name"] = labelled("Name", name, "name")
        for name in self.wanted(facts, draw):
            lines[f"{label} {name}"] = [f"{label}, {facts[name].line()}"]
        return lines

    def interleaved(self, record: InterleavedRecord) -> Instance:
        """The text with what it mentions spelled out behind each mention."""
        segments: Instance = []
        written = 0
        for number, mention in enumerate(record.mentions):
            if not self.draw.happens(f"mention {number}", self.composition.mention):
                continue
            view = self.mentioned(mention, number)
            if view is None:
                continue
            segments += [Text(record.text[written : mention.end] + " "), view]
            written = mention.end
        rest = record.text[written:]
        return [*segments, Text(rest)] if rest or not segments else segments

    def mentioned(self, mention: Mention, number: int) -> Segment | None:
        if mention.kind == "protein":
            view: Segment | None = ProteinSequence(mention.string)
        elif self.draw.happens(f"mention {number} selfies", self.composition.mention_selfies):
            view = selfies_of(mention.string, self.record.id, self.tally) or Smiles(mention.string)
        else:
            view = Smiles(mention.string)
        return next(iter(self.spelled({view.modality: view}).values()), None)

    def views(self, thing: MoleculeRecord | ProteinRecord, draw: Draw) -> Views:
        found = views_of(thing, self.structures, draw, self.composition, self.tally)
        if not (kept := self.spelled(found)):
            raise BeyondVocabulary("no view that the vocabulary can spell")
        return kept

    def spelled(self, views: Views) -> Views:
        """Those views that the vocabulary has all tokens of; the others are counted as lost."""
        kept = {name: view for name, view in views.items() if self.spells(view)}
        for name in views:
            if name not in kept:
                reason = f"{LABELS[name]}: beyond the vocabulary"
                if self.composition.beyond_vocabulary == "record":
                    raise BeyondVocabulary(reason)
                self.tally.lose(reason, self.record.id)
        return kept

    def alone(self, views: Views) -> list[Instance]:
        return [[view] for name, view in views.items() if self.wants(f"{name}_alone")]

    def composite(self, views: Views, facts: Facts) -> list[Instance]:
        """One instance with a line per field drawn, or none where that leaves no view or one
        field."""
        chosen = {name for name in views if self.wants(name)}
        if not self.wants("composite") or not chosen:
            return []
        chosen |= set(self.wanted(facts, self.draw))
        if len(chosen) < 2:
            return []
        lines = [
            [f"{LABELS[name]}: ", views[name]] if name in views else [facts[name].line()]
            for name in self.draw.order(chosen)
        ]
        return [joined(lines)]

    def wanted(self, facts: Facts, draw: Draw) -> list[str]:
        """The facts that are drawn."""
        return [
            name
            for name, fact in facts.items()
            if draw.happens(name, self.probability(name, fact.probability))
        ]

    def wants(self, name: str) -> bool:
        """Whether what a setting of that name is about is drawn."""
        return self.draw.happens(name, getattr(self.composition, name))

    def probability(self, label: str, setting: str) -> float:
        self.fields.add(label)
        given = self.composition.fields
        return given[label] if label in given else getattr(self.composition, setting)


def numbered(partners: Sequence[MoleculeRecord | ProteinRecord]) -> list[str]:
    """`Molecule`, `Protein`; with numbers where there are several of a kind."""
    kinds = ["Molecule" if isinstance(p, MoleculeRecord) else "Protein" for p in partners]
    return [
        kind if kinds.count(kind) == 1 else f"{kind} {1 + kinds[:place].count(kind)}"
        for place, kind in enumerate(kinds)
    ]


def joined(lines: Sequence[Line]) -> Instance:
    """Lines of text and segments as segments, neighbouring texts as one."""
    segments: Instance = []
    text = ""
    for number, line in enumerate(lines):
        text += "\n" if number else ""
        for part in line:
            if isinstance(part, str):
                text += part
                continue
            if text:
                segments.append(Text(text))
            segments.append(part)
            text = ""
    return [*segments, Text(text)] if text else segments
