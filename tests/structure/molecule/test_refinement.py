import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from biomatrix_jax.structure.molecule import (
    MoleculeTokenizer,
    ideal_geometry,
    least_squares,
    refinement,
    vqvae,
)
from biomatrix_jax.structure.molecule import reconstruction as metrics
from biomatrix_jax.structure.molecule.conformers import describe_molecules
from biomatrix_jax.structure.molecule.descriptors import rebuild, reference_atoms
from biomatrix_jax.structure.molecule.restraints import restrain
from tests.structure.molecule.conftest import SMILES, embed
from tests.structure.molecule.test_tokenizer import untrained


def decoded(mol: Chem.Mol, noise: float, seed: int = 0) -> tuple[refinement.Decoded, np.ndarray]:
    """As from tokens whose descriptors are off by `noise` (radian, half of it angstrom); the
    original positions."""
    [described] = describe_molecules([mol])
    references = reference_atoms(described.line.focal, [len(described.descriptors)])
    offsets = noise * np.random.default_rng(seed).normal(size=described.descriptors.shape)
    descriptors = described.descriptors + offsets * [0.5, 1, 1, 0]
    ordered = Chem.RenumberAtoms(mol, described.line.order.tolist())
    spreads = np.full((len(descriptors), 2), max(noise, 0.02))
    item = refinement.Decoded(
        ordered, descriptors, references, spreads, rebuild(descriptors, references)
    )
    return item, ordered.GetConformer().GetPositions()


def ring_closures(item: refinement.Decoded) -> list[tuple[int, int]]:
    bonds = [sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in item.mol.GetBonds()]
    return [(i, j) for i, j in bonds if j > 2 and item.references[j, 0] != i]


@pytest.fixture(scope="module")
def noisy() -> list[tuple[refinement.Decoded, np.ndarray]]:
    relaxed = [embed(smiles) for smiles in SMILES]
    for mol in relaxed:
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol)
    return [decoded(mol, 0.06, seed) for seed, mol in enumerate(relaxed)]


@pytest.fixture(scope="module")
def refined(noisy) -> list[refinement.Refined]:
    return refinement.refine([item for item, _ in noisy])


def test_refined_molecules_are_closer_to_the_originals(noisy, refined):
    ratios = []
    for (item, original), (positions, problem) in zip(noisy, refined, strict=True):
        assert problem == ""
        right = metrics.bond_lengths(item.mol, original)[1]
        errors = [
            (
                metrics.coordinate_rmsd(found, original),
                np.abs(metrics.bond_lengths(item.mol, found)[1] - right).mean(),
            )
            for found in (item.positions, positions)
        ]
        ratios.append(np.divide(*errors[::-1]))
    rmsd, bonds = np.mean(ratios, axis=0)
    assert rmsd < 0.8
    assert bonds < 0.5


def test_rings_close(noisy, refined):
    before, after = [], []
    for (item, original), (positions, _) in zip(noisy, refined, strict=True):
        for i, j in ring_closures(item):
            right = np.linalg.norm(original[i] - original[j])
            before.append(abs(np.linalg.norm(item.positions[i] - item.positions[j]) - right))
            after.append(abs(np.linalg.norm(positions[i] - positions[j]) - right))
    assert len(before) >= 7
    assert np.mean(after) < 0.3 * np.mean(before)
    assert max(after) < 0.06


def test_aromatic_rings_become_flat(noisy, refined):
    at = SMILES.index("c1ccc2[nH]ccc2c1")
    item, positions = noisy[at][0], refined[at].positions
    heavy = [atom.GetIdx() for atom in item.mol.GetAtoms() if atom.GetAtomicNum() > 1]

    def thickness(p):
        return np.linalg.svd(p[heavy] - p[heavy].mean(axis=0))[1][2]

    assert thickness(item.positions) > 0.15
    assert thickness(positions) < 0.04


def test_together_or_alone_is_the_same(noisy, refined):
    for at in (0, 4):
        [alone] = refinement.refine([noisy[at][0]])
        np.testing.assert_array_equal(alone.positions, refined[at].positions)


def test_handedness_is_that_of_the_tokens():
    for smiles in ("C[C@H](F)Cl", "C[C@@H](F)Cl", "C[C@H](N)[C@@H](O)C(=O)O", "C/C=C\\F"):
        item, original = decoded(embed(smiles), 0.08)
        [(positions, problem)] = refinement.refine([item])
        assert problem == ""
        labels = metrics.stereo_labels(item.mol, positions)
        assert labels == metrics.stereo_labels(item.mol, original)


def test_bonds_that_codebooks_lack_get_their_usual_length():
    item, original = decoded(embed("FC(F)(Cl)C=CBr"), 0)
    [bond] = [
        b
        for b in item.mol.GetBonds()
        if "Br" in {b.GetBeginAtom().GetSymbol(), b.GetEndAtom().GetSymbol()}
    ]
    i, j = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
    descriptors = item.descriptors.copy()
    descriptors[j, 0] = 1.3
    short = item._replace(descriptors=descriptors, positions=rebuild(descriptors, item.references))
    [(positions, _)] = refinement.refine([short])
    right = np.linalg.norm(original[i] - original[j])
    assert np.linalg.norm(positions[i] - positions[j]) == pytest.approx(right, abs=0.08)


def test_positions_lie_where_the_sequential_ones_do(noisy, refined):
    for (item, _), (positions, _) in zip(noisy, refined, strict=True):
        np.testing.assert_allclose(
            metrics.superimpose(positions, item.positions), positions, atol=1e-9
        )


