"""Molecule <-> `[SELFIES code]` string: the order of atoms, and which tokens place them.

The string of a molecule follows its canonical, kekulized, non-isomeric SMILES written with explicit
hydrogens; the SELFIES encoder keeps that order. A token that places an atom carries the atom's
structure code, every other one (`[Branch1]`, `[Ring1]`, the lengths that follow them) carries -1.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from rdkit import Chem, rdBase

from biomatrix_jax.structure.limits import MOST_ATOMS
from biomatrix_jax.structure.molecule import selfies_reader, selfies_writer
from biomatrix_jax.structure.molecule.errors import (
    ImplicitHydrogens,
    IsotopeLabel,
    MisplacedCode,
    NoConformer,
    NotSelfies,
    SeveralFragments,
    TokenOutside,
    TooFewAtoms,
    UnusableMolecule,
)
from biomatrix_jax.tokens.families import NO_CODE

MIN_ATOMS = 5  # The published encoder looks at four neighbours of every atom.
FARTHEST = 1_000_000  # angstrom; the network would take what overflows float32 for some code

# On a metal the count of hydrogens is what the valence field of a molfile leaves over, as in
# [CuH2] for a four-coordinate copper: nobody drew them, and the published encoder takes them.
_LACKS_HYDROGENS = Chem.MolFromSmarts(
    "[!h0;#5,#6,#7,#8,#9,#14,#15,#16,#17,#32,#33,#34,#35,#51,#52,#53,#85]"
)
_HAS_ISOTOPE = Chem.MolFromSmarts("[!0*]")

_TOKEN = re.compile(r"\[[^\[\]\s.]+ (?:-1|[0-9]{1,9})\]")
_TOKENS = re.compile(rf"(?:{_TOKEN.pattern})*")


@dataclass(frozen=True)
class Line:
    """A molecule as a line of tokens, its atoms in their order."""

    name: str  # what errors call the molecule: its `_Name`, else its SMILES
    template: str  # "[C %d][Branch1 -1][C -1]...": the tokens, without the codes of atoms
    order: np.ndarray  # int32 [atoms]: index of each in the molecule
    focal: Sequence[int]  # of each the latest earlier one bonded to it, -1 for the first


@dataclass(frozen=True)
class Built:
    """The molecule that a string spells, its atoms in the string's order."""

    mol: Chem.Mol  # sanitized, with the string's explicit hydrogens and no conformer
    codes: np.ndarray  # int32 [atoms]
    focal: Sequence[int]  # of each atom the latest earlier one bonded to it, -1 for the first


def line_up(mol: Chem.Mol) -> Line:
    """The SELFIES of a molecule with explicit hydrogens and a 3D conformer.

    Raises:
      MoleculeError: of the kind that names what is missing; see `errors`.
    """
    if not isinstance(mol, Chem.Mol):
        raise UnusableMolecule(repr(mol), "is not an RDKit molecule; did its file fail to parse?")
    _check(mol)
    try:
        smiles = Chem.MolToSmiles(mol, canonical=True, kekuleSmiles=True, isomericSmiles=False)
    except (ValueError, RuntimeError) as error:  # its bonds were edited after it was sanitized
        raise UnusableMolecule(_name(mol), f"RDKit refuses it ({_last_line(error)})") from error
    order = np.array(mol.GetProp("_smilesAtomOutputOrder").strip("[],").split(","), np.int32)
    name = _name(mol, smiles)
    try:
        spelling = selfies_writer.spell(smiles)
    except selfies_writer.CannotSpell as error:
        raise NotSelfies(name, f"cannot be written as SELFIES ({error})") from error
    return Line(name, spelling.template, order, spelling.focal)


def join(line: Line, codes: np.ndarray) -> str:
    """The `[SELFIES code]` string of a molecule whose atoms, in string order, have `codes`."""
    return line.template % tuple(codes.tolist())


