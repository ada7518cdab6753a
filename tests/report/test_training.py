import math

import pytest

from biomatrix_jax.config import RunConfig, TrainConfig
from biomatrix_jax.report import training
from biomatrix_jax.report.render import render
from biomatrix_jax.tokens import MODALITIES
from tests.report.pages import read_page


def line(step, loss, **by_modality):
    return {
        "step": step,
        "loss": loss,
        "tokens": 1000,
        "loss_by_modality": by_modality,
        "targets_by_modality": dict.fromkeys(by_modality, 400),
        "learning_rate": 1e-3,
        "grad_norm": 1.0,
        "seconds": 0.5,
        "tokens_per_second": 2000.0 * step,
        "mfu": 0.25,
        "peak_flops": 1e12,
        "peak_source": "published",
    }


@pytest.fixture
def lines():
    """100 steps; text in every other one only."""
    made = []
    for step in range(1, 101):
        losses = {"selfies": 6.0 / step} | ({"text": 8.0 - step / 25} if step % 2 else {})
        made.append(line(step, 8.0 if step == 1 else 4.0 - step / 50, **losses))
    return made


def test_headlines_are_the_runs_numbers(lines):
    loss, tokens, speed = training.headlines(lines)
    # The last twentieth: steps 96 to 100.
    assert loss.value == f"{4 - 98 / 50:.2f}"
    assert loss.note == "from 8.00 at step 1; mean of the last 5 steps"
    assert (tokens.value, tokens.note) == ("100 k", "in 100 steps")
    assert speed.value == "101 k"  # the median of 2, 4, ... 200 k
    assert speed.note == "MFU 25.0% of a published peak, median"


def test_without_a_peak_there_is_no_mfu(lines):
    for one in lines:
        one["mfu"] = None
    assert training.headlines(lines)[2].note == "median over steps"


def test_a_row_of_losses_for_each_modality_that_was_there(lines):
    _, table = training.losses(lines).blocks
    text, selfies, everything = table.rows
    assert text == ("text", "7.960", "4.080", f"{math.exp(4.08):.2f}", "20,000")
    mean = sum(6 / step for step in range(96, 101)) / 5
    assert selfies == ("SELFIES", "6.000", f"{mean:.3f}", f"{math.exp(mean):.2f}", "40,000")
    assert everything[0] == "all"
    assert everything[4] == "60,000"


def test_a_modality_that_is_not_in_the_last_steps_has_no_last_loss():
    lines = [line(1, 5.0, smiles=5.0), *(line(step, 4.0, text=4.0) for step in range(2, 60))]
    _, table = training.losses(lines).blocks
    assert table.rows[1][:4] == ("SMILES", "5.000", "-", "-")


def test_the_plot_has_a_line_for_each_modality_in_its_color(lines):
    plot, _ = training.losses(lines).blocks
    assert plot.legend == [("text", "s1"), ("SELFIES", "s3"), ("all", "s0")]
    for drawing in (plot.wide, plot.narrow):
        assert drawing.count('class="line"') == drawing.count('class="raw"') == 3
    assert plot.wide.count('class="name"') == 3
    assert 'class="name"' not in plot.narrow
    assert "average about 3.3% of the steps" in plot.caption


def test_a_short_run_is_not_averaged():
    plot, _ = training.losses([line(1, 5.0, text=5.0), line(2, 4.0, text=4.0)]).blocks
    assert 'class="raw"' not in plot.wide
    assert plot.caption == ""


def test_losses_that_are_no_numbers_are_told(lines):
    lines[9]["loss"] = lines[20]["loss"] = math.nan
    plot, _ = training.losses(lines).blocks
    assert "2 steps, the first of them 10, have no finite loss: not drawn." in plot.caption


def test_a_run_that_tells_its_mixture_has_a_section_of_it(lines):
    assert training.mixed(lines) == training.mixed([]) == []
    for one in lines:
        one["drawn_by_source"] = {"zinc": [1000 * one["step"], 1000.0 * one["step"]]}
        one["drawn_by_modality"] = {"molecule_3d": [1000 * one["step"], 900.0 * one["step"]]}
    [section] = training.mixed(lines)
    sources, modalities = section.blocks
    assert sources.rows == [("zinc", "100,000", "100%", "100%", "100%", "100%")]
    assert modalities.rows[0][0] == "molecule 3D"
    assert modalities.caption == "Lately: in the last 5 steps."
    shown = read_page(render(training.training_page(lines, RunConfig(), name="run")))
    assert "asked lately" in shown


def test_every_modality_has_a_color_and_a_name():
    assert set(training.COLORS) == set(training.NAMES) == set(MODALITIES)
    assert len(set(training.COLORS.values())) == len(MODALITIES)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_the_page_of_a_run(lines, count):
    config = RunConfig(train=TrainConfig(steps=1000))
    shown = read_page(render(training.training_page(lines[:count], config, name="my<run")))
    assert f"my<run {count:,} of 1,000 steps, {count / 2:.1f} s".removesuffix(".0 s") in shown
    assert ("No step is done yet." in shown) == (count == 0)


def test_write_report_puts_it_into_the_run(lines, tmp_path):
    training.write_report(tmp_path, lines, RunConfig())
    html = (tmp_path / "report.html").read_text()
    assert f"<h1>{tmp_path.name}</h1>" in html
    assert "peak_learning_rate: 0.0002" in html
