"""The one exception the command line turns into a single line and exit status 2."""

import re
from collections.abc import Sequence

LISTED = 6  # keys of each kind that a message names


class BadInput(ValueError):
    """Input that cannot be used: what is wrong, where, and what to do about it, in one line.

    The command line prints the message on standard error and exits with status 2. Raise it before
    anything is written, so that a refused run leaves the disk as it was.
    """

    def __init__(self, message: str):
        # Messages quote names from files: what is no text there must not reach a terminal as such.
        line = re.sub(r"\s*[\r\n]\s*", " ", message.strip())
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def some(keys: Sequence[str]) -> str:
    """The first keys, for a message, and how many more there are."""
    more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return ", ".join(keys[:LISTED]) + more
