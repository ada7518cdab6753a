import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import gaps

EXAMPLES = ["2xhe_B", "7cfn_A", "1gbt_A", "4cup_synthetic_gaps", "4cup_long_gap"]


def straight(length: int, step: float = 3.8) -> np.ndarray:
    """Residues along z with bonds of usual length, of nothing in particular."""
    residue = np.array([[0.0, 1.2, -0.8], [0, 0, 0], [0.3, -0.9, 1.2], [1.5, -0.9, 1.3]])
    return residue + np.arange(length)[:, None, None] * np.array([0, 0, step])


def without(chain: np.ndarray, *missing: int) -> np.ndarray:
    chain = chain.copy()
    chain[list(missing)] = np.nan
    return chain


def ca_steps(chain: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(chain[:, 1], axis=0), axis=-1)


@pytest.fixture(scope="module")
def gap_filling(shared_reference):
    return np.load(shared_reference / "gcp_vqvae" / "gap_filling.npz")


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_examples(gap_filling, name):
    filled, observed = gaps.impute(gap_filling[f"{name}_raw"])
    # Not 1e-4: the original's float32 makes one of them 7e-4 of its own.
    np.testing.assert_allclose(filled, gap_filling[f"{name}_filled"], atol=1e-3, rtol=0)
    np.testing.assert_array_equal(observed, gap_filling[f"{name}_valid"])


@pytest.mark.parametrize("name", ["1a8o_A", "4cup_A"])
def test_whole_chains(shared_reference, name):
    example = np.load(shared_reference / "gcp_vqvae" / f"{name}.npz")
    filled, _ = gaps.impute(example["coords_raw"])
    np.testing.assert_allclose(filled, example["coords_filled"], atol=1e-4, rtol=0)
    filled, observed = gaps.fill(example["coords_raw"])
    np.testing.assert_allclose(filled, example["coords_recentered"], atol=1e-4, rtol=0)
    np.testing.assert_array_equal(observed, example["nan_masks"][: len(filled)])
    assert filled.dtype == np.float32


@pytest.mark.parametrize("name", EXAMPLES)
def test_oxygens_move_nothing_else(gap_filling, name):
    raw = gap_filling[f"{name}_raw"]
    with_oxygen, observed = gaps.impute(raw)
    without_oxygen, observed_too = gaps.impute(raw[:, :3])
    np.testing.assert_array_equal(without_oxygen, with_oxygen[:, :3])
    np.testing.assert_array_equal(observed_too, observed)


def test_nothing_missing_only_moves_to_the_origin():
    chain = straight(5) + np.array([100.0, -50.0, 7.0])
    filled, observed = gaps.fill(chain)
    assert observed.all()
    np.testing.assert_allclose(filled.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(np.diff(filled, axis=0), np.diff(chain, axis=0), atol=1e-5)


def test_a_residue_without_one_atom_counts_as_missing():
    chain = straight(6)
    partial = chain.copy()
    partial[3, 3, 1] = np.nan
    filled, observed = gaps.impute(partial)
    assert observed.tolist() == [True, True, True, False, True, True]
    np.testing.assert_array_equal(filled, gaps.impute(without(chain, 3))[0])


def test_ends_copy_the_nearest_residue_and_then_take_bond_lengths():
    chain = straight(6)
    filled, observed = gaps.impute(without(chain, 0, 1, 5))
    assert observed.tolist() == [False, False, True, True, True, False]
    # All copies lie on each other, so that no direction is there to space CAs along.
    np.testing.assert_array_equal(filled[0, 0], chain[2, 0])
    for i in (0, 1, 5):
        for a, b, length in gaps.BONDS:
            assert np.linalg.norm(filled[i, a] - filled[i, b]) == pytest.approx(length)
    for i in (0, 1, 4):
        peptide = np.linalg.norm(filled[i, 2] - filled[i + 1, 0])
        assert peptide == pytest.approx(gaps.PEPTIDE_BOND)
    np.testing.assert_array_equal(filled[3:5], chain[3:5])


@pytest.mark.parametrize("step", [3.0, 4.75])
def test_a_gap_is_straight_where_an_arc_is_too_short_or_does_not_reach(step):
    """Four residues of 3.8 angstrom: 15.2 along, but an arc at half their length is 9.7 wide."""
    filled, _ = gaps.impute(without(straight(8, step), 2, 3, 4, 5))
    assert np.abs(filled[2:6, 1, :2]).max() < 0.5


def test_a_gap_with_slack_bulges_where_the_axes_say():
    chain = without(straight(8, step=1.5), 2, 3, 4, 5)
    # Along z: across it and x is y. Turned so that the chain runs along x, y is the reference.
    filled, _ = gaps.impute(chain)
    assert filled[3:5, 1, 1].min() > 2
    turn = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    turned, _ = gaps.impute(chain @ turn)
    assert turned[3:5, 1, 2].min() > 2
    # The same direction by chance; turned a little less, it is another.
    turn = np.array([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]])
    assert np.abs(gaps.impute(chain @ turn)[0] - filled @ turn).max() > 1


def test_an_observed_n_after_a_gap_moves_and_nothing_else_observed_does():
    chain = straight(7)
    filled, observed = gaps.impute(without(chain, 3))
    moved = np.linalg.norm(filled - chain, axis=-1) > 1e-9
    moved[~observed] = False
    assert np.argwhere(moved).tolist() == [[4, 0]]
    assert np.linalg.norm(filled[4, 0] - filled[3, 2]) == pytest.approx(gaps.PEPTIDE_BOND)


def test_gaps_between_coincident_residues_stay_finite():
    chain = straight(6)
    chain[4] = chain[1]
    filled, _ = gaps.impute(without(chain, 2, 3))
    assert np.isfinite(filled).all()


def test_the_input_is_left_alone():
    chain = without(straight(6), 0, 3)
    before = chain.copy()
    gaps.fill(chain)
    np.testing.assert_array_equal(chain, before)


def test_nothing_observed_is_an_error():
    chain = straight(3)
    chain[:, 1] = np.nan
    with pytest.raises(BadInput, match="no residue of the chain has all its backbone atoms"):
        gaps.fill(chain)
