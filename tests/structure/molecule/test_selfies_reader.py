"""Symbols read as the `selfies` package reads them, sensible strings and any others."""

import pytest
import selfies
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from biomatrix_jax.structure.molecule.selfies_reader import CannotRead, read

ATOMS = ["[C]", "[=C]", "[#C]", "[N]", "[=N]", "[O]", "[=O]", "[S]", "[P]", "[H]", "[F]", "[Cl]"]
RARE = ["[N+1]", "[=N+1]", "[O-1]", "[Fe+2]", "[OH2]", "[/C]", "[\\C]", "[C@@H1]", "[13C]", "[BH1]"]
STRUCTURE = [
    *("[Branch1]", "[=Branch1]", "[#Branch2]", "[Branch3]", "[Ring1]", "[=Ring1]", "[#Ring2]"),
    *("[Ring3]", "[-/Ring1]", "[/\\Ring1]", "[epsilon]", "[nop]"),
]
NONE = ["[Branch9]", "[xRing1]", "[Foo]", "[CH9]"]


def package(tokens: list[str]) -> tuple[str, set[int]] | None:
    """SMILES and the symbols that placed an atom; None where the package refuses them."""
    kept = [i for i, token in enumerate(tokens) if token != "[nop]"]  # it numbers without them
    try:
        smiles, found = selfies.decoder("".join(tokens[i] for i in kept), attribute=True)
    except selfies.DecoderError:
        return None
    return smiles, {kept[item.attribution[-1].index] for item in found if item.attribution}


def check(tokens: list[str]) -> None:
    expected = package(tokens)
    if expected is None:
        with pytest.raises(CannotRead):
            read(tokens)
        return
    reading = read(tokens)
    assert (reading.smiles, set(reading.placed_by)) == expected
    assert list(reading.placed_by) == sorted(reading.placed_by)
    mol = Chem.MolFromSmiles(reading.smiles, sanitize=False)
    earlier = [
        [b.GetIdx() for b in atom.GetNeighbors() if b.GetIdx() < atom.GetIdx()]
        for atom in mol.GetAtoms()
    ]
    assert list(reading.focal) == [max(atoms, default=-1) for atoms in earlier]


@given(st.lists(st.sampled_from(ATOMS + STRUCTURE), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_string_of_common_symbols(tokens):
    check(tokens)


@given(st.lists(st.sampled_from(ATOMS + RARE + STRUCTURE + NONE), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_string_of_any_symbols(tokens):
    check(tokens)


@pytest.mark.slow
@given(st.lists(st.sampled_from(ATOMS + RARE + STRUCTURE), min_size=1, max_size=120))
@settings(max_examples=5000, deadline=None)
def test_thousands_of_strings(tokens):
    check(tokens)


def test_published_strings(golden):
    for row in golden:
        tokens = [f"[{token.split()[0]}]" for token in row["struct_selfies"][1:-1].split("][")]
        check(tokens)


@pytest.mark.parametrize(
    "text",
    [
        "[C][Ring1][C]",  # a ring to the same atom
        "[C][C][Ring1][C]",  # a ring on a bond: a double bond
        "[C][=C][#Ring1][C]",  # no more than a triple bond
        "[C][C][C][Ring1][Ring1][=Ring1][Ring1]",  # a ring twice: its order rises
        "[F][C][Ring1][C]",  # no room at the other end
        "[C][Branch1][C][F][Branch1]",  # lengths that the string's end cuts off
        "[C][C][Ring2][Ring1]",
        "[C][Branch1][P][Branch1][C][F][O]",  # a branch longer than what is left
        "[C][Branch1][C][Branch1][P][O][N][S][F]",  # a branch inside that outgrows it
        "[F][Branch1][C][O]",  # no room for a branch
        "[Branch1][C][C]",  # nothing before it
        "[Ring1][C][C]",
        "[C][OH2][C]",  # an atom that can have no bond
        "[OH2][C]",
        "[C][epsilon][C]",
        "[/C][=C][/C][-/Ring1][Ring1]",
    ],
)
def test_corners_of_the_grammar(text):
    check([f"[{token}]" for token in text[1:-1].split("][")])


def test_a_hundred_rings_keep_their_numbers():
    # A chain of cyclopropanes; the package would write %100, which is ring 10 and a 0.
    tokens = ["[C]", "[C]", "[C]", "[Ring1]", "[Ring1]"] * 105
    mol = Chem.MolFromSmiles(read(tokens).smiles, sanitize=False)
    assert mol.GetNumBonds() - mol.GetNumAtoms() + 1 == 105


def test_depth_has_no_limit():
    tokens = [*["[C]", "[Branch3]", "[P]", "[P]", "[P]"] * 3000, "[C]"]
    assert len(read(tokens).placed_by) == 3001
