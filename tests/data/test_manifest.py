import dataclasses
import json

import pytest

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import SourceEntry
from biomatrix_jax.errors import BadInput


def spoil(data, change):
    path = data / manifests.FILE
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def test_what_is_written_is_read(tmp_path, make_data):
    made = make_data(tmp_path, {"a": 5, "b": 1})
    assert manifests.read(tmp_path) == made
    assert [s.path for s in made.shards] == [
        "shards/a-00000.arrayrecord",
        "shards/a-00001.arrayrecord",
        "shards/b-00000.arrayrecord",
    ]
    assert made.rows == 6
    assert made.fill == 0.5  # 8 of 16 positions in each row


def _of(source, records, record_tokens):
    sizes = {"records": records, "record_tokens": record_tokens, "bytes": 1}
    return {"path": "d", "source": source, "sha256": "", **sizes}


def test_no_manifest_is_no_data(tmp_path):
    with pytest.raises(BadInput, match=r"no manifest\.json, so no finished data"):
        manifests.read(tmp_path)


def test_a_manifest_cut_short(data):
    path = data / manifests.FILE
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"manifest\.json: not JSON: .*: cut short or no manifest"):
        manifests.read(data)


def test_a_manifest_with_a_key_twice(data):
    path = data / manifests.FILE
    path.write_text('{"row_length": 8,' + path.read_text()[1:])
    with pytest.raises(BadInput, match="key 'row_length' is there 2 times"):
        manifests.read(data)


@pytest.mark.parametrize("text", ["[]", "3", "null", "[" * 100_000])
def test_json_that_is_no_manifest(data, text):
    (data / manifests.FILE).write_text(text)
    with pytest.raises(BadInput, match="no manifest"):
        manifests.read(data)


@pytest.mark.parametrize("version", [0, 2, "3", None])
def test_an_unsupported_schema(data, version):
    spoil(data, lambda tree: tree.update(schema_version=version, rows="of the future"))
    with pytest.raises(BadInput, match=rf"schema_version {version!r}, this release reads 3"):
        manifests.read(data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.update(row_lenght=3), "unknown key row_lenght; did you mean row_length"),
        (lambda t: t.pop("seed"), "seed is missing"),
        (lambda t: t["sources"][0].update(rows="10"), r"sources\.0\.rows must be"),
        (lambda t: t["sources"][0].update(used=3), "source first: records do not add up"),
        (lambda t: t["sources"][1].update(name="first"), "two sources of one name"),
        (lambda t: t["shards"].pop(), "source third do not hold its number of rows"),
        (lambda t: t["shards"][0].update(source="fourth"), "fourth, which is no source"),
        (lambda t: t["shards"][0].update(path="../../x"), r"path '\.\./\.\./x' leads out of"),
        (lambda t: t["vocabulary"]["files"].update({"/etc/passwd": ""}), "leads out of"),
        (lambda t: t.update(row_length=0), "row_length and the size .* must be positive"),
        (lambda t: t.update(documents=[_of("first", 2, [1])]), "d has 2 records, not all of them"),
        (lambda t: t.update(documents=[_of("first", 1, [1])]), "documents of source first do not"),
        (lambda t: t.update(documents=[_of("x", 1, [1])]), "d belongs to x, which is no source"),
    ],
)
def test_a_manifest_that_contradicts_itself(data, change, says):
    spoil(data, change)
    with pytest.raises(BadInput, match=says):
        manifests.read(data)


def test_a_missing_or_truncated_shard_stops_reading(data):
    first, second = (data / s.path for s in manifests.read(data).shards[:2])
    second.write_bytes(second.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"first-00001\.arrayrecord has \d+ bytes, \d+ in"):
        manifests.read(data)
    first.unlink()
    with pytest.raises(BadInput, match=r"first-00000\.arrayrecord is missing \(and 1 more\)"):
        manifests.read(data)


def test_checksums_find_a_flipped_bit_and_another_tokenizer(data):
    made = manifests.read(data)
    assert manifests.differences(made, data, checksums=True) == []
    shard, tokenizer = data / made.shards[2].path, data / "tokenizer" / "tokenizer.json"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    tokenizer.write_text("[]")
    assert manifests.read(data) == made
    with pytest.raises(BadInput, match=r"first-00002\.arrayrecord has another SHA-256.*1 more"):
        manifests.read(data, checksums=True)
    assert manifests.differences(made, data, checksums=True) == [
        f"{shard} has another SHA-256 than in the manifest",
        f"{tokenizer} has another SHA-256 than in the manifest",
    ]


def test_records_must_add_up_when_built():
    entry = SourceEntry(
        name="a",
        inputs=(),
        records=5,
        used=3,
        dropped={"too long": 2},
        lost={},
        instances=4,
        rejected={"unspeakable": 1},
        examples={"too long": "line 2", "unspeakable": "line 4"},
        cut=1,
        documents=3,
        tokens={"text": 9, "smiles": 2},
        rows=1,
    )
    assert entry.total_tokens == 11
    with pytest.raises(BadInput, match="do not add up"):
        dataclasses.replace(entry, used=4)
    with pytest.raises(BadInput, match="no example of 'too long'"):
        dataclasses.replace(entry, examples={"unspeakable": "line 4"})
    with pytest.raises(BadInput, match="documents do not add up"):
        dataclasses.replace(entry, documents=4)
