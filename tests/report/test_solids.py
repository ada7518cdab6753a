import numpy as np
import pytest

from biomatrix_jax.report.solids import LARGEST_SCALE, Capsules, paint

RED, BLUE = (1, 0, 0), (0, 0, 1)


def capsules(*shapes):
    starts, ends, radii, colors = zip(*shapes, strict=True)
    return Capsules(*(np.array(part, float) for part in (starts, ends, radii, colors)))


def ball(place, radius, color=RED):
    return place, place, radius, color


def opaque(picture):
    return picture[..., 3].sum() / 255


def test_a_ball_is_a_disc_of_its_size_in_the_middle_and_nothing_around():
    picture = paint(capsules(ball((5, -7, 3), 1.0)), 200, 120)
    assert (picture.shape, picture.dtype) == ((120, 200, 4), np.uint8)
    assert opaque(picture) == pytest.approx(np.pi * LARGEST_SCALE**2, rel=0.01)
    rows, columns = np.nonzero(picture[..., 3] > 128)
    assert rows.mean() == pytest.approx(59.5, abs=0.3)
    assert columns.mean() == pytest.approx(99.5, abs=0.3)
    assert (picture[0] == 0).all()


@pytest.mark.parametrize("end", [(2, 0, 0), (1.2, 1.6, 0)])
def test_a_stick_has_the_area_of_its_shadow(end):
    picture = paint(capsules(((0, 0, 0), end, 0.3, RED)), 300, 300)
    assert opaque(picture) / LARGEST_SCALE**2 == pytest.approx(2 * 0.6 + np.pi * 0.09, rel=0.01)


def test_a_tilted_stick_is_seen_shorter_and_end_on_as_a_disc():
    tilted = paint(capsules(((0, 0, 0), (1.2, 0, 1.6), 0.3, RED)), 300, 300)
    # The outline of its round ends, and of the cylinder between them.
    assert opaque(tilted) / LARGEST_SCALE**2 == pytest.approx(1.2 * 0.6 + np.pi * 0.09, rel=0.01)
    end_on = paint(capsules(((0, 0, 0), (0, 0, 2), 0.3, RED)), 300, 300)
    assert opaque(end_on) / LARGEST_SCALE**2 == pytest.approx(np.pi * 0.09, rel=0.02)


def test_x_points_right_and_y_up():
    picture = paint(capsules(ball((0, 0, 0), 0.5, BLUE), ball((2, 1, 0), 0.5, RED)), 200, 150)
    half_row, half_column = 75, 100
    upper_right = picture[:half_row, half_column:].astype(int)
    lower_left = picture[half_row:, :half_column].astype(int)
    assert (upper_right[..., 0].sum() > 2 * upper_right[..., 2].sum()).all()
    assert (lower_left[..., 2].sum() > 2 * lower_left[..., 0].sum()).all()


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_nearer_hides_what_is_behind_whatever_the_order(order):
    shapes = [ball((0, 0, 2), 0.5, RED), ((-1, 0, 0), (1, 0, 0), 0.3, BLUE)][::order]
    middle = paint(capsules(*shapes), 200, 200)[100, 100]
    assert middle[0] > 2 * middle[2]


def test_light_comes_from_the_upper_left():
    picture = paint(capsules(ball((0, 0, 0), 1)), 100, 100).astype(int)
    assert picture[30, 30, 0] > picture[70, 70, 0] + 50


def test_what_is_large_fits():
    wide = paint(capsules(ball((0, 0, 0), 1), ball((90, 20, 5), 1)), 180, 120)
    rows, columns = np.nonzero(wide[..., 3])
    assert columns.min() >= 6
    assert columns.max() <= 173
    assert columns.max() - columns.min() > 160
    assert rows.min() > 0
    assert rows.max() < 119


def test_edges_keep_their_color():
    """Pixels half covered are half transparent, not half black."""
    picture = paint(capsules(ball((0, 0, 0), 1, (1, 1, 1))), 100, 100).astype(int)
    half = picture[(picture[..., 3] > 90) & (picture[..., 3] < 170)]
    assert len(half) > 20
    assert half[:, 0].min() > 50
