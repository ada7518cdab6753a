"""FASTA files: a header after `>`, then the lines of a sequence.

Biopython's parser is not used because it drops what stands before the first header, and blanks
within sequences, without a word; and because one bad byte would end the file.
"""

from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.blocks import blocks
from data_pipeline.formats.lines import decoded

Entry = tuple[str, tuple[str, str] | BadInput]  # where it stands; header and sequence


def entries(path: str | Path) -> Iterator[Entry]:
    """Header (without its `>`) and sequence of each entry; sequences stand as they are written.

    What stands before the first header, if anything, is an entry that has none.
    """
    name = Path(path).name
    for number, block in enumerate(blocks(path, b"\n>")):
        if number == 0:
            block = block.lstrip()
            if not block:
                continue
            yield f"{name}, entry 1", _entry(block[1:]) if block[:1] == b">" else _HEADLESS
        else:
            yield f"{name}, entry {number + 1}", _entry(block)


_HEADLESS = BadInput("no FASTA header")


def _entry(block: bytes) -> tuple[str, str] | BadInput:
    header, _, sequence = block.partition(b"\n")
    try:
        return decoded(header).strip(), decoded(sequence.translate(None, b"\r\n"))
    except BadInput as error:
        return error
