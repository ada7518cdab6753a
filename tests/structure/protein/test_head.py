import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from biomatrix_jax.structure.protein import head
from biomatrix_jax.structure.protein.layers import standardised


def test_every_stage_of_the_worked_examples(model, worked):
    module, x = model.head, worked["dec_project_out"]
    normed = module.norm(jax.nn.gelu(module.hidden(x), approximate=False))
    np.testing.assert_allclose(normed, worked["head_norm"], atol=2e-5, rtol=0)
    raw = nnx.jit(lambda module, x: module(x))(module, x)
    np.testing.assert_allclose(raw, worked["head_raw9"], atol=2e-5, rtol=0)
    placement = jax.jit(head.placement)(worked["head_raw9"])
    affine = worked["head_affine12"]
    np.testing.assert_allclose(placement.rotations.reshape(-1, 9), affine[:, :9], atol=2e-5, rtol=0)
    np.testing.assert_allclose(placement.translations, affine[:, 9:], atol=2e-5, rtol=0)
    observed = worked["masks"] & worked["nan_masks"]
    found = np.asarray(jax.jit(head.atoms)(placement))
    np.testing.assert_allclose(found[observed], worked["coords_out"][observed], atol=1e-4, rtol=0)


def test_a_placement_by_hand():
    """u along -x and w in the xy plane: no turn, so the template itself, moved."""
    raw = jnp.array([1.0, 2.0, 3.0, -4.0, 0.0, 0.0, 7.0, 0.5, 0.0])
    found = head.atoms(head.placement(raw))
    expected = [[1.5256, 3.3612, 3], [1, 2, 3], [1 - 1.5251, 2, 3]]
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_rotations_are_rotations():
    raw = np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32)
    turns = np.asarray(head.placement(raw).rotations)
    np.testing.assert_allclose(
        turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=2e-5
    )
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=2e-5)
    # w's own side is kept: the second axis does not point away from it.
    assert (np.sum(turns[:, :, 1] * raw[:, 6:], axis=1) > 0).all()


def test_bonds_are_ideal():
    raw = np.random.default_rng(1).normal(size=(20, 9)).astype(np.float32)
    n, ca, c = np.moveaxis(np.asarray(head.atoms(head.placement(raw))), 1, 0)
    np.testing.assert_allclose(np.linalg.norm(n - ca, axis=1), 1.4592, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(c - ca, axis=1), 1.5251, atol=1e-4)


def test_gelu_is_exact():
    """The usual approximation is off by up to 5e-4, which the layer norm would pass on."""
    module = head.BackboneHead(4, nnx.Rngs(0))
    x = jnp.array([2.0, -1.0, 0.5, 3.0])
    hidden = module.hidden(x)
    gelu = hidden * (1 + jax.lax.erf(hidden / jnp.sqrt(2.0))) / 2
    np.testing.assert_allclose(module(x), module.out(standardised(gelu)), atol=1e-6)
