"""The views of molecules and proteins: each of the segments that can stand for one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens.segments import (
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Segment,
    Selfies,
    Smiles,
)
from data_pipeline.composition.draw import Draw
from data_pipeline.composition.settings import Composition
from data_pipeline.records import (
    InteractionRecord,
    InterleavedRecord,
    MoleculeRecord,
    ProteinRecord,
    Record,
)
from data_pipeline.sources.tally import Tally

if TYPE_CHECKING:
    from biomatrix_jax.structure.molecule import MoleculeTokenizer
    from biomatrix_jax.structure.protein import ProteinTokenizer

Instance = list[Segment]
Views = dict[str, Segment]  # by the names of LABELS
Structures = dict[int, Segment]  # of molecules and proteins by their `id()`

LABELS = {
    "smiles": "SMILES",
    "selfies": "SELFIES",
    "molecule_3d": "Conformer",
    "protein_sequence": "Sequence",
    "protein_3d": "Structure",
}


@dataclass(frozen=True)
class StructureTokenizers:
    """None: there are no 3D views of that kind."""

    molecule: "MoleculeTokenizer | None" = None
    protein: "ProteinTokenizer | None" = None

    def structures(self, records: Sequence[Record], tally: Tally) -> Structures:
        """The 3D view of all molecules and proteins with coordinates, each kind in one batch."""
        things = [thing for record in records for thing in _things(record)]
        found: Structures = {}
        molecules = [
            x for x in things if isinstance(x, MoleculeRecord) and x.mol.GetNumConformers()
        ]
        if self.molecule and molecules:
            encodings = self.molecule.encode_batch([molecule.mol for molecule in molecules])
            _keep(found, molecules, encodings, lambda e: Molecule3D(e.struct_selfies), tally)
        proteins = [x for x in things if isinstance(x, ProteinRecord) and x.backbone is not None]
        if self.protein and proteins:
            codes = self.protein.encode_batch([(p.backbone, p.sequence) for p in proteins])
            # An unobserved residue has no code: the structure is that of the residues observed.
            _keep(found, proteins, codes, lambda c: Protein3D(c[c >= 0]), tally)
        return found


NO_TOKENIZERS = StructureTokenizers()


def views_of(
    thing: MoleculeRecord | ProteinRecord,
    structures: Structures,
    draw: Draw,
    composition: Composition,
    tally: Tally,
) -> Views:
    """All views of a molecule or a protein."""
    views: Views = {}
    if isinstance(thing, MoleculeRecord):
        views["smiles"] = Smiles(_smiles(thing, draw, composition, tally))
        if selfies := selfies_of(thing.smiles, thing.id, tally):
            views["selfies"] = selfies
        structure = "molecule_3d"
    else:
        views["protein_sequence"] = ProteinSequence(thing.sequence)
        structure = "protein_3d"
    if id(thing) in structures:
        views[structure] = structures[id(thing)]
    return views


def selfies_of(smiles: str, record: str, tally: Tally) -> Selfies | None:
    """None, and counted as lost, where SELFIES has no place for a molecule's valences, or its
    branches lie in each other deeper than the encoder, which is recursive, goes."""
    import selfies

    try:
        return Selfies(selfies.encoder(smiles))
    except selfies.EncoderError:
        tally.lose("SELFIES: beyond its valence rules", record)
    except RecursionError:
        tally.lose("SELFIES: branches too deep", record)
    return None


def named_smiles(record: Record) -> list[tuple[str, str]]:
    """(id, SMILES) of all that a record may spell as SELFIES: its molecules, and its mentions."""
    if isinstance(record, InterleavedRecord):
        return [(record.id, one.string) for one in record.mentions if one.kind == "molecule"]
    return [(one.id, one.smiles) for one in _things(record) if isinstance(one, MoleculeRecord)]


def _smiles(molecule: MoleculeRecord, draw: Draw, composition: Composition, tally: Tally) -> str:
    if not draw.happens("random_smiles", composition.random_smiles):
        return molecule.smiles
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(molecule.smiles)
    if mol is None:  # rare: RDKit writes what it does not read
        tally.lose("SMILES at random: its own does not parse", molecule.id)
        return molecule.smiles
    [written] = Chem.MolToRandomSmilesVect(mol, 1, randomSeed=draw.seed("random_smiles"))
    return written


def _things(record: Record) -> Iterable[MoleculeRecord | ProteinRecord]:
    if isinstance(record, InteractionRecord):
        return record.partners
    return (record,) if isinstance(record, MoleculeRecord | ProteinRecord) else ()


def _keep(found: Structures, things, encodings, segment, tally: Tally) -> None:
    for thing, encoding in zip(things, encodings, strict=True):
        try:
            if isinstance(encoding, BadInput):
                raise encoding
            found[id(thing)] = segment(encoding)
        except BadInput as error:
            tally.lose(f"3D view: {type(error).__name__}", thing.id)
