"""QM9: small molecules with the geometries and properties that DFT gives them.

Ramakrishnan et al., Scientific Data 1:140022 (2014), B3LYP/6-31G(2df,p), CC0. Two distributions:

  the PyPI package qm9pack           130,831 molecules in tables; the 3,054 whose geometry had left
                                     their SMILES are gone. See `data_pipeline.assets.qm9pack`.
  gdb9.sdf with gdb9.sdf.csv         all 133,885, as MoleculeNet packs them (gdb9.tar.gz of
                                     DeepChem); row after row they are the same molecules, called
                                     `gdb_1` in both.

Energies are in hartree, as published, those of atomization in kcal/mol.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from rdkit import Chem, rdBase

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import COMPRESSED
from data_pipeline.assets import qm9pack
from data_pipeline.formats.lines import table
from data_pipeline.formats.sdf import SdfEntry, sdf_entries
from data_pipeline.records import MoleculeRecord
from data_pipeline.sources.columns import Column, numbers
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.molecules import from_conformer, parse_molfile
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

WHEEL = ".whl"  # the suffix of the package

# What gdb9.sdf.csv calls it, what qm9pack does, and what it is.
QUANTITIES = (
    ("A", "RotA_GHz", "Rotational constant A", "GHz"),
    ("B", "RotB_GHz", "Rotational constant B", "GHz"),
    ("C", "RotC_GHz", "Rotational constant C", "GHz"),
    ("mu", "Dipole_debye", "Dipole moment", "D"),
    ("alpha", "Polarizability_bohr3", "Isotropic polarizability", "bohr³"),
    ("homo", "HOMO_au", "HOMO energy", "hartree"),
    ("lumo", "LUMO_au", "LUMO energy", "hartree"),
    ("gap", "HOMO_LUMO_gap_au", "HOMO-LUMO gap", "hartree"),
    ("r2", "R2_bohr2", "Electronic spatial extent", "bohr²"),
    ("zpve", "ZPVE_au", "Zero-point vibrational energy", "hartree"),
    ("u0", "InternalEnergy_0K_au", "Internal energy at 0 K", "hartree"),
    ("u298", "InternalEnergy_298K_au", "Internal energy at 298.15 K", "hartree"),
    ("h298", "Enthalphy_298K_au", "Enthalpy at 298.15 K", "hartree"),
    ("g298", "GibbsFreeEnergy_298K_au", "Free energy at 298.15 K", "hartree"),
    ("cv", "Heatcapacity_Cv_cal_mol_K", "Heat capacity at 298.15 K", "cal/(mol K)"),
)
TOTAL = {"u0": 5, "u298": 5, "h298": 5, "g298": 5}  # decimals of total energies
QM9PACK = tuple(
    Column(key, name, unit, decimals=TOTAL.get(short)) for short, key, name, unit in QUANTITIES
)
GDB9 = (
    *(Column(key, name, unit, decimals=TOTAL.get(key)) for key, _, name, unit in QUANTITIES),
    Column("u0_atom", "Atomization energy at 0 K", "kcal/mol"),
    Column("u298_atom", "Atomization energy at 298.15 K", "kcal/mol"),
    Column("h298_atom", "Atomization enthalpy at 298.15 K", "kcal/mol"),
    Column("g298_atom", "Atomization free energy at 298.15 K", "kcal/mol"),
)


@dataclass(frozen=True)
class Options(Limited):
    """`table`: path of gdb9.sdf.csv; None: `NAME.csv` beside the SDF file, which must be there."""

    table: str | None = None

    beside: ClassVar[tuple[str, ...]] = ("table",)

    def table_of(self, file: Path) -> Path:
        """The table of an SDF file."""
        beside = file.with_suffix("") if file.suffix in COMPRESSED else file
        return Path(self.table or f"{beside}.csv")

    def paths_beside(self, inputs: Sequence[Path]) -> list[Path]:
        own = [self.table_of(file) for file in inputs if file.suffix != WHEEL]
        return super().paths_beside(inputs) or own


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "qm9", (".sdf", WHEEL))


def read(file: Path, options: Options, tally: Tally) -> Iterator[MoleculeRecord]:
    """One record per molecule, called `qm9:NUMBER` in both distributions, with its conformer."""
    wheel = file.suffix == WHEEL
    found = _qm9pack(file) if wheel else _gdb9(file, options)
    for identifier, parse, row in options.first(found):
        tally.begin()
        try:
            with rdBase.BlockLogs():
                record = from_conformer(parse(), identifier)
        except BadInput as error:
            tally.drop(str(error), identifier)
            continue
        if isinstance(row, BadInput):
            tally.lose(f"row of the table: {row}", identifier)
            row = {}
        properties = numbers(row, QM9PACK if wheel else GDB9, tally, identifier)
        tally.keep()
        yield replace(record, properties=properties)


Found = Iterator[tuple[str, Callable[[], Chem.Mol], dict[str, str] | BadInput]]


def _qm9pack(wheel: Path) -> Found:
    for row in qm9pack.table(wheel):
        yield f"qm9:{row['Index']}", partial(qm9pack.molecule, qm9pack.row_of(row)), row


def _gdb9(file: Path, options: Options) -> Found:
    path = options.table_of(file)
    rows = table(path, ("mol_id", *(column.key for column in GDB9)), ",")
    for name, entry in sdf_entries(file):
        _, row = next(rows, (None, None))
        if row is None:
            raise BadInput(f"{path}: ends before {name} of {file}: fetch it again")
        if isinstance(row, dict) and row["mol_id"] != name:
            raise BadInput(
                f"{path}: {row['mol_id']} stands where {file} has {name}: not one archive"
            )
        yield f"qm9:{name.removeprefix('gdb_')}", partial(_molecule, entry), row


def _molecule(entry: SdfEntry | BadInput) -> Chem.Mol:
    if isinstance(entry, BadInput):
        raise entry
    return parse_molfile(entry.molfile)
