"""The dictionary matcher: longest, bounded, unambiguous, by its rule of case."""

# ruff: noqa: RUF001  Greek letters and dashes are what is tested

import random
import re

import pytest

from data_pipeline.entities.matcher import Matcher

NAMES = [
    ("acetic acid", "acetic"),
    ("acetic acid ethyl ester", "ester"),
    ("glucose", "glucose"),
    ("glucose 6-phosphate", "g6p"),
    ("L-alanine", "L-ala"),
    ("alanine", "ala"),
    ("ATP", "atp"),
    ("(R)-carvone", "carvone"),
    ("N,N-dimethylformamide", "dmf"),
    ("α-tocopherol", "toc"),
]


def found(text, names=NAMES):
    return [(text[start:end], meaning) for start, end, meaning in Matcher(names).find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Acetic acid, then ACETIC ACID ETHYL ESTER.", ["acetic", "ester"]),
        ("acetic acid ethyl esters", ["acetic"]),  # the longer one is not bounded
        ("acetic\nacid and acetic\u00a0acid", ["acetic", "acetic"]),
        ("glucose 6-phosphate", ["g6p"]),
        ("glucose 6-phosphates; glucose", ["glucose", "glucose"]),
        ("glucose-6-phosphate, 2-deoxyglucose, D-glucose, glucoses, glucose'", []),
        ("glucose/fructose, 5'-glucose", []),
        ("(glucose) glucose–insulin “glucose”, glucose.", ["glucose"] * 4),
        ("L-Alanine or alanine, not D-alanine", ["L-ala", "ala"]),
        ("ATP and atp and ATPase and Atp", ["atp"]),
        ("with (R)-Carvone (N,N-dimethylformamide)", ["carvone", "dmf"]),
        ("Α-Tocopherol", ["toc"]),
        ("", []),
    ],
)
def test_what_is_found(text, expected):
    assert [meaning for _, meaning in found(text)] == expected


def test_spans_count_characters_of_the_text_as_it_is():
    text = "İβ-Naïve 🧬: glucose and İ ATP"  # the lower case of İ has two characters
    spans = list(Matcher(NAMES).find(text))
    assert [text[start:end] for start, end, _ in spans] == ["glucose", "ATP"]
    assert spans[0][0] == 12


def test_a_name_of_two_meanings_is_not_used_and_one_of_two_equal_meanings_is():
    matcher = Matcher(
        [("cortisol", 1), ("Cortisol", 2), ("urate", 3), ("Urate", 3), ("C", 4), ("42", 5)]
    )
    assert [meaning for *_, meaning in matcher.find("cortisol, urate, C, 42")] == [3]
    assert matcher.unused == {"ambiguous": 1, "one character, or no letter": 2}
    # Short names differ by case.
    assert found("CAT Cat cat", [("CAT", 1), ("Cat", 2)]) == [("CAT", 1), ("Cat", 2)]


def test_it_agrees_with_trying_every_name_everywhere():
    draw = random.Random(0)
    words = ["a1", "bb", "ccc", "dddd", "acid", "-", ",", " ", "(", ")"]
    spelled = {"".join(draw.choices(words, k=draw.randint(1, 5))).strip() for _ in range(400)}
    matcher = Matcher([(name, name) for name in spelled])
    usable = sorted(matcher._meanings, key=len, reverse=True)

    def slow(text):
        place = 0
        while place < len(text):
            fits = [
                name
                for name in usable
                if text.startswith(name, place)
                and not re.search(r"[\w\-+/']", text[place - 1 : place] if place else "")
                and not re.match(r"[\w\-+/']", text[place + len(name) :])
                and (re.match(r"\w", name) is None or not re.match(r"\w", text[place - 1 : place]))
            ]
            if fits:
                yield place, place + len(fits[0]), fits[0]
                place += len(fits[0])
            else:
                place += 1

    for _ in range(60):
        text = "".join(draw.choices(words, k=40))
        assert list(matcher.find(text)) == list(slow(text)), text
