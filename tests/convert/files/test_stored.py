"""Tensors in files, read run by run."""

import io

import numpy as np
import pytest

from biomatrix_jax.blocks import RUN_BYTES
from biomatrix_jax.convert.files import stored as module
from biomatrix_jax.convert.files.stored import Stored
from biomatrix_jax.errors import BadInput

VALUES = np.arange(2 * RUN_BYTES // 4 + 5, dtype=np.float32)


@pytest.fixture
def stored(tmp_path) -> Stored:
    (tmp_path / "x").write_bytes(b"123" + VALUES.tobytes() + b"behind")
    return Stored("x.weight", VALUES.dtype, VALUES.shape, tmp_path / "x", 3)


@pytest.mark.parametrize(
    ("first", "count"), [(0, len(VALUES)), (7, RUN_BYTES // 4), (2, 3), (5, 0)]
)
def test_runs_are_the_bytes_asked_for(stored, first, count):
    runs = [run.copy() for run in stored.runs(4 * first, 4 * count)]
    assert all(run.nbytes <= RUN_BYTES for run in runs)
    found = np.concatenate([np.zeros(0, np.float32), *runs])
    np.testing.assert_array_equal(found, VALUES[first : first + count])


class Slow(io.FileIO):
    """A file on a system that gives less than it was asked for."""

    def readinto(self, buffer) -> int:
        return super().readinto(memoryview(buffer)[: max(1, len(buffer) // 3)])


def test_a_system_that_reads_in_parts(stored, monkeypatch):
    monkeypatch.setattr(module, "open", lambda path, *_, **__: Slow(path), raising=False)
    runs = [run.copy() for run in stored.runs(0, VALUES.nbytes)]
    np.testing.assert_array_equal(np.concatenate(runs), VALUES)


def test_a_file_that_was_cut_short_meanwhile(stored):
    stored.file.write_bytes(stored.file.read_bytes()[: RUN_BYTES + 100])
    with pytest.raises(BadInput, match=r"x: cut short while it was read, in x\.weight"):
        list(stored.runs(0, VALUES.nbytes))
