"""Progress for people: a bar on a terminal, elsewhere a plain line now and then."""

import time
from typing import TextIO


class Display:
    """Shows how far each of some sources is. A context manager."""

    EVERY = 10  # seconds between plain lines

    def __init__(self, stream: TextIO, unit: str = "records"):
        self._stream = stream
        self._unit = unit
        self._bar = None
        self._source = ""
        self._shown = time.monotonic()

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_) -> None:
        self._close()

    def show(self, source: str, done: int, total: int | None = None) -> None:
        if not self._stream.isatty():
            if time.monotonic() - self._shown >= self.EVERY:
                of = "" if total is None else f" of {total:,}"
                self.line(f"{source}: {done:,}{of} {self._unit}")
            return
        if source != self._source:
            from tqdm import tqdm

            self._close()
            self._source = source
            self._bar = tqdm(desc=source, total=total, unit=f" {self._unit}", file=self._stream)
        self._bar.update(done - self._bar.n)

    def line(self, text: str) -> None:
        self._close()
        self._shown = time.monotonic()
        print(text, file=self._stream, flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar, self._source = None, ""
