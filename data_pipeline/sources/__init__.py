"""Readers: one small module per corpus, each turning its own format into typed records.

A reader module has

  Options                          a frozen dataclass of what a recipe may set, a `Limited`
  inputs(path, options)            the files that hold the corpus, in order; `path` None means the
                                   data in the box
  read(file, options, tally)       a generator of the records of one of them

so that files can be read apart from each other, in any process, and an interrupted pass goes on
with the first file that is not done. A reader counts every entry it finds in `tally`: records in =
records out + dropped by reason. Damage that leaves the rest of a file unread (a truncated gzip)
raises BadInput instead of being counted.
"""

import difflib
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from biomatrix_jax.errors import BadInput
from data_pipeline.records import Record
from data_pipeline.sources.tally import Tally

READERS = (
    "afdb",
    "alphaseq",
    "bindingdb",
    "biorxiv",
    "crossdocked",
    "finefineweb",
    "fineweb",
    "interleaved",
    "jglaser",
    "moltextnet",
    "nci",
    "pcqm4mv2",
    "pdbbind",
    "pmc",
    "ppiref",
    "pubchem",
    "pubchemqc",
    "pubmed",
    "qm9",
    "s2orc",
    "sdf",
    "stitch",
    "text",
    "uniprot",
    "uniref",
    "uspto",
    "wwpdb",
    "zinc20",
)


def reader(name: str) -> ModuleType:
    """The module of the reader that recipes call `name`; its imports happen now."""
    if name not in READERS:
        near = difflib.get_close_matches(name, READERS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(READERS)}"
        raise BadInput(f"no reader is called {name!r}: {hint}")
    return importlib.import_module(f"{__name__}.{name}")


def input_files(name: str, path: str | None, options: Any) -> list[Path]:
    """The files that hold a corpus, in order.

    Args:
      name: one of READERS.
      path: a file, a folder or a pattern, None for the data in the box (few readers have some).
      options: an instance of the reader's `Options`.

    Raises:
      BadInput: the path is missing, or nothing of the corpus is there.
    """
    return reader(name).inputs(path, options)


def read_files(name: str, files: Iterable[Path], options: Any, tally: Tally) -> Iterator[Record]:
    """The records of some files of a corpus, one file after the other.

    Args:
      options: as for `input_files`; its `limit` is of all the files together.
      tally: counts what is found, kept and dropped while the records are drawn.

    Raises:
      BadInput: a file is missing or damaged.
    """
    module = reader(name)
    before = tally.records_in
    for file in files:
        limit = options.limit and options.limit - (tally.records_in - before)
        if limit == 0:
            break
        yield from module.read(file, replace(options, limit=limit), tally)
        assert tally.balanced, f"the reader {name} lost count in {file}: {tally}"


def read(name: str, path: str | None, options: Any, tally: Tally) -> Iterator[Record]:
    """The records of a corpus, `read_files` of its `input_files`.

    Args:
      options: None takes the defaults.

    Raises:
      BadInput: as they do, and where there is no usable record at all.
    """
    options = reader(name).Options() if options is None else options
    yield from read_files(name, input_files(name, path, options), options, tally)
    if not tally.records_out:
        raise BadInput(f"{path or name}: no usable record ({tally})")
