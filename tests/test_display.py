import io

from biomatrix_jax.display import Display


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_a_plain_line_now_and_then(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with Display(stream, "files") as display:
        display.show("a", 1, 2000)
        now[0] += Display.EVERY
        display.show("a", 1234, 2000)
        display.show("a", 1235, 2000)
        now[0] += Display.EVERY
        display.show("b", 3)
    assert stream.getvalue() == "a: 1,234 of 2,000 files\nb: 3 files\n"


def test_on_a_terminal_a_bar_for_each_source():
    stream = Terminal()
    with Display(stream) as display:
        display.show("first", 2, 4)
        display.line("first is done")
        display.show("second", 7)
    shown = stream.getvalue()
    assert "first:  50%" in shown
    assert "2/4" in shown
    assert "\nfirst is done\n" in shown
    assert "second: 7 records" in shown
