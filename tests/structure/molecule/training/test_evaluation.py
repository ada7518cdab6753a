import numpy as np
import pytest

from biomatrix_jax.structure.molecule.training import evaluation


def test_errors_by_hand(monkeypatch):
    table = np.array([[1.0, np.pi / 2, 2.0, 1], [1.4, 1.0, 3.0, 0], [9, 9, 9, 1]], np.float32)
    atoms = np.array(
        [
            [1.3, np.pi / 2, 2.0, 1.0],
            [1.0, np.pi / 2, 2.4, 1.0],
            [1.0, np.pi / 2, 2.0, -1.0],
            [1.4, 1.2, 3.0, 0.0],
        ]
    )
    monkeypatch.setattr(evaluation, "code_table", lambda weights: table)
    monkeypatch.setattr(evaluation, "encode", lambda weights, d: np.array([0, 0, 0, 1]))
    found = evaluation.evaluate({}, atoms)
    assert found["length"] == pytest.approx(0.3 / 2, rel=1e-5)
    assert found["angle"] == pytest.approx(0.2 / 2, rel=1e-5)
    assert found["torsion"] == pytest.approx(0.4 / 2, rel=1e-5)
    assert found["sign"] == 0.75
    # The three with a frame: 0.3 along the bond, a chord of 0.4 radian, across the frame.
    moved = 0.3**2 + (2 * np.sin(0.2)) ** 2 + (2 * np.sin(2.0)) ** 2
    assert found["displacement"] == pytest.approx(np.sqrt(moved / 3), rel=1e-5)
    assert found["codes"] == 2
    assert found["perplexity"] == pytest.approx(np.exp(0.75 * np.log(4 / 3) + 0.25 * np.log(4)))
