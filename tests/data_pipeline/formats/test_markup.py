"""Marked-up prose to paragraphs: markup on the line, formulas, blocks."""

from xml.etree import ElementTree

import pytest

from data_pipeline.formats.markup import Markup, line, paragraphs
from data_pipeline.formats.mathml import linear

MARKUP = Markup(
    blocks=frozenset({"sec", "p", "item"}),
    heads=frozenset({"title"}),
    joined=frozenset({"fig"}),
    formulas=frozenset({"math", "formula"}),
    left_out=frozenset({"table"}),
)


def on_a_line(content: str) -> tuple[str, int]:
    holes = []
    text = line(ElementTree.fromstring(f"<p>{content}</p>"), MARKUP, lambda: holes.append(1))
    return text, len(holes)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("plain\n   text\t here", "plain text here"),
        ("<i>E. coli</i> in <b>bold</b>.", "E. coli in bold."),
        ("H<sub>2</sub>O and T<sub>max</sub>", "H2O and Tmax"),
        ("10<sup>-5</sup> m<sup>2</sup> (x)<sup>3</sup>", "10^-5 m^2 (x)^3"),
        ("10<sup>\u22123</sup>, 10<sup>2.5</sup>", "10^\u22123, 10^2.5"),
        ("Ca<sup>2+</sup> CD4<sup>+</sup>", "Ca2+ CD4+"),
        ("<sup>13</sup>C, [<sup>18</sup>F]FDG", "13C, [18F]FDG"),
        ("<i>R</i><sup>2</sup>", "R^2"),
        ("shown<sup><xref>1</xref>,<xref>2</xref></sup>.", "shown."),
        ("shown<xref><sup>12</sup></xref>.", "shown."),
        ("shown [<xref>12</xref>].", "shown [12]."),
        ("one<br/>two<break/>three", "one two three"),
        ("before<table>cells</table> after", "before after"),
    ],
)
def test_markup_on_a_line(content, expected):
    assert on_a_line(content) == (expected, 0)


@pytest.mark.parametrize(
    ("content", "expected", "holes"),
    [
        ("is <formula><tex-math>$E=mc^2$</tex-math></formula>.", "is $E=mc^2$.", 0),
        (
            "<formula><tex-math>\\documentclass{x} \\begin{document} $$a\n b$$ \\end{document}"
            "</tex-math><math><mi>n</mi></math></formula>",
            "$$a b$$",
            0,
        ),
        ("so <math><msup><mi>x</mi><mn>2</mn></msup></math>", "so x^2", 0),
        ("so <formula><i>k</i><sub>1</sub> = 10<sup>3</sup></formula>.", "so k1 = 10^3.", 0),
        (
            "so<formula><label>(2)</label><math><mi>a</mi></math></formula>with",
            "so a (2) with",
            0,
        ),
        (
            "<formula>with <math><mi>a</mi></math> and <math><msup><mi>b</mi><mn>2</mn></msup>"
            "</math></formula>",
            "with a and b^2",
            0,
        ),
        (
            "<formula><tex-math>$a$</tex-math> or <tex-math>$b$</tex-math></formula>",
            "$a$ or $b$",
            0,
        ),
        ("of <formula><graphic/></formula> where", "of where", 1),
        ("of <math/> where", "of where", 1),
        ("of <formula><label>(1)</label><graphic/></formula> where", "of (1) where", 1),
    ],
)
def test_formulas_are_text_or_holes_that_are_reported(content, expected, holes):
    assert on_a_line(content) == (expected, holes)


def test_blocks_are_paragraphs_and_headings_carry_their_number():
    root = ElementTree.fromstring(
        "<body><p>Before.</p><sec><label>2.1</label><title>A <i>title</i></title>"
        "<p>One <item>first</item><item><p>second</p></item> goes on.</p>"
        "<fig><label>Figure 1</label><title>What</title><p>It is.</p><table>no</table></fig>"
        "<p> </p></sec>tail</body>"
    )
    assert paragraphs(root, MARKUP, pytest.fail) == [
        "Before.",
        "2.1 A title",
        "One",
        "first",
        "second",
        "goes on.",
        "Figure 1 What It is.",
        "tail",
    ]


@pytest.mark.parametrize(
    ("math", "expected"),
    [
        ("<mrow><mi>a</mi><mo>=</mo><mn>1.5</mn></mrow>", "a=1.5"),
        ("<msub><mi>x</mi><mrow><mi>i</mi><mo>+</mo><mn>1</mn></mrow></msub>", "x_(i+1)"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_i^2"),
        ("<mfrac><mrow><mi>a</mi><mo>-</mo><mi>b</mi></mrow><mi>c</mi></mfrac>", "(a-b)/c"),
        ("<msqrt><mi>x</mi><mo>+</mo><mn>1</mn></msqrt>", "\u221a(x+1)"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", "x^(1/3)"),
        ("<mfenced open='['><mi>x</mi><mi>y</mi></mfenced>", "[x,y)"),
        ("<mtable><mtr><mtd>1</mtd><mtd>2</mtd></mtr><mtr><mtd>3</mtd></mtr></mtable>", "1, 2; 3"),
        ("<munderover><mo>\u2211</mo><mi>i</mi><mi>n</mi></munderover>", "\u2211_i^n"),
        ("<mi>a</mi><mo>\u2062</mo><mspace/><mi>b</mi>", "a b"),
        ("<msup><mi/><mn>2</mn></msup>", "^2"),
        ("<mi>x</mi><annotation encoding='application/x-tex'>\\bar{x}</annotation>", "\\bar{x}"),
        ("", ""),
    ],
)
def test_mathml_on_a_line(math, expected):
    assert linear(ElementTree.fromstring(f"<math>{math}</math>")) == expected
