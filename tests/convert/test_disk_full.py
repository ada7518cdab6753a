"""A disk that is full half way: one line, nothing that looks complete, nothing lost."""

import subprocess
import sys

import pytest

from biomatrix_jax.convert.importer import from_hf
from tests.convert import hf

resource = pytest.importorskip("resource")  # not on every system

# A limit on files stands for a full disk: the system refuses to write on in the same way.
COMMAND = """
import resource, sys
from biomatrix_jax.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
main()
"""


@pytest.fixture
def places(tmp_path):
    hf.write(tmp_path / "model", hf.TIED, hf.weights(hf.TIED), shards=2)
    from_hf(tmp_path / "model", tmp_path / "ckpt")
    return tmp_path


def run(root, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", COMMAND, "convert", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [("from-hf", "model"), ("to-hf", "ckpt")])
@pytest.mark.parametrize("earlier", [True, False])
def test_nothing_is_left_of_what_did_not_fit(places, arguments, earlier):
    if earlier:
        (places / "dst").mkdir()
        (places / "dst" / "precious").write_text("kept")
    before = hf.snapshot(places), set(places.rglob("*"))
    result = run(places, *arguments, "dst", *(["--overwrite"] if earlier else []))
    assert result.returncode == 1
    assert result.stderr == f"biomatrix: {places / 'dst'}: File too large\n"
    assert result.stdout == ""
    assert (hf.snapshot(places), set(places.rglob("*"))) == before
