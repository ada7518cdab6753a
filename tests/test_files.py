import errno
import json
import os
import subprocess
import sys
import tempfile

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, atomic_file, inside, read_json, sha256


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


def test_a_place_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    def refuse(prefix, dir):
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/{prefix}x7")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(PermissionError) as error, atomic_directory(tmp_path / "out"):
        pytest.fail("the block must not run")
    assert error.value.filename == str(tmp_path / "out")


def test_what_came_to_be_meanwhile_is_kept(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(BadInput, match="out exists already"), atomic_directory(target) as slower:
        (slower / "slower.txt").write_text("slower")
        with atomic_directory(target) as faster:
            (faster / "faster.txt").write_text("faster")
    assert contents(tmp_path) == {"faster.txt": "faster"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("call", [1, 2])
def test_what_goes_wrong_between_the_renames_loses_nothing(tmp_path, monkeypatch, error, call):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    calls, replace = [], os.replace

    def interrupted(a, b):
        calls.append(b)
        if len(calls) == call:
            raise error
        replace(a, b)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(error), atomic_directory(target, overwrite=True) as temporary:
        (temporary / "new.txt").write_text("new")
    assert contents(tmp_path) == {"old.txt": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


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


@pytest.mark.parametrize(
    ("number", "names", "named"),
    [
        (errno.ENOSPC, (), "TARGET"),  # a write to an open file tells no name
        (errno.ENOSPC, ("elsewhere",), "elsewhere"),
        (errno.EACCES, ("TEMPORARY/a/b",), "TARGET"),
        (errno.EFBIG, ("source", "TEMPORARY/copy"), "TARGET"),
        (errno.EPIPE, (), None),
    ],
)
def test_errors_do_not_name_a_directory_that_is_gone(tmp_path, number, names, named):
    target = tmp_path / "out"
    with pytest.raises(OSError, match="reason") as error, atomic_directory(target) as temporary:
        one, two = [*(n.replace("TEMPORARY", str(temporary)) for n in names), None, None][:2]
        raise OSError(number, "reason", one, None, two)
    assert error.value.filename == (str(target) if named == "TARGET" else named)
    assert error.value.filename2 is None
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def model(tmp_path):
    """A directory with a file `own`, a private file beside it, and a public folder."""
    (tmp_path / "private").write_text("secret")
    (tmp_path / "model" / "sub").mkdir(parents=True)
    (tmp_path / "model" / "own").write_text("content")
    return tmp_path / "model"


@pytest.mark.parametrize("name", ["own", "link", "sub/link", "chain"])
def test_files_and_links_among_them(model, name):
    (model / "link").symlink_to("own")
    (model / "sub" / "link").symlink_to(model / "own")
    (model / "chain").symlink_to("sub/link")
    assert inside(model, name) == model / name
    (model.parent / "shortcut").symlink_to(model)  # the directory itself may be a link
    assert inside(model.parent / "shortcut", name).read_text() == "content"


@pytest.mark.parametrize(
    "target", ["../private", "PARENT/private", "sub/../../private", "up/private"]
)
def test_links_out_of_the_directory(model, target):
    (model / "up").symlink_to("..")
    (model / "link").symlink_to(target.replace("PARENT", str(model.parent)))
    with pytest.raises(BadInput, match=r"model/link leads out of the directory, to .*/private: "):
        inside(model, "link")
    with pytest.raises(BadInput, match="leads out of the directory"):
        inside(model, target.replace("PARENT", str(model.parent)))


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: os.symlink("gone", path),
        lambda path: os.symlink("/dev/null", path),
        lambda path: os.symlink(path.name, path),
    ],
)
def test_what_is_no_file(model, make):
    make(model / "thing")
    with pytest.raises(BadInput, match="thing is a link to nothing, or no file"):
        inside(model, "thing")


@pytest.mark.parametrize("name", ["none", "none/x", "own/x", "a\0b", "\ud800", "x" * 5000])
def test_what_is_not_there(model, name):
    assert inside(model, name) is None
    assert inside(model / "nowhere", name) is None


def test_the_cache_of_the_hub_links_into_its_own_blobs(tmp_path):
    for repository in ("models--a--b", "models--a--c"):
        (tmp_path / repository / "blobs").mkdir(parents=True)
        (tmp_path / repository / "blobs" / "0f").write_text("content")
        (tmp_path / repository / "private").write_text("secret")
    snapshot = tmp_path / "models--a--b" / "snapshots" / "1a"
    snapshot.mkdir(parents=True)
    for name, target in (
        ("good", "../../blobs/0f"),
        ("other", "../../../models--a--c/blobs/0f"),
        ("beside", "../../private"),
    ):
        (snapshot / name).symlink_to(target)
    assert inside(snapshot, "good").read_text() == "content"
    for name in ("other", "beside"):
        with pytest.raises(BadInput, match="leads out of the directory"):
            inside(snapshot, name)
    # Only there: a folder called blobs is nothing special elsewhere.
    plain = tmp_path / "models--a--b" / "plain" / "1a"
    plain.mkdir(parents=True)
    (plain / "good").symlink_to("../../blobs/0f")
    with pytest.raises(BadInput, match="leads out of the directory"):
        inside(plain, "good")
