"""Spans of an annotated text in the document it came from."""

# ruff: noqa: RUF001  Greek letters and dashes are what is tested

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.entities.alignment import Alignment


def as_bern2(text: str) -> str:
    """What BERN2 annotates in place of a text."""
    for blank in ("\r\n", "\n", "\t", "\xa0"):
        text = text.strip().replace(blank, " ")
    return text.encode("ascii", "ignore").decode()


DOCUMENT = "  Wirkung von β-Alanin\r\n\n auf TNF-α\tin Hefe… (β-alanine,\u2009L‑arginine) – 🧬.\n"


@pytest.mark.parametrize(
    ("mention", "there"),
    [
        ("-Alanin", "-Alanin"),
        ("TNF-", "TNF-"),
        ("alanine", "alanine"),
        ("alanine,Larginine", "alanine,\u2009L‑arginine"),
        ("TNF- in Hefe", "TNF-α\tin Hefe"),
        (" Hefe ", "Hefe"),
    ],
)
def test_a_span_is_found_again(mention, there):
    annotated = as_bern2(DOCUMENT)
    start = annotated.index(mention)
    first, last = Alignment(annotated, DOCUMENT).span(start, start + len(mention))
    assert DOCUMENT[first:last] == there


def test_every_span_keeps_its_visible_characters():
    annotated = as_bern2(DOCUMENT)
    alignment = Alignment(annotated, DOCUMENT)
    for start in range(len(annotated)):
        for end in range(start + 1, len(annotated) + 1):
            visible = "".join(annotated[start:end].split())
            if not visible:
                assert alignment.span(start, end) is None
                continue
            first, last = alignment.span(start, end)
            assert "".join(as_bern2(DOCUMENT[first:last]).split()) == visible


def test_either_may_be_a_part_of_the_other():
    title, abstract = "On arginine.", "Growth needs arginine, circulating."
    whole = Alignment(f"{title} {abstract}", abstract)
    assert whole.span(3, 11) is None
    assert abstract[slice(*whole.span(26, 34))] == "arginine"
    assert whole.span(0, 30) is None  # begins outside
    text = f"Preface.\n{title}\n\n{abstract}"
    part = Alignment(abstract, text)
    assert text[slice(*part.span(13, 21))] == "arginine"
    assert part.span(13, 21)[0] == text.rindex("arginine")


def test_blanks_do_not_count():
    assert Alignment("bb", "ab b c").span(0, 2) == (1, 4)


@pytest.mark.parametrize(("one", "other"), [("abc", "abd"), ("", "abc"), ("abc", " "), ("α", "α")])
def test_other_texts_are_told(one, other):
    with pytest.raises(BadInput, match="the annotated text is another one"):
        Alignment(one, other)
