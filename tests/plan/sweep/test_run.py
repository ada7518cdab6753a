import json
from typing import ClassVar

import pytest
from click.testing import CliRunner

from biomatrix_jax.cli import biomatrix
from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan.sweep import pool, run
from tests.compilers import with_libtpu
from tests.plan.sweep.planned import plan

AXES = ["mesh=[{fsdp: 8}, {fsdp: 4, tensor: 2}]", "compute.remat=[full, none]"]


class Asked(list):
    """Configurations, the most processes that were allowed, and what the topology is."""

    jobs = None
    device: ClassVar[dict] = {}


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Answers for the workers, and keeps what they were asked; the user's cache is empty."""
    asked = Asked()
    describe = {"devices": 8, "slices": 1, "kind": "TPU v5p", "host_bytes": 1}

    def answer(requests, jobs, done, need=0):
        asked.jobs = jobs
        for index, request in reversed(list(enumerate(requests))):
            config = request.get("config")
            if config is None:
                done(index, describe | asked.device)
                continue
            asked.append(config)
            seconds = 2.0 if config["compute"]["remat"] == "full" else 1.0
            reply = {"plan": plan(seconds=seconds * config["mesh"]["tensor"]), "host_bytes": 7}
            if config["compute"]["remat"] == "dots":
                reply = {"failed": "killed"}
            done(index, reply)

    monkeypatch.setattr(pool, "run", answer)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return asked


def test_every_point_is_planned_and_ranked(asked, tmp_path, capsys):
    found = run.sweep("tiny", "v5p:2x2x2", AXES, tmp_path / "out")
    best, *_, worst = found.outcomes
    assert best.point.overrides == ["mesh={fsdp: 8}", "compute.remat=none"]
    assert worst.point.overrides == ["mesh={fsdp: 4, tensor: 2}", "compute.remat=full"]
    assert len(asked) == 4
    assert "biomatrix train tiny 'mesh={fsdp: 8}' compute.remat=none --out RUN" in found.text()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert {"results.csv", "report.html", "cache"} < {p.name for p in (tmp_path / "out").iterdir()}
    assert not (tmp_path / "user").exists()


def test_what_was_planned_before_is_not_planned_again(asked, tmp_path, capsys):
    first = run.sweep("tiny", "v5p:2x2x2", AXES)
    assert (tmp_path / "user").exists()
    more = [AXES[0], "compute.remat=[full, none, minimal]"]
    again = run.sweep("tiny", "v5p:2x2x2", more)
    assert len(asked) == 6
    assert [one.cached for one in first.outcomes] == [False] * 4
    assert sum(one.cached for one in again.outcomes) == 4
    assert capsys.readouterr().err.count("(cached)") == 4


def test_a_failure_is_shown_and_tried_again(asked):
    for times in (1, 2):
        found = run.sweep("tiny", "v5p:2x2x2", ["compute.remat=[full, dots]"])
        assert [one.status for one in found.outcomes] == ["fits", "failed"]
        assert [config["compute"]["remat"] for config in asked].count("dots") == times


def test_a_sweep_without_a_plan_ends_with_status_1(asked):
    def status(axis):
        arguments = ["plan", "tiny", "--topology", "v5p:2x2x2", "--sweep", axis]
        return CliRunner().invoke(biomatrix, arguments).exit_code

    assert status("compute.remat=[dots, ful]") == 1
    assert status("compute.remat=[dots, full]") == 0


def test_a_topology_whose_description_fails_is_one_line(monkeypatch):
    def answer(requests, jobs, done):
        done(0, {"failed": "the compiler crashed with SIGSEGV"})

    monkeypatch.setattr(pool, "run", answer)
    with pytest.raises(BadInput, match=r"^topology here: the compiler crashed with SIGSEGV$"):
        run.sweep("tiny", "here", ["compute.remat=[full]"])


def test_only_tpus_at_hand_are_asked_one_by_one(asked):
    axes = ["compute.remat=[full, none]"]
    run.sweep("tiny", "v5p:2x2x2", axes, jobs=3)
    assert asked.jobs == 3
    asked.device = {"kind": "NVIDIA H100"}
    run.sweep("tiny", "here", axes, jobs=3)
    assert asked.jobs == 3
    asked.device = {"kind": "TPU v5p"}
    run.sweep("tiny", "here", axes, jobs=3)
    assert asked.jobs == 1
    assert len(asked) == 6  # another device is another plan


