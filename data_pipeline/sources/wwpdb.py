"""Protein chains of wwPDB entries: PDB or mmCIF files, plain or gzipped, or those in the box."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import biomatrix_jax
from biomatrix_jax.errors import BadInput
from data_pipeline.records import ProteinRecord
from data_pipeline.sources.chains import Limits, read_chain
from data_pipeline.sources.files import open_binary, stem
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

if TYPE_CHECKING:
    from Bio.PDB.Model import Model

IN_THE_BOX = Path(biomatrix_jax.__file__).parent / "assets/proteins"
_FORMATS = {".pdb": "pdb", ".ent": "pdb", ".cif": "mmcif", ".mmcif": "mmcif"}


@dataclass(frozen=True)
class Options(Limits, Limited):
    """Which files to read (`limit` counts files), and which chains are usable."""

    def __post_init__(self):
        Limits.__post_init__(self)
        Limited.__post_init__(self)


def read(path: str | None, options: Options, tally: Tally) -> Iterator[ProteinRecord]:
    """One record per chain of each entry's first model, called `<entry>_<chain>`.

    Chains are counted, and each file that cannot be read as one. Files are read in the order of
    their names; `path` may be a single file.
    """
    for file in islice(structure_files(Path(path or IN_THE_BOX)), options.limit):
        try:
            entry, title, model = parse(file)
        except BadInput as error:
            tally.begin()
            tally.drop(str(error).removeprefix(f"{file}: "), str(file))
            continue
        for chain in model:
            tally.begin()
            identifier = f"{entry}_{chain.id.strip()}"
            try:
                sequence, backbone = read_chain(chain, options)
            except BadInput as error:
                tally.drop(str(error), identifier)
                continue
            tally.keep()
            yield ProteinRecord(identifier, chain.id.strip(), sequence, backbone, title)


def structure_files(path: Path) -> Iterator[Path]:
    """The structure files in a folder, sorted by name, or the one file.

    Raises:
      BadInput: there is none, or no such path.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in candidates if _format(file)]
    if not files:
        raise BadInput(f"{path}: no structure file (.pdb, .ent, .cif, .mmcif, each also with .gz)")
    yield from files


def parse(path: Path) -> tuple[str, str, "Model"]:
    """An entry's id, its title and its first model.

    The id is the one that the file states, in capitals, else the file's own name up to a dot.

    Raises:
      BadInput: the file is missing, damaged, or not what its name says.
    """
    from Bio.PDB.MMCIFParser import MMCIFParser
    from Bio.PDB.PDBParser import PDBParser

    with open_binary(path) as file:
        text = file.read().decode("utf-8", "replace")
    kind = _format(path)
    parser = (MMCIFParser if kind == "mmcif" else PDBParser)(QUIET=True)
    try:
        structure = parser.get_structure(stem(path), io.StringIO(text))
        model = next(iter(structure))
    except Exception:
        # Biopython meets a broken file with whatever its parser stumbles over: KeyError,
        # IndexError, ValueError, its own. None of their texts tells a user more than this.
        raise BadInput(f"{path}: not a readable {kind} file") from None
    if kind == "pdb":
        # Biopython puts titles in lower case, and finds no id in a HEADER without a date.
        entry = "".join(re.findall(r"^HEADER.{56}(\w{4})", text, re.MULTILINE)[:1])
        title = " ".join(re.findall(r"^TITLE.{5}(.{0,70})", text, re.MULTILINE))
    else:
        entry, title = structure.header["idcode"], structure.header["name"]
    return entry.upper() or stem(path), " ".join(title.split()), model


def _format(path: Path) -> str | None:
    suffixes = path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]
    return _FORMATS.get(suffixes[0].lower()) if suffixes else None
