import json
import os
import subprocess
import sys

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, atomic_file, read_json, sha256


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


def test_json_is_read_as_it_is_written(tmp_path):
    content = {"b": [1, 2.5, None, True], "a": {"ä": "å"}}
    (tmp_path / "x.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    assert read_json(tmp_path / "x.json") == content
    assert list(read_json(tmp_path / "x.json")) == ["b", "a"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not JSON: Expecting value"),
        (b'{"a": 1', "not JSON: Expecting"),
        (b'{"a": 1} {}', "not JSON: Extra data"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON: Unexpected UTF-8 BOM"),
        (b'{"a": "\xff"}', "not JSON: no UTF-8 text"),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "not JSON: key 'b' is there 2 times"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON: "),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"[1]", "should hold a JSON object, not list"),
        (b"null", "should hold a JSON object, not NoneType"),
    ],
)
def test_what_is_no_json_object_is_named_in_one_line(tmp_path, content, problem):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        read_json(path)
    assert str(error.value).startswith(f"{path}: ")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_json_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match=r"x\.json does not exist$"):
        read_json(tmp_path / "x.json")
    with pytest.raises(BadInput, match=r"not readable \(Is a directory\)$"):
        read_json(tmp_path)


def test_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # the example of FIPS 180
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == digest
