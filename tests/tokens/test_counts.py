import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens.counts import (
    Chosen,
    by_frequency,
    choose,
    covering,
    read_counts,
    read_selfies,
)

COUNTS = Counter({"[C]": 50, "[O]": 30, "[N]": 10, "[B]": 5, "[A]": 5})
JOINT = {"[C 42]": 900, "[=C 3]": 60, "[C 7]": 35, "[Ring1 -1]": 4, "[O 1]": 1}


def test_ties_are_broken_by_spelling():
    assert by_frequency(COUNTS) == ["[C]", "[O]", "[N]", "[A]", "[B]"]


@pytest.mark.parametrize(
    ("coverage", "kept"),
    [(0.49, 1), (0.5, 2), (0.79, 2), (0.8, 3), (0.9, 4), (0.95, 5), (0.99, 5), (1.0, 5)],
)
def test_the_shortest_prefix_covers_more_than_asked(coverage, kept):
    assert covering(COUNTS, coverage) == by_frequency(COUNTS)[:kept]


@given(
    st.dictionaries(st.text(max_size=3), st.integers(0, 50), min_size=1).filter(
        lambda counts: sum(counts.values())
    ),
    st.floats(0.01, 0.99),
)
def test_the_prefix_covers_and_none_shorter_does(counts, coverage):
    counts = Counter(counts)
    kept = covering(counts, coverage)
    shares = [counts[token] / counts.total() for token in kept]
    assert sum(counts[token] for token in kept) > coverage * counts.total()
    assert sum(counts[token] for token in kept[:-1]) <= coverage * counts.total()
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("coverage", [0, -1, 1.01, float("nan")])
def test_coverage_out_of_range_is_refused(coverage):
    with pytest.raises(BadInput, match="coverage must be"):
        covering(COUNTS, coverage)


def tsv(counts, end="\n"):
    return "".join(f"{token}\t{count}{end}" for token, count in counts.items())


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(JOINT),
        "\n " + json.dumps(JOINT, indent=1) + "\n",
        tsv(JOINT),
        tsv(JOINT).rstrip("\n"),
        tsv(JOINT, "\r\n"),
    ],
)
def test_counts_read_from_either_form(tmp_path, text):
    (tmp_path / "counts").write_bytes(text.encode())
    assert read_counts(tmp_path / "counts") == Counter(JOINT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[C 1]\t5\n[C 2] 5\n", r"line 2: '\[C 2\] 5' is not a token, a tab and a count"),
        ("[C 1]\t5\n\n[C 2]\t5\n", "line 2: '' is not a token"),
        ("[C 1]\t5\n[C 2]\t-5\n", "line 2: .*no whole number of 0 or more: -5"),
        ("[C 1]\t5.0\n", "line 1: .*no whole number"),
        ("[C 1]\t\u0665\n", "line 1: .*no whole number"),
        ("[C 1]\t" + "9" * 5000, "line 1: .*no whole number"),
        ("[C 1]\t5\n[C 1]\t5\n", r"line 2: '\[C 1\]' is there a second time"),
        ("[C 1]\t5\n[C]\t5\n", r"line 2: '\[C\]' is not spelled like .*'molecule_tokens'"),
        ("token\tcount\n[C 1]\t5\n", "line 1: count of 'token' is no whole number"),
        ("", "counts no occurrence"),
        ("{}", "counts no occurrence"),
        ("[C 1]\t0\n", "counts no occurrence"),
        ('{"[C 1]": -1}', r"count of '\[C 1\]' is no whole number of 0 or more: -1"),
        ('{"[C 1]": true}', "no whole number"),
        ('{"[C 1]": 1.5}', "no whole number"),
        ('{"[C 1]": 1, "[C 1]": 2}', r"key '\[C 1\]' is there 2 times"),
        ('{"[C 01]": 1}', r"'\[C 01\]' is not spelled"),
        ('{"[C 1]": 1', "not JSON"),
    ],
)
def test_bad_counts_are_refused_by_line_or_token(tmp_path, text, says):
    (tmp_path / "counts").write_bytes(text.encode())
    with pytest.raises(BadInput, match=says) as caught:
        read_counts(tmp_path / "counts")
    assert str(tmp_path / "counts") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_symbols_keep_their_order(tmp_path):
    (tmp_path / "selfies").write_bytes(b"[O]\r\n[C]\n[=C]")
    assert read_selfies(tmp_path / "selfies") == ["[O]", "[C]", "[=C]"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no SELFIES symbols"),
        ("[C]\n\n[O]\n", "line 2: ''"),
        ("[C]\n[O]\n[C]\n", r"line 3: '\[C\]' is there a second time"),
        ("[C][O]\n", "line 1: .*'selfies'"),
        ("[C 1]\n", "line 1: .*'selfies'"),
        ("[C] \n", r"line 1: '\[C\] '"),
    ],
)
def test_bad_symbols_are_refused_by_line(tmp_path, text, says):
    (tmp_path / "selfies").write_text(text)
    with pytest.raises(BadInput, match=says):
        read_selfies(tmp_path / "selfies")


@pytest.mark.parametrize("read", [read_counts, read_selfies])
def test_unreadable_files_are_refused(tmp_path, read):
    (tmp_path / "latin").write_bytes(b"[C\xe9]\t1")
    with pytest.raises(BadInput, match="no UTF-8"):
        read(tmp_path / "latin")
    with pytest.raises(BadInput, match=r"absent: not readable \(No such file"):
        read(tmp_path / "absent")


@pytest.fixture
def counts(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_text(tsv(dict(reversed(JOINT.items()))))
    return path


def test_kept_joint_tokens_bring_their_symbols(counts):
    chosen = choose(counts, None)
    assert chosen.molecule_tokens == ["[C 42]", "[=C 3]", "[C 7]"]
    assert chosen.selfies == ["[C]", "[=C]"]
    assert "3 of 5 joint molecule tokens kept, 99.500%" in chosen.notes[0]
    assert "the 2 of the joint tokens" in chosen.notes[1]


def test_given_symbols_win(counts, tmp_path):
    (tmp_path / "selfies").write_text("[N]\n[C]\n")
    chosen = choose(counts, tmp_path / "selfies", coverage=1)
    assert (chosen.selfies, chosen.molecule_tokens) == (
        ["[N]", "[C]"],
        by_frequency(Counter(JOINT)),
    )
    assert len(chosen.notes) == 1


def test_nothing_given_is_nothing_chosen_and_said():
    chosen = choose(None, None)
    assert chosen == Chosen([], [], chosen.notes)
    assert len(chosen.notes) == 2
    assert all("gets none" in note for note in chosen.notes)
