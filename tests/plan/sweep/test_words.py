import dataclasses

from biomatrix_jax.plan.sweep import words
from biomatrix_jax.plan.sweep.grid import Axis, Point
from biomatrix_jax.plan.sweep.outcome import ranked
from tests.plan.sweep.planned import plan, planned, usual


def test_the_recommendation_says_what_to_take_and_what_else_costs():
    text = words.recommendation(ranked(planned(usual)))
    assert text == (
        "Take mesh fsdp=8, remat minimal, accumulate 2: an estimated 21 tokens/s a device (MFU "
        "33.3%, 1.5 s a step) in 70.0 GB a device of 100.0 GB. "
        "With another mesh the best is mesh fsdp=4 tensor=2: 50.0% slower, as much memory. "
        "With another remat the best is remat full: 25.0% slower, 50.0 GB less. "
        "With another accumulate the best is accumulate 1: 25.0% slower, 50.0 GB less. "
        "Of 8 points: 6 fits, 1 too large, 1 invalid."
    )


def test_where_nothing_fits_the_nearest_is_named():
    large = ranked(planned(lambda point: {"plan": plan(200e9 * point["train.accumulate"])}))
    text = words.recommendation(large)
    assert text.startswith("Nothing fits; the nearest is mesh fsdp=8, remat full, accumulate 1, ")
    assert "needs 200.0 GB of the 100.0 GB" in text


def test_where_no_speed_is_known_the_least_memory_is_taken():
    text = words.recommendation(
        ranked(planned(lambda point: {"plan": plan(seconds=None, limit=None)}))
    )
    assert "no speed is known" in text
    assert "slower" not in text


def test_the_command_can_be_pasted():
    best = ranked(planned(usual))[0]
    assert words.command(best, "my run.yaml", ["data.path=rows"]) == (
        "biomatrix train 'my run.yaml' data.path=rows 'mesh={fsdp: 8}' compute.remat=minimal "
        "train.accumulate=2 --out RUN"
    )


def test_the_table_has_a_line_for_each_point_in_columns():
    lines = words.table(ranked(planned(usual))).split("\n")
    assert lines[0].split()[:3] == ["mesh", "remat", "accumulate"]
    assert len(lines) == 9
    assert lines[-1].endswith("invalid: this <point> does not divide")
    at = lines[0].index("outcome")
    assert all(line[at - 1] == " " and line[at] != " " for line in lines)


def test_axes_that_end_alike_keep_their_whole_names():
    [one, *_] = planned(usual, axes=(Axis("mesh", ({"fsdp": 8},)), Axis("compute.remat", ("full",)),
                                     Axis("train.accumulate", (2,))))  # fmt: skip
    point = Point((("data.mixture.nci", 1), ("data.loss_weights.nci", 2), ("train.steps", 3)))
    [name, other, steps] = words.axis_names([dataclasses.replace(one, point=point)]).values()
    assert (name, other, steps) == ("data.mixture.nci", "data.loss_weights.nci", "steps")
