"""The one exception the command line turns into a single line and exit status 2."""


class BadInput(ValueError):
    """Input that cannot be used: what is wrong, where, and what to do about it, in one line.

    The command line prints the message on standard error and exits with status 2. Raise it before
    anything is written, so that a refused run leaves the disk as it was.
    """
