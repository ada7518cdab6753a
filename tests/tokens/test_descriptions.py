import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import families
from biomatrix_jax.tokens.descriptions import describe

# Written out a second time, with the names as a textbook lists them: by the three-letter code.
NAMES = {
    "A": "alanine", "R": "arginine", "N": "asparagine", "D": "aspartic acid", "C": "cysteine",
    "Q": "glutamine", "E": "glutamic acid", "G": "glycine", "H": "histidine", "I": "isoleucine",
    "L": "leucine", "K": "lysine", "M": "methionine", "F": "phenylalanine", "P": "proline",
    "S": "serine", "T": "threonine", "W": "tryptophan", "Y": "tyrosine", "V": "valine",
    "U": "selenocysteine", "O": "pyrrolysine", "B": "aspartic acid or asparagine",
    "Z": "glutamic acid or glutamine", "J": "leucine or isoleucine", "X": "any amino acid",
}  # fmt: skip


def test_residues_have_their_names():
    assert {letter: describe(f"<A {letter}>") for letter in families.RESIDUE_LETTERS} == NAMES


@pytest.mark.parametrize(
    ("token", "description"),
    [
        ("<|mol_smi_start|>", "begins a molecule SMILES string"),
        ("<|mol_smi_end|>", "ends a molecule SMILES string"),
        ("<|mol_sfi_start|>", "begins a molecule SELFIES string"),
        ("<|mol_sfi_end|>", "ends a molecule SELFIES string"),
        ("<|mol_3d_start|>", "begins a molecule 3D structure"),
        ("<|mol_3d_end|>", "ends a molecule 3D structure"),
        ("<|prot_aa_start|>", "begins a protein amino acid sequence"),
        ("<|prot_aa_end|>", "ends a protein amino acid sequence"),
        ("<|prot_3d_start|>", "begins a protein 3D structure"),
        ("<|prot_3d_end|>", "ends a protein 3D structure"),
    ],
)
def test_control_tokens_say_what_they_begin_and_end(token, description):
    assert describe(token) == description


@pytest.mark.parametrize(
    "token", ["[=C]", "[Branch1]", "[C 42]", "[Ring1 -1]", "<S 0>", "<S 4095>"]
)
def test_all_others_are_their_own_description(token):
    assert describe(token) == token


@pytest.mark.parametrize("token", ["<|im_end|>", "<A a>", "<S 01>", "C", ""])
def test_other_tokens_are_refused(token):
    with pytest.raises(BadInput, match="not a token of any family"):
        describe(token)
