import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax.structure.molecule import vqvae
from biomatrix_jax.structure.molecule.training import losses

# Angstrom, radian, radian, sign.
DESCRIPTORS = np.array(
    [
        [1.5, 1.2, 1.9, 1.0],
        [1.1, 0.4, 2.8, -1.0],
        [2.1, 2.9, 0.3, 1.0],
        [1.2608129506349746, 1.593612854073428, 2.1366727766526967, 0.0],
    ]
)


OBJECTIVE = jax.jit(losses.objective)


def local(descriptors: np.ndarray) -> np.ndarray:
    r, theta, phi, sign = descriptors.T
    phi = phi * sign
    return np.stack(
        [r * np.sin(theta) * np.cos(phi), r * np.sin(theta) * np.sin(phi), r * np.cos(theta)], 1
    )


def test_branch_weights_are_squared_displacements():
    features = vqvae.features(DESCRIPTORS).astype(np.float64)
    weights = np.asarray(losses.displacements(jnp.asarray(features)))
    for component, counted in ((0, 1 + losses.LENGTH_AGAIN**2), (1, 1), (2, 1)):
        moved = DESCRIPTORS[:3].copy()
        moved[:, component] += 1e-3
        displacement = np.sum((local(moved) - local(DESCRIPTORS[:3])) ** 2, axis=1)
        error = vqvae.features(moved)[:, component] - features[:3, component]
        np.testing.assert_allclose(
            counted * displacement, weights[:3, component] * error**2, rtol=5e-3
        )
    # The sign: the atom on the other side of its frame.
    moved = DESCRIPTORS[:3] * [1, 1, 1, -1]
    displacement = np.sum((local(moved) - local(DESCRIPTORS[:3])) ** 2, axis=1)
    np.testing.assert_allclose(weights[:2, 3], np.maximum(displacement, 0.1)[:2], rtol=1e-5)
    assert weights[2, 3] == np.float32(losses.LEAST_SIGN)  # it moves by 0.3 angstrom only
    assert weights[3, 3] == 1


def test_distances_in_the_latent_space_are_displacements():
    coordinates = np.asarray(losses.coordinates(vqvae.features(DESCRIPTORS)))
    np.testing.assert_allclose(coordinates[:3, :3], local(DESCRIPTORS[:3]), atol=1e-5)
    projection = losses.projection(16, seed=3)
    np.testing.assert_allclose(projection @ projection.T, np.eye(6), atol=1e-6)
    latents = coordinates @ projection
    between = np.linalg.norm(latents[:, None] - latents, axis=-1)
    r = DESCRIPTORS[:, 0]
    expected = np.sum((local(DESCRIPTORS[:2])[0] - local(DESCRIPTORS[:2])[1]) ** 2)
    expected += (r[0] - r[1]) ** 2 + losses.SIGN_GAP**2
    assert between[0, 1] == pytest.approx(np.sqrt(expected), rel=1e-4)
    assert (between[3, :3] > losses.UNFRAMED_GAP).all()
    assert (losses.projection(16, seed=4) != projection).any()


def test_branches_by_hand():
    x = jnp.array([[0.5, 0.5, 0.5, -1.0], [0.7, 0.1, 0.2, 1.0]])
    outputs = {
        "length": jnp.array([[0.6], [0.7]]),
        "angle": jnp.array([[0.5], [0.3]]),
        "torsion": jnp.array([[0.4], [0.1]]),
        "sign": jnp.array([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    }
    weights = jnp.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    found = losses.branches(outputs, x, weights)
    assert float(found["length"]) == pytest.approx(0.01 / 2, rel=1e-5)
    assert float(found["angle"]) == pytest.approx(6 * 0.04 / 2, rel=1e-5)
    assert float(found["torsion"]) == pytest.approx((3 * 0.01 + 7 * 0.01) / 2, rel=1e-5)
    right = -np.log(np.exp(2) / (np.exp(2) + 2))
    assert float(found["sign"]) == pytest.approx((4 * right + 8 * np.log(3)) / 2, rel=1e-5)


@pytest.fixture(scope="module")
def weights():
    return vqvae.init(vqvae.VQVAEConfig(codes=16), np.random.default_rng(0))


def objective(weights, commitment, geometry):
    projection = losses.projection(64, 0) if geometry else None
    return OBJECTIVE(weights, vqvae.features(DESCRIPTORS), projection, commitment, geometry)


def test_the_loss_is_the_weighted_sum_of_its_terms(weights):
    total, (latents, assigned, _, metrics) = objective(weights, 0.5, 3.0)
    terms = sum(metrics[name] for name in ("length", "angle", "torsion", "sign"))
    distances = np.sum((np.asarray(latents) - weights["codebook"][assigned]) ** 2, axis=1)
    assert float(metrics["commitment"]) == pytest.approx(distances.mean(), rel=1e-4)
    aims = np.asarray(losses.coordinates(vqvae.features(DESCRIPTORS))) @ losses.projection(64, 0)
    away = np.sum((np.asarray(latents) - aims) ** 2, axis=1).mean()
    assert float(metrics["geometry"]) == pytest.approx(away, rel=1e-4)
    expected = float(terms) + 0.5 * distances.mean() + 3 * away
    assert float(total) == float(metrics["loss"]) == pytest.approx(expected, rel=1e-4)
    plain, (*_, metrics) = objective(weights, 0.5, 0)
    assert "geometry" not in metrics
    assert float(plain) == pytest.approx(float(terms) + 0.5 * distances.mean(), rel=1e-4)


def test_gradients_leave_codebook_and_statistics_alone(weights):
    gradients, _ = jax.jit(jax.grad(losses.objective, has_aux=True))(
        weights, vqvae.features(DESCRIPTORS), losses.projection(64, 0), 0.05, 10.0
    )
    for path, gradient in jax.tree_util.tree_flatten_with_path(gradients)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        # A bias before a batch norm has no effect; every other weight must feel the loss.
        if name == "codebook" or name.endswith(("mean", "variance")):
            assert not gradient.any(), name
        elif name.endswith("weight"):
            assert gradient.any(), name


def test_running_statistics_move_by_the_momentum():
    weights = {"norm": {"mean": jnp.array([1.0]), "scale": jnp.array([2.0])}, "other": jnp.ones(1)}
    moved = losses.follow_statistics(weights, {"norm": {"mean": jnp.array([3.0])}}, 0.25)
    assert moved == {"norm": {"mean": 1.5, "scale": 2.0}, "other": 1.0}
