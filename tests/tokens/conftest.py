"""Two extended vocabularies: a small one on the shipped base, a full one on Qwen3's tokenizer."""

import itertools

import pytest

from biomatrix_jax.tokens import Vocabulary, base_tokenizer_path, extend_tokenizer, families

SMALL_SELFIES = [
    "[C]",
    "[=C]",
    "[C@@]",
    "[Si]",
    "[O-1]",
    "[Na+1]",
    "[Cl-1]",
    "[Branch1]",
    "[Ring1]",
]
SMALL_JOINT = ["[C 0]", "[C 42]", "[=C 7]", "[H 3]", "[Branch1 -1]", "[Ring1 -1]"]


def published_selfies() -> list[str]:
    """As many plausible SELFIES symbols as the published vocabulary has."""
    bonds = ["", "=", "#", "/", "\\", "-/"]
    atoms = ["C", "N", "O", "S", "P", "Si", "Se", "H", "F", "Cl", "Br", "I", "B", "Na", "13C", "2H"]
    chirality = ["", "@", "@@"]
    hydrogens = ["", "H1", "H2"]
    charges = ["", "+1", "-1"]
    # Hydrogens, charges and chirality vary slowest, so that plain atoms are all in.
    order = itertools.product(charges, hydrogens, chirality, bonds, atoms)
    symbols = [f"[{bond}{atom}{c}{h}{q}]" for q, h, c, bond, atom in order]
    rest = [
        f"[{bond}{kind}{i}]" for bond in bonds[:3] for kind in ("Branch", "Ring") for i in "123"
    ]
    distinct = list(dict.fromkeys(SMALL_SELFIES + rest + symbols))
    return distinct[: families.PUBLISHED_COUNTS[families.SELFIES]]


def published_joint() -> list[str]:
    """As many joint molecule tokens as the published vocabulary has."""
    symbols = [symbol for symbol in published_selfies() if "Ring" in symbol or "Branch" in symbol]
    placed = [symbol for symbol in published_selfies() if symbol not in symbols]
    tokens = [families.molecule_token(symbol, families.NO_CODE) for symbol in symbols]
    tokens += [
        families.molecule_token(s, code) for s, code in itertools.product(placed, range(512))
    ]
    return tokens[: families.PUBLISHED_COUNTS[families.MOLECULE_TOKENS]]


@pytest.fixture(scope="session")
def base() -> Vocabulary:
    return Vocabulary.from_pretrained(base_tokenizer_path())


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Vocabulary:
    return extend_tokenizer(
        base_tokenizer_path(),
        tmp_path_factory.mktemp("small") / "tokenizer",
        selfies=SMALL_SELFIES,
        molecule_tokens=SMALL_JOINT,
        protein_codes=16,
    )


@pytest.fixture(scope="session")
def qwen3(shared_reference, tmp_path_factory) -> Vocabulary:
    return extend_tokenizer(
        shared_reference / "qwen3",
        tmp_path_factory.mktemp("qwen3") / "tokenizer",
        selfies=published_selfies(),
        molecule_tokens=published_joint(),
        protein_codes=families.PUBLISHED_COUNTS[families.PROTEIN_CODES],
    )


@pytest.fixture(scope="session", params=["small", "qwen3"])
def vocabulary(request) -> Vocabulary:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def own_encoding():
    """The tokenizer's own encoding of a string: (vocabulary, text) -> list of ids."""
    from tokenizers import Tokenizer

    loaded = {}

    def encode(vocabulary: Vocabulary, text: str) -> list[int]:
        if vocabulary.path not in loaded:
            loaded[vocabulary.path] = Tokenizer.from_file(str(vocabulary.path / "tokenizer.json"))
        return loaded[vocabulary.path].encode(text, add_special_tokens=False).ids

    return encode
