import shutil
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import (
    MODALITIES,
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Selfies,
    Smiles,
    Text,
    Vocabulary,
    families,
)

properties = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# Text that is likely to meet an edge: white space, combining marks, what looks like tokens.
SNIPPETS = [
    *(
        " ",
        "  ",
        "\n",
        "\t\r\n",
        "e\u0301",
        "\u0301",
        "Å",
        "中文",
        "🧬",
        "\x00",
        "[",
        "]",
        "<",
        "<|",
    ),
    *("|>", "[C]", "[=C]", "[C@@]", "[C 42]", "[C 9", "<A M>", "<A ", "<S 3>", "<S 99>", "M>", "."),
    *(
        "<|mol_smi_",
        "mol_smi_end|>",
        "<|prot_aa_start",
        "the kinase",
        "c1ccccc1",
        "1998",
        "'s",
        "\ufffd",
    ),
]
texts = st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=4), max_size=6).map("".join)
atoms = st.sampled_from(
    ["C", "c1ccccc1", "(=O)", "[nH]", "[O-]", "[C@@]", "[C@@H]", "[Si]", ".", "#"]
)
segment_lists = st.lists(
    st.one_of(
        texts.map(Text),
        st.lists(atoms, min_size=1, max_size=6).map("".join).map(Smiles),
        st.lists(st.sampled_from(["[C]", "[=C]", "[Na+1].[Cl-1]", "[Branch1]"]), min_size=1)
        .map("".join)
        .map(Selfies),
        st.lists(st.sampled_from(["[C 0]", "[C 42]", "[Branch1 -1]"]), min_size=1)
        .map("".join)
        .map(Molecule3D),
        st.text(families.RESIDUE_LETTERS, min_size=1, max_size=12).map(ProteinSequence),
        st.lists(st.integers(0, 15), min_size=1, max_size=8).map(Protein3D),
    ),
    max_size=6,
)


def spells_special(segments) -> bool:
    """Whether joined texts happen to spell a control token, which encode refuses."""
    plain = "".join(s.text if isinstance(s, Text) else "\0\0" for s in segments)
    return any(token in plain for token in families.CONTROL_TOKENS)


def joined(segments) -> list:
    """The segments as they come back: adjacent texts as one, normalised, none of them empty."""
    result = []
    for segment in segments:
        if isinstance(segment, Text) and result and isinstance(result[-1], Text):
            result[-1] = Text(result[-1].text + segment.text)
        else:
            result.append(segment)
    normal = (
        Text(unicodedata.normalize("NFC", s.text)) if isinstance(s, Text) else s for s in result
    )
    return [segment for segment in normal if segment != Text("")]


@properties
@given(segments=segment_lists)
def test_encoding_is_the_tokenizers_own(vocabulary, own_encoding, segments):
    if spells_special(segments):
        with pytest.raises(BadInput, match="special token"):
            vocabulary.encode(segments)
    wrapped = "".join(segment.wrapped() for segment in segments)
    ids = vocabulary.encode(segments, allow_special=True)
    assert ids.tolist() == own_encoding(vocabulary, wrapped)
    assert ids.dtype == np.int32


@properties
@given(segments=segment_lists)
def test_decoding_gives_the_segments_back(vocabulary, segments):
    # U+0338 after a family token spelled in text: the tokenizer splits before it normalises.
    if spells_special(segments) or "\u0338" in "".join(s.wrapped() for s in segments):
        return
    parsed = vocabulary.parse(vocabulary.encode(segments))
    assert parsed.segments == joined(segments)
    assert {problem.kind for problem in parsed.problems} <= {"stray_token"}


