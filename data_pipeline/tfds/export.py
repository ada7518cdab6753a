"""A data directory -> a data set of TFDS's own format, which needs TFDS alone to be read.

    tfds.builder_from_directory(OUT).as_data_source("uniref50")

OUT is what TFDS calls the directory of a version. As DATA_DIR/biomatrix/1.0.0 it is found by name,
too: `tfds.data_source("biomatrix", data_dir=DATA_DIR)`.

    OUT/dataset_info.json, features.json, metadata.json       TFDS's
    OUT/biomatrix-<split>.array_record-00000-of-00003         the rows, as `tf.train.Example`
    OUT/tokenizer/                                            what the ids mean
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import tensorflow_datasets as tfds

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import TOKENIZER
from biomatrix_jax.data.reader import RowSource
from biomatrix_jax.data.rows import Row
from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, check_absent
from data_pipeline.tfds.builder import DESCRIPTION, RELEASE_NOTES, VERSION, metadata, split_names
from data_pipeline.tfds.features import example, row_features

NAME = "biomatrix"
_FORMAT = tfds.core.FileFormat.ARRAY_RECORD

Progress = Callable[[str, int, int], None]  # of a split: its name, rows written, rows


def export(
    directory: str | os.PathLike,
    out: str | os.PathLike,
    *,
    overwrite: bool = False,
    progress: Progress = lambda split, done, rows: None,
) -> tfds.core.DatasetBuilder:
    """Writes all rows: a split for each source, its shards and their rows in order.

    The same data give the same bytes. The directory appears when it is complete.

    Returns:
      What reads it.

    Raises:
      BadInput: `directory` is no complete data directory, a record in it is damaged, or its sources
        cannot be splits of TFDS; `out` exists.
    """
    check_absent(out, overwrite)
    directory = Path(directory)
    manifest = manifests.read(directory)
    splits = split_names(manifest)
    with atomic_directory(out, overwrite) as made:
        info = tfds.core.DatasetInfo(
            builder=tfds.core.DatasetIdentity(
                name=NAME,
                version=tfds.core.Version(VERSION),
                data_dir=os.fspath(made),
                module_name=__name__,
                release_notes=RELEASE_NOTES,
            ),
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(row_features(manifest.row_length)),
            metadata=metadata(manifest),
            disable_shuffling=True,  # rows keep their order
        )
        info.set_file_format(_FORMAT)
        written = []
        for split, source in splits.items():
            lengths = [shard.rows for shard in manifest.shards if shard.source == source]
            rows = RowSource(directory, manifest, source)
            written.append(_write(rows, split, lengths, info, progress))
        info.set_splits(tfds.core.SplitDict(written))
        info.write_to_directory(made)
        shutil.copytree(directory / TOKENIZER, made / TOKENIZER)
    return tfds.builder_from_directory(out)


def export_shown(
    directory: str | os.PathLike, out: str | os.PathLike, *, overwrite: bool = False
) -> None:
    """As `export`; shows progress on standard error."""
    with Display(sys.stderr, "rows") as display:
        made = export(directory, out, overwrite=overwrite, progress=display.show)
        counts = [f"{name} {split.num_examples:,}" for name, split in made.info.splits.items()]
        display.line(f"rows by split: {', '.join(counts)}")


def _write(
    rows: RowSource,
    split: str,
    lengths: list[int],
    info: tfds.core.DatasetInfo,
    progress: Progress,
) -> tfds.core.SplitInfo:
    """Writes a split in shards of `lengths` rows."""
    from array_record.python.array_record_module import ArrayRecordReader

    serializer = tfds.core.ExampleSerializer(info.features.get_serialized_info())
    size = done = 0

    def records(some: Iterable[Row]) -> Iterator[tuple[int, bytes]]:
        nonlocal size, done
        for row in some:
            message = serializer.get_tf_example(info.features.encode_example(example(row)))
            # Protocol buffers order a map as it comes; so the bytes would differ from run to run.
            record = message.SerializeToString(deterministic=True)
            size += len(record)
            done += 1
            progress(split, done, len(rows))
            yield done, record

    template = tfds.core.ShardedFileTemplate(
        data_dir=info.data_dir,
        dataset_name=NAME,
        split=split,
        filetype_suffix=_FORMAT.file_suffix,
    )
    remaining = iter(rows)
    for path, length in zip(template.sharded_filepaths(len(lengths)), lengths, strict=True):
        tfds.core.ExampleWriter(_FORMAT).write(path, records(islice(remaining, length)))
        if (found := ArrayRecordReader(os.fspath(path)).num_records()) != length:
            raise BadInput(f"{path.name}: TFDS wrote {found} of {length} rows: use another release")
    return tfds.core.SplitInfo(
        name=split, shard_lengths=lengths, num_bytes=size, filename_template=template
    )
