import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolAlign

from biomatrix_jax.structure.molecule import Encoding, MoleculeTokenizer, vqvae
from biomatrix_jax.structure.molecule.conformers import describe_molecules
from biomatrix_jax.structure.molecule.errors import (
    CollinearReferences,
    FocalAtomZero,
    ImplicitHydrogens,
    MoleculeError,
    NoForceField,
    SeveralFragments,
    TokenOutside,
    UnusableMolecule,
)
from biomatrix_jax.structure.molecule.serialization import join
from tests.structure.molecule.conftest import embed


def untrained(seed: int = 0) -> MoleculeTokenizer:
    config = vqvae.VQVAEConfig(codes=64)
    random = np.random.default_rng(seed)
    tree = vqvae.init(config, random)
    # A codebook of latents, so that codes differ between atoms.
    rows = random.uniform([0.9, 0.3, 0.3, -1], [1.8, 2.8, 2.8, 1], (config.codes, 4))
    latents, _ = vqvae.perceptron(tree["encoder"], vqvae.features(rows))
    tree["codebook"] = np.asarray(latents)
    return MoleculeTokenizer(config, tree)


def knowing(descriptors: np.ndarray) -> MoleculeTokenizer:
    """A tokenizer whose code i decodes to exactly row i: what is left is ours to get right."""
    tokenizer = untrained()
    tokenizer._table = descriptors
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> MoleculeTokenizer:
    return untrained()


def test_encoding_has_one_code_per_atom_in_string_order(tokenizer, mols):
    for mol in mols:
        encoding = tokenizer.encode(mol)
        [described] = describe_molecules([mol])
        assert encoding.codes.dtype == np.int32
        assert len(encoding.codes) == mol.GetNumAtoms()
        np.testing.assert_array_equal(encoding.order, described.line.order)
        assert encoding.struct_selfies == join(described.line, encoding.codes)
        # The code of an atom is the code of its descriptors and of nothing else.
        np.testing.assert_array_equal(
            encoding.codes, vqvae.encode(tokenizer.weights, described.descriptors)
        )
        assert len(np.unique(encoding.codes)) > 2


def test_encode_batch_equals_one_at_a_time_and_keeps_errors_in_place(tokenizer, mols):
    salt = Chem.MolFromSmiles("[Na+].[Cl-]")
    salt.AddConformer(Chem.Conformer(2))
    results = tokenizer.encode_batch([*mols[:3], salt, *mols[3:], None])
    assert isinstance(results[3], SeveralFragments)
    assert isinstance(results[-1], UnusableMolecule)
    for mol, result in zip(mols, [*results[:3], *results[4:-1]], strict=True):
        alone = tokenizer.encode(mol)
        assert isinstance(result, Encoding)
        assert result.struct_selfies == alone.struct_selfies
        np.testing.assert_array_equal(result.codes, alone.codes)
    assert tokenizer.encode_batch([]) == []
    assert isinstance(tokenizer.encode_batch([salt])[0], MoleculeError)


def test_decode_batch_equals_one_at_a_time_and_keeps_errors_in_place(mols):
    described = describe_molecules(mols)
    rows = np.concatenate([item.descriptors for item in described])
    ends = np.cumsum([len(item.descriptors) for item in described])
    strings = [
        join(item.line, np.arange(end - len(item.descriptors), end))
        for item, end in zip(described, ends, strict=True)
    ]
    tokenizer = knowing(rows)
    results = tokenizer.decode_batch([*strings[:3], "[C 1][C]", *strings[3:], "[C 999999]"])
    assert isinstance(results.pop(3), TokenOutside)
    assert isinstance(results.pop(), TokenOutside)
    for string, mol in zip(strings, results, strict=True):
        alone = tokenizer.decode(string).GetConformer().GetPositions()
        np.testing.assert_array_equal(mol.GetConformer().GetPositions(), alone)
    assert tokenizer.decode_batch([]) == []
    assert isinstance(tokenizer.decode_batch(["?"])[0], TokenOutside)


def test_encode_raises_what_encode_batch_returns(tokenizer):
    with pytest.raises(ImplicitHydrogens, match=r"^CCO: "):
        tokenizer.encode(Chem.MolFromSmiles("CCO"))


def test_decode_puts_exact_codes_back_in_place(mols):
    for mol in mols:
        [described] = describe_molecules([mol])
        atoms = np.arange(mol.GetNumAtoms())
        decoded = knowing(described.descriptors).decode(join(described.line, atoms))
        original = Chem.RenumberAtoms(mol, described.line.order.tolist())
        mapping = [(i, i) for i in range(mol.GetNumAtoms())]
        assert rdMolAlign.AlignMol(decoded, original, atomMap=mapping) < 1e-5
        assert decoded.GetConformer().Is3D()
        # Alignment allows no reflection, so handedness came through as well.
        assert [a.GetSymbol() for a in decoded.GetAtoms()] == [
            a.GetSymbol() for a in original.GetAtoms()
        ]


