import re

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
    View,
    Views,
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
        Views([View("v1", b"png", Markup("a < b"), text, text, text)], text),
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
    assert shown.count("WORD") == 40  # counted by hand, the title twice


def test_every_text_is_escaped():
    html = render(every_block(EVIL))
    read_page(html)  # fails on a script that is not the page's own
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


def test_a_page_without_views_has_no_scripts():
    html = render(Page("t", "s", [], [Section("x", [Note("y")])]))
    assert "<script" not in html
    assert "script-src" not in html


def test_views_bring_their_library_once_and_nothing_else_may_run():
    views = [View(name, b"png", Markup(f"go({name!r})"), "c") for name in ("v1", "v2")]
    html = render(Page("t", "s", [], [Section("x", [Views(views[:1]), Views(views[1:])])]))
    library, first, second = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert "3Dmol" in library
    assert (first, second) == ("go('v1')", "go('v2')")
    assert html.index('id="3dmolviewer_v2"') < html.index("<script>")
    policy = re.search(r'Security-Policy" content="([^"]*)"', html)[1]
    assert re.sub(r"'sha256-[^']*'", "S", policy) == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src S S S"
    )
    read_page(html)  # fails on a script whose digest is none of these


def test_write_replaces_the_page_before(tmp_path):
    path = tmp_path / "report.html"
    for title in ("first", "secönd"):
        write(Page(title, "", [], []), path)
        assert f"<h1>{title}</h1>" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
