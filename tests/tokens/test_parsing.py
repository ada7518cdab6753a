import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import (
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Selfies,
    Smiles,
    Text,
    parsing,
)

S, E = "<|prot_aa_start|>", "<|prot_aa_end|>"
CASES = {
    # name: (tokens by spelling, segments, [(kind, position), ...])
    "well formed": ([S, "<A M>", "<A K>", E], [ProteinSequence("MK")], []),
    "nothing": ([], [], []),
    "unclosed at the end": (
        ["Ġthe", S, "<A M>", "<A K>"],
        [Text(" the"), ProteinSequence("MK")],
        [("unclosed_segment", 1)],
    ),
    "unclosed before another": (
        [S, "<A M>", "<|prot_3d_start|>", "<S 3>", "<|prot_3d_end|>"],
        [ProteinSequence("M"), Protein3D((3,))],
        [("unclosed_segment", 0)],
    ),
    "unclosed, then text": (
        [S, "<A M>", "Ġthe", "<A K>", "Ġof"],
        [ProteinSequence("M"), Text(" the<A K> of")],
        [("unclosed_segment", 0), ("stray_token", 3)],
    ),
    "unclosed at the end of its document": (
        [S, "<A M>", "<|endoftext|>", "Ġthe"],
        [ProteinSequence("M"), Text(" the")],
        [("unclosed_segment", 0)],
    ),
    "closed by another's end": (
        ["<|mol_sfi_start|>", "[C]", E],
        [Selfies("[C]")],
        [("unclosed_segment", 0), ("end_without_start", 2)],
    ),
    "start alone": ([S], [], [("unclosed_segment", 0), ("empty_segment", 0)]),
    "empty": ([S, E, "Ġthe"], [Text(" the")], [("empty_segment", 0)]),
    "end alone": (["Ġthe", E, "Ġof"], [Text(" the"), Text(" of")], [("end_without_start", 1)]),
    "ended twice": ([S, "<A M>", E, E], [ProteinSequence("M")], [("end_without_start", 3)]),
    "wrong tokens inside": (
        [S, "<A M>", "[C]", "Ġthe", "<A K>", "<|im_end|>", E],
        [ProteinSequence("MK")],
        [("wrong_token", 2), ("wrong_token", 5)],
    ),
    "only wrong tokens inside": (
        ["<|mol_3d_start|>", "[C]", "<|mol_3d_end|>"],
        [],
        [("wrong_token", 1), ("empty_segment", 0)],
    ),
    "stray residues": (
        ["Ġthe", "<A M>", "<A K>", "Ġof"],
        [Text(" the<A M><A K> of")],
        [("stray_token", 1)],
    ),
    "end of document between texts": (
        ["Ġthe", "<|endoftext|>", "Ġof", "<|endoftext|>"],
        [Text(" the"), Text(" of")],
        [],
    ),
    "other special tokens stay in text": (
        ["<|im_start|>", "Ġthe", "<|im_end|>"],
        [Text("<|im_start|> the<|im_end|>")],
        [],
    ),
    "dots between fragments": (
        ["<|mol_sfi_start|>", "[Na+1]", ".", "[Cl-1]", "<|mol_sfi_end|>"],
        [Selfies("[Na+1].[Cl-1]")],
        [],
    ),
    "dots elsewhere": (
        ["<|mol_sfi_start|>", ".", "[C]", ".", ".", "[C]", ".", "<|mol_sfi_end|>"],
        [Selfies("[C][C]")],
        [("wrong_token", 1), ("wrong_token", 3), ("wrong_token", 6)],
    ),
    "a space in SMILES": (
        ["<|mol_smi_start|>", "C", "Ġ", "C", "<A M>", "<|im_end|>", "<|mol_smi_end|>"],
        [Smiles("CC")],
        [("wrong_token", 2), ("wrong_token", 4)],
    ),
    "joint molecule tokens": (
        ["<|mol_3d_start|>", "[C 42]", "[Branch1 -1]", "[H 3]", "<|mol_3d_end|>"],
        [Molecule3D("[C 42][Branch1 -1][H 3]")],
        [],
    ),
    # é is C3 A9: 'Ã' alone is its first byte
    "half a character": (["a", "Ã", "b"], [Text("a\ufffdb")], [("invalid_utf8", 1)]),
    "a whole character": (["Ã", "©"], [Text("é")], []),
    "a character cut by a segment": (
        ["Ã", S, "<A M>", E, "©"],
        [Text("\ufffd"), ProteinSequence("M"), Text("\ufffd")],
        [("invalid_utf8", 0), ("invalid_utf8", 4)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_there_and_what_is_wrong(small, name):
    spellings, segments, problems = CASES[name]
    parsed = small.parse([small.id(spelling) for spelling in spellings])
    assert parsed.segments == segments
    found = [(problem.kind, problem.position) for problem in parsed.problems]
    assert sorted(found) == sorted(problems)
    assert [position for _, position in found] == sorted(position for _, position in problems)


def test_unknown_ids_are_named(small):
    ids = [small.size, small.id(S), small.id("<A M>"), -1, 2**40, small.id("<A K>"), small.id(E)]
    parsed = small.parse(ids)
    assert parsed.segments == [ProteinSequence("MK")]
    assert [(p.kind, p.position) for p in parsed.problems] == [
        ("unknown_id", 0),
        ("unknown_id", 3),
        ("unknown_id", 4),
    ]
    assert str(small.size) in parsed.problems[0].message


def test_messages_say_what_and_where(small):
    ids = [small.id(t) for t in (S, "<A M>", "[C]", "[C]", "<A K>", E)]
    (problem,) = small.parse(ids).problems
    message = "wrong_token at position 2: in protein_sequence: '[C]' and 1 more"
    assert problem == parsing.Problem("wrong_token", 2, message)


def test_any_row_of_integers_will_do(small):
    ids = small.encode([ProteinSequence("MK")])
    for form in (ids, ids.tolist(), tuple(ids), ids.astype(np.uint32), iter(ids.tolist())):
        assert small.decode(form) == [ProteinSequence("MK")]
    for form in (ids[None], ids.astype(np.float32), ["a"]):
        with pytest.raises(BadInput, match="one row of integers"):
            small.parse(form)


def test_long_sequences_keep_their_positions(small):
    sequence = ProteinSequence("MKVL" * 2000)
    ids = np.concatenate([small.encode([sequence]), [small.id("[C]")]])
    parsed = small.parse(ids)
    assert parsed.segments == [sequence, Text("[C]")]
    assert [(p.kind, p.position) for p in parsed.problems] == [("stray_token", 8002)]


TOKENS = [
    *(S, E, "<|mol_smi_start|>", "<|mol_smi_end|>", "<|mol_sfi_start|>", "<|mol_sfi_end|>"),
    *("<|mol_3d_start|>", "<|mol_3d_end|>", "<|prot_3d_start|>", "<|prot_3d_end|>"),
    *("<|endoftext|>", "<|im_end|>", "<A M>", "[C]", "[C@@]", "[C 42]", "<S 3>", ".", "C", "Ġthe"),
    *("Ã", "©", "Ġ"),
]
KINDS = {
    *("unknown_id", "unclosed_segment", "end_without_start", "empty_segment"),
    *("wrong_token", "stray_token", "invalid_utf8"),
}


@settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(spellings=st.lists(st.sampled_from(TOKENS), max_size=14), other=st.integers(-5, 3000))
def test_any_sequence_parses_and_loses_nothing_unnoticed(small, spellings, other):
    ids = [small.id(spelling) for spelling in spellings]
    parsed = small.parse(ids)
    positions = [problem.position for problem in parsed.problems]
    assert positions == sorted(positions)
    assert all(0 <= position < len(ids) for position in positions)
    assert {problem.kind for problem in parsed.problems} <= KINDS
    if {problem.kind for problem in parsed.problems} <= {"stray_token"}:
        plain = {"Ġthe": " the", "Ġ": " ", "<|endoftext|>": ""}
        said = "".join(plain.get(spelling, spelling) for spelling in spellings).replace("Ã©", "é")
        assert "".join(segment.wrapped() for segment in parsed.segments) == said
    small.parse([*ids, other])  # whatever the id, it is read