def test_every_family_token_encodes_as_itself(vocabulary, own_encoding):
    """Beside each other, so that a longer match across two tokens would show."""
    residues = ProteinSequence(families.RESIDUE_LETTERS)
    codes = Protein3D(range(len(vocabulary.tokens_of("protein_codes"))))
    selfies = Selfies("".join(map(vocabulary.token, vocabulary.tokens_of("selfies"))))
    joint = Molecule3D("".join(map(vocabulary.token, vocabulary.tokens_of("molecule_tokens"))))
    segments = [residues, codes, selfies, joint]
    ids = vocabulary.encode(segments)
    assert ids.tolist() == own_encoding(vocabulary, "".join(s.wrapped() for s in segments))
    assert vocabulary.decode(ids) == segments
    names = ("residues", "protein_codes", "selfies", "molecule_tokens")
    content = np.concatenate([vocabulary.tokens_of(name) for name in names])
    np.testing.assert_array_equal(np.setdiff1d(content, ids), [])


def test_qwen3_ids(qwen3):
    """The ids of a full extension of Qwen3, whose own last entry is 151,668."""
    assert qwen3.size == 151_669 + sum(families.PUBLISHED_COUNTS.values())
    assert {name: len(ids) for name, ids in qwen3.families.items()} == families.PUBLISHED_COUNTS
    assert qwen3.encode([ProteinSequence("MA"), Text("Hello world")]).tolist() == [
        qwen3.id("<|prot_aa_start|>"),
        qwen3.id("<A M>"),
        qwen3.id("<A A>"),
        qwen3.id("<|prot_aa_end|>"),
        9707,
        1879,
    ]
    assert qwen3.id("<|mol_smi_start|>") == 151_669
    assert qwen3.id("<A A>") == 151_669 + 10 + 925
    assert qwen3.id("<S 0>") == 151_669 + 10 + 925 + 26
    assert qwen3.token(qwen3.size - 1) == qwen3.token(qwen3.tokens_of("molecule_tokens")[-1])
    assert (qwen3.eos_id, qwen3.pad_id) == (151_645, 151_643)


def test_modality_of_each_token(small):
    segments = [Text("ab"), ProteinSequence("MK"), Smiles("CC"), Text(""), Text("x")]
    ids, modality = small.encode_with_modality(segments)
    assert ids.dtype == np.int32
    assert modality.dtype == np.uint8
    np.testing.assert_array_equal(ids, small.encode(segments))
    runs = [(len(small.encode([s])), MODALITIES.index(s.modality)) for s in segments]
    assert modality.tolist() == [number for length, number in runs for _ in range(length)]
    assert modality[len(small.encode([Text("ab")]))] == 4  # the control token too
    empty_ids, empty_modality = small.encode_with_modality([])
    assert (empty_ids.shape, empty_ids.dtype, empty_modality.dtype) == ((0,), np.int32, np.uint8)


def test_adjacent_texts_are_encoded_as_one(qwen3):
    assert (
        qwen3.encode([Text("Hel"), Text("lo")]).tolist() == qwen3.encode([Text("Hello")]).tolist()
    )
    assert len(qwen3.encode([Text("Hello")])) == 1


def test_selfies_spellings_in_smiles_and_text(small):
    """As the tokenizer has it: an atom spelled like a SELFIES token becomes that token."""
    ids = small.encode([Smiles("C[C@@](F)[O-]")])
    assert small.id("[C@@]") in ids
    assert small.id("[O-1]") not in ids
    parsed = small.parse(ids)
    assert parsed.segments == [Smiles("C[C@@](F)[O-]")]
    assert parsed.problems == []
    parsed = small.parse(small.encode([Text("the symbol [C] or <A M>")]))
    assert parsed.segments == [Text("the symbol [C] or <A M>")]
    assert [problem.kind for problem in parsed.problems] == ["stray_token", "stray_token"]


