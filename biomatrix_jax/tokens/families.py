"""How the tokens that BioMatrix adds to a text vocabulary are spelled, family by family.

Spelling is all that defines a token: ids are looked up in the tokenizer files, never computed. The
order of `FAMILIES` is the order in which an extension appends them; a released checkpoint may hold
another one.
"""

import re

CONTROL = "control"
SELFIES = "selfies"
RESIDUES = "residues"
PROTEIN_CODES = "protein_codes"
MOLECULE_TOKENS = "molecule_tokens"
FAMILIES = (CONTROL, SELFIES, RESIDUES, PROTEIN_CODES, MOLECULE_TOKENS)

# The published vocabulary: with Qwen3's 151,669 entries these make 168,020 tokens, which the
# embedding pads to 168,064. SELFIES is the number seen in the published corpus.
PUBLISHED_COUNTS = {
    CONTROL: 10,
    SELFIES: 925,
    RESIDUES: 26,
    PROTEIN_CODES: 4096,
    MOLECULE_TOKENS: 11_294,
}

# Modality -> the control tokens around its segments. Text stands unwrapped.
WRAPPERS = {
    "smiles": ("<|mol_smi_start|>", "<|mol_smi_end|>"),
    "selfies": ("<|mol_sfi_start|>", "<|mol_sfi_end|>"),
    "molecule_3d": ("<|mol_3d_start|>", "<|mol_3d_end|>"),
    "protein_sequence": ("<|prot_aa_start|>", "<|prot_aa_end|>"),
    "protein_3d": ("<|prot_3d_start|>", "<|prot_3d_end|>"),
}
CONTROL_TOKENS = tuple(token for pair in WRAPPERS.values() for token in pair)

RESIDUE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

NO_CODE = -1  # the code of a SELFIES token that places no atom, as in [Branch1 -1]

# What may stand between the brackets of a SELFIES symbol: no brackets, no spaces.
_SYMBOL = r"[-+=#$/\\@*%.:0-9A-Za-z]+"
_NUMBER = r"(?:0|[1-9][0-9]*)"
SELFIES_SYMBOL = rf"\[{_SYMBOL}\]"
MOLECULE_SYMBOL = rf"\[{_SYMBOL} (?:-1|{_NUMBER})\]"

_PATTERNS = {
    SELFIES: re.compile(SELFIES_SYMBOL),
    RESIDUES: re.compile("<A [A-Z]>"),
    PROTEIN_CODES: re.compile(f"<S {_NUMBER}>"),
    MOLECULE_TOKENS: re.compile(MOLECULE_SYMBOL),
}


def family_of(spelling: str) -> str | None:
    """The family that a token of this spelling belongs to, or None for any other token."""
    if spelling in CONTROL_TOKENS:
        return CONTROL
    for family, pattern in _PATTERNS.items():
        if pattern.fullmatch(spelling):
            return family
    return None


def residue_token(letter: str) -> str:
    """One residue's token: "M" -> "<A M>"."""
    return f"<A {letter}>"


def protein_code_token(code: int) -> str:
    """One protein structure code's token: 7 -> "<S 7>"."""
    return f"<S {code}>"


def molecule_token(symbol: str, code: int) -> str:
    """The joint token of a SELFIES symbol and a structure code: "[=C]", 166 -> "[=C 166]"."""
    return f"{symbol[:-1]} {code}]"


def symbol_of(spelling: str) -> str:
    """The SELFIES symbol of a joint molecule token: "[=C 166]" -> "[=C]"."""
    return spelling[: spelling.index(" ")] + "]"


def residue_of(spelling: str) -> str:
    """The letter of a residue token: "<A M>" -> "M"."""
    return spelling[3:-1]


def code_of(spelling: str) -> int:
    """The number in a protein code or joint molecule token: "<S 7>" -> 7, "[=C 166]" -> 166."""
    return int(spelling[spelling.index(" ") + 1 : -1])


def expected_members(family: str, count: int) -> tuple[str, ...]:
    """The tokens, in order, that a complete family of `count` members has.

    Control tokens and residues are fixed sets, and protein codes run from 0 without a gap. Which
    SELFIES and joint molecule tokens there are is a choice of the corpus: () for these.
    """
    match family:
        case "control":
            return CONTROL_TOKENS
        case "residues":
            return tuple(map(residue_token, RESIDUE_LETTERS))
        case "protein_codes":
            return tuple(map(protein_code_token, range(count)))
    return ()
