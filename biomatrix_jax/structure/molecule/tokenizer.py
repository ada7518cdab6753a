"""Molecules with coordinates to `[SELFIES code]` strings and back (MolStrucTok)."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from biomatrix_jax.structure.molecule import refinement, vqvae, weights
from biomatrix_jax.structure.molecule.conformers import Described, describe_molecules
from biomatrix_jax.structure.molecule.descriptors import (
    check_focal_atoms,
    degenerate,
    rebuild,
    reference_atoms,
)
from biomatrix_jax.structure.molecule.errors import (
    CollinearReferences,
    MoleculeError,
    NoForceField,
    TokenOutside,
)
from biomatrix_jax.structure.molecule.released import read_released
from biomatrix_jax.structure.molecule.serialization import Built, build, join
from biomatrix_jax.structure.packaged import DEFAULT, tokenizer_path


@dataclass(frozen=True, eq=False)
class Encoding:
    """A molecule as tokens. `codes` and `order` have one entry per atom, in string order."""

    codes: np.ndarray  # int32 [atoms], in 0 .. codebook size - 1
    struct_selfies: str  # "[C 42][Branch1 -1][C -1][H 3]..."
    order: np.ndarray  # int32 [atoms]: index of the atom in the molecule that was encoded


class MoleculeTokenizer:
    """A codebook of local atom geometries with its encoder and decoder.

    Molecules come in with explicit hydrogens and one 3D conformer; a molecule that cannot be
    expressed raises a subclass of `MoleculeError`, which names it.
    """

    def __init__(self, config: vqvae.VQVAEConfig, tree: vqvae.Weights):
        self.config = config
        self.weights = jax.tree.map(jnp.asarray, tree)
        self._table = vqvae.code_table(tree)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike = DEFAULT) -> "MoleculeTokenizer":
        """Reads a tokenizer.

        Args:
          path: a directory that `save` wrote, or the file of weights that MolStrucTok published;
            without it the tokenizer that the package ships.

        Raises:
          BadInput: a file is missing or damaged, or the tensors do not fit the configuration.
        """
        path = tokenizer_path("molecule", path)
        return cls(*(read_released(path) if path.is_file() else weights.read(path)))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the directory that `from_pretrained` reads; `path` must not exist, or be empty."""
        weights.write(path, self.config, self.weights)

    def encode(self, mol: Chem.Mol) -> Encoding:
        """The tokens of one molecule's first conformer.

        Raises:
          MoleculeError: a subclass says what keeps the molecule from being encoded.
        """
        [result] = self.encode_batch([mol])
        if isinstance(result, MoleculeError):
            raise result
        return result

    def encode_batch(self, mols: Sequence[Chem.Mol]) -> list[Encoding | MoleculeError]:
        """The tokens of each molecule; one that fails gives its error and the others go on.

        Codes equal those of `encode` one molecule at a time, bit for bit.
        """
        results = describe_molecules(mols)
        described = [item for item in results if isinstance(item, Described)]
        if not described:
            return results
        codes = vqvae.encode(self.weights, np.concatenate([item.descriptors for item in described]))
        ends = np.cumsum([len(item.descriptors) for item in described])
        per_molecule = iter(np.split(codes, ends[:-1]))
        return [
            self._encoding(item, next(per_molecule)) if isinstance(item, Described) else item
            for item in results
        ]

    def decode(self, struct_selfies: str, mmff: bool = False, refine: bool = False) -> Chem.Mol:
        """The molecule that a string spells, its atoms in string order, with one conformer.

        Atom 0 is at the origin, atom 1 on +x, atom 2 in the xy plane (angstrom). The string decides
        the hydrogens: those it spells have coordinates, the others stay implicit. Stereo labels are
        not assigned, nor are they by the published decoder; `Chem.AssignStereochemistryFrom3D`
        reads them off the conformer.

        Args:
          struct_selfies: tokens `[SELFIES code]` one after another.
          mmff: relax the coordinates with the MMFF94 force field.
          refine: make all tokens, ring closures and usual bond lengths agree at once, instead of
            placing each atom after the one before (`refinement`): by weights and molecules, a
            sixth to a half off the coordinate RMSD, and a third to a seventh of the error in bond
            lengths. A molecule that this does not improve keeps its sequential coordinates and says
            why in its property `refinement_problem`. MMFF, where it is asked for too, starts from
            the refined coordinates.

        Raises:
          MoleculeError: the string is malformed, has a code outside the codebook, spells no
            molecule that RDKit accepts, or gives an undefined frame; MMFF lacks parameters.
        """
        [result] = self.decode_batch([struct_selfies], mmff, refine)
        if isinstance(result, MoleculeError):
            raise result
        return result

    def decode_batch(
        self, strings: Sequence[str], mmff: bool = False, refine: bool = False
    ) -> list[Chem.Mol | MoleculeError]:
        """`decode` of each string; one that fails gives its error and the others go on.

        Coordinates equal those of `decode` one string at a time, bit for bit.
        """
        results: list[Built | Chem.Mol | MoleculeError] = [self._build(text) for text in strings]
        at = [i for i, result in enumerate(results) if isinstance(result, Built)]
        if not at:
            return results
        built = [results[i] for i in at]
        counts = [len(item.codes) for item in built]
        references = reference_atoms(np.concatenate([item.focal for item in built]), counts)
        codes = np.concatenate([item.codes for item in built])
        descriptors = self._table[codes]
        positions = rebuild(descriptors, references)
        bad = degenerate(positions, references)
        ends = np.cumsum(counts)
        kept = []  # the place in the results, and the rows of its atoms
        for i, item, start, end in zip(at, built, (ends - counts).tolist(), ends, strict=True):
            try:
                _check_frames(bad[start:end], strings[i])
            except MoleculeError as error:
                results[i] = error
                continue
            kept.append((i, slice(start, end)))
            item.mol.AddConformer(Chem.Conformer(len(item.codes)))
            results[i] = item.mol
        placed = [positions[rows] for _, rows in kept]
        if refine:
            placed = self._refine(results, kept, codes, descriptors, references, positions)
        for (i, _), positions_n3 in zip(kept, placed, strict=True):
            results[i].GetConformer().SetPositions(positions_n3)
            try:
                if mmff:
                    _relax(results[i], strings[i])
            except MoleculeError as error:
                results[i] = error
        return results

    def _refine(self, mols, kept, codes, descriptors, references, positions) -> list[np.ndarray]:
        """Refined positions of the molecules at `kept`; where there are none, their reason too."""
        spreads = self._spreads[codes]
        refined = refinement.refine(
            [
                refinement.Decoded(
                    mols[i],
                    descriptors[rows],
                    references[rows] - rows.start,
                    spreads[rows],
                    positions[rows],
                )
                for i, rows in kept
            ]
        )
        for (i, _), (_, problem) in zip(kept, refined, strict=True):
            if problem:
                mols[i].SetProp("refinement_problem", problem)
        return [positions_n3 for positions_n3, _ in refined]

    @functools.cached_property
    def _spreads(self) -> np.ndarray:
        return refinement.angular_spreads(self.weights, self._table)

    def _build(self, struct_selfies: str) -> Built | MoleculeError:
        try:
            built = build(struct_selfies)
            outside = built.codes[built.codes >= len(self._table)]
            if outside.size:
                raise TokenOutside(
                    struct_selfies, f"code {outside[0]} is not among the {len(self._table)} codes"
                )
            check_focal_atoms(built.focal, struct_selfies)
        except MoleculeError as error:
            return error
        return built

    def _encoding(self, item: Described, codes: np.ndarray) -> Encoding:
        return Encoding(codes, join(item.line, codes), item.line.order)


def _check_frames(bad_n: np.ndarray, struct_selfies: str) -> None:
    if bad_n.any():
        raise CollinearReferences(
            struct_selfies,
            f"atom {np.argmax(bad_n)} gets no frame: the codes before it put its focal and "
            "reference atoms on one line or one place",
        )


def _relax(mol: Chem.Mol, name: str) -> None:
    from rdkit import rdBase
    from rdkit.Chem import rdForceFieldHelpers

    # On a copy, because MMFF leaves a molecule with its own idea of what is aromatic.
    relaxed = Chem.Mol(mol)
    try:
        with rdBase.BlockLogs():
            # 1 means that 200 steps did not converge; the coordinates are still the better ones.
            if rdForceFieldHelpers.MMFFOptimizeMolecule(relaxed) == -1:
                raise NoForceField(name, "MMFF has no parameters for it: decode without MMFF")
    except RuntimeError as error:  # atoms so close that the forces lead nowhere
        raise NoForceField(name, "MMFF finds no way to relax it: decode without MMFF") from error
    positions = relaxed.GetConformer().GetPositions()
    if not np.isfinite(positions).all():
        raise NoForceField(name, "MMFF throws its atoms apart: decode without MMFF")
    mol.GetConformer().SetPositions(positions)
