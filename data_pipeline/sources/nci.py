"""Some 5,000 molecules of the NCI open database, which every RDKit installation carries."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem, RDConfig

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import numbered
from data_pipeline.records import MoleculeRecord
from data_pipeline.sources.conformers import NoConformer, smiles_of, with_conformers
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.molecules import NoMolecule, parse_smiles
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

IN_THE_BOX = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"


@dataclass(frozen=True)
class Options(Limited):
    """What to read of the set, and what to make of it.

    Attributes:
      max_heavy_atoms: drop larger ones.
      conformers: make a conformer for each (about 20 ms of one core); else the records have none.
      seed: of the embedding.
      workers: threads that make conformers; the result does not depend on it.
    """

    max_heavy_atoms: int | None = None
    conformers: bool = True
    seed: int = 0
    workers: int = 2

    def __post_init__(self):
        super().__post_init__()
        for name, least in (("max_heavy_atoms", 1), ("seed", 0), ("workers", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BadInput(f"{name} must be at least {least}, not {value}")
        if self.seed >= 2**31:
            raise BadInput(f"seed must be below 2147483648, as RDKit wants it, not {self.seed}")


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "nci", (".smi",)) if path else [IN_THE_BOX]


def read(file: Path, options: Options, tally: Tally) -> Iterator[MoleculeRecord]:
    """One record per line `SMILES<tab>id`; the set names no molecules."""
    found = _parse(file, options, tally)
    if options.conformers:
        made = with_conformers(found, options.seed, options.workers)
    else:
        made = ((identifier, Chem.AddHs(mol)) for identifier, mol in found)
    for identifier, result in made:
        if isinstance(result, NoConformer):
            tally.drop(result.problem, identifier)
        else:
            tally.keep()
            yield MoleculeRecord(identifier, smiles_of(result), "", result)


def _parse(file: Path, options: Options, tally: Tally) -> Iterator[tuple[str, Chem.Mol]]:
    """(id, molecule without explicit hydrogens) of every line that is one."""
    for where, line in options.first(numbered(file)):
        tally.begin()
        smiles, _, label = line.decode("ascii", "replace").partition("\t")
        identifier = f"nci:{label.strip() or where}"
        try:
            mol = parse_smiles(smiles, identifier)
        except NoMolecule as error:
            tally.drop(str(error), identifier)
            continue
        if options.max_heavy_atoms and mol.GetNumHeavyAtoms() > options.max_heavy_atoms:
            tally.drop(f"more than {options.max_heavy_atoms} heavy atoms", identifier)
        else:
            yield identifier, mol
