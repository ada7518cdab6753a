import gzip
import json

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import json_array
from data_pipeline.formats.json_array import array_objects

OBJECTS = [
    {"cid": 1, "inner": {"list": [{"a": 1}, {}], "brace": '}"{\\', "ü": "\\\\"}},
    {},
    {"long": "}{" * 50, "numbers": list(range(40))},
]


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_every_layout_in_every_chunk(tmp_path, monkeypatch, layout, chunk):
    monkeypatch.setattr(json_array, "CHUNK", chunk)
    path = tmp_path / "a.json"
    path.write_text(" \n" + json.dumps(OBJECTS, ensure_ascii=False, **layout) + "\n \n")
    assert list(array_objects(path)) == [(f"a.json:{n}", value) for n, value in enumerate(OBJECTS)]


def test_an_empty_array_has_no_objects(tmp_path):
    (tmp_path / "a.json").write_text("[ ]")
    assert list(array_objects(tmp_path / "a.json")) == []


def test_objects_that_cannot_be_read_come_as_errors(tmp_path):
    content = b'[{"a": 1}, {a: 2}, {"a": "\xff"}, {"a": %s}, {"a": 4}]' % (b"9" * 5000)
    (tmp_path / "a.json").write_bytes(content)
    found = [entry for _, entry in array_objects(tmp_path / "a.json")]
    assert (found[0], found[4]) == ({"a": 1}, {"a": 4})
    assert [str(entry) for entry in found[1:4]] == ["not JSON", "not UTF-8", "not JSON"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "its end is missing"),
        (b'[{"a": 1}, {"a": 2}', "its end is missing"),
        (b'[{"a": 1}, {"a": "2', "its end is missing"),
        (b'{"a": 1}\n{"a": 2}\n', "'{' where it should go on"),
        (b'[{"a": 1} {"a": 2}]', "'{' where it should go on"),
        (b'[{"a": 1}, 2]', "'2' where it should go on"),
        (b'[{"a": 1}],', "',' where it should go on"),
    ],
)
def test_what_is_no_array_of_objects_stops_with_one_line(tmp_path, content, why):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=f"a.json: not a JSON array of objects .*{why}") as error:
        list(array_objects(path))
    assert "\n" not in str(error.value)


def test_large_objects_are_read_and_endless_ones_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.json.gz"
    large = {"numbers": ["1234567" * 100] * 15_000}
    path.write_bytes(gzip.compress(json.dumps([large, {"a": 1}]).encode(), 1))
    (_, first), (_, second) = array_objects(path)
    assert (len(first["numbers"]), second) == (15_000, {"a": 1})
    monkeypatch.setattr(json_array, "LARGEST", 1 << 21)
    with pytest.raises(BadInput, match="an object of more than 2 MiB"):
        list(array_objects(path))


def test_truncated_gzip_stops_with_one_line(tmp_path):
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(b'[{"a": 1}]')[:-9])
    with pytest.raises(BadInput, match="damaged or truncated gzip"):
        list(array_objects(path))
