"""Members of uncompressed archives: where they are, and archives that cannot be right."""

import zipfile

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.torch_file.zip_members import find_members

CONTENT = {"a/x": b"first", "a/data/0": bytes(range(200)), "empty": b""}


def write(path, content=CONTENT, force_zip64=False, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in content.items():
            with archive.open(name, "w", force_zip64=force_zip64) as file:
                file.write(data)
    return path


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("before", [b"", b"something in front"])
def test_members_are_where_they_are_said_to_be(tmp_path, zip64, before):
    path = write(tmp_path / "x.zip", force_zip64=zip64)
    path.write_bytes(before + path.read_bytes())
    members = find_members(path)
    assert members.keys() == CONTENT.keys()
    raw = path.read_bytes()
    for name, data in CONTENT.items():
        member = members[name]
        assert raw[member.offset : member.offset + member.size] == data == member.read()
        member.check_sum()


def test_a_wrong_checksum_is_found(tmp_path):
    path = write(tmp_path / "x.zip")
    raw = bytearray(path.read_bytes())
    raw[find_members(path)["a/data/0"].offset + 199] ^= 16
    path.write_bytes(raw)
    members = find_members(path)
    members["a/x"].check_sum()
    with pytest.raises(BadInput, match=r"x\.zip: damaged: the checksum of a/data/0 is another"):
        members["a/data/0"].check_sum()


def refused(path, message):
    with pytest.raises(BadInput, match=message) as error:
        find_members(path)
    assert str(error.value).startswith(f"{path}: ")


def test_compressed_or_encrypted(tmp_path):
    refused(write(tmp_path / "x", compression=zipfile.ZIP_DEFLATED), "'a/x' is compressed or enc")
    path = write(tmp_path / "y")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    refused(path, "'a/x' is compressed or encrypted")


def changed_list(path, field, value, entry=1):
    """Writes `value` into a field of the list's second entry (a/data/0)."""
    raw = bytearray(path.read_bytes())
    at = -1
    for _ in range(entry + 1):
        at = raw.index(b"PK\x01\x02", at + 1)
    raw[at + field : at + field + len(value)] = value
    path.write_bytes(raw)


def test_sizes_and_places_that_cannot_be(tmp_path):
    longer = (300).to_bytes(4, "little")
    path = write(tmp_path / "a")
    changed_list(path, 20, longer)
    refused(path, "'a/data/0' has two sizes")
    changed_list(path, 24, longer)
    refused(path, "a/data/0 reaches beyond its place")
    path = write(tmp_path / "b")
    changed_list(path, 42, bytes(4))
    refused(path, "a/x reaches beyond its place")
    path = write(tmp_path / "c")
    changed_list(path, 42, (50).to_bytes(4, "little"))
    refused(path, "'a/data/0' is not where the archive says")
    path = write(tmp_path / "d")
    changed_list(path, 20, b"\xf0\xff\xff\xff\xf0\xff\xff\xff")
    refused(path, "reaches beyond its place")
    path = write(tmp_path / "e")
    changed_list(path, 42, b"\xf0\xff\xff\xff")
    refused(path, r"is not where|damaged|cut short")


def test_one_name_twice(tmp_path):
    path = tmp_path / "x"
    write(path, {"a": b"1", "b": b"2"})
    path.write_bytes(path.read_bytes().replace(b"b", b"a"))
    refused(path, "two members of the archive have one name")


def test_a_list_longer_than_any(tmp_path):
    path = write(tmp_path / "x")
    raw = bytearray(path.read_bytes())
    end = raw.index(b"PK\x05\x06")
    start = raw.index(b"PK\x01\x02")
    size = 9 << 20
    raw[start:start] = bytes(size)
    end += size
    raw[end + 12 : end + 16] = (end - start).to_bytes(4, "little")
    path.write_bytes(raw)
    refused(path, "list of members has 94")


def test_what_is_no_archive(tmp_path):
    whole = write(tmp_path / "x").read_bytes()
    for content in (b"", b"text", whole[:100], whole[:-1], whole[-22:], whole[30:]):
        (tmp_path / "x").write_bytes(content)
        refused(tmp_path / "x", r"no zip archive, or cut short|damaged")
    refused(tmp_path / "none", "not readable")
    refused(tmp_path, "not readable")


def test_an_archive_of_nothing(tmp_path):
    assert find_members(write(tmp_path / "x", {})) == {}