def test_points_that_come_to_the_same_are_planned_once(asked):
    found = run.sweep("tiny", "v5p:2x2x2", ["mesh=[{fsdp: 8}, {fsdp: 8, tensor: 1}]"])
    assert len(asked) == 1
    assert len(found.outcomes) == 2


def test_a_point_that_is_no_configuration_is_listed(asked):
    found = run.sweep("tiny", "v5p:2x2x2", ["compute.remat=[full, ful]", "model.layers=3"])
    bad = found.outcomes[-1]
    assert bad.status == "invalid"
    assert "compute.remat" in bad.reason
    assert [config["model"]["layers"] for config in asked] == [3]


def test_without_lists_a_usual_grid_is_swept(asked):
    found = run.sweep("tiny", "v5p:2x2x2", ["compute.dtype=bfloat16"])
    keys = [key for key, _ in found.outcomes[0].point.settings]
    assert keys == ["mesh", "compute.remat", "train.accumulate"]
    assert {config["compute"]["dtype"] for config in asked} == {"bfloat16"}


def test_meshes_of_the_command_line_are_an_axis():
    axis = run.mesh_axis(["fsdp=8", "tensor=2,fsdp=4", "data=8"])
    assert axis == "mesh=[{fsdp: 8}, {fsdp: 4, tensor: 2}, {data: 8, fsdp: 1}]"
    with pytest.raises(BadInput, match="--mesh fsp=8"):
        run.mesh_axis(["fsp=8"])


def test_the_command_line_prints_a_table_or_json(asked, tmp_path):
    def plan(*arguments):
        result = CliRunner().invoke(
            biomatrix, ["plan", "tiny", "--topology", "v5p:2x2x2", *arguments]
        )
        return result.exception if isinstance(result.exception, BadInput) else result.stdout

    meshes = ["--mesh", "fsdp=8", "--mesh", "fsdp=4,tensor=2"]
    text = plan("--sweep", *meshes, "compute.remat=full", "--out", str(tmp_path / "out"))
    assert text.splitlines()[1].startswith("fsdp=8 ")
    assert "biomatrix train tiny compute.remat=full 'mesh={fsdp: 8}' --out RUN" in text
    assert (tmp_path / "out" / "report.html").exists()
    points = json.loads(plan("--sweep", *meshes, "--json"))["points"]
    assert [point["settings"]["mesh"]["fsdp"] for point in points] == [8, 4]
    assert "add --sweep" in str(plan(*meshes))
    assert "add --sweep" in str(plan("--jobs", "2"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["compute.rmat=[full]"], "did you mean remat"),
        (["compute.remat=[ful, fll]"], "none of 2 points can be planned: .*remat"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(asked, tmp_path, overrides, message):
    with pytest.raises(BadInput, match=message):
        run.sweep("tiny", "v5p:2x2x2", overrides, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not asked


def test_simulated_devices_are_really_planned_for(tmp_path):
    axes = ["mesh=[{fsdp: 2}, {data: 3}]"]
    found = run.sweep("tiny", "cpu:2", axes, tmp_path)
    planned, invalid = found.outcomes
    assert planned.plan["mesh"]["fsdp"] == planned.plan["devices"] == 2
    assert planned.plan["peak_bytes"] > 1e6
    assert invalid.status == "invalid"
    assert "3 devices" in invalid.reason
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["devices"] == "2 x cpu"
    again = run.sweep("tiny", "cpu:2", axes, tmp_path)
    assert [one.cached for one in again.outcomes] == [True, True]
    assert again.outcomes[0].plan == planned.plan


@with_libtpu
@pytest.mark.slow
def test_a_tpu_is_really_planned_for(tmp_path):
    found = run.sweep("tiny", "v5e:2x2", ["mesh=[{fsdp: 4}, {fsdp: 2, tensor: 2}]"], tmp_path)
    assert [one.status for one in found.outcomes] == ["fits", "fits"]
    best, other = found.outcomes
    assert best.tokens_per_second >= other.tokens_per_second > 0
    assert all(one.communication_share > 0 for one in found.outcomes)


def test_an_unknown_topology_is_refused():
    with pytest.raises(BadInput, match="unknown topology 'v5q:2x2'"):
        run.sweep("tiny", "v5q:2x2", ["mesh=[{fsdp: 4}]"])
