"""What each new token means, in the words whose embeddings it starts from.

Kinds of description as the BioMatrix report gives them: control tokens a phrase, residues their
English name, all others their own spelling.
"""

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import families

_CONTENTS = {
    "smiles": "a molecule SMILES string",
    "selfies": "a molecule SELFIES string",
    "molecule_3d": "a molecule 3D structure",
    "protein_sequence": "a protein amino acid sequence",
    "protein_3d": "a protein 3D structure",
}
_CONTROL = {
    token: f"{verb} {_CONTENTS[modality]}"
    for modality, pair in families.WRAPPERS.items()
    for verb, token in zip(("begins", "ends"), pair, strict=True)
}

# The one-letter codes of IUPAC-IUB with those of the two rare amino acids.
_RESIDUES = {
    "A": "alanine",
    "B": "aspartic acid or asparagine",
    "C": "cysteine",
    "D": "aspartic acid",
    "E": "glutamic acid",
    "F": "phenylalanine",
    "G": "glycine",
    "H": "histidine",
    "I": "isoleucine",
    "J": "leucine or isoleucine",
    "K": "lysine",
    "L": "leucine",
    "M": "methionine",
    "N": "asparagine",
    "O": "pyrrolysine",
    "P": "proline",
    "Q": "glutamine",
    "R": "arginine",
    "S": "serine",
    "T": "threonine",
    "U": "selenocysteine",
    "V": "valine",
    "W": "tryptophan",
    "X": "any amino acid",
    "Y": "tyrosine",
    "Z": "glutamic acid or glutamine",
}


def describe(spelling: str) -> str:
    """The description of a token of any family: "<A M>" -> "methionine".

    Raises:
      BadInput: the spelling is no family's.
    """
    match families.family_of(spelling):
        case None:
            raise BadInput(f"{spelling!r} is not a token of any family: it has no description")
        case families.CONTROL:
            return _CONTROL[spelling]
        case families.RESIDUES:
            return _RESIDUES[families.residue_of(spelling)]
    return spelling
