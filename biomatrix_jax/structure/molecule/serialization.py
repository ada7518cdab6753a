"""Molecule <-> `[SELFIES code]` string: the order of atoms, and which tokens place them.

The string of a molecule follows its canonical, kekulized, non-isomeric SMILES written with explicit
hydrogens; the SELFIES encoder keeps that order. A token that places an atom carries the atom's
structure code, every other one (`[Branch1]`, `[Ring1]`, the lengths that follow them) carries -1.
Which is which comes from the SELFIES decoder, the one place where a string's meaning is defined.
"""

import re
from dataclasses import dataclass

import numpy as np
import selfies
from rdkit import Chem, rdBase

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
from biomatrix_jax.tokens.families import NO_CODE, molecule_token

MIN_ATOMS = 5  # The published encoder looks at four neighbours of every atom.

_NONMETALS = frozenset({5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 51, 52, 53, 85})

_TOKEN = re.compile(r"\[([^\[\]\s]+) (-1|\d{1,9})\]")


@dataclass(frozen=True)
class Line:
    """A molecule's SELFIES tokens, and for each atom in their order its index in the molecule."""

    name: str  # what errors call the molecule: its `_Name`, else its SMILES
    tokens: tuple[str, ...]  # "[C]", "[Branch1]", ...
    places_atom: np.ndarray  # bool [tokens]
    order: np.ndarray  # int32 [atoms]


def line_up(mol: Chem.Mol) -> Line:
    """The SELFIES of a molecule with explicit hydrogens and a 3D conformer.

    Raises:
      MoleculeError: of the kind that names what is missing; see `errors`.
    """
    if not isinstance(mol, Chem.Mol):
        raise UnusableMolecule(repr(mol), "is not an RDKit molecule; did its file fail to parse?")
    _check(mol)
    smiles = Chem.MolToSmiles(mol, canonical=True, kekuleSmiles=True, isomericSmiles=False)
    order = mol.GetPropsAsDict(includePrivate=True, includeComputed=True)["_smilesAtomOutputOrder"]
    name = _name(mol, smiles)
    try:
        tokens = tuple(selfies.split_selfies(selfies.encoder(smiles)))
    except selfies.EncoderError as error:
        raise NotSelfies(name, f"cannot be written as SELFIES ({_last_line(error)})") from error
    _, places_atom = _attribution(tokens, name)
    if places_atom.sum() != mol.GetNumAtoms():
        raise NotSelfies(
            name,
            f"has {mol.GetNumAtoms()} atoms, but its SELFIES places {places_atom.sum()}: it breaks "
            "the valence rules of SELFIES",
        )
    return Line(name, tokens, places_atom, np.array(list(order), np.int32))


def join(line: Line, codes: np.ndarray) -> str:
    """The `[SELFIES code]` string of a molecule whose atoms, in string order, have `codes`."""
    per_token = np.full(len(line.tokens), NO_CODE)
    per_token[line.places_atom] = codes
    pairs = zip(line.tokens, per_token.tolist(), strict=True)
    return "".join(molecule_token(symbol, code) for symbol, code in pairs)


def split(struct_selfies: str) -> tuple[tuple[str, ...], np.ndarray]:
    """SELFIES tokens and their codes (int32, -1 for none): the inverse of `join`.

    Raises:
      TokenOutside: what the string holds is not `[SELFIES code]` tokens one after another.
    """
    tokens, codes, position = [], [], 0
    while position < len(struct_selfies):
        match = _TOKEN.match(struct_selfies, position)
        if not match:
            raise TokenOutside(
                struct_selfies,
                f"expected a token like [C 42] or [Branch1 -1] at character {position}, found "
                f"{struct_selfies[position : position + 20]!r}",
            )
        tokens.append(f"[{match[1]}]")
        codes.append(int(match[2]))
        position = match.end()
    if not tokens:
        raise TokenOutside(repr(struct_selfies), "holds no token")
    return tuple(tokens), np.array(codes, np.int32)


