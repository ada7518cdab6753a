"""SELFIES as the `selfies` package writes it; and what it refuses."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import selfies
from rdkit import Chem, RDConfig, rdBase

from biomatrix_jax.structure.molecule.selfies_writer import CannotSpell, spell


def nci(step: int) -> Iterator[str]:
    """SMILES as the tokenizer writes them, of every `step`-th molecule of the set."""
    path = Path(RDConfig.RDDataDir, "NCI", "first_5K.smi")
    with path.open(encoding="ascii") as file, rdBase.BlockLogs():
        for line in islice(file, 0, None, step):
            mol = Chem.MolFromSmiles(line.split("\t")[0])
            if mol is None:
                continue
            for fragment in Chem.GetMolFrags(Chem.AddHs(mol), asMols=True):
                yield Chem.MolToSmiles(fragment, kekuleSmiles=True, isomericSmiles=False)


def check_against_package(step: int) -> int:
    count = 0
    for smiles in nci(step):
        try:
            expected = selfies.encoder(smiles)
        except selfies.EncoderError:
            with pytest.raises(CannotSpell):
                spell(smiles)
            continue
        spelling = spell(smiles)
        assert re.sub(r" (-1|%d)\]", "]", spelling.template) == expected
        _, attribution = selfies.decoder(expected, attribute=True)
        placing = {item.attribution[-1].index for item in attribution if item.attribution}
        tokens = re.findall(r"\[[^\]]*\]", spelling.template)
        assert {i for i, token in enumerate(tokens) if token.endswith(" %d]")} == placing
        count += 1
    return count


def test_strings_are_those_of_the_package():
    assert check_against_package(step=25) > 190


@pytest.mark.slow
def test_strings_are_those_of_the_package_on_thousands():
    assert check_against_package(step=1) > 5000


def test_tokens_and_focal_atoms():
    spelling = spell("C1=C([H])C(=O)C1(F)Cl")
    assert spelling.template == (
        "[C %d][=C %d][Branch1 -1][C -1][H %d][C %d][=Branch1 -1][C -1][=O %d][C %d]"
        "[Ring1 -1][=Branch1 -1][Branch1 -1][C -1][F %d][Cl %d]"
    )
    assert spelling.focal == [-1, 0, 1, 1, 3, 3, 5, 5]


def test_a_ring_bond_makes_the_focal_atom_where_its_other_end_is_later():
    # Atom 4 hangs on atom 1 and closes rings to atoms 0 and 3.
    assert spell("C12CC(C1)C2").focal[4] == 2
    assert spell("C1C(CC2)C12").focal == [-1, 0, 1, 2, 3]


@pytest.mark.parametrize("order", ["", "=", "#"])
def test_ring_bonds_may_state_their_order_at_either_end(order):
    for smiles in (f"C{order}1CCCCCCC{order}1", f"C1CCCCCCC{order}1", f"C{order}1CCCCCCC1"):
        assert f"[{order}Ring1 -1][Branch2 -1]" in spell(smiles).template


def test_ring_numbers_of_two_and_three_digits():
    assert spell("C%12CC%12").template == spell("C1CC1").template
    assert spell("C%(123)CC%(123)").template == spell("C1CC1").template


@pytest.mark.parametrize(
    ("smiles", "problem"),
    [
        ("FI(F)(F)(F)F", "^I with 5 bonds, where SELFIES allows 1$"),
        ("CN(C)(C)(=O)C", "^N with 6 bonds, where SELFIES allows 3$"),
        ("[CH3][NH4+]", r"^NH4\+ with 1 bonds, where SELFIES allows 0$"),
        ("c1ccccc1", "no symbol for c"),
        ("C[nH]", r"no symbol for \[nH\]"),
        ("C*", r"no symbol for \*"),
        ("[Xx]C", r"no symbol for \[Xx\]"),
        ("C~C", "no symbol for ~"),
        ("C->[Cu]", "no symbol for >"),
        ("C/C=C/C", "no symbol for /"),
        ("C.C", r"no symbol for \."),
        ("C[CH2:7]C", r"the atom map of \[CH2:7\] would be lost: clear it"),
    ],
)
def test_what_cannot_be_spelled(smiles, problem):
    with pytest.raises(CannotSpell, match=problem):
        spell(smiles)


def test_the_longest_branch_and_ring():
    most = 16**3
    assert "[Branch3 -1][P -1][P -1][P -1]" in spell(f"C({'C' * most})C").template
    assert "[Ring3 -1][P -1][P -1][P -1]" in spell(f"C1{'C' * most}C1"[:-2] + "1").template
    with pytest.raises(CannotSpell, match="a branch is longer than 4096"):
        spell(f"C({'C' * (most + 1)})C")
    with pytest.raises(CannotSpell, match="a ring is longer than 4096"):
        spell(f"C1{'C' * (most + 1)}1")
