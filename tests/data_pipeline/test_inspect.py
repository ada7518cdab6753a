import dataclasses
import json
import shutil

import pytest
from array_record.python.array_record_module import ArrayRecordReader

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import sha256
from biomatrix_jax.tokens import Text, Vocabulary, base_tokenizer_path, extend_tokenizer
from data_pipeline.build import build
from data_pipeline.composition import Composition
from data_pipeline.inspect import inspect
from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.removal.evaluation_sets import EvaluationSet
from data_pipeline.removal.settings import Removal
from data_pipeline.repack import repack

LONG = "A sentence with\ntwo lines, and then some more of it. " * 9


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two sources of text; in the second one text is dropped, one cut. Tests leave it as it is."""
    place = tmp_path_factory.mktemp("inspect")
    extend_tokenizer(
        base_tokenizer_path(),
        place / "tok",
        selfies=["[C]"],
        molecule_tokens=[],
        protein_codes=0,
    )
    for name, lines in (("short", ["One.", "Two."]), ("long", [LONG, ""])):
        text = "".join(
            json.dumps({"id": f"{name}-{n}", "text": t}) + "\n" for n, t in enumerate(lines)
        )
        (place / f"{name}.jsonl").write_text(text)
    sources = tuple(
        SourceRecipe(name, "text", path=str(place / f"{name}.jsonl")) for name in ("short", "long")
    )
    build(Recipe(sources=sources, tokenizer=str(place / "tok"), row_length=48), place / "data")
    return place / "data"


@pytest.fixture
def data(built, tmp_path):
    """A copy to damage."""
    return shutil.copytree(built, tmp_path / "data")


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_json_has_the_counts_and_all_documents(built):
    found = json.loads(inspect(built, rows=1, as_json=True))
    vocabulary = Vocabulary.from_pretrained(built / "tokenizer")
    tokens = {
        "short": sum(len(vocabulary.encode([Text(t)])) + 1 for t in ("One.", "Two.")),
        "long": len(vocabulary.encode([Text(LONG)])) + 1,
    }
    short, long = found["sources"]
    assert {s["name"]: s["total_tokens"] for s in (short, long)} == tokens
    assert found["tokens"]["text"] == found["total_tokens"] == sum(tokens.values())
    assert found["tokens"]["smiles"] == short["tokens"]["protein_3d"] == 0
    assert long["dropped"] == {"empty text": 1}
    assert (long["records"], long["used"], long["cut"]) == (2, 1, 1)
    assert short["fill"] == tokens["short"] / 48
    assert found["fill"] == sum(tokens.values()) / (48 * found["rows"])
    assert [(s["source"], s["row"]) for s in found["samples"]] == [("short", 0), ("long", 0)]
    segments = [d["segments"] for d in found["samples"][0]["documents"]]
    assert sorted(s["content"] for (s,) in segments) == ["One.", "Two."]


def test_json_has_inputs_and_both_tiers(built):
    found = json.loads(inspect(built, rows=0, as_json=True))
    for source in found["sources"]:
        file = built.parent / f"{source['name']}.jsonl"
        (read,) = source["inputs"]
        assert (read["first"], read["files"], read["bytes"]) == (file.name, 1, file.stat().st_size)
    for tier in ("shards", "documents"):
        listed = found["document_shards" if tier == "documents" else tier]
        paths = sorted((built / tier).iterdir())
        assert sorted(shard["path"] for shard in listed) == [
            f"{tier}/{path.name}" for path in paths
        ]
        assert {s["path"]: s["sha256"] for s in listed} == {
            f"{tier}/{path.name}": sha256(path) for path in paths
        }
    assert sum(shard["total_tokens"] for shard in found["document_shards"]) == found["total_tokens"]
    short, long = found["shards"]
    assert short["fill"] == found["sources"][0]["fill"]
    assert long["fill"] == long["tokens"]["text"] / (48 * long["rows"])
    assert found["tiers"] == {
        "rows": {
            "shards": 2,
            "records": found["rows"],
            "bytes": sum(path.stat().st_size for path in (built / "shards").iterdir()),
        },
        "documents": {
            "shards": 2,
            "records": 2,
            "bytes": sum(path.stat().st_size for path in (built / "documents").iterdir()),
        },
    }
    assert found["sources"][0]["tiers"]["documents"]["records"] == 1


def test_text_shows_tables_what_was_left_out_and_samples(built):
    text = inspect(built)
    lines = text.splitlines()
    assert "rows of 48 tokens" in lines[0]
    assert "in 2 shards" in lines[0]
    assert lines[1].startswith("documents: 2 records in 2 shards, ")
    assert "every checksum matches" in lines
    words = [line.split() for line in lines]
    header = words.index(
        [
            *("source", "records", "dropped", "documents", "cut", "rows", "fill", "tokens"),
            "text",  # the only modality present
        ]
    )
    short, long, everything = words[header + 1 : header + 4]
    assert short[:6] == ["short", "2", "0", "2", "0", "1"]
    assert long[:5] == ["long", "2", "1", "1", "1"]
    assert everything[:5] == ["all", "4", "1", "3", "1"]
    assert everything[-1] == str(int(short[-1]) + int(long[-1]))
    read = manifests.read(built).sources[0].inputs[0]
    assert f"  short: short.jsonl, {read.bytes} bytes, SHA-256 {read.sha256}" in lines
    assert "  long, records dropped: 1, empty text (first: long.jsonl:2)" in lines
    assert "    text: A sentence with\\ntwo lines" in text
    assert "short, row 0: 2 documents" in lines
    assert max(map(len, lines)) < 200


def test_how_data_were_made_is_told(built, tmp_path):
    place = built.parent
    (place / "held.smi").write_text("CCO\n")
    header = "identifier\tkind\tstring\tnames\n"
    (place / "table.tsv").write_text(f"{header}mesh:D000431\tmolecule\tCCO\tethanol\n")
    composition = Composition(composite=0.5, fields={"Title": 1.0})
    made_of = {"options": {"entities": str(place / "table.tsv")}, "composition": composition}
    recipe = Recipe(
        sources=(
            SourceRecipe("words", "interleaved", path=str(place / "short.jsonl"), **made_of),
            SourceRecipe("long", "text", path=str(place / "long.jsonl")),
        ),
        tokenizer=str(place / "tok"),
        row_length=48,
        removal=Removal(
            near_duplicates=0.8,
            evaluation_sets=(EvaluationSet("held", str(place / "held.smi"), "molecule"),),
        ),
    )
    manifest = build(recipe, tmp_path / "data")
    lines = inspect(tmp_path / "data", rows=0).splitlines()
    start = lines.index("made by:")
    words, long, removal, code = lines[start + 1 : start + 5]
    assert words.startswith(f"  words: reader interleaved of {place / 'short.jsonl'}; documents ")
    assert f'entities "{place / "table.tsv"}"' in words
    assert words.endswith(
        '; composition: composite 0.5, fields {"Title": 1.0}; fields that no composite had: Title'
    )
    assert long == f"  long: reader text of {place / 'long.jsonl'}; composition: as by default"
    held = f"evaluation set held ({place / 'held.smi'}, SHA-256 {sha256(place / 'held.smi')})"
    assert removal == f"  removal: texts alike from 0.8 on; {held}"
    assert code == f"  biomatrix-jax {manifest.versions['biomatrix-jax']}, code {manifest.code}"
    (table,) = manifest.sources[0].beside
    line = f"  words, beside: table.tsv, {table.bytes} bytes, SHA-256 {table.sha256}"
    assert line in lines
    found = json.loads(inspect(tmp_path / "data", rows=0, as_json=True))
    assert found["recipe"] == manifest.recipe
    assert found["evaluation_sets"] == {"held": sha256(place / "held.smi")}


def test_rows_that_no_recipe_made_say_nothing_of_one(data):
    manifests.write(dataclasses.replace(manifests.read(data), recipe={}), data)
    assert "made by:" not in inspect(data, rows=0).splitlines()


def test_a_recipe_of_another_release_is_one_line(data):
    manifest = manifests.read(data)
    unknown = manifest.recipe | {"row_lengths": [3]}
    manifests.write(dataclasses.replace(manifest, recipe=unknown), data)
    with pytest.raises(BadInput, match="recipe on record: unknown key row_lengths; did you mean"):
        inspect(data)


def test_the_shard_that_is_least_full_is_told(built):
    found = json.loads(inspect(built, rows=0, as_json=True))
    lines = inspect(built, rows=0).splitlines()
    (header,) = [n for n, line in enumerate(lines) if "row shards" in line]
    assert [line.split()[:3] for line in lines[header + 1 : header + 3]] == [
        [source["name"], "1", f"{source['fill']:.2%}"] for source in found["sources"]
    ]


def test_no_samples_when_none_are_wanted(built):
    assert "row 0" not in inspect(built, rows=0)


def test_rows_of_another_length_have_no_documents(built, tmp_path):
    repack(built, tmp_path / "other", 16)
    assert "documents: none kept" in inspect(tmp_path / "other").splitlines()[1]
    found = json.loads(inspect(tmp_path / "other", as_json=True))
    assert found["document_shards"] == []
    assert found["total_tokens"] == json.loads(inspect(built, as_json=True))["total_tokens"]


@pytest.mark.parametrize("tier", ["shards", "documents"])
def test_a_flipped_bit_is_named_with_its_record(data, tier):
    path = data / tier / "long-00000.arrayrecord"
    flip(path, 100)  # within the first record
    with pytest.raises(BadInput, match=rf"{tier}/long-00000\.arrayrecord, record 0: "):
        inspect(data)


def test_the_record_that_is_damaged_is_the_one_named(data):
    """And not one that is read together with it."""
    path = data / "shards/long-00000.arrayrecord"
    content = path.read_bytes()

    def readable(number):
        try:
            return bool(ArrayRecordReader(str(path)).read(number, number + 1))
        except (RuntimeError, IndexError):
            return False

    rows = manifests.read(data).shards[1].rows
    named = set()
    for place in range(64, 1200, 40):  # records of some hundred bytes
        flip(path, place)
        if damaged := [number for number in range(rows) if not readable(number)]:
            with pytest.raises(BadInput, match=rf"long-00000\.arrayrecord, record {damaged[0]}: "):
                inspect(data)
            named.add(damaged[0])
        path.write_bytes(content)
    assert len(named) > 1


def test_a_flipped_bit_between_records_is_found(data):
    path = data / "documents/short-00000.arrayrecord"
    flip(path, path.stat().st_size // 3)  # of the filling up to the end of a block
    with pytest.raises(BadInput, match=r"short-00000\.arrayrecord has another SHA-256"):
        inspect(data)


def test_another_tokenizer_is_bad_input(data):
    flip(data / "tokenizer/tokenizer.json", 10)
    with pytest.raises(BadInput, match=r"tokenizer\.json has another SHA-256"):
        inspect(data)


def test_a_directory_without_data_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no finished data"):
        inspect(tmp_path)
