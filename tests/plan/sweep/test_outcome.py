import csv
import io
import json

import pytest

from biomatrix_jax.plan.sweep.outcome import as_csv, as_json, ranked
from tests.plan.sweep.planned import plan, planned, usual


def settings(one):
    mesh, remat, parts = (value for _, value in one.point.settings)
    return mesh.get("tensor", 1), remat, parts


def test_the_best_is_first_and_nothing_is_dropped():
    order = [(settings(one), one.status) for one in ranked(planned(usual))]
    assert order == [
        ((1, "minimal", 2), "fits"),
        ((1, "full", 1), "fits"),
        ((1, "full", 2), "fits"),
        ((2, "minimal", 2), "fits"),
        ((2, "full", 1), "fits"),
        ((2, "full", 2), "fits"),
        ((1, "minimal", 1), "too large"),
        ((2, "minimal", 1), "invalid"),
    ]


def test_as_fast_with_less_memory_is_better_and_nearer_to_fitting_too():
    peaks = {("full", 1): 50, ("full", 2): 40, ("minimal", 1): 300, ("minimal", 2): 200}

    def reply(point):
        return {"plan": plan(peaks[point["compute.remat"], point["train.accumulate"]] * 1e9)}

    order = [one.plan["peak_bytes"] / 1e9 for one in ranked(planned(reply))][::2]
    assert order == [40, 50, 200, 300]


def test_without_a_known_speed_the_least_memory_is_first():
    def reply(point):
        peak = 10e9 * point["train.accumulate"] * (1 + (point["compute.remat"] == "full"))
        return {"plan": plan(peak, seconds=None, limit=None)}

    outcomes = ranked(planned(reply))
    assert {one.status for one in outcomes} == {"planned"}
    assert settings(outcomes[0])[1:] == ("minimal", 1)
    assert outcomes[0].tokens_per_second is None
    assert outcomes[0].communication_share is None


def test_figures_of_a_device():
    """Tiny's batch is 8 rows of 32 tokens: on 8 devices in 2 s, 16 tokens/s each."""
    one = planned(usual)[1]
    assert settings(one) == (1, "full", 2)
    assert one.tokens_per_second == pytest.approx(16)
    assert one.tokens_at_once == pytest.approx(16)  # a half of each device's 32
    assert one.communication_bytes == 4e9
    assert one.communication_share == pytest.approx(0.2)


def test_why_a_point_is_out_is_one_line():
    outcomes = {settings(one): one for one in planned(usual)}
    assert outcomes[1, "minimal", 1].reason == (
        "needs 120.0 GB of the 100.0 GB that a program may take"
    )
    assert outcomes[2, "minimal", 1].reason == "this <point> does not divide"
    refused = plan(200e9, None, flops=None, hbm_bytes=None, collectives=[])
    [refused, *_] = planned(lambda point: {"plan": refused})
    assert refused.status == "too large"
    assert refused.communication_bytes is refused.communication_share is None
    assert ",200000000000," in as_csv([refused])
    [failed, *_] = planned(lambda point: {"failed": "the compiler crashed"})
    assert (failed.status, failed.reason, failed.plan) == ("failed", "the compiler crashed", None)
    assert failed.tokens_at_once is None


def test_the_csv_has_a_line_for_each_point_and_its_numbers():
    lines = list(csv.DictReader(io.StringIO(as_csv(ranked(planned(usual))))))
    assert len(lines) == 8
    best, invalid = lines[0], lines[-1]
    assert best["mesh"] == "{fsdp: 8}"
    assert best["compute.remat"] == "minimal"
    assert best["overrides"] == "mesh={fsdp: 8} compute.remat=minimal train.accumulate=2"
    assert float(best["tokens_per_second_per_device"]) == pytest.approx(32 / 1.5)
    assert int(best["peak_bytes"]) == 70_000_000_000
    assert float(best["estimated_mfu"]) == pytest.approx(0.5 / 1.5)
    assert json.loads(best["collectives"])[0]["kind"] == "all-gather"
    assert (invalid["status"], invalid["reason"]) == ("invalid", "this <point> does not divide")
    assert invalid["peak_bytes"] == invalid["collectives"] == ""
    assert as_csv([]).count("\n") == 1


def test_the_json_is_plain_and_whole():
    points = json.loads(json.dumps(as_json(ranked(planned(usual)))))
    assert points[0]["settings"]["mesh"] == {"fsdp": 8}
    assert points[0]["plan"]["peak_bytes"] == 70_000_000_000
    assert points[-1]["plan"] is None
