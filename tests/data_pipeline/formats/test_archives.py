"""Archives: tar in its compressions and zip; names, sizes, damage."""

import gzip
import io
import random
import tarfile
import tracemalloc
import zipfile

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import archives

FILES = {"a/one.xml": b"<a/>", "a/b/two.xml": b"<b/>" * 5000, "readme.txt": b"no", "c.xml": b""}
WANTED = [(name, content) for name, content in FILES.items() if name.endswith(".xml")]


def tar(path, files=FILES, mode="w"):
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo("folder.xml")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder.xml/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def read(path):
    return [(name, file.read()) for name, file in archives.open_members(path, (".xml",))]


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar.xz", "w:xz")],
)
def test_tar_in_any_compression(tmp_path, name, mode):
    assert read(tar(tmp_path / name, mode=mode)) == WANTED


@pytest.mark.parametrize("name", ["a.zip", "a.meca"])
def test_zip_is_known_by_its_first_bytes(tmp_path, name):
    assert read(zipped(tmp_path / name)) == WANTED


def test_members_are_whole_and_without_folders(tmp_path):
    expected = [("one.xml", b"<a/>"), ("two.xml", b"<b/>" * 5000), ("c.xml", b"")]
    assert list(archives.members(tar(tmp_path / "a.tar"), (".xml",))) == expected
    assert list(archives.members(zipped(tmp_path / "a.zip"), (".xml",))) == expected


def test_a_member_need_not_be_read_and_can_be_read_by_lines(tmp_path):
    files = {"a.xml": b"x" * 100_000, "b.xml": b"one\ntwo\n"}
    for path in (tar(tmp_path / "a.tar", files), zipped(tmp_path / "a.zip", files)):
        (_, _), (name, _) = archives.open_members(path, (".xml",))
        assert name == "b.xml"
    lines = [
        list(file) if name == "b.xml" else None
        for name, file in archives.open_members(path, (".xml",))
    ]
    assert lines == [None, [b"one\n", b"two\n"]]


@pytest.mark.parametrize("pack", [tar, zipped])
def test_memory_does_not_grow_with_a_member(tmp_path, pack):
    path = pack(tmp_path / "big", {"big.xml": b"0123456789abcde\n" * 2**18})  # 4 MiB
    tracemalloc.start()
    (count,) = (sum(1 for _ in file) for _, file in archives.open_members(path, (".xml",)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2**18
    assert peak < 2**20


def test_memory_does_not_grow_with_the_members_of_a_tar(tmp_path):
    path = tar(tmp_path / "a.tar", {f"{n}.xml": b"" for n in range(3000)})
    tracemalloc.start()
    assert sum(1 for _ in archives.open_members(path, (".xml",))) == 3000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3000 * 100  # a TarInfo has some 700 bytes


def test_a_tar_that_is_cut_anywhere_says_so(tmp_path):
    whole = tar(tmp_path / "a.tar", {f"{n}.xml": b"<a/>" * 300 for n in range(9)}).read_bytes()
    path = tmp_path / "cut.tar"
    # within a header, within a file, and on the border of two files, where tarfile sees an end
    for size in (700, 512 * 8 + 100, 512 + 5 * (512 + 1536)):
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"cut\.tar: damaged or truncated archive") as error:
            read(path)
        assert "\n" not in str(error.value)
    for damaged in (b"no archive at all" * 100, b""):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"cut\.tar: damaged or truncated archive"):
            read(path)


def test_a_compressed_tar_that_is_cut_says_so(tmp_path):
    files = {f"{n}.xml": random.Random(n).randbytes(5000) for n in range(9)}
    whole = tar(tmp_path / "a.tar.gz", files, "w:gz").read_bytes()
    for size in (len(whole) // 2, len(whole) - 20):
        (tmp_path / "cut.tar.gz").write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"cut\.tar\.gz: damaged or truncated"):
            read(tmp_path / "cut.tar.gz")


def test_damaged_zips_say_so(tmp_path):
    files = {f"{n}.xml": random.Random(n).randbytes(5000) for n in range(3)}
    whole = zipped(tmp_path / "a.zip", files).read_bytes()
    path = tmp_path / "cut.zip"
    short = whole[:10] + whole[200:]  # its first file begins before its first byte
    odd = bytearray(whole)
    odd[odd.rindex(b"PK\1\2") + 9] |= 8  # says that names are UTF-8
    odd[odd.rindex(b"2.xml")] = 0xFF
    for damaged in (whole[:-30], whole[:7000], whole[:6000] + b"\0" * 9 + whole[6009:], short, odd):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"cut\.zip: damaged or truncated archive") as error:
            read(path)
        assert "\n" not in str(error.value)


def test_a_file_without_a_name_is_none_of_those_wanted(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.xml": b"x", "b": b"y"})
    path.write_bytes(path.read_bytes().replace(b"b", b"\0"))  # which ends a name
    assert read(path) == [("a.xml", b"x")]


def test_a_zip_with_a_password_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.xml": b"x"})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\3\4") + 6] |= 1  # encrypted, in both of its headers
    content[content.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.zip: zip archive that cannot be read .*password"):
        read(path)


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"none\.tar\.gz: No such file"):
        read(tmp_path / "none.tar.gz")


def test_a_gzipped_file_that_is_no_tar(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(b"something else " * 100))
    with pytest.raises(BadInput, match=r"a\.tar\.gz: damaged or truncated archive"):
        read(path)
