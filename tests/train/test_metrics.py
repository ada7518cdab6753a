import io
import json

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.train.flops import Peak
from biomatrix_jax.train.metrics import FILE, TENSORBOARD, Progress, Recorder, cut, read
from biomatrix_jax.train.step import Metrics

PUBLISHED = Peak(1e12, "published")


def metrics(loss=1.5):
    nan = np.nan
    return Metrics(
        loss=np.float32(loss),
        tokens=np.int32(1000),
        modality_loss=np.array([2.0, nan, nan, 0.5, nan, nan], np.float32),
        modality_targets=np.array([700, 0, 0, 299, 0, 0], np.int32),
        grad_norm=np.float32(0.25),
        learning_rate=np.float32(1e-3),
        skipped=np.bool_(False),
        skipped_in_a_row=np.int32(0),
        skipped_in_all=np.int32(0),
    )


class Counting:
    """Stands for a monitor."""

    def __init__(self):
        self.steps = 0

    def resume(self, line):
        self.steps = line["drawn_by_source"]["zinc"][0]

    def add(self, tokens, stage):
        self.steps += 1
        by_source, by_modality = {"zinc": 250, "text": 750}, {"text": 1000}
        return {
            "tokens_by_source": by_source,
            "tokens_by_modality": by_modality,
            "drawn_by_source": {"zinc": [self.steps, 0.0]},
            "added": [tokens, stage],
        }


def write(record, step, metrics):
    record.write(step, metrics, 1000, "stage")


def recorder(directory, done=0, peak=PUBLISHED, tensorboard=False):
    return Recorder(
        directory,
        done=done,
        steps=5,
        monitor=Counting(),
        flops_per_token=2e6,
        peak=peak,
        tensorboard=tensorboard,
        display=io.StringIO(),
    )


def test_a_line_says_it_all(tmp_path):
    with recorder(tmp_path) as record:
        write(record, 1, metrics(loss=1 / 3))
    (line,) = read(tmp_path / FILE)
    assert np.float32(line["loss"]) == np.float32(1 / 3)  # the very same float32
    assert line["loss"] == float(np.float32(1 / 3))
    assert (line["step"], line["tokens"]) == (1, 1000)
    assert line["loss_by_modality"] == {"text": 2.0, "molecule_3d": 0.5}
    assert line["targets_by_modality"] == {"text": 700, "molecule_3d": 299}
    assert line["tokens_per_second"] == pytest.approx(1000 / line["seconds"])
    assert line["mfu"] == pytest.approx(1000 * 2e6 / line["seconds"] / 1e12)
    assert (line["peak_flops"], line["peak_source"]) == (1e12, "published")
    assert line["tokens_by_source"] == {"zinc": 250, "text": 750}
    assert line["added"] == [1000, "stage"]


def test_a_skipped_update_is_marked_and_told(tmp_path):
    spike = metrics(loss=9)._replace(
        skipped=np.bool_(True), skipped_in_a_row=np.int32(2), skipped_in_all=np.int32(7)
    )
    with recorder(tmp_path) as record:
        write(record, 1, metrics())
        write(record, 2, spike)
        shown = record._progress._display.getvalue()
    assert "step 2: update skipped, loss 9, gradient norm 0.25 (2 in a row, 7 in all)" in shown
    first, second = read(tmp_path / FILE)
    assert "skipped" not in first
    assert second["skipped"] is True
    assert second["loss"] == 9.0


def test_an_unknown_peak_gives_no_mfu(tmp_path):
    with recorder(tmp_path, peak=Peak(None, "unknown")) as record:
        write(record, 1, metrics())
    assert read(tmp_path / FILE)[0]["mfu"] is None


def test_a_resumed_record_has_no_step_twice(tmp_path):
    with recorder(tmp_path) as record:
        for step in (1, 2, 3, 4):
            write(record, step, metrics(loss=step))
    with open(tmp_path / FILE, "a") as file:
        file.write('{"step": 5, "lo')  # killed in the middle of a line
    with recorder(tmp_path, done=2) as record:
        write(record, 3, metrics(loss=30))
    lines = read(tmp_path / FILE)
    assert [(m["step"], m["loss"]) for m in lines] == [(1, 1), (2, 2), (3, 30)]
    assert [m["drawn_by_source"]["zinc"][0] for m in lines] == [1, 2, 3]
    assert (tmp_path / FILE).read_text().endswith("}\n")


def test_cut_needs_no_file_and_read_neither(tmp_path):
    cut(tmp_path / FILE, 3)
    assert read(tmp_path / FILE) == []
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("damaged", ["garbage", "[1]", "{}", "3"])
def test_a_damaged_line_is_named_and_the_file_kept(tmp_path, damaged):
    path = tmp_path / FILE
    path.write_text(f'{{"step": 1}}\n{damaged}\n{{"step": 3}}\n')
    before = path.read_bytes()
    with pytest.raises(BadInput, match=r"metrics\.jsonl, line 2: not a step's metrics"):
        cut(path, 3)
    assert path.read_bytes() == before


def test_events_reach_tensorboard(tmp_path):
    with recorder(tmp_path, tensorboard=True) as record:
        write(record, 1, metrics(loss=0.75))
    (events,) = (tmp_path / TENSORBOARD).iterdir()
    content = events.read_bytes()
    assert b"loss/molecule_3d" in content
    assert np.float32(0.75).tobytes() in content
    assert b"source/zinc" in content
    assert np.float32(0.25).tobytes() in content


def line(step):
    return json.loads(json.dumps({"step": step, "loss": 2.0, "tokens_per_second": 1234.5}))


def test_plain_lines_come_now_and_then_and_always_at_the_end():
    display = io.StringIO()
    progress = Progress(0, 100, display)
    for step in range(1, 101):
        progress.show(line(step))
    assert display.getvalue().splitlines() == [
        "step 1/100: loss 2.0000, 1,234 tokens/s",
        "step 100/100: loss 2.0000, 1,234 tokens/s",
    ]


def test_a_terminal_gets_a_bar():
    display = io.StringIO()
    display.isatty = lambda: True
    progress = Progress(2, 4, display)
    progress.show(line(3))
    progress.show(line(4))
    progress.close()
    assert "4/4" in display.getvalue()
    assert "loss 2.0000" in display.getvalue()
