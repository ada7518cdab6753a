import re

import pytest
from tokenizers import AddedToken

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import families, inventory

RESIDUES = [families.residue_token(letter) for letter in families.RESIDUE_LETTERS]


def added(spellings, **flags):
    return {100 + i: AddedToken(spelling, **flags) for i, spelling in enumerate(spellings)}


def test_fixed_families_come_in_their_own_order_whatever_their_ids():
    tokens = added([*reversed(RESIDUES), "<S 1>", "<S 0>", "[N]", "[C]", "<|im_end|>"])
    found = inventory.find_families("here", tokens)
    assert list(found) == ["selfies", "residues", "protein_codes"]
    assert list(found["residues"]) == RESIDUES
    assert found["residues"]["<A Z>"] == 100
    assert found["protein_codes"] == {"<S 0>": 127, "<S 1>": 126}
    assert found["selfies"] == {"[N]": 128, "[C]": 129}


@pytest.mark.parametrize(
    ("spellings", "says"),
    [
        (families.CONTROL_TOKENS[:-1], "'control' lacks 1 of its tokens: <|prot_3d_end|>"),
        (
            [r for r in RESIDUES if r not in ("<A B>", "<A U>")],
            "lacks 2 of its tokens: <A B> <A U>",
        ),
        (["<S 0>", "<S 1>", "<S 3>"], "'protein_codes' lacks 1 of its tokens: <S 2>"),
        ([f"<S {i}>" for i in range(1, 4096)], "lacks 1 of its tokens: <S 0>"),
        (RESIDUES[:3], "lacks 23 of its tokens: <A D> <A E>"),
    ],
)
def test_an_incomplete_family_names_what_it_lacks(spellings, says):
    with pytest.raises(BadInput, match=re.escape(says)) as refusal:
        inventory.find_families("here", added(spellings))
    assert "here" in str(refusal.value)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word"])
def test_tokens_that_swallow_their_surroundings_are_refused(flag):
    with pytest.raises(BadInput, match=r"<A A>.*swallows"):
        inventory.find_families("here", added(RESIDUES, **{flag: True}))


def test_content_is_never_special():
    spellings = ["<|mol_smi_end|>", "<A M>", "[C]", "[C 3]", "<S 0>", "<|im_end|>"]
    assert inventory.find_special(added(spellings, special=True)) == [100, 105]
    assert inventory.find_special(added(spellings, special=False)) == [100]
