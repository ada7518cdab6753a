"""FASTA files: a header after `>`, then the lines of a sequence.

Biopython's parser is not used because it drops what stands before the first header, and blanks
within sequences, without a word; and because one bad byte would end the file.
"""

from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.blocks import blocks
from data_pipeline.formats.lines import decoded

Entry = tuple[str, str]  # header without its ">", sequence


def entries(path: str | Path) -> Iterator[tuple[str, Entry | BadInput]]:
    """Each entry, called by the first word of its header, or its place where it has none.

    Sequences stand as they are written. What stands before the first header, if anything, is an
    entry without one.
    """
    name = Path(path).name
    for number, block in enumerate(_entries(path), start=1):
        where = f"{name}, entry {number}"
        try:
            if not block.startswith(b">"):
                raise BadInput("no FASTA header")
            header, _, sequence = block[1:].partition(b"\n")
            entry = decoded(header).strip(), decoded(sequence.translate(None, b"\r\n"))
        except BadInput as error:
            yield where, error
        else:
            yield entry[0].partition(" ")[0] or where, entry


def _entries(path: str | Path) -> Iterator[bytes]:
    whole = blocks(path, b"\n>")
    if first := next(whole).lstrip():
        yield first
    for block in whole:
        yield b">" + block
