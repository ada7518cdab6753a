import hashlib
import os

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import listing


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "folder"
    (place / "b").mkdir(parents=True)
    (place / "a.txt").write_text("one")
    (place / "b" / "c.txt").write_text("three")
    return place


def test_a_folder_is_all_files_below_it_by_name(folder):
    times = [(folder / name).stat().st_mtime_ns for name in ("a.txt", "b/c.txt")]
    assert listing.states(folder) == [("a.txt", 3, times[0]), ("b/c.txt", 5, times[1])]
    assert listing.states(folder / "b" / "c.txt") == [("c.txt", 5, times[1])]


def test_links_are_followed_and_never_round_and_round(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.txt").write_text("four")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "b" / "up").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "none")
    assert [name for name, *_ in listing.states(folder)] == ["a.txt", "b/c.txt", "link/d.txt"]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"none: No such file or directory$"):
        listing.digest([tmp_path / "none"])
    with pytest.raises(BadInput, match=r"none: No such file or directory$"):
        listing.hashed([("none", tmp_path / "none")])


def test_a_digest_changes_with_any_file_of_a_folder(folder):
    first = listing.digest([folder])
    assert listing.digest([folder]) == first
    file = folder / "b" / "c.txt"
    state = file.stat()
    above = folder.stat().st_mtime_ns
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    second = listing.digest([folder])
    file.write_text("longer")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    third = listing.digest([folder])
    assert folder.stat().st_mtime_ns == above  # the folder itself says nothing
    (folder / "e.txt").touch()
    assert len({first, second, third, listing.digest([folder])}) == 4
    assert listing.digest([]) == ""


def test_hashes_are_those_that_sha256sum_prints(folder):
    names = ["a.txt", "b/c.txt"]
    lines = "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    )
    found = listing.hashed((name, folder / name) for name in names)
    assert (found.first, found.files, found.bytes) == ("a.txt", 2, 8)
    assert found.sha256 == hashlib.sha256(lines.encode()).hexdigest()
