"""What tests ask of a whole page."""

import base64
import hashlib
import re
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link"}
# Attributes by which a browser fetches something.
LOADING = {"src", "href", "xlink:href", "srcset", "data", "action", "poster", "background"}


class Checker(HTMLParser):
    """Reads a page and fails on tags that do not match, on scripts that the page's own policy does
    not permit to the letter, and on anything loaded."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag, attributes):
        assert tag not in {"link", "iframe", "object", "base"}, tag
        if tag == "meta" and dict(attributes).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attributes)["content"]
        for name, value in attributes:
            held = (tag, name) == ("img", "src") and value.startswith("data:image/png;base64,")
            assert held or name not in LOADING, (tag, name, value)
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
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text.append(data)

    def permits(self, script: str) -> bool:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        return f"'sha256-{digest}'" in self.policy


def read_page(html: str) -> str:
    """The visible text, white space collapsed, of a page that is well formed and loads nothing."""
    checker = Checker()
    checker.feed(html)
    assert not checker.open
    assert all(map(checker.permits, checker.scripts))
    for script in checker.scripts:
        html = html.replace(script, "")
    assert not re.search(r"@import|https?://", html)
    return " ".join(" ".join(checker.text).split())
