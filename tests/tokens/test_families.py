import pytest

from biomatrix_jax.tokens import families


@pytest.mark.parametrize(
    ("spelling", "family"),
    [
        ("<|mol_smi_start|>", "control"),
        ("<|prot_3d_end|>", "control"),
        ("<|im_end|>", None),
        ("[C]", "selfies"),
        ("[=C@@H1]", "selfies"),
        ("[-/Ring1]", "selfies"),
        ("[13CH1-1]", "selfies"),
        ("[C 42]", "molecule_tokens"),
        ("[Branch1 -1]", "molecule_tokens"),
        ("[C -2]", None),
        ("[C 042]", None),
        ("[C  42]", None),
        ("[]", None),
        ("[C][C]", None),
        ("[C", None),
        ("[é]", None),
        ("<A M>", "residues"),
        ("<A m>", None),
        ("<A MK>", None),
        ("<A  M>", None),
        ("<AM>", None),
        ("<S 0>", "protein_codes"),
        ("<S 4095>", "protein_codes"),
        ("<S 007>", None),
        ("<S -1>", None),
        ("<S ٣>", None),
        ("<S 1>\n", None),
    ],
)
def test_family_by_spelling(spelling, family):
    assert families.family_of(spelling) == family


def test_spelling_and_reading_are_inverse():
    assert families.residue_token("M") == "<A M>"
    assert families.residue_of("<A M>") == "M"
    assert families.protein_code_token(4095) == "<S 4095>"
    assert families.code_of("<S 4095>") == 4095
    assert families.molecule_token("[=C]", 166) == "[=C 166]"
    assert families.molecule_token("[Branch1]", families.NO_CODE) == "[Branch1 -1]"
    assert families.code_of("[Branch1 -1]") == -1
    assert families.symbol_of("[=C 166]") == "[=C]"


def test_published_counts_fill_the_published_embedding():
    entries = 151_669 + sum(families.PUBLISHED_COUNTS.values())
    assert -(-entries // 64) * 64 == 168_064
    assert len(families.CONTROL_TOKENS) == families.PUBLISHED_COUNTS["control"]
    assert len(families.RESIDUE_LETTERS) == families.PUBLISHED_COUNTS["residues"]


@pytest.mark.parametrize("family", families.FAMILIES)
def test_expected_members_belong_to_their_family(family):
    members = families.expected_members(family, 3)
    assert all(families.family_of(member) == family for member in members)
    assert len(members) == {"control": 10, "residues": 26, "protein_codes": 3}.get(family, 0)