def test_mmff_relaxes_the_geometry(mols):
    from rdkit.Chem import rdForceFieldHelpers as force_fields

    [described] = describe_molecules([mols[0]])
    stretched = described.descriptors * [1.1, 1, 1, 1]
    string = join(described.line, np.arange(len(stretched)))
    energies = []
    for mmff in (False, True):
        mol = knowing(stretched).decode(string, mmff=mmff)
        properties = force_fields.MMFFGetMoleculeProperties(mol)
        energies.append(force_fields.MMFFGetMoleculeForceField(mol, properties).CalcEnergy())
    assert energies[1] < energies[0] - 1


@pytest.mark.parametrize("smiles", ["N=c1[nH]cc([N+](=O)[O-])s1", "c1ccccc1C(=O)NC"])
def test_mmff_moves_atoms_and_changes_nothing_else(smiles):
    [described] = describe_molecules([embed(smiles)])
    string = join(described.line, np.arange(len(described.descriptors)))
    plain, relaxed = (
        knowing(described.descriptors).decode(string, mmff=mmff) for mmff in (False, True)
    )
    assert Chem.MolToSmiles(relaxed) == Chem.MolToSmiles(plain)
    assert Chem.MolToSmiles(Chem.RemoveHs(relaxed)) == Chem.CanonSmiles(smiles)
    aromatic = [[bond.GetIsAromatic() for bond in mol.GetBonds()] for mol in (plain, relaxed)]
    assert aromatic[0] == aromatic[1]
    moved = relaxed.GetConformer().GetPositions() - plain.GetConformer().GetPositions()
    assert np.abs(moved).max() > 0.01
    assert relaxed.GetNumConformers() == 1


def test_mmff_without_parameters_is_an_error(mols):
    methane_of_silver = "[Ag 0][C 1][Branch1 -1][C -1][H 2][Branch1 -1][C -1][H 3][H 4]"
    row = [1.1, 1.9, 2.1, 1]
    table = np.array([row, row, [1.9, 1.9, 0.6, 0], row, [1.1, 1.1, 2.1, -1]])
    assert knowing(table).decode(methane_of_silver).GetNumAtoms() == 5
    with pytest.raises(NoForceField, match="decode without MMFF"):
        knowing(table).decode(methane_of_silver, mmff=True)


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (RuntimeError("Invariant Violation"), "finds no way to relax it"),
        (np.nan, "throws its atoms apart"),
    ],
)
def test_mmff_that_fails_is_an_error(mols, monkeypatch, failure, problem):
    from rdkit.Chem import rdForceFieldHelpers

    def fail(mol):
        if isinstance(failure, Exception):
            raise failure
        mol.GetConformer().SetAtomPosition(0, (failure, 0.0, 0.0))
        return 1

    monkeypatch.setattr(rdForceFieldHelpers, "MMFFOptimizeMolecule", fail)
    [described] = describe_molecules([mols[0]])
    string = join(described.line, np.arange(len(described.descriptors)))
    with pytest.raises(NoForceField, match=problem):
        knowing(described.descriptors).decode(string, mmff=True)


@pytest.mark.parametrize(
    ("string", "error", "problem"),
    [
        ("[C 1][C 64]", TokenOutside, "code 64 is not among the 64 codes"),
        ("[C 1][C 2]?", TokenOutside, "expected a token"),
        ("[C 1][Branch1 -1][C -1][O 2][Branch1 -1][C -1][N 3][C 4]", FocalAtomZero, "atom 3"),
    ],
)
def test_strings_that_do_not_decode(tokenizer, string, error, problem):
    with pytest.raises(error, match=problem) as caught:
        tokenizer.decode(string)
    assert string in str(caught.value)


def test_codes_that_leave_no_frame(mols):
    [described] = describe_molecules([mols[0]])
    flat = described.descriptors.copy()
    flat[2, 2] = 0  # The third atom on the line through the first two.
    with pytest.raises(CollinearReferences, match="atom 3 gets no frame"):
        knowing(flat).decode(join(described.line, np.arange(len(flat))))


@pytest.mark.parametrize("string", ["[C 3]", "[O 3][H 4]", "[H 1][O 2][H 3]"])
def test_small_molecules_decode_though_they_do_not_encode(string):
    table = np.tile([1.0, 1.0, 1.0, 0.0], (8, 1))
    mol = knowing(table).decode(string)
    assert mol.GetNumAtoms() == string.count("[")
    assert np.isfinite(mol.GetConformer().GetPositions()).all()


def test_save_and_load_give_the_same_codes_and_coordinates(tokenizer, mols, tmp_path):
    tokenizer.save(tmp_path / "tok")
    again = MoleculeTokenizer.from_pretrained(tmp_path / "tok")
    assert again.config == tokenizer.config
    np.testing.assert_array_equal(again._table, tokenizer._table)
    for one, two in zip(tokenizer.encode_batch(mols), again.encode_batch(mols), strict=True):
        assert one.struct_selfies == two.struct_selfies
