"""The table of entities: identifier -> SMILES or sequence, and the names it is known by.

A table of tab-separated columns, plain or compressed, with the header

  identifier   as annotations give it: mesh:D001120, NCBIGene:7157, CHEBI:27732
  kind         molecule or protein
  string       its SMILES, or its sequence of the letters A to Z
  names        what the dictionary matcher looks for, separated by |; may be empty

It is held in memory. One that is too large for it becomes an SQLite file of the same content, which
readers take in its place:

  python -m data_pipeline.entities.table ENTITIES.tsv.gz ENTITIES.sqlite
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import biomatrix_jax
from biomatrix_jax.errors import BadInput
from data_pipeline.entities.store import SUFFIX, Store, write
from data_pipeline.formats.lines import table

IN_THE_BOX = Path(biomatrix_jax.__file__).parent / "assets/entities/entities.tsv"
COLUMNS = ("identifier", "kind", "string", "names")
KINDS = ("molecule", "protein")

# Other spellings of a prefix, in lower case, and the one that BERN2 took over from Bioregistry.
_PREFIXES = {
    "entrezgene": "ncbigene",
    "ncbi_gene": "ncbigene",
    "ncbi gene": "ncbigene",
    "geneid": "ncbigene",
    "uniprotkb": "uniprot",
}
_NONE = {"", "-", "-1", "cui-less"}  # how BERN2 and PubTator say that they know none


class Unresolved(BadInput):
    """A mention whose identifiers lead to no entity; the message says why, without them."""


@dataclass(frozen=True)
class Entity:
    """A molecule or a protein, as its table spells it."""

    kind: str
    string: str


class EntityTable:
    """What identifiers stand for."""

    def __init__(self, store: Store):
        self._store = store
        self._find = lru_cache(1 << 16)(self._find)
        self.canonical = lru_cache(1 << 16)(self.canonical)

    def resolve(self, identifiers: Iterable[str]) -> Entity:
        """The one entity that a mention's identifiers stand for; those unknown do not matter.

        Raises:
          Unresolved: "no identifier", "unknown identifier", "identifiers of several entities", or
            what is wrong with the entity's string.
        """
        keys = [normal(one) for one in identifiers if one.strip().lower() not in _NONE]
        if not keys:
            raise Unresolved("no identifier")
        found = {self.canonical(entity) for entity in map(self._find, keys) if entity}
        if not found:
            raise Unresolved("unknown identifier")
        if len(found) > 1:
            raise Unresolved("identifiers of several entities")
        return found.pop()

    def canonical(self, entity: Entity) -> Entity:
        """The entity with RDKit's canonical isomeric SMILES, or a sequence that was checked.

        Raises:
          Unresolved: "SMILES does not parse", "no atoms", "sequence of other letters than A to Z".
        """
        if entity.kind == "molecule":
            from data_pipeline.sources.molecules import from_smiles

            try:
                return Entity(entity.kind, from_smiles(entity.string, "").smiles)
            except BadInput as error:
                raise Unresolved(str(error)) from None
        if not re.fullmatch("[A-Z]+", entity.string):
            raise Unresolved("sequence of other letters than A to Z")
        return entity

    def names(self) -> Iterator[tuple[str, Entity]]:
        """Every name with what it stands for, as the table spells it."""
        for _, value in self._store:
            kind, string, names = json.loads(value)
            entity = Entity(kind, string)
            for name in names:
                yield name, entity

    def _find(self, key: str) -> Entity | None:
        if (value := self._store.get(key)) is None:
            return None
        kind, string, _ = json.loads(value)
        return Entity(kind, string)


def normal(identifier: str) -> str:
    """One spelling for each identifier: `MESH:D001120`, `mesh:D001120` -> `mesh:D001120`."""
    prefix, colon, local = identifier.strip().partition(":")
    if not colon:
        return prefix
    prefix = prefix.strip().lower()
    return f"{_PREFIXES.get(prefix, prefix)}:{local.strip()}"


def open_table(path: str | Path | None) -> EntityTable:
    """The table at `path`, an SQLite file (.sqlite) or else text; None for the one in the box.

    Raises:
      BadInput: the file is missing or not such a table; of a text names the line.
    """
    path = Path(path or IN_THE_BOX)
    if path.suffix == SUFFIX:
        return EntityTable(Store.open(path))
    return EntityTable(Store.in_memory(entries(path)))


def entries(path: str | Path) -> Iterator[tuple[str, str]]:
    """The rows of a table of text as a store has them."""
    seen_none = True
    for where, row in table(path, COLUMNS):
        seen_none = False
        try:
            yield _entry(row)
        except BadInput as error:
            raise BadInput(f"{Path(path).parent / where}: {error}") from None
    if seen_none:
        raise BadInput(f"{path}: no entity in it")


def _entry(row: dict | BadInput) -> tuple[str, str]:
    if isinstance(row, BadInput):
        raise row
    identifier, kind, string = (row[name].strip() for name in COLUMNS[:3])
    if identifier.lower() in _NONE or not string:
        raise BadInput("an entity needs an identifier and a string")
    if kind not in KINDS:
        raise BadInput(f"kind must be {' or '.join(KINDS)}, not {kind!r}")
    names = [name.strip() for name in row["names"].split("|") if name.strip()]
    return normal(identifier), json.dumps([kind, string, names], ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="A table of entities as an SQLite file.")
    parser.add_argument("table", help="ENTITIES.tsv, plain or compressed")
    parser.add_argument("out", help=f"the file to make, ending in {SUFFIX}")
    arguments = parser.parse_args()
    write(arguments.out, entries(arguments.table))


if __name__ == "__main__":
    main()
