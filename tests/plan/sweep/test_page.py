import json
import re
from xml.etree import ElementTree

import pytest

from biomatrix_jax.config import load
from biomatrix_jax.plan.sweep import page
from biomatrix_jax.plan.sweep.outcome import ranked
from biomatrix_jax.plan.sweep.pictures import pictures
from tests.plan.sweep.planned import plan, planned, usual
from tests.report.pages import read_page


def write(out, outcomes):
    about = {"topology": "v5p:2x2x2", "versions": "jax <1>"}
    page.write(out, ranked(outcomes), load("tiny"), "tiny", ["data.path=rows"], about)
    return out


def test_everything_is_written_and_the_page_is_whole(tmp_path):
    write(tmp_path, planned(usual))
    names = {path.name for path in tmp_path.iterdir()}
    pictured = {"memory.svg", "step_time.svg", "communication.svg"}
    assert names == {"results.csv", "results.json", "report.html", *pictured}
    text = read_page((tmp_path / "report.html").read_text())
    assert "tiny on v5p:2x2x2" in text
    assert "Take mesh fsdp=8, remat minimal, accumulate 2" in text
    assert "biomatrix train tiny data.path=rows 'mesh={fsdp: 8}'" in text
    assert "this <point> does not divide" in text
    assert "nothing was run" in text
    for name in pictured:
        ElementTree.parse(tmp_path / name)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["topology"] == "v5p:2x2x2"
    assert len(results["points"]) == 8


@pytest.mark.parametrize(
    ("reply", "drawn"),
    [
        ({"plan": plan()}, ["memory", "step_time", "communication"]),
        ({"plan": plan(seconds=None, limit=None)}, ["memory"]),
        ({"plan": plan(peak=200e9)}, ["memory"]),  # nothing fits: no time is worth a look
        ({"invalid": "no"}, []),
    ],
)
def test_pictures_are_those_there_are_numbers_for(tmp_path, reply, drawn):
    outcomes = planned(lambda point: reply)
    assert [one.name for one in pictures(ranked(outcomes))] == drawn
    read_page((write(tmp_path, outcomes) / "report.html").read_text())


def bar_lengths(drawing):
    found = re.findall(r'<rect x="[\d.]+" y="([\d.]+)" width="([\d.]+)" height="17"', str(drawing))
    lengths = {}
    for y, width in found:
        lengths[y] = lengths.get(y, 0) + float(width)
    return list(lengths.values())


def test_each_mesh_has_a_bar_with_its_best_time():
    _, time, network = pictures(ranked(planned(usual)))
    fsdp, tensor = bar_lengths(time.wide)
    assert tensor == pytest.approx(2 * fsdp, abs=0.2)  # 3 s and 1.5 s
    assert "21 tokens/s, remat minimal, accumulate 2" in time.wide
    first, second = bar_lengths(network.wide)
    assert first == pytest.approx(second, abs=0.2)  # a fifth of the time each
    assert ">20%<" in network.wide


def test_memory_has_a_line_for_each_choice_but_the_batch():
    memory, *_ = pictures(ranked(planned(usual)))
    names = re.findall(r'class="name"[^>]*>([^<]*)<', str(memory.wide))
    assert sorted(names) == [
        "fsdp=4 tensor=2, full", "fsdp=4 tensor=2, minimal", "fsdp=8, full", "fsdp=8, minimal",
    ]  # fmt: skip
    assert memory.wide.count("<circle") == 7  # the invalid point has none
    assert "100.0 GB may be used" in memory.wide
    [small, *_] = pictures(planned(lambda point: {"plan": plan(peak=1e9)}))
    assert "may be used" not in small.wide
