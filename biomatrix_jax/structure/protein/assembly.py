"""From rows of atoms to Biopython's chains, by its rules for alternate locations and mutations."""

from typing import NamedTuple

import numpy as np
from Bio.PDB.PDBExceptions import PDBConstructionException
from Bio.PDB.Residue import DisorderedResidue
from Bio.PDB.Structure import Structure
from Bio.PDB.StructureBuilder import StructureBuilder

from biomatrix_jax.structure.protein.chains import BACKBONE, DAMAGE


class Unreadable(Exception):
    """What is wrong with the text of a structure file, the line named."""


class Atom(NamedTuple):
    """An ATOM record of the first model. Coordinates in angstrom, NaN where the file says so."""

    chain: str
    residue: str
    number: int
    insertion: str  # a blank where there is none
    name: str
    spelling: str  # the name with its blanks, which in PDB files tell calcium from the alpha carbon
    altloc: str  # a blank where there is none
    coordinates: tuple[float, float, float]
    occupancy: float
    b_factor: float
    where: str  # in the file, for messages: its line or row


class Assembly:
    """Takes atoms in the order of the file, and has the chains of one model.

    Of HETATM groups nothing comes in, and of side chains nothing is kept, so that large entries
    take little memory. Where Biopython drops an atom or a residue that the file gives twice, or
    keeps the last one, the chain is marked as damaged, see `chains.read_chain`.
    """

    def __init__(self, most: int):
        """
        Args:
          most: atoms of backbones to keep; one more is `Unreadable`.
        """
        self._left = most
        self._builder = StructureBuilder()
        self._builder.init_structure("")
        self._builder.init_model(0)
        self._builder.init_seg(" ")
        self._chain = self._residue = None
        self._chains: set[str] = set()

    def add(self, atom: Atom) -> None:
        builder = self._builder
        residue = (atom.number, atom.insertion, atom.residue)
        try:
            if atom.chain != self._chain:
                builder.init_chain(atom.chain)
                self._chains.add(atom.chain)
            if (atom.chain, residue) != (self._chain, self._residue):
                self._chain, self._residue = atom.chain, residue
                self._begin(atom)
            if atom.name in BACKBONE and builder.residue is not None:
                self._place(atom)
        except PDBConstructionException:
            # A mutation beside atoms that both residues share: the first residue stays. With blanks
            # for locations it is no mutation.
            if atom.altloc == " ":
                self.damage(
                    atom.chain,
                    f"{_words(atom)}: another residue has this number: give chains, water too, "
                    "ids of their own",
                )

    def _begin(self, atom: Atom) -> None:
        """Goes to the atom's residue."""
        builder = self._builder
        present = builder.chain.child_dict.get((" ", atom.number, atom.insertion))
        if isinstance(present, DisorderedResidue) and present.disordered_has_id(atom.residue):
            # Back to one of the residues of a mutation, as where their atoms take turns. Biopython
            # would leave the rest of its atoms out.
            builder.residue = present.disordered_get(atom.residue)
        else:
            builder.init_residue(atom.residue, " ", atom.number, atom.insertion)

    def _place(self, atom: Atom) -> None:
        builder = self._builder
        if atom.name in builder.residue and _repeats(builder.residue[atom.name], atom):
            self.damage(
                atom.chain,
                f"{_words(atom)} is there twice: give chains letters of their own, and models "
                "MODEL and ENDMDL records",
            )
            return
        builder.init_atom(
            atom.name,
            np.array(atom.coordinates, np.float32),
            atom.b_factor,
            atom.occupancy,
            atom.altloc,
            atom.spelling,
            element=atom.name[0],
        )
        self._left -= 1
        if self._left < 0:
            raise Unreadable("too large: put the chains into several files")

    def mention(self, chain: str) -> None:
        """Has the chain, without any atom so far."""
        if chain not in self._chains:
            self._chains.add(chain)
            self._builder.init_chain(chain)
            self._chain = None

    def damage(self, chain: str, problem: str) -> None:
        """Marks a chain, the first time with the reason."""
        self.mention(chain)
        self._builder.model[chain].xtra.setdefault(DAMAGE, problem)

    def structure(self, entry: str) -> Structure:
        structure = self._builder.get_structure()
        structure.id = entry
        return structure


def _repeats(present, atom: Atom) -> bool:
    if present.get_fullname() != atom.spelling:
        return False
    if atom.altloc == " ":
        return True
    return present.is_disordered() == 2 and present.disordered_has_id(atom.altloc)


def _words(atom: Atom) -> str:
    return (
        f"atom {atom.name} of residue {atom.residue} {atom.number}{atom.insertion.strip()} "
        f"({atom.where})"
    )
