"""The command line and `bm.load` with models on the Hub."""

import sys

import jax
import numpy as np
import pytest

import biomatrix_jax as bm
from biomatrix_jax import cli
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.verify import verify
from tests.convert import fake_hub, hf


@pytest.fixture
def server(monkeypatch, tmp_path):
    with fake_hub.connected(monkeypatch, tmp_path / "cache") as hub:
        yield hub


@pytest.fixture
def work(monkeypatch, tmp_path):
    """An empty working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def biomatrix(monkeypatch, capsys):
    """Runs a command -> (exit status, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["biomatrix", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def contents(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("spelling", ["lab/model", "hf://lab/model"])
def test_from_hf_by_id_makes_the_checkpoint_of_the_local_directory(
    server, work, tmp_path, biomatrix, spelling
):
    hf.write(tmp_path / "model", hf.UNTIED, shards=2)
    repository = server.add("lab/model", contents(tmp_path / "model"))
    repository.refs["v1"] = commit = repository.refs["main"]
    repository.commit({"LICENSE": b"no model any more"})
    assert biomatrix("convert", "from-hf", spelling, "out", "--revision", "v1")[0] == 0
    from_hf(tmp_path / "model", work / "local")
    assert verify(work / "out", work / "local").equal
    ours, local = (contents(work / name / "hf") for name in ("out", "local"))
    assert ours == local
    assert commit in (work / "out" / "model.json").read_text()


def test_load_by_id(server, tmp_path):
    hf.write(tmp_path / "model", hf.UNTIED, dtype="float32")
    server.add("lab/model", contents(tmp_path / "model"))
    tokens = np.arange(6, dtype=np.int32)[None]
    there, here = bm.load("hf://lab/model"), bm.load(tmp_path / "model")
    np.testing.assert_array_equal(jax.device_get(there(tokens)), jax.device_get(here(tokens)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "from-hf", "lab/none", "out"], "the Hub shows no such model"),
        (["convert", "from-hf", "lab/model", "out", "--revision", "v9"], "no such revision"),
        (["convert", "from-hf", "lab/gated", "out"], "gated"),
        (["convert", "from-hf", "lab/pickled", "out"], "no safetensors"),
        (["convert", "from-hf", "../model", "out", "--revision", "v1"], "belong to Hub ids"),
        (["generate", "hf://lab/none", "--prompt", "x"], "the Hub shows no such model"),
        (["generate", "lab/model", "--prompt", "x", "--revision", "v9"], "no such revision"),
        (["convert", "from-hf", "../model", "hf://lab/new"], "name a local directory"),
        (["vocab", "extend", "../model", "hf://lab/new"], "name a local directory"),
        (["convert", "to-hf", "../checkpoint", "hf://lab/new"], "need --push"),
        (["convert", "to-hf", "../checkpoint", "out", "--private"], "need --push"),
        (["convert", "to-hf", "../checkpoint", "lab/new", "--push"], "needs an account"),
        (["convert", "to-hf", "../checkpoint", "./new", "--push"], "is no Hub id"),
        (["convert", "to-hf", "../checkpoint", "lab/new", "--push", "--overwrite"], "--overwrite"),
    ],
)
def test_refusals_are_one_line_status_2_and_leave_nothing(
    server, work, tmp_path, biomatrix, arguments, message
):
    hf.write(tmp_path / "model")
    files = contents(tmp_path / "model")
    from_hf(tmp_path / "model", tmp_path / "checkpoint")
    server.add("lab/model", files)
    server.add("lab/gated", files, gated=True)
    server.add("lab/pickled", {"config.json": files["config.json"], "pytorch_model.bin": b"x"})
    status, out, error = biomatrix(*arguments)
    assert (status, out) == (2, "")
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert list(work.iterdir()) == []
    assert "lab/new" not in server.repositories


def test_push_prints_the_commit(server, work, tmp_path, biomatrix, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
    hf.write(tmp_path / "model", hf.UNTIED)
    from_hf(tmp_path / "model", tmp_path / "checkpoint")
    options = ["--push", "--private", "--revision", "try", "--shard-size", "4KB"]
    status, out, _ = biomatrix("convert", "to-hf", tmp_path / "checkpoint", "lab/new", *options)
    repository = server.repositories["lab/new"]
    assert (status, out) == (0, f"{server.url}/lab/new/commit/{repository.refs['try']}\n")
    assert repository.private
    assert list(work.iterdir()) == []
    assert biomatrix("convert", "from-hf", "lab/new", "back", "--revision", "try")[0] == 0
    assert verify(tmp_path / "checkpoint", work / "back").equal