def split(struct_selfies: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """SELFIES tokens and their codes, -1 for none: the inverse of `join`.

    Raises:
      TokenOutside: what the string holds is not `[SELFIES code]` tokens one after another.
    """
    if not _TOKENS.fullmatch(struct_selfies):
        _raise_outside(struct_selfies)
    if not struct_selfies:
        raise TokenOutside(repr(struct_selfies), "holds no token")
    tokens, codes = zip(*map(_symbol_and_code, struct_selfies[1:-1].split("][")), strict=True)
    return tokens, codes


def build(struct_selfies: str) -> Built:
    """The molecule that a string spells, without coordinates, and the code of each of its atoms.

    Raises:
      MoleculeError: the string is malformed, or spells no single molecule that RDKit accepts.
    """
    tokens, codes = split(struct_selfies)
    try:
        reading = selfies_reader.read(tokens)
    except selfies_reader.CannotRead as error:
        raise NotSelfies(struct_selfies, f"is not SELFIES ({error})") from error
    of_atoms = [codes[i] for i in reading.placed_by]
    if NO_CODE in of_atoms or len(of_atoms) != len(codes) - codes.count(NO_CODE):
        _raise_misplaced(struct_selfies, tokens, codes, set(reading.placed_by))
    if not of_atoms:
        raise UnusableMolecule(struct_selfies, "spells no atom")
    if len(of_atoms) > MOST_ATOMS:
        raise UnusableMolecule(struct_selfies, f"spells more than {MOST_ATOMS:,} atoms")
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(reading.smiles, sanitize=False)
        if mol is None:
            raise UnusableMolecule(struct_selfies, "RDKit does not read its SMILES")
        try:
            Chem.SanitizeMol(mol)
        except (ValueError, RuntimeError) as error:
            raise UnusableMolecule(
                struct_selfies, f"RDKit refuses its molecule ({_last_line(error)})"
            ) from error
    return Built(mol, np.array(of_atoms, np.int32), reading.focal)


def _check(mol: Chem.Mol) -> None:
    # Names are made only for the error: writing a SMILES costs as much as a whole encoding step.
    if mol.NeedsUpdatePropertyCache():
        raise UnusableMolecule(_name(mol), "is not sanitized: call Chem.SanitizeMol first")
    if mol.GetNumAtoms() > MOST_ATOMS:
        # Its SMILES, the name of one without, is what RDKit cannot write.
        name = _name(mol, f"a molecule of {mol.GetNumAtoms():,} atoms")
        raise UnusableMolecule(name, f"has more than {MOST_ATOMS:,} atoms")
    if mol.HasSubstructMatch(_LACKS_HYDROGENS):
        raise ImplicitHydrogens(
            _name(mol), "has implicit hydrogens: use Chem.AddHs(mol, addCoords=True) first"
        )
    if mol.HasSubstructMatch(_HAS_ISOTOPE):
        atom = mol.GetAtomWithIdx(*mol.GetSubstructMatch(_HAS_ISOTOPE))
        raise IsotopeLabel(
            _name(mol),
            f"atom {atom.GetIdx()} is {atom.GetSymbol()} of isotope {atom.GetIsotope()}: the "
            "published encoder would drop the label; clear it (atom.SetIsotope(0)) to go without",
        )
    if not mol.GetNumConformers():
        raise NoConformer(_name(mol), "has no conformer: embed one, or read a file with 3D data")
    conformer = mol.GetConformer()
    if not conformer.Is3D():
        raise NoConformer(_name(mol), "has 2D coordinates only: embed a 3D conformer")
    if not (np.abs(conformer.GetPositions()) < FARTHEST).all():  # NaN neither
        problem = f"has coordinates that are not finite, or beyond {FARTHEST:,} angstrom"
        raise NoConformer(_name(mol), problem)
    fragments = len(Chem.GetMolFrags(mol))
    if fragments > 1:
        raise SeveralFragments(_name(mol), f"has {fragments} fragments: encode them one at a time")
    if mol.GetNumAtoms() < MIN_ATOMS:
        problem = f"has {mol.GetNumAtoms()} atoms, fewer than the {MIN_ATOMS} this tokenizer needs"
        raise TooFewAtoms(_name(mol), problem)


def _name(mol: Chem.Mol, smiles: str | None = None) -> str:
    name = mol.GetProp("_Name").strip() if mol.HasProp("_Name") else ""
    return name or smiles or Chem.MolToSmiles(mol) or "a molecule without atoms"


@functools.lru_cache(maxsize=2**16)
def _symbol_and_code(token: str) -> tuple[str, int]:
    symbol, code = token.split(" ")
    return f"[{symbol}]", int(code)


def _raise_outside(struct_selfies: str) -> NoReturn:
    position = 0
    while match := _TOKEN.match(struct_selfies, position):
        position = match.end()
    raise TokenOutside(
        struct_selfies,
        f"expected a token like [C 42] or [Branch1 -1] at character {position}, found "
        f"{struct_selfies[position : position + 20]!r}",
    )


def _raise_misplaced(
    struct_selfies: str, tokens: Sequence[str], codes: Sequence[int], placing: set[int]
) -> NoReturn:
    at = next(i for i, code in enumerate(codes) if (code == NO_CODE) == (i in placing))
    fault = "places an atom but has no code" if at in placing else "places no atom there"
    raise MisplacedCode(struct_selfies, f"token {at} ({tokens[at][:-1]} {codes[at]}]) {fault}")


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip() if str(error).strip() else "no reason given"
