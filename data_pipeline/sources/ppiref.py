"""PPIRef: pairs of protein chains of the PDB that touch each other.

From https://github.com/anton-bushuiev/PPIRef (MIT) and https://doi.org/10.5281/zenodo.14845086,
drawn from the PDB (CC0). A pair is called `<PDB code>_<chain>_<chain>`, with more chains where
interfaces were joined. There are

- folds, `ppiref_6A_filtered_clustered_04.json` and others: {"source": ..., "folds": {name: [ids]}};
- interfaces, `ppi_6A/<middle of the code>/<id>.pdb` of an unpacked archive: of both chains those
  residues alone that lie within 6 (or 10) angstrom of the other, with all their heavy atoms.

An interface has gaps almost everywhere, and a chain of it passes no sensible limit. So the chains
come whole from the entry in the PDB, if there is a folder of those: with `structures`. Without it
interfaces are read as they are, where `max_missing` and `max_missing_run` are set to allow it.
"""

import glob
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from biomatrix_jax.errors import BadInput, some
from biomatrix_jax.reading import open_binary
from biomatrix_jax.structure.protein.chains import Limits
from biomatrix_jax.structure.protein.files import name_of
from data_pipeline.records import InteractionRecord, ProteinRecord
from data_pipeline.sources.complexes import chains, existing
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.interactions import each
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

# How files of an entry are called, in one folder or in folders by the middle of its code, each also
# with .gz: as an interface, as downloaded one by one, and as in the PDB's archive.
NAMES = (
    "{pair}.pdb",
    "{code}.cif",
    "{code}.bcif",
    "{code}.pdb",
    "pdb{code}.ent",
    "{CODE}.cif",
    "{CODE}.pdb",
)

_PAIR = re.compile(r"(?P<code>[^_/\\]+)(?P<chains>(_[^_/\\]+){2,})")


@dataclass(frozen=True)
class Options(Limits, Limited):
    """Where structures are, which pairs to read, and which chains are usable.

    Attributes:
      structures: a folder of PDB or mmCIF files, plain or laid out as the PDB's archive or PPIRef's
        own; must be given for folds.
      fold: the one to read of a file of folds; must be given where there are several.
    """

    structures: str | None = None
    fold: str | None = None

    beside: ClassVar[tuple[str, ...]] = ("structures",)

    def __post_init__(self):
        Limits.__post_init__(self)
        Limited.__post_init__(self)


def inputs(path: str | None, options: Options) -> list[Path]:
    """A file of folds, or the interfaces in a folder and in the folders in it."""
    if path and Path(path).is_dir():
        return corpus_files(str(Path(glob.escape(path)) / "**" / "*"), "ppiref", (".pdb",))
    return corpus_files(path, "ppiref", (".json", ".pdb"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[InteractionRecord]:
    """One record per pair whose chains are all usable; a file of folds has many, an interface one.

    A file of folds is in memory as a whole; with all 800,000 pairs that is some 60 MB.
    """
    if file.suffix == ".json":
        if not options.structures:
            raise BadInput(f"{file}: has only ids: give structures, a folder of entries of the PDB")
        pairs = _fold(file, options.fold)
    else:
        pairs = [name_of(file)]
    whole = lru_cache(1)(lambda path: chains(path, options))  # of an entry with several pairs

    def build(pair: re.Match, identifier: str) -> tuple[InteractionRecord, list[str]]:
        where = file
        if options.structures:
            where = existing(_files(Path(options.structures), pair), "the entry")
        return InteractionRecord(identifier, tuple(_partners(pair, whole(where)))), []

    return each(_parsed(pairs), options, tally, lambda pair: pair[0], build)


def _fold(file: Path, name: str | None) -> list[str]:
    with open_binary(file) as content:
        try:
            folds = json.load(content)["folds"]
            named = {fold: pairs for fold, pairs in folds.items() if isinstance(pairs, list)}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise BadInput(f'{file}: not JSON of the form {{"folds": {{name: [ids]}}}}') from None
    if name is None and len(named) == 1:
        [name] = named
    if name not in named:
        given = f"no fold {name!r}" if name else "several folds"
        raise BadInput(f"{file}: {given}: set fold to one of {some(list(named))}")
    return named[name]


def _parsed(pairs: Iterable[str]) -> Iterator[tuple[str, re.Match | BadInput]]:
    for pair in pairs:
        found = _PAIR.fullmatch(str(pair))
        yield str(pair), found or BadInput("not called as a code and two chains")


def _files(structures: Path, pair: re.Match) -> Iterator[Path]:
    code = pair["code"]
    names = [name.format(pair=pair[0], code=code, CODE=code.upper()) for name in NAMES]
    for folder in (structures, structures / code[1:3]):
        for name in names:
            yield folder / name
            yield folder / f"{name}.gz"


def _partners(
    pair: re.Match, found: Mapping[str, ProteinRecord | BadInput]
) -> Iterator[ProteinRecord]:
    for name in pair["chains"][1:].split("_"):
        chain = found.get(name, BadInput("a chain is not in the entry, or no protein"))
        if isinstance(chain, BadInput):
            raise chain
        yield chain
