import pytest
import selfies
from selfies.constants import INDEX_ALPHABET

from biomatrix_jax.structure.molecule.selfies_symbols import (
    BRANCHES,
    DIGITS,
    END,
    RINGS,
    Atom,
    Branch,
    Ring,
    atom,
    atom_body,
    meaning,
    number,
    value_of,
)


def test_digits_are_those_of_the_package():
    assert DIGITS == INDEX_ALPHABET


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("[C]", Atom(1, "", "C", 4)),
        ("[=C]", Atom(2, "", "C", 4)),
        ("[#N+1]", Atom(3, "", "[N+1]", 4)),
        ("[/C@@H1]", Atom(1, "/", "[C@@H1]", 3)),
        ("[\\O-1]", Atom(1, "\\", "[O-1]", 1)),
        ("[13CH2]", Atom(1, "", "[13CH2]", 2)),
        ("[H]", Atom(1, "", "[H]", 1)),
        ("[Fe+2]", Atom(1, "", "[Fe+2]", 8)),
        ("[OH2]", Atom(1, "", "[OH2]", 0)),
        ("[OH3]", None),  # more hydrogens than bonds
        ("[Xx]", None),
        ("[c]", None),
        ("[C C]", None),
        ("C", None),
        ("[]", None),
    ],
)
def test_atoms(symbol, expected):
    assert atom(symbol) == expected


def test_atoms_have_the_capacity_that_the_package_gives_them():
    # As many single bonds as there is room for: the package drops the rest.
    for symbol in sorted(selfies.get_semantic_robust_alphabet()):
        found = atom(symbol)
        if found:
            spelled = selfies.decoder(f"[{symbol.lstrip('[=#')}" + "[Branch1][C][F]" * 12)
            assert found.capacity == spelled.count("F") - (found.smiles == "F"), symbol


@pytest.mark.parametrize(
    ("smiles", "body"),
    [("C", "C"), ("[NH3+]", "NH3+1"), ("[O-]", "O-1"), ("[CuH2]", "CuH2"), ("[Xx]", None)],
)
def test_atoms_of_smiles(smiles, body):
    assert atom_body(smiles) == body


def test_rings_and_branches():
    assert RINGS["[=Ring2]"] == Ring(2, 2, ("", ""))
    assert RINGS["[-/Ring1]"] == Ring(1, 1, ("", "/"))
    assert RINGS["[\\-Ring3]"] == Ring(1, 3, ("\\", ""))
    assert BRANCHES["[#Branch3]"] == Branch(3, 3)
    assert len(RINGS) == 3 * (3 + 8)
    assert len(BRANCHES) == 9
    assert "[--Ring1]" not in RINGS


def test_numbers():
    assert number(0) == ("[C]",)
    assert number(15) == ("[P]",)
    assert number(16) == ("[Ring1]", "[C]")
    for value in (0, 1, 15, 16, 255, 256, 4095, 70000):
        assert value_of(number(value), len(number(value))) == value
    assert value_of(["[Ring1]", "[F]"], 2) == 16
    assert value_of(["[Ring1]"], 3) == 256
    assert value_of([], 1) == 0


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("[=C]", Atom(2, "", "C", 4)),
        ("[Branch1]", Branch(1, 1)),
        ("[=Ring1]", Ring(2, 1, ("", ""))),
        ("[epsilon]", END),
        ("[eps]", END),
        ("[xRing1]", None),
        ("[Branch4]", None),
        ("[nonsense]", None),
    ],
)
def test_meanings(symbol, expected):
    assert meaning(symbol) == expected
