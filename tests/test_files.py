import os
import subprocess
import sys

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, atomic_file


def contents(directory):
    return {p.name: p.read_text() for p in directory.rglob("*") if p.is_file()}


def test_a_file_appears_only_when_its_block_ended_well(tmp_path):
    target = tmp_path / "deep" / "result.txt"
    with atomic_file(target, "w") as file:
        file.write("new")
        assert not target.exists()
    assert contents(tmp_path) == {"result.txt": "new"}


def test_an_interrupted_file_leaves_the_old_one_and_no_rest(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_file(target, "w") as file:
        file.write("half")
        raise KeyboardInterrupt
    assert contents(tmp_path) == {"result.txt": "old"}


def test_an_interrupted_directory_leaves_the_old_one_and_no_rest(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(RuntimeError), atomic_directory(target, overwrite=True) as temporary:
        (temporary / "new.txt").write_text("half")
        raise RuntimeError
    assert contents(tmp_path) == {"old.txt": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_overwriting_replaces_everything(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with atomic_directory(target, overwrite=True) as temporary:
        (temporary / "new.txt").write_text("new")
    assert contents(tmp_path) == {"new.txt": "new"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_existing_target_is_refused_before_anything_is_written(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(BadInput, match="out exists already"), atomic_directory(target):
        pytest.fail("the block must not run")
    assert contents(tmp_path) == {"old.txt": "old"}


def test_an_empty_directory_is_no_obstacle(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    with atomic_directory(target) as temporary:
        (temporary / "new.txt").write_text("new")
    assert contents(tmp_path) == {"new.txt": "new"}


def test_a_written_directory_is_as_readable_as_any_other(tmp_path):
    with atomic_directory(tmp_path / "out") as temporary:
        (temporary / "new.txt").write_text("new")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_never_replaced_by_a_directory(tmp_path, overwrite):
    target = tmp_path / "out"
    target.write_text("mine")
    with pytest.raises(BadInput, match="out is a file"), atomic_directory(target, overwrite):
        pytest.fail("the block must not run")
    assert contents(tmp_path) == {"out": "mine"}


@pytest.mark.parametrize("there", [False, True])
def test_a_link_stays_a_link_to_what_is_written(tmp_path, there):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk/real")
    if there:
        (tmp_path / "disk" / "real").mkdir()
        (tmp_path / "disk" / "real" / "old.txt").write_text("old")
    with atomic_directory(tmp_path / "out", overwrite=True) as temporary:
        (temporary / "new.txt").write_text("new")
    assert (tmp_path / "out").is_symlink()
    assert contents(tmp_path / "disk" / "real") == {"new.txt": "new"}
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["real"]


def test_text_is_utf_8_in_every_locale(tmp_path):
    script = """
import sys
from biomatrix_jax.files import atomic_file
with atomic_file(sys.argv[1], "w") as file:
    file.write(chr(0xE5))
"""
    target = tmp_path / "result.txt"
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", script, target], check=True, env=os.environ | locale)
    assert target.read_bytes() == b"\xc3\xa5"
