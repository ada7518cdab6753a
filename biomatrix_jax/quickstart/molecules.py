"""Generated molecules, judged: which are molecules at all, which differ, which are new.

With G generated, V valid ones among them and D distinct canonical SMILES among the valid:

    validity   = V / G
    uniqueness = D / V
    novelty    = (D not among the training molecules) / D

A generation is valid if it is exactly one molecule segment without a parse problem (so it closed
its segment: one that ran into the token limit is invalid), and the segment decodes to at least one
atom that RDKit sanitises. The canonical SMILES is the data pipeline's (`smiles_of`: RDKit's,
isomeric, hydrogens implicit; with a conformer, its stereo), so that training molecules compare.
These are the definitions of MOSES
(Polykovskiy et al. 2020, arXiv 1811.12823), with the parse counted in.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rdkit import Chem, rdBase

from biomatrix_jax.generate import Generation
from biomatrix_jax.quickstart.verdicts import Unusable, sole_segment
from biomatrix_jax.structure.molecule.errors import MoleculeError
from biomatrix_jax.tokens import Molecule3D, Segment, Selfies, Smiles
from data_pipeline.sources.conformers import label_stereo, smiles_of

REFUSED = "refused by RDKit"


@dataclass(frozen=True)
class Verdict:
    """What one generation is.

    Attributes:
      mol, smiles: the molecule and its canonical SMILES; None where it is none.
      reason: why it is none, in words that many can share.
    """

    mol: Chem.Mol | None = None
    smiles: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Tally:
    """Counts over verdicts, and the fractions of the module's docstring (0 where of nothing)."""

    generated: int
    valid: int
    distinct: int
    novel: int

    @property
    def validity(self) -> float:
        return self.valid / self.generated if self.generated else 0.0

    @property
    def uniqueness(self) -> float:
        return self.distinct / self.valid if self.valid else 0.0

    @property
    def novelty(self) -> float:
        return self.novel / self.distinct if self.distinct else 0.0


@dataclass(frozen=True)
class Judged:
    """The molecules generated in one modality."""

    verdicts: Sequence[Verdict]
    tally: Tally


def judge(generation: Generation, decode_3d: Callable[[str], Chem.Mol] | None = None) -> Verdict:
    """Reads one generation as a molecule.

    Args:
      generation: as made from a lone start token.
      decode_3d: struct SELFIES -> a molecule with its conformer (`MoleculeTokenizer.decode`), for
        generations that are `Molecule3D`; raises MoleculeError where there is none.
    """
    try:
        mol = read_molecule(sole_segment(generation), decode_3d)
        return Verdict(mol, smiles_of(mol))
    except Unusable as error:
        return Verdict(reason=str(error))
    except Chem.MolSanitizeException:  # without its hydrogens
        return Verdict(reason=REFUSED)


def read_molecule(segment: Segment, decode_3d: Callable[[str], Chem.Mol] | None = None) -> Chem.Mol:
    """The sanitised molecule that a segment spells, of at least one atom.

    Raises:
      Unusable: it spells none.
    """
    match segment:
        case Selfies():
            mol = _parse(_from_selfies(segment.selfies))
        case Smiles():
            mol = _parse(segment.smiles)
        case Molecule3D() if decode_3d:
            mol = _decode(decode_3d, segment.struct_selfies)
        case _:
            raise Unusable(f"a {segment.modality} segment")
    if not mol.GetNumAtoms():
        raise Unusable("no atom")
    return mol


def tally(verdicts: Sequence[Verdict], training: Collection[str]) -> Tally:
    """Counts verdicts against the canonical SMILES that the model was trained on."""
    valid = [verdict.smiles for verdict in verdicts if verdict.smiles is not None]
    distinct = set(valid)
    return Tally(len(verdicts), len(valid), len(distinct), len(distinct - set(training)))


def judge_all(
    generations: Sequence[Generation],
    training: Collection[str],
    decode_3d: Callable[[str], Chem.Mol] | None = None,
) -> Judged:
    """`judge` and `tally` over generations of one modality."""
    verdicts = [judge(generation, decode_3d) for generation in generations]
    return Judged(verdicts, tally(verdicts, training))


def first_of_each(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The valid ones, each distinct molecule once, in the order they were generated."""
    firsts: dict[str, Verdict] = {}
    for verdict in verdicts:
        if verdict.smiles is not None:
            firsts.setdefault(verdict.smiles, verdict)
    return list(firsts.values())


def _from_selfies(string: str) -> str:
    import selfies

    try:
        return selfies.decoder(string)
    except selfies.DecoderError as error:
        raise Unusable("no SELFIES") from error


def _decode(decode_3d: Callable[[str], Chem.Mol], struct_selfies: str) -> Chem.Mol:
    try:
        mol = decode_3d(struct_selfies)
    except MoleculeError as error:
        words = re.sub("([A-Z])", r" \1", type(error).__name__).lower().strip()
        raise Unusable(words) from error
    label_stereo(mol)
    return mol


def _parse(smiles: str) -> Chem.Mol:
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise Unusable(REFUSED)
    return mol
