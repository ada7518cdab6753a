from markupsafe import Markup

from biomatrix_jax.report.blocks import (
    Bar,
    Bars,
    Code,
    Facts,
    Gallery,
    Headline,
    Note,
    Page,
    Plot,
    PlotRow,
    Sample,
    Samples,
    Section,
    Table,
    Tile,
)
from biomatrix_jax.report.render import render, write
from tests.report.pages import read_page

EVIL = "<script>alert(1)</script>&\"'"
PICTURE = Markup("<svg></svg>")


def every_block(text):
    """A page with `text` in every place that takes one."""
    plot = Plot(text, PICTURE, text, PICTURE, [(text, "s1")])
    blocks = [
        plot,
        PlotRow([plot]),
        Table([text, "n"], [(text, "1")], numeric=["n"], caption=text),
        Gallery([Tile(PICTURE, text, text, text)], text),
        Samples([Sample(text, text, text, text)]),
        Bars([Bar(text, 1.0, text, text), Bar("b", 4.0, "4")], text),
        Facts([(text, text)]),
        Code(text),
        Code(text, summary=text),
        Note(text),
    ]
    return Page(text, text, [Headline(text, text, text)], [Section(text, blocks, text)], text)


def test_every_block_is_shown_and_the_page_loads_nothing():
    shown = read_page(render(every_block("WORD")))
    assert shown.count("WORD") == 36  # counted by hand, the title twice


def test_every_text_is_escaped():
    html = render(every_block(EVIL))
    read_page(html)  # fails on a script
    plain = render(every_block("WORD")).count("WORD")
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#34;&#39;") == plain


def test_bars_are_as_long_as_their_amounts():
    html = render(every_block("WORD"))
    assert "width:15.00%" in html
    assert "width:60.00%" in html


def test_a_page_forbids_loading_and_follows_light_and_dark():
    html = render(Page("t", "s", [], []))
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_write_replaces_the_page_before(tmp_path):
    path = tmp_path / "report.html"
    for title in ("first", "secönd"):
        write(Page(title, "", [], []), path)
        assert f"<h1>{title}</h1>" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
