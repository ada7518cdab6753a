import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.quickstart.backbones import compare, judge, measure
from biomatrix_jax.tokens import Protein3D, ProteinSequence
from tests.quickstart.generations import generation
from tests.quickstart.helices import helix


def decode(codes):
    if 9 in codes:
        raise BadInput("code 9 is not among the 9 codes")
    return np.arange(len(codes) * 9, dtype=np.float32).reshape(-1, 3, 3)


def test_a_backbone_is_what_its_codes_decode_to():
    verdict = judge(generation(Protein3D([3, 1, 4])), decode)
    assert verdict.reason == ""
    assert np.array_equal(verdict.backbone, decode([3, 1, 4]))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (
            generation(Protein3D([1]), problem="unclosed_segment", finished=False),
            "unclosed segment",
        ),
        (generation(problem="empty_segment"), "empty segment"),
        (generation(), "not one segment"),
        (generation(Protein3D([1]), Protein3D([2])), "not one segment"),
        (generation(ProteinSequence("MK")), "a protein_sequence segment"),
        (generation(Protein3D([1, 9])), "not decodable"),
    ],
)
def test_what_is_no_backbone_has_its_reason(made, reason):
    verdict = judge(made, decode)
    assert (verdict.backbone, verdict.reason) == (None, reason)


def test_an_ideal_helix_has_its_known_figures():
    shape = measure(helix(40))
    assert shape.residues == 40
    # CA on a helix of radius 2.3 A, 100 degrees and 1.5 A a residue.
    step = np.sqrt((2 * 2.3 * np.sin(np.radians(50))) ** 2 + 1.5**2)
    assert shape.steps == pytest.approx(np.full(39, step))
    assert step == pytest.approx(3.8, abs=0.05)
    # Radius 2.3, 300 degrees and 4.5 A further.
    assert shape.turns == pytest.approx(np.full(37, np.sqrt(2.3**2 + 4.5**2)))
    # A rod of 40 points: sqrt(1.5^2 (40^2 - 1) / 12 + 2.3^2), nearly.
    assert shape.compactness * 2.2 * 40**0.38 == pytest.approx(17.47, abs=0.1)
    assert shape.overlaps == 0


def test_residues_that_share_a_place_overlap_and_neighbours_do_not():
    line = np.zeros((5, 3, 3))
    line[:, :, 0] = np.array([0, 2.0, 4, 6, 1.0])[:, None]  # the last one is back at the first
    shape = measure(line)
    assert shape.overlaps == 2  # 1.0 from the first, 1.0 from the second; 5.0 from its neighbour
    assert shape.steps == pytest.approx([2, 2, 2, 5])
    assert shape.turns == pytest.approx([6, 1])


def test_a_gap_is_no_step():
    chain = helix(10)
    chain[4] = np.nan
    shape = measure(chain)
    assert shape.residues == 9
    assert (len(shape.steps), len(shape.turns)) == (7, 5)
    assert shape.overlaps == 0


def test_one_residue_can_be_measured():
    shape = measure(helix(1))
    assert (shape.residues, len(shape.steps), shape.compactness, shape.overlaps) == (1, 0, 0, 0)


def test_chains_are_compared_superposed_and_only_where_both_are():
    chain = helix(30)
    angle = np.radians(70)
    turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    turned = chain @ np.array(turn).T + (5, -3, 8)
    gappy = turned.copy()
    gappy[7] = np.nan
    mirrored = chain * (1, 1, -1)
    trip = compare([chain, chain, chain], [turned, gappy, mirrored])
    assert trip.rmsd[:2] == pytest.approx([0, 0], abs=1e-5)
    assert trip.tm[:2] == pytest.approx([1, 1], abs=1e-6)
    assert trip.rmsd[2] > 1
    assert [shape.residues for shape in trip.real] == [30, 30, 30]
    assert [shape.residues for shape in trip.decoded] == [30, 29, 30]
