"""Parquet files, read in batches of rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import Entry

BATCH = 1024  # rows in memory at a time
BUFFER = 1 << 20  # bytes of a column that are read at once; else it would be all of a row group


def rows(path: str | Path, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Entry]:
    """The rows of a file as {column: value}, each with where it stands (the first is row 0).

    Args:
      columns: those that the file must have.
      optional: others that are read where the file has them.

    Raises:
      BadInput: the file is missing or damaged, or lacks a column.
    """
    path = Path(path)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise BadInput(
            f"{path}: Parquet is read by pyarrow, which is missing: "
            "pip install 'biomatrix-jax[data]'"
        ) from None
    try:
        with pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            names = file.schema_arrow.names
            if missing := [name for name in columns if name not in names]:
                raise BadInput(f"{path}: no column {missing[0]!r}; it has: {', '.join(names[:20])}")
            wanted = [*columns, *(name for name in optional if name in names)]
            number = 0
            for batch in file.iter_batches(BATCH, columns=wanted):
                for row in _rows(batch):
                    yield f"{path.name}:{number}", row
                    number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the latter of a name
        reason = str(error).split("\n", 1)[0]
        raise BadInput(f"{path}: not readable as Parquet ({reason}): fetch it again") from None


def _rows(batch) -> list[dict | BadInput]:
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:  # in one of them: writers do not look whether a string is UTF-8
        if len(batch) == 1:
            return [BadInput("not UTF-8")]
        half = len(batch) // 2
        return _rows(batch[:half]) + _rows(batch[half:])
