"""What readers of protein sequences share: which sequences are usable."""

import re

from biomatrix_jax.errors import BadInput

_USABLE = re.compile("[A-Z]+")
# Each with the reason that it is counted by; the first that a sequence has.
_FAULTS = (
    (re.compile("[a-z]"), "sequence with lower-case letters"),  # masked by whoever wrote the file
    (re.compile("[-.]"), "sequence with gaps"),  # a row of an alignment
    (re.compile(r"\*"), "sequence with a stop (*)"),  # a translation
    (re.compile("."), "sequence with other characters than A to Z"),
)


def checked(sequence: str) -> str:
    """The sequence itself, of letters A to Z (X: an unknown residue).

    Raises:
      BadInput: it is empty or has anything else. Nothing is changed or taken out: what lower case
        or a gap means differs from file to file, and a sequence that is not as its corpus writes
        them is not to be trusted.
    """
    if _USABLE.fullmatch(sequence):
        return sequence
    raise BadInput(
        next((reason for fault, reason in _FAULTS if fault.search(sequence)), "no sequence")
    )