@pytest.mark.parametrize("spelling", ["<|mol_smi_end|>", "<|im_end|>", "<|endoftext|>"])
def test_special_tokens_in_content_are_refused(small, own_encoding, spelling):
    text = Text(f"a{spelling}b")
    for segments in ([text], [Smiles(f"C{spelling}")], [Text(spelling[:5]), Text(spelling[5:])]):
        with pytest.raises(BadInput, match="contains the special token"):
            small.encode(segments)
    allowed = small.encode([text], allow_special=True)
    assert allowed.tolist() == own_encoding(small, text.text)
    assert small.id(spelling) in allowed
    with pytest.raises(BadInput, match="special token"):
        small.encode([Smiles(f"C{spelling}")], allow_special=True)


@pytest.mark.parametrize(
    ("segment", "says"),
    [
        (Selfies("[C][Xe]"), r"Selfies has '\[Xe\]'.*not in the vocabulary"),
        (Molecule3D("[C 43]"), r"Molecule3D has '\[C 43\]'.*not in the vocabulary"),
        (Protein3D((3, 16)), "code 16.*codes 0 to 15"),
        (Protein3D((2**70,)), "codes 0 to 15"),
        ("MKV", "'MKV' is not a segment"),
    ],
)
def test_content_without_a_token_is_refused(small, segment, says):
    with pytest.raises(BadInput, match=says):
        small.encode([segment])


@pytest.mark.parametrize(
    ("segment", "says"),
    [
        (ProteinSequence("M"), "'residues'"),
        (Protein3D((0,)), "'protein_codes'"),
        (Smiles("C"), r"no token '<\|mol_smi_start\|>'"),
        (Selfies("[C]"), r"'\[C\]'"),
    ],
)
def test_a_plain_base_writes_only_text(base, segment, says):
    assert base.families == {}
    assert base.decode(base.encode([Text("kinase")])) == [Text("kinase")]
    with pytest.raises(BadInput, match=says):
        base.encode([segment])


def test_lookups(small):
    assert small.token(small.id("<A M>")) == "<A M>"
    assert "<A M>" in small
    assert "[Xe]" not in small
    assert small.start_id("smiles") == small.id("<|mol_smi_start|>")
    assert small.end_id("protein_3d") == small.id("<|prot_3d_end|>")
    assert [small.token(i) for i in small.tokens_of("residues")] == [
        f"<A {letter}>" for letter in families.RESIDUE_LETTERS
    ]
    assert small.token(small.size - 1) == "[Ring1 -1]"
    for token_id in (-1, small.size, 2**40):
        with pytest.raises(BadInput, match=r"not in .*size"):
            small.token(token_id)
    with pytest.raises(BadInput, match="no token"):
        small.id("[Xe]")
    with pytest.raises(BadInput, match="'text' segments have no control tokens"):
        small.start_id("text")
    with pytest.raises(BadInput, match="no token family 'residue'"):
        small.tokens_of("residue")


def test_saved_files_are_the_same_bytes(small, tmp_path):
    names = small.save(tmp_path)
    assert set(names) == {path.name for path in tmp_path.iterdir()}
    assert set(names) == {"tokenizer.json", "tokenizer_config.json"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (small.path / name).read_bytes()
    again = Vocabulary.from_pretrained(tmp_path)
    assert (
        again.encode([ProteinSequence("MK")]).tolist()
        == small.encode([ProteinSequence("MK")]).tolist()
    )


def test_chat_templates_beyond_the_first_are_saved_too(small, tmp_path):
    shutil.copytree(small.path, tmp_path / "a")
    (tmp_path / "a" / "additional_chat_templates").mkdir()
    (tmp_path / "a" / "additional_chat_templates" / "tools.jinja").write_bytes(b"{{ t }}\r\n")
    (tmp_path / "b").mkdir()
    names = Vocabulary.from_pretrained(tmp_path / "a").save(tmp_path / "b")
    assert "additional_chat_templates/tools.jinja" in names
    for name in names:
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_importing_is_light():
    """The package alone must not bring in what encodes, trains or draws."""
    code = (
        "import sys, biomatrix_jax.tokens; "
        "print([m for m in ('tokenizers', 'transformers', 'jax', 'rdkit') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"