def build(struct_selfies: str) -> tuple[Chem.Mol, np.ndarray]:
    """The molecule that a string spells, without coordinates, and the code of each of its atoms.

    Returns:
      A sanitized molecule whose atoms stand in string order with the string's explicit hydrogens,
      and int32 [atoms].

    Raises:
      MoleculeError: the string is malformed, or spells no single molecule that RDKit accepts.
    """
    tokens, codes = split(struct_selfies)
    smiles, places_atom = _attribution(tokens, struct_selfies)
    wrong = np.flatnonzero(places_atom != (codes != NO_CODE))
    if wrong.size:
        at = wrong[0]
        fault = "places an atom but has no code" if places_atom[at] else "places no atom there"
        raise MisplacedCode(struct_selfies, f"token {at} ({tokens[at][:-1]} {codes[at]}]) {fault}")
    if not places_atom.any():
        raise UnusableMolecule(struct_selfies, "spells no atom")
    if "." in smiles:
        raise SeveralFragments(struct_selfies, "spells several fragments")
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles, sanitize=False)
        try:
            Chem.SanitizeMol(mol)
        except ValueError as error:
            raise UnusableMolecule(
                struct_selfies, f"RDKit refuses its molecule ({_last_line(error)})"
            ) from error
    return mol, codes[places_atom]


def bond_matrix(mol: Chem.Mol, order: np.ndarray | None = None) -> np.ndarray:
    """bool [atoms, atoms]: which atoms are bonded, renumbered to `order` where given."""
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    return bonded if order is None else bonded[np.ix_(order, order)]


def _check(mol: Chem.Mol) -> None:
    # Names are made only for the error: writing a SMILES costs as much as a whole encoding step.
    if mol.NeedsUpdatePropertyCache():
        raise UnusableMolecule(_name(mol), "is not sanitized: call Chem.SanitizeMol first")
    if any(_lacks_hydrogens(atom) for atom in mol.GetAtoms()):
        raise ImplicitHydrogens(
            _name(mol), "has implicit hydrogens: use Chem.AddHs(mol, addCoords=True) first"
        )
    if labelled := [atom for atom in mol.GetAtoms() if atom.GetIsotope()]:
        atom = labelled[0]
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
    if not np.isfinite(conformer.GetPositions()).all():
        raise NoConformer(_name(mol), "has a conformer with coordinates that are not finite")
    fragments = len(Chem.GetMolFrags(mol))
    if fragments > 1:
        raise SeveralFragments(_name(mol), f"has {fragments} fragments: encode them one at a time")
    if mol.GetNumAtoms() < MIN_ATOMS:
        problem = f"has {mol.GetNumAtoms()} atoms, fewer than the {MIN_ATOMS} this tokenizer needs"
        raise TooFewAtoms(_name(mol), problem)


def _name(mol: Chem.Mol, smiles: str | None = None) -> str:
    name = mol.GetProp("_Name").strip() if mol.HasProp("_Name") else ""
    return name or smiles or Chem.MolToSmiles(mol) or "a molecule without atoms"


def _lacks_hydrogens(atom: Chem.Atom) -> bool:
    # On a metal the count is what the valence field of a molfile leaves over, as in [CuH2] for a
    # four-coordinate copper: nobody drew those hydrogens, and the published encoder takes them.
    return atom.GetTotalNumHs() > 0 and atom.GetAtomicNum() in _NONMETALS


def _attribution(tokens: tuple[str, ...], molecule: str) -> tuple[str, np.ndarray]:
    """The SMILES that SELFIES tokens spell, and which of them place an atom (bool [tokens])."""
    try:
        smiles, attributions = selfies.decoder("".join(tokens), attribute=True)
    except selfies.DecoderError as error:
        raise NotSelfies(molecule, f"is not SELFIES ({_last_line(error)})") from error
    places_atom = np.zeros(len(tokens), bool)
    # The last token in an attribution is the one that placed the atom; those before it are the
    # branches it stands in.
    places_atom[[item.attribution[-1].index for item in attributions if item.attribution]] = True
    return smiles, places_atom


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip() if str(error).strip() else "no reason given"
