import json
import shutil

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import (
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Selfies,
    Smiles,
    Text,
    Vocabulary,
    base_tokenizer_path,
    extend_tokenizer,
    families,
)

SMALLEST = {"selfies": ["[C]"], "molecule_tokens": ["[C 0]"], "protein_codes": 2}
DOCUMENT = [
    Text("Hello  world, e\u0301 中文 \n\n 123 "),
    ProteinSequence("MKX"),
    Protein3D((0, 15)),
    Text(" and [=C] and <A M> beside "),
    Smiles("C[C@@](F)(Cl)c1[nH]cc1[Si]"),
    Selfies("[C][Na+1].[Cl-1][Branch1]"),
    Molecule3D("[C 42][Branch1 -1][C 0]"),
    Text(" tail  \n"),
]


@pytest.fixture
def base_copy(tmp_path):
    """A base directory to spoil."""
    path = tmp_path / "base"
    path.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(base_tokenizer_path() / name, path / name)
    return path


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_new_ids_follow_the_base_family_by_family(small, base):
    order = [i for family in families.FAMILIES for i in small.tokens_of(family).tolist()]
    assert order == list(range(base.size, small.size))
    assert small.id("<|mol_smi_start|>") == base.size == 2307
    text = [Text("The kinase of 1998. ")]
    assert small.encode(text).tolist() == base.encode(text).tolist()
    assert (small.eos_id, small.pad_id) == (base.eos_id, base.pad_id)


def test_only_control_tokens_are_special(small):
    added = json.loads((small.path / "tokenizer.json").read_text())["added_tokens"]
    assert {t["content"] for t in added if t["special"]} == {
        *families.CONTROL_TOKENS,
        *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    }
    assert not any(t["normalized"] or t["lstrip"] or t["rstrip"] for t in added)


def test_other_files_are_carried_over_byte_for_byte(base_copy, tmp_path):
    files = {
        "chat_template.jinja": b"{{ messages }}  \r\n",
        "generation_config.json": b'{"eos_token_id":  [2306, 2304]}',
        "special_tokens_map.json": b"{}",
    }
    for name, content in files.items():
        (base_copy / name).write_bytes(content)
    (base_copy / "added_tokens.json").write_text('{"<|im_end|>": 2306}')
    (base_copy / "model.safetensors").write_bytes(b"weights")
    vocabulary = extend_tokenizer(base_copy, tmp_path / "out", **SMALLEST)
    for name, content in files.items():
        assert (tmp_path / "out" / name).read_bytes() == content
    added = json.loads((tmp_path / "out" / "added_tokens.json").read_text())
    assert added["<|im_end|>"] == 2306
    assert added["[C 0]"] == vocabulary.id("[C 0]")
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert vocabulary.eos_ids == (2306, 2304)
    assert (vocabulary.eos_id, vocabulary.pad_id) == (2306, 2304)


def test_lists_of_the_configuration_grow(qwen3, shared_reference):
    before = json.loads((shared_reference / "qwen3" / "tokenizer_config.json").read_text())
    after = json.loads((qwen3.path / "tokenizer_config.json").read_text())
    listed, named = "added_tokens_decoder", "additional_special_tokens"
    assert len(after[listed]) == len(before[listed]) + sum(families.PUBLISHED_COUNTS.values())
    assert after[listed][str(qwen3.id("<A M>"))]["content"] == "<A M>"
    assert after[named] == before[named] + list(families.CONTROL_TOKENS)
    for lists in (before, after):
        del lists[listed], lists[named]
    assert after == before


def test_absent_families(base_copy, tmp_path):
    vocabulary = extend_tokenizer(
        base_copy, tmp_path / "out", selfies=[], molecule_tokens=[], protein_codes=0
    )
    assert list(vocabulary.families) == ["control", "residues"]
    with pytest.raises(BadInput, match="'protein_codes'"):
        vocabulary.encode([Protein3D((0,))])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"selfies": ["[C]", "[C]"]}, r"'\[C\]' is given 2 times"),
        ({"selfies": ["[C 0]"]}, r"'\[C 0\]' is not spelled like a token of the family 'selfies'"),
        ({"selfies": ["C"]}, "'C' is not spelled"),
        ({"molecule_tokens": ["[C]"]}, "'molecule_tokens'"),
        ({"molecule_tokens": ["[C 01]"]}, "'molecule_tokens'"),
        ({"protein_codes": -1}, "0 or more, not -1"),
        ({"protein_codes": 2.0}, "0 or more, not 2.0"),
    ],
)
def test_wrong_tokens_are_refused_before_anything_is_written(base_copy, tmp_path, change, says):
    with pytest.raises(BadInput, match=says):
        extend_tokenizer(base_copy, tmp_path / "out", **SMALLEST | change)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_base_that_has_a_token_already_is_refused(small, base_copy, tmp_path):
    with pytest.raises(BadInput, match=r"has 40 of the new tokens already, '<\|mol_smi_start\|>'"):
        extend_tokenizer(small.path, tmp_path / "out", **SMALLEST)

    def spell_a_piece_like_a_token(tokenizer):
        piece = "".join(tokenizer["model"]["merges"].pop())
        vocab = tokenizer["model"]["vocab"]
        vocab["[C]"] = vocab.pop(piece)

    edit(base_copy / "tokenizer.json", spell_a_piece_like_a_token)
    with pytest.raises(BadInput, match=r"has 1 of the new tokens already, '\[C\]'"):
        extend_tokenizer(base_copy, tmp_path / "out", **SMALLEST)


def test_an_existing_target_is_kept(base_copy, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    with pytest.raises(BadInput, match="exists already"):
        extend_tokenizer(base_copy, tmp_path / "out", **SMALLEST)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]


def test_transformers_gives_the_same_ids(vocabulary):
    transformers = pytest.importorskip("transformers", reason="the torch extra is not installed")
    theirs = transformers.AutoTokenizer.from_pretrained(vocabulary.path)
    wrapped = "".join(segment.wrapped() for segment in DOCUMENT)
    assert theirs(wrapped).input_ids == vocabulary.encode(DOCUMENT).tolist()
    assert len(theirs) == vocabulary.size
    assert theirs.eos_token_id == vocabulary.eos_id
    assert theirs.pad_token_id == vocabulary.pad_id
    assert set(families.CONTROL_TOKENS) <= set(theirs.all_special_tokens)


def test_a_directory_saved_by_transformers_reads_the_same(vocabulary, tmp_path):
    transformers = pytest.importorskip("transformers", reason="the torch extra is not installed")
    transformers.AutoTokenizer.from_pretrained(vocabulary.path).save_pretrained(tmp_path)
    again = Vocabulary.from_pretrained(tmp_path)
    assert again.encode(DOCUMENT).tolist() == vocabulary.encode(DOCUMENT).tolist()
    assert (again.eos_id, again.pad_id, again.size) == (
        vocabulary.eos_id,
        vocabulary.pad_id,
        vocabulary.size,
    )