def test_what_is_not_better_stays(monkeypatch, mols):
    item, original = decoded(mols[0], 0.06)
    fields = {"positions": original, "before": 2.0, "after": 1.0, "converged": True}
    for change, problem in (
        ({"after": 2.0}, "nothing better"),
        ({"positions": np.full_like(original, np.nan)}, "nothing better"),
        ({"converged": False}, "did not converge"),
        ({"positions": original * [1, 1, -1]}, "chiral atom inside out"),
    ):
        solution = least_squares.Solution(**fields | change)
        monkeypatch.setattr(refinement, "solve", lambda *_, solution=solution: [solution])
        [result] = refinement.refine([item])
        assert problem in result.problem
        np.testing.assert_array_equal(result.positions, item.positions)


def test_small_molecules_stay():
    water = Chem.AddHs(Chem.MolFromSmiles("O"))
    positions = np.eye(3)
    item = refinement.Decoded(
        water, np.ones((3, 4)), np.zeros((3, 3), int), np.ones((3, 2)), positions
    )
    [result] = refinement.refine([item])
    assert "too few atoms" in result.problem
    np.testing.assert_array_equal(result.positions, positions)
    assert refinement.refine([]) == []


def test_sizes_have_room():
    [(item, _)] = [decoded(embed("C1CC2CCC1C2"), 0)]
    restraints = restrain(*item)
    atoms, pairs = len(item.positions), len(restraints.pair_atoms)
    assert least_squares._size(atoms, restraints) == 24
    assert least_squares._size(25, restraints) == 32
    assert least_squares._size(97, restraints) == 128
    many = restraints._replace(pair_atoms=np.zeros((5 * 24 + 1, 2)))
    assert pairs <= 5 * 24
    assert least_squares._size(atoms, many) == 32


def test_names_of_terms():
    mol = embed("OC=C")
    terms = ideal_geometry.terms(mol)
    counts = {kind: len(listed) for kind, listed in terms.items()}
    assert counts == {"bond": 6, "angle": 1 + 3 + 3, "plane": 1 + 1 + 2}
    bonds = {term.atoms: term.names for term in terms["bond"]}
    assert bonds[1, 2] == ("C32(HH).C32(HO)=c0", "C32.C32=c0", "C.C=")


def test_measures():
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    assert ideal_geometry.measure(corner, "bond", [(0, 3)]) == pytest.approx([3])
    assert ideal_geometry.measure(corner, "angle", [(1, 0, 2)]) == pytest.approx([np.pi / 2])
    assert ideal_geometry.measure(corner, "plane", [(0, 1, 2, 3)]) == pytest.approx([6])


def test_tabulated_values():
    mols = [embed("CC"), embed("CC", seed=1)]
    conformers = [(mol, mol.GetConformer().GetPositions()) for mol in mols]
    table = ideal_geometry.tabulate(conformers, least=3)
    assert "C.C-" not in table["bond"]  # met twice
    lengths = [metrics.bond_lengths(mol, p) for mol, p in conformers]
    hydrogens = [
        x for types, found in lengths for t, x in zip(types, found, strict=True) if t == "C-H"
    ]
    assert table["bond"]["C.H-"].value == pytest.approx(np.median(hydrogens))
    assert table["plane"] == {}


def test_the_shipped_table_knows_common_bonds():
    bonds = ideal_geometry.load()["bond"]
    for name, length in (("C.C:", 1.40), ("C.C#", 1.20), ("C.H-", 1.09), ("Br.C-", 1.91)):
        assert bonds[name].value == pytest.approx(length, abs=0.02)


def test_spreads_follow_the_cells():
    tokenizer = untrained()
    table = vqvae.code_table(tokenizer.weights)
    spreads = refinement.angular_spreads(tokenizer.weights, table)
    assert spreads.shape == (64, 2)
    assert np.isfinite(spreads).all()
    assert (spreads > 0).all()
    np.testing.assert_array_equal(spreads, refinement.angular_spreads(tokenizer.weights, table))


def test_tokenizer_decodes_refined(shared_reference, golden):
    tokenizer = MoleculeTokenizer.from_pretrained(
        shared_reference / "molstructok" / "molstructok_vqvae.bin"
    )
    rows = [row for row in golden if row["mol"].GetNumAtoms() <= 24][:16]
    strings = [row["struct_selfies"] for row in rows]
    errors = {False: [], True: []}
    for refine in errors:
        for row, mol in zip(rows, tokenizer.decode_batch(strings, refine=refine), strict=True):
            order = tokenizer.encode(row["mol"]).order
            original = row["mol"].GetConformer().GetPositions()[order]
            positions = mol.GetConformer().GetPositions()
            lengths = [metrics.bond_lengths(mol, p)[1] for p in (positions, original)]
            rmsd = metrics.coordinate_rmsd(positions, original)
            errors[refine].append((rmsd, np.abs(lengths[0] - lengths[1]).mean()))
    sequential, refined = np.mean(errors[False], axis=0), np.mean(errors[True], axis=0)
    assert refined[0] < 0.7 * sequential[0]
    assert refined[1] < 0.3 * sequential[1]
    broken = tokenizer.decode_batch([strings[0], "[C 1]?"], refine=True)
    assert isinstance(broken[0], Chem.Mol)
    assert not isinstance(broken[1], Chem.Mol)
