import json
import shutil

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import (
    Protein3D,
    ProteinSequence,
    Selfies,
    Smiles,
    Text,
    Vocabulary,
    base_tokenizer_path,
)

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@pytest.fixture
def directory(small, tmp_path):
    """A copy of a whole tokenizer directory, to spoil."""
    path = tmp_path / "copy"
    shutil.copytree(small.path, path)
    return path


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_shipped_base_has_its_provenance():
    names = {path.name for path in base_tokenizer_path().iterdir()}
    assert names == {"tokenizer.json", "tokenizer_config.json", "PROVENANCE.md"}


def refusal_of(directory) -> str:
    with pytest.raises(BadInput) as refusal:
        Vocabulary.from_pretrained(directory)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_directory_without_tokenizer(tmp_path):
    assert "tokenizer.json does not exist" in refusal_of(tmp_path)
    assert "tokenizer.json does not exist" in refusal_of(tmp_path / "nowhere")


def test_damaged_files(directory):
    config = directory / "tokenizer_config.json"
    config.write_text(config.read_text()[:100])
    assert "tokenizer_config.json: not JSON" in refusal_of(directory)
    config.write_text("[]")
    assert "should hold a JSON object, not list" in refusal_of(directory)
    config.write_text("[" * 100_000)
    assert "tokenizer_config.json: not readable as JSON: nested too deep" in refusal_of(directory)
    config.write_text('{"added_tokens_decoder": [1]}')
    assert "added_tokens_decoder is no JSON object" in refusal_of(directory)
    tokenizer = directory / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes()[:5000])
    assert "not a readable tokenizer" in refusal_of(directory)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json"])
def test_a_link_to_nothing_does_not_count_as_absent(directory, name):
    (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to("gone")
    assert f"{name} is a link to nothing, or no file" in refusal_of(directory)


def test_a_tokenizer_of_another_kind(directory):
    path = directory / "tokenizer.json"
    whole = path.read_bytes()
    edit(path, decoder={"type": "Fuse"})
    assert "not a byte-level BPE" in refusal_of(directory)
    path.write_bytes(whole)
    edit(path, pre_tokenizer=BYTES | {"add_prefix_space": True})
    assert "not a byte-level BPE" in refusal_of(directory)


def test_files_that_disagree(directory, small):
    flags = {"content": "[Xe]", "special": False}
    edit(directory / "tokenizer_config.json", added_tokens_decoder={str(small.size): flags})
    assert f"says token {small.size} is '[Xe]'" in refusal_of(directory)


def test_saved_truncation_and_padding_do_not_apply(directory, small):
    truncation = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    padding = {
        "strategy": {"Fixed": 64},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "!",
    }
    edit(directory / "tokenizer.json", truncation=truncation, padding=padding)
    text = [Text("one two three four five six seven"), ProteinSequence("MK")]
    read = Vocabulary.from_pretrained(directory)
    assert read.encode(text).tolist() == small.encode(text).tolist()


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        ({"eos_token_id": 2306}, {}, ((2306,), 2304)),
        ({"eos_token_id": [2306, 2304]}, {}, ((2306, 2304), 2304)),
        ({"temperature": 1.0}, {}, ((2304,), 2304)),
        (None, {"eos_token": "<|im_end|>"}, ((2306,), 2304)),
        (None, {"eos_token": {"content": "<|im_end|>"}, "pad_token": None}, ((2306,), 2306)),
    ],
)
def test_end_and_padding(directory, generation, config, expected):
    edit(directory / "tokenizer_config.json", **config)
    if generation is not None:
        (directory / "generation_config.json").write_text(json.dumps(generation))
    read = Vocabulary.from_pretrained(directory)
    assert (read.eos_ids, read.pad_id) == expected
    assert read.eos_id == expected[0][0]


@pytest.mark.parametrize(
    ("generation", "config", "says"),
    [
        ({"eos_token_id": 99_999}, {}, "eos_token_id 99999 is not an id"),
        ({"eos_token_id": [2304, -1]}, {}, "eos_token_id -1 is not an id"),
        ({"eos_token_id": "<|im_end|>"}, {}, "'<|im_end|>' is not an id"),
        ({"eos_token_id": []}, {}, "names no end-of-document token"),
        ({"eos_token_id": True}, {}, "eos_token_id True is not an id"),
        (None, {"eos_token": None}, "names no end-of-document token"),
        (None, {"eos_token": "</s>"}, "eos_token '</s>' is not a token"),
        (None, {"pad_token": "<pad>"}, "pad_token '<pad>' is not a token"),
    ],
)
def test_end_and_padding_that_are_no_tokens(directory, generation, config, says):
    edit(directory / "tokenizer_config.json", **config)
    if generation is not None:
        (directory / "generation_config.json").write_text(json.dumps(generation))
    assert says in refusal_of(directory)


@pytest.fixture
def flagged(directory):
    """A tokenizer as another hand may add the tokens: all special, all matched after NFC."""
    content = json.loads((directory / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token |= {"normalized": True, "special": True}
    (directory / "tokenizer.json").write_text(json.dumps(content))
    return Vocabulary.from_pretrained(directory)


def test_other_flags_change_no_encoding(flagged, own_encoding):
    segments = [
        Text("Cafe\u0301 [C] <A M>"),
        ProteinSequence("MK"),
        Smiles("C[C@@](F)[Si]"),
        Text(" x"),
        Selfies("[C][=C].[C]"),
        Protein3D((0, 15)),
    ]
    ids = flagged.encode(segments)
    assert ids.tolist() == own_encoding(flagged, "".join(s.wrapped() for s in segments))
    assert flagged.decode(ids) == [Text("Café [C] <A M>"), *segments[1:]]


def test_segments_stay_whole_whatever_text_follows(flagged, own_encoding):
    """U+0338 composes with the '>' before it; the tokenizer would lose the control token."""
    segments = [ProteinSequence("MK"), Text("\u0338 and so on")]
    ids = flagged.encode(segments)
    assert flagged.decode(ids) == segments
    assert flagged.end_id("protein_sequence") in ids
    theirs = own_encoding(flagged, "".join(s.wrapped() for s in segments))
    assert flagged.end_id("protein_sequence") not in theirs
