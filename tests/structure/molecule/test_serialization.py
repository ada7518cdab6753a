import numpy as np
import pytest
import selfies
from rdkit import Chem

from biomatrix_jax.structure.molecule.errors import (
    ImplicitHydrogens,
    IsotopeLabel,
    MisplacedCode,
    NoConformer,
    NotSelfies,
    SeveralFragments,
    TokenOutside,
    TooFewAtoms,
    UnusableMolecule,
)
from biomatrix_jax.structure.molecule.serialization import (
    Line,
    build,
    join,
    line_up,
    split,
)
from tests.structure.molecule.conftest import bond_matrix


def with_coordinates(smiles: str, hydrogens: bool = True) -> Chem.Mol:
    """A molecule with arbitrary distinct coordinates: enough for everything but geometry."""
    mol = Chem.MolFromSmiles(smiles)
    mol = Chem.AddHs(mol) if hydrogens else mol
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.random.default_rng(0).normal(size=(mol.GetNumAtoms(), 3)))
    mol.AddConformer(conformer)
    return mol


def smiles_in_order(mol: Chem.Mol) -> str:
    return Chem.MolToSmiles(mol, kekuleSmiles=True, isomericSmiles=False)


def test_methanol_spelled_out():
    line = line_up(with_coordinates("CO"))
    spelled = join(line, np.arange(6))
    assert spelled == ("[H 0][O 1][C 2][Branch1 -1][C -1][H 3][Branch1 -1][C -1][H 4][H 5]")
    # C, O, three hydrogens on C, one on O, as AddHs numbers them.
    assert line.order[:3].tolist() == [5, 1, 0]
    assert sorted(line.order.tolist()) == list(range(6))


def test_join_and_split_are_inverse(mols):
    for mol in mols:
        line = line_up(mol)
        codes = np.random.default_rng(1).integers(0, 512, mol.GetNumAtoms())
        tokens, per_token = split(join(line, codes))
        assert "".join(tokens) == selfies.encoder(smiles_in_order(mol))
        assert [code for code in per_token if code >= 0] == codes.tolist()


def test_build_returns_the_same_graph_in_the_same_order(mols):
    for mol in mols:
        line = line_up(mol)
        codes = np.arange(mol.GetNumAtoms())
        built = build(join(line, codes))
        np.testing.assert_array_equal(built.codes, codes)
        assert built.codes.dtype == np.int32
        assert built.focal == line.focal
        np.testing.assert_array_equal(bond_matrix(built.mol), bond_matrix(mol, line.order))
        renumbered = Chem.RenumberAtoms(mol, line.order.tolist())
        for ours, theirs in zip(built.mol.GetAtoms(), renumbered.GetAtoms(), strict=True):
            assert ours.GetSymbol() == theirs.GetSymbol()
            assert ours.GetFormalCharge() == theirs.GetFormalCharge()
        assert Chem.MolToSmiles(built.mol) == Chem.MolToSmiles(mol, isomericSmiles=False)


def test_focal_atoms_are_the_latest_earlier_neighbours(mols):
    for mol in mols:
        line = line_up(mol)
        earlier = np.tril(bond_matrix(mol, line.order), -1)
        expected = [np.flatnonzero(row).max(initial=-1) for row in earlier]
        assert list(line.focal) == expected


def test_order_does_not_depend_on_how_the_atoms_were_numbered(mols):
    for mol in mols:
        shuffled = Chem.RenumberAtoms(
            mol, np.random.default_rng(3).permutation(mol.GetNumAtoms()).tolist()
        )
        assert line_up(shuffled).template == line_up(mol).template


def test_stereo_does_not_reach_the_string():
    plain, marked = with_coordinates("CC(N)C(F)=CCl"), with_coordinates("C[C@H](N)/C(F)=C/Cl")
    assert line_up(plain).template == line_up(marked).template


def test_isotopes_would_be_lost_and_are_refused():
    for smiles, problem in (("C[13CH2]O", "atom 1 is C of isotope 13"), ("[2H]CCO", "atom 0 is H")):
        mol = with_coordinates(smiles)
        with pytest.raises(IsotopeLabel, match=f"{problem}.*would drop the label"):
            line_up(mol)
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)
        assert line_up(mol).template == line_up(with_coordinates("CCO")).template


