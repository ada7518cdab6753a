import errno
import subprocess
import sys

import pytest

from biomatrix_jax import cli


def biomatrix(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "biomatrix_jax.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def imported_by(statement):
    """Top-level names of all modules loaded by `statement` in a fresh interpreter."""
    script = f"import sys; {statement}; print(*{{m.split('.')[0] for m in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


HEAVY = {"jax", "flax", "numpy", "rdkit", "Bio", "grain", "orbax", "pydantic", "tokenizers"}


def test_help_imports_nothing_heavy():
    assert not HEAVY & imported_by("import biomatrix_jax.cli")


def test_importing_the_package_imports_nothing_heavy():
    assert not HEAVY & imported_by("import biomatrix_jax")


def test_the_model_needs_only_its_four_libraries():
    loaded = imported_by("import biomatrix_jax.model, biomatrix_jax.config")
    assert not loaded & {"rdkit", "Bio", "grain", "pydantic", "tokenizers", "ruamel", "click"}


def test_the_public_names_resolve():
    import biomatrix_jax as bm

    for name in bm.__all__:
        assert getattr(bm, name) is not None
    assert set(bm.__all__) <= set(dir(bm))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "smok", "--out", "run"], "no such configuration file"),
        (["train", "smoke", "model.layrs=2", "--out", "run"], "did you mean layers?"),
        (["convert", "from-hf", "nowhere", "out"], "nowhere"),
        (["convert", "to-hf", "nowhere", "out"], "nowhere"),
        (["convert", "verify", "nowhere", "elsewhere"], "nowhere"),
        (["data", "inspect", "nowhere"], "nowhere"),
        (["data", "build", "nowhere.yaml", "--out", "out"], "nowhere.yaml"),
        (["generate", "nowhere", "--start", "selfies"], "nowhere"),
        (["protein", "encode", "nowhere", "out.jsonl"], "nowhere: no such file or folder"),
        (["protein", "decode", "nowhere.jsonl", "out"], "nowhere.jsonl: No such file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = biomatrix(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["file", "file/below", "x" * 300])
def test_an_unusable_target_is_status_2(tmp_path, monkeypatch, target):
    from tests.convert import hf

    hf.write(tmp_path / "model")
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    result = biomatrix("convert", "from-hf", "model", target, "--overwrite")
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "model"]
    assert (tmp_path / "file").read_text() == "mine"


def test_bad_usage_is_status_2():
    assert biomatrix("trian").returncode == 2
    assert biomatrix("generate").returncode == 2


def test_an_error_of_the_system_that_names_no_file_is_one_line_too(monkeypatch, capsys):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli, "biomatrix", full)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert capsys.readouterr().err == "biomatrix: No space left on device\n"


def test_a_terminated_command_leaves_nothing_half_written(tmp_path):
    script = f"""
import os, signal
from biomatrix_jax import cli
from biomatrix_jax.files import atomic_directory

def command(prog_name):
    with atomic_directory({str(tmp_path / "dst")!r}) as temporary:
        (temporary / "part").write_text("half")
        os.kill(os.getpid(), signal.SIGTERM)

cli.biomatrix = command
cli.main()
"""
    result = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert result.returncode == 128 + 15
    assert list(tmp_path.iterdir()) == []
