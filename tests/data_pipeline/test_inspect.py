import json

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import Text, Vocabulary, base_tokenizer_path, extend_tokenizer
from data_pipeline.build import build
from data_pipeline.inspect import inspect
from data_pipeline.recipe import Recipe, SourceRecipe

LONG = "A sentence with\ntwo lines, and then some more of it. " * 9


@pytest.fixture
def data(tmp_path):
    """Two sources of text; in the second one text is dropped, one cut."""
    extend_tokenizer(
        base_tokenizer_path(),
        tmp_path / "tok",
        selfies=["[C]"],
        molecule_tokens=[],
        protein_codes=0,
    )
    for name, lines in (("short", ["One.", "Two."]), ("long", [LONG, ""])):
        text = "".join(
            json.dumps({"id": f"{name}-{n}", "text": t}) + "\n" for n, t in enumerate(lines)
        )
        (tmp_path / f"{name}.jsonl").write_text(text)
    sources = tuple(
        SourceRecipe(name, "text", path=str(tmp_path / f"{name}.jsonl"))
        for name in ("short", "long")
    )
    recipe = Recipe(sources=sources, tokenizer=str(tmp_path / "tok"), row_length=48)
    build(recipe, tmp_path / "data")
    return tmp_path / "data"


def test_json_has_the_counts_and_all_documents(data):
    found = json.loads(inspect(data, rows=1, as_json=True))
    vocabulary = Vocabulary.from_pretrained(data / "tokenizer")
    tokens = {
        "short": sum(len(vocabulary.encode([Text(t)])) + 1 for t in ("One.", "Two.")),
        "long": len(vocabulary.encode([Text(LONG)])) + 1,
    }
    short, long = found["sources"]
    assert {s["name"]: s["total_tokens"] for s in (short, long)} == tokens
    assert found["tokens"]["text"] == found["total_tokens"] == sum(tokens.values())
    assert long["dropped"] == {"empty text": 1}
    assert (long["records"], long["used"], long["cut"]) == (2, 1, 1)
    assert short["fill"] == tokens["short"] / 48
    assert found["fill"] == sum(tokens.values()) / (48 * found["rows"])
    assert [(s["source"], s["row"]) for s in found["samples"]] == [("short", 0), ("long", 0)]
    segments = [d["segments"] for d in found["samples"][0]["documents"]]
    assert sorted(s["content"] for (s,) in segments) == ["One.", "Two."]


def test_text_shows_a_table_what_was_left_out_and_samples(data):
    text = inspect(data)
    assert "rows of 48 tokens in 2 shards" in text
    assert "every checksum matches" in text
    lines = [line.split() for line in text.splitlines()]
    header, short, long, everything = lines[2:6]
    assert header == [
        *("source", "records", "dropped", "documents", "rows", "fill", "tokens"),
        "text",  # the only modality present
    ]
    assert short[:4] == ["short", "2", "0", "2"]
    assert long[:3] == ["long", "2", "1"]
    assert everything[:3] == ["all", "4", "1"]
    assert "long, records dropped: 1, empty text (first: long.jsonl:2)" in text
    assert "text: A sentence with\\ntwo lines" in text
    assert "short, row 0: 2 documents" in text
    assert max(map(len, text.splitlines())) < 200


def test_no_samples_when_none_are_wanted(data):
    assert "row 0" not in inspect(data, rows=0)


def test_a_flipped_bit_is_bad_input(data):
    (shard,) = (data / "shards").glob("long-*")
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(BadInput, match=r"long-00000\.arrayrecord has another SHA-256"):
        inspect(data)


def test_a_directory_without_data_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no finished data"):
        inspect(tmp_path)
