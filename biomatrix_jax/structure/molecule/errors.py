"""Why a molecule cannot become tokens, or tokens a molecule; every error names the molecule."""

from biomatrix_jax.errors import BadInput


class MoleculeError(BadInput):
    """A molecule, or a molecule's string, that the tokenizer cannot take.

    Attributes:
      molecule: the molecule's own name, else its SMILES, or the string that was to be decoded.
      problem: what is wrong with it and what to do.
    """

    def __init__(self, molecule: str, problem: str):
        molecule = " ".join(molecule.split())
        super().__init__(
            f"{molecule if len(molecule) <= 120 else molecule[:117] + '...'}: {problem}"
        )
        self.molecule = molecule
        self.problem = problem

    def __reduce__(self):
        # The default would call the class with the finished message alone; worker processes send
        # these errors back pickled.
        return type(self), (self.molecule, self.problem)


class UnreadableMolecule(MoleculeError):
    """An entry of a file in which RDKit finds no molecule, or that is cut off."""


class UnusableMolecule(MoleculeError):
    """No molecule at all, or one that RDKit has not sanitized or refuses."""


class ImplicitHydrogens(MoleculeError):
    """Hydrogens without an atom of their own, hence without coordinates."""


class IsotopeLabel(MoleculeError):
    """An atom of a stated isotope: the string knows elements only, and decoding would lose it."""


class NoConformer(MoleculeError):
    """No conformer, only a 2D depiction, or coordinates that are not finite or out of bounds."""


class SeveralFragments(MoleculeError):
    """More than one connected component: no frame leads from one to the other."""


class TooFewAtoms(MoleculeError):
    """Fewer atoms than the published tokenizer encodes."""


class FocalAtomZero(MoleculeError):
    """An atom beyond index 2 bonded, among earlier atoms, to atom 0 alone: it has no frame."""


class CollinearReferences(MoleculeError):
    """No frame: a focal atom and its references on one line, or atoms that coincide."""


class NotSelfies(MoleculeError):
    """SELFIES cannot express the molecule, or the string is not SELFIES."""


class TokenOutside(MoleculeError):
    """A token that is not `[SELFIES code]`, or whose code the codebook does not have."""


class MisplacedCode(MoleculeError):
    """A code on a token that places no atom, or -1 on one that does."""


class NoForceField(MoleculeError):
    """MMFF has no parameters for the molecule, or cannot relax it from where its codes put it."""
