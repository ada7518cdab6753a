"""What tests ask of a whole page."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link"}
# Attributes by which a browser fetches something.
LOADING = {"src", "href", "xlink:href", "srcset", "data", "action", "poster", "background"}


class Checker(HTMLParser):
    """Reads a page and fails on tags that do not match, on scripts, and on anything loaded."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attributes):
        assert tag not in {"script", "link", "img", "iframe", "object", "base"}, tag
        for name, value in attributes:
            assert name not in LOADING, (tag, name, value)
            assert not name.startswith("on"), (tag, name)
            assert "url(" not in (value or ""), value
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def read_page(html: str) -> str:
    """The visible text, white space collapsed, of a page that is well formed and loads nothing."""
    checker = Checker()
    checker.feed(html)
    assert not checker.open
    assert not re.search(r"@import|https?://", html)
    return " ".join(" ".join(checker.text).split())
