"""What a run writes down of each step: `metrics.jsonl`, TensorBoard events, and a progress display.

A line of `metrics.jsonl` is one object:

    step                  updates made, counted from 1
    loss                  mean negative log-likelihood of a target by loss weight, nats; the float32
    tokens                of the step's batch, padding not counted
    loss_by_modality      {modality: loss}, those with targets in this batch
    targets_by_modality   {modality: number of targets}, the same ones
    tokens_by_source, tokens_by_modality    {name: tokens of the step's batch}
    drawn_by_source, drawn_by_modality      {name: [tokens of all steps so far, tokens that the
                          mixture asked for]}, see `data.monitor`
    learning_rate, grad_norm    of this update; the norm is before clipping
    seconds               since the step before was done
    tokens_per_second     tokens / seconds
    mfu                   model FLOPs (`flops.flops_per_token`) per second over the devices' peak;
                          null where the peak is unknown
    peak_flops, peak_source     that peak, "published" or "measured" (on a CPU, by a matrix product)
    skipped               true where the guard kept the update from the weights (`guard`); loss and
                          grad_norm may then be NaN or Infinity. Absent otherwise
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np

from biomatrix_jax.data.mixture import Stage
from biomatrix_jax.data.monitor import Monitor
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.tokens.segments import MODALITIES
from biomatrix_jax.train.flops import Peak
from biomatrix_jax.train.step import Metrics

FILE = "metrics.jsonl"
TENSORBOARD = "tensorboard"


class Recorder:
    """Writes down each step of a run as it is done. A context manager: it closes its files."""

    def __init__(
        self,
        directory: Path,
        *,
        done: int,
        steps: int,
        monitor: Monitor,
        flops_per_token: float,
        peak: Peak,
        tensorboard: bool,
        display: TextIO,
    ):
        """Continues the record of a run in `directory` after step `done` of `steps`.

        What it holds of later steps, which are about to be made again, is removed.
        """
        self._flops_per_token = flops_per_token
        self._peak = peak
        cut(directory / FILE, done)
        self._monitor = monitor
        for line in read(directory / FILE)[-1:]:
            monitor.resume(line)
        self._file = open(directory / FILE, "a", encoding="utf-8")  # noqa: SIM115
        self._events = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self._events = SummaryWriter(str(directory / TENSORBOARD), purge_step=done + 1)
        self._progress = Progress(done, steps, display)
        self.restart_clock()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_) -> None:
        self._progress.close()
        self._file.close()
        if self._events:
            self._events.close()

    def restart_clock(self) -> None:
        """What happened since the last step counts as nobody's."""
        self._clock = time.perf_counter()

    def write(self, step: int, metrics: Metrics, tokens: Any, stage: Stage) -> None:
        """Waits for the step's metrics and writes them everywhere.

        Args:
          tokens, stage: as `Monitor.add` takes them.
        """
        metrics, tokens = jax.device_get((metrics, tokens))
        before, self._clock = self._clock, time.perf_counter()
        line = self._line(step, metrics, self._clock - before) | self._monitor.add(tokens, stage)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()  # a killed run keeps every line it wrote
        if self._events:
            for name, value in _scalars(line):
                self._events.add_scalar(name, value, step)
        self._progress.show(line)
        if metrics.skipped:
            self._progress.say(
                f"step {step}: update skipped, loss {line['loss']:.4g}, gradient norm "
                f"{line['grad_norm']:.4g} ({metrics.skipped_in_a_row} in a row, "
                f"{metrics.skipped_in_all} in all)"
            )

    def sync(self) -> None:
        """Returns when what was written is on the disk, and outlives a power cut."""
        os.fsync(self._file.fileno())

    def _line(self, step: int, metrics: Metrics, seconds: float) -> dict[str, Any]:
        tokens = int(metrics.tokens)
        flops = tokens * self._flops_per_token / seconds
        there = np.flatnonzero(metrics.modality_targets)
        return {
            "step": step,
            "loss": float(metrics.loss),
            "tokens": tokens,
            "loss_by_modality": {MODALITIES[m]: float(metrics.modality_loss[m]) for m in there},
            "targets_by_modality": {MODALITIES[m]: int(metrics.modality_targets[m]) for m in there},
            "learning_rate": float(metrics.learning_rate),
            "grad_norm": float(metrics.grad_norm),
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "mfu": flops / self._peak.flops if self._peak.flops else None,
            "peak_flops": self._peak.flops,
            "peak_source": self._peak.source,
        } | ({"skipped": True} if metrics.skipped else {})


class Progress:
    """A bar on a terminal; elsewhere a plain line now and then."""

    EVERY = 10  # seconds between plain lines

    def __init__(self, done: int, steps: int, display: TextIO):
        self._steps, self._display, self._shown = steps, display, -math.inf
        self._bar = None
        if display.isatty():
            from tqdm import tqdm

            self._bar = tqdm(initial=done, total=steps, unit="step", file=display)

    def show(self, line: dict[str, Any]) -> None:
        text = f"loss {line['loss']:.4f}, {line['tokens_per_second']:,.0f} tokens/s"
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update()
            return
        now = time.monotonic()
        if now - self._shown >= self.EVERY or line["step"] == self._steps:
            self._shown = now
            print(f"step {line['step']}/{self._steps}: {text}", file=self._display, flush=True)

    def say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=self._display)
        else:
            print(text, file=self._display, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a `metrics.jsonl`; [] where there is none.

    A last line without its end is what an interrupted write left, and counts as not written.

    Raises:
      BadInput: a line is not one of ours; names it.
    """
    if not path.is_file():
        return []
    complete, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [
        _parse(line, f"{path}, line {number}")
        for number, line in enumerate(complete.splitlines(), start=1)
    ]


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
        content["step"]
    except (ValueError, TypeError, KeyError):
        raise BadInput(
            f"{where}: not a step's metrics: remove the line, or the file to go on without"
        ) from None
    return content


def cut(path: Path, last_step: int) -> None:
    """Removes what `path` records of steps after `last_step`."""
    if path.is_file():
        kept = [line for line in read(path) if line["step"] <= last_step]
        with atomic_file(path, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in kept)


def _scalars(line: dict[str, Any]):
    """(TensorBoard's name, value) of a line's numbers, losses by modality under `loss/`, shares of
    the batch's tokens under `source/` and `modality/`."""
    for name in ("loss", "learning_rate", "grad_norm", "tokens_per_second", "mfu"):
        if line[name] is not None:
            yield name, line[name]
    for modality, loss in line["loss_by_modality"].items():
        yield f"loss/{modality}", loss
    for kind in ("source", "modality"):
        for name, tokens in line[f"tokens_by_{kind}"].items():
            yield f"{kind}/{name}", tokens / line["tokens"]