@pytest.mark.parametrize(
    ("mol", "error", "problem"),
    [
        (None, UnusableMolecule, "is not an RDKit molecule"),
        (Chem.MolFromSmiles("CCO", sanitize=False), UnusableMolecule, "not sanitized"),
        (Chem.MolFromSmiles(""), NoConformer, "no conformer"),
        (Chem.MolFromSmiles("C" * 30_000), UnusableMolecule, "more than 10,000 atoms"),
        (with_coordinates("CCO", hydrogens=False), ImplicitHydrogens, "AddHs"),
        (with_coordinates("[NH4+]", hydrogens=False), ImplicitHydrogens, "AddHs"),
        (Chem.AddHs(Chem.MolFromSmiles("CCO")), NoConformer, "no conformer"),
        (with_coordinates("CCO.O"), SeveralFragments, "2 fragments"),
        (with_coordinates("O"), TooFewAtoms, "3 atoms, fewer than the 5"),
        (with_coordinates("C=O"), TooFewAtoms, "4 atoms, fewer than the 5"),
        (with_coordinates("FI(F)(F)(F)F"), NotSelfies, "I with 5 bonds, where SELFIES allows 1"),
    ],
)
def test_molecules_that_cannot_become_a_line(mol, error, problem):
    with pytest.raises(error, match=problem) as caught:
        line_up(mol)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{caught.value.molecule}: ")


def test_two_dimensional_and_boundless_coordinates():
    flat = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    Chem.rdDepictor.Compute2DCoords(flat)
    with pytest.raises(NoConformer, match="2D"):
        line_up(flat)
    for distance in (np.inf, np.nan, -1e39, 1.1e6):  # as float32, 1e39 is infinite
        far = with_coordinates("CCO")
        far.GetConformer().SetAtomPosition(8, (0.0, distance, 0.0))
        with pytest.raises(NoConformer, match="not finite, or beyond 1,000,000 angstrom"):
            line_up(far)


def test_errors_prefer_the_molecules_own_name():
    mol = with_coordinates("CCO.O")
    mol.SetProp("_Name", "hydrate\nof ethanol")
    with pytest.raises(SeveralFragments, match=r"^hydrate of ethanol: has 2 fragments"):
        line_up(mol)


def test_hydrogens_counted_on_a_metal_are_no_missing_hydrogens():
    mol = with_coordinates("C[Cu]C")
    mol.GetAtomWithIdx(1).SetNumExplicitHs(2)
    mol.GetAtomWithIdx(1).SetNoImplicit(True)
    mol.UpdatePropertyCache(strict=False)
    assert "[CuH2 %d]" in line_up(mol).template


@pytest.mark.parametrize(
    ("text", "error", "problem"),
    [
        ("", TokenOutside, "holds no token"),
        ("[C 1][C]", TokenOutside, r"character 5, found '\[C\]'"),
        ("[C 1] [C 2]", TokenOutside, "character 5"),
        ("[C 1][C -2]", TokenOutside, "character 5"),
        ("[C 1][C +2]", TokenOutside, "character 5"),
        ("[C 1][C 2", TokenOutside, "character 5"),
        ("C 1", TokenOutside, "character 0"),
        ("[Carbon 1]", NotSelfies, "not SELFIES"),
        ("[C -1]", MisplacedCode, r"token 0 \(\[C -1\]\) places an atom but has no code"),
        ("[C 1][Branch1 5][C -1][O 3][C 4]", MisplacedCode, r"token 1 \(\[Branch1 5\]\) places no"),
        ("[F 1][F 2][C 3]", MisplacedCode, r"token 2 \(\[C 3\]\) places no"),
        ("[C 1].[C 2]", TokenOutside, "character 5"),
        ("[C 1][C.C 2]", TokenOutside, "character 5"),
        ("[F 1][F 2][Foo 3]", MisplacedCode, r"token 2 \(\[Foo 3\]\) places no"),
        ("[Branch1 -1]", UnusableMolecule, "spells no atom"),
        ("[nop -1]", UnusableMolecule, "spells no atom"),
        ("[C 1]" * 30_000, UnusableMolecule, "more than 10,000 atoms"),
    ],
)
def test_strings_that_cannot_be_built(text, error, problem):
    with pytest.raises(error, match=problem) as caught:
        build(text)
    assert "\n" not in str(caught.value)


def test_long_strings_are_shortened_in_errors():
    with pytest.raises(TokenOutside) as caught:
        split("[C 1]" * 500 + "?")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("count", [1, 3])
def test_join_refuses_another_number_of_codes(count):
    line = Line("x", "[C %d][C %d]", np.arange(2), [-1, 0])
    with pytest.raises(TypeError, match="string"):
        join(line, np.arange(count))


def test_strings_equal_the_published_ones(golden):
    for row in golden:
        assert join(line_up(row["mol"]), np.array(row["codes"])) == row["struct_selfies"]


def test_published_strings_build_the_published_molecules(golden):
    for row in golden:
        built = build(row["struct_selfies"])
        assert built.codes.tolist() == row["codes"]
        assert Chem.MolToSmiles(built.mol) == row["decoded_smiles"]
