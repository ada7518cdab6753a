"""A data directory as a TFDS data set: the same shards, nothing copied, nothing written.

    import tensorflow_datasets as tfds
    import data_pipeline.tfds.builder  # so that TFDS knows the name

    rows = tfds.data_source("biomatrix_rows", split="uniref50[:90%]", data_dir=DIRECTORY)
    rows[0]["tokens"]

A split is a source of the manifest (see `split_names`). What a row is, `features` says. What TFDS
offers for data sources works, without TensorFlow: several splits, slices, decoders, pickling.
`tfds.load` and `as_dataset` make pipelines of TensorFlow, which could not read the records.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import tensorflow_datasets as tfds
import tree
from tensorflow_datasets.core.data_sources import base

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import SHARDS, Manifest
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import MODALITIES
from data_pipeline.tfds.features import PackedRows, row_features

VERSION = "1.0.0"  # of what a row is
RELEASE_NOTES = {VERSION: "tokens, segment_ids, modality, source"}
DESCRIPTION = "Packed rows of a BioMatrix data directory; a split for each of its sources."


class BiomatrixRows(tfds.core.DatasetBuilder):
    """Reads the packed rows of a data directory.

    Args:
      data_dir: made by `biomatrix data build`.

    Raises:
      BadInput: no complete data directory, or sources that cannot be splits of TFDS.
    """

    VERSION = tfds.core.Version(VERSION)
    RELEASE_NOTES = RELEASE_NOTES

    def __init__(self, *, data_dir: str | os.PathLike):
        self._manifest = manifests.read(data_dir)
        super().__init__(data_dir=data_dir)
        self._original_state = {"data_dir": os.fspath(data_dir)}  # what a pickle makes it of

    def as_data_source(self, split=None, **options):
        """The rows of a split, or of each in a list or dictionary; without one, of all by name.

        Args:
          options: `decoders` and `deserialize_method`, as TFDS explains them.

        Returns:
          Sequences of {feature: array}; they raise BadInput that names shard and row for a record
          that is damaged.
        """
        wanted = {name: name for name in self.info.splits} if split is None else split
        return tree.map_structure(lambda one: RowsDataSource(self.info, one, **options), wanted)

    def is_prepared(self) -> bool:
        return True

    def download_and_prepare(self, **kwargs) -> None:
        """Does nothing: the rows are there. (TFDS's own could be told to delete the directory.)"""

    def as_dataset(self, *args, **kwargs) -> NoReturn:
        raise BadInput(
            f"{self.data_dir}: TensorFlow cannot read the records of packed rows: use "
            "as_data_source, or write them for it with `biomatrix data tfds`"
        )

    # What TFDS demands of a builder besides.
    _as_dataset = _download_and_prepare = as_dataset

    def _build_data_dir(self, given_data_dir: str) -> tuple[str, str]:
        return given_data_dir, given_data_dir

    def _info(self) -> tfds.core.DatasetInfo:
        info = _Info(
            builder=self,
            description=DESCRIPTION,
            features=PackedRows(row_features(self._manifest.row_length)),
            metadata=metadata(self._manifest),
            split_dict=tfds.core.SplitDict(_splits(self._manifest, Path(self.data_dir), self.name)),
            disable_shuffling=True,  # rows keep their order
        )
        info.set_file_format(tfds.core.FileFormat.ARRAY_RECORD)
        return info


class _Info(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        """Does nothing, where TFDS would ask on the network for a data set of this name."""


@dataclasses.dataclass(repr=False)
class RowsDataSource(base.BaseDataSource):
    """Rows of a split by number. Raises BadInput for a damaged record, naming shard and row."""

    def __post_init__(self):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._files = base.file_instructions(self.dataset_info, self.split)
        self.data_source = ArrayRecordDataSource(self._files)

    def __getitem__(self, key):
        try:
            return super().__getitem__(key)
        except (RuntimeError, BadInput) as error:  # array_record reports damage as RuntimeError
            where = self._where(key.__index__())
            raise BadInput(f"{where}: {' '.join(str(error).split())}") from None

    def __getitems__(self, keys: Sequence[int]) -> list:
        try:
            return super().__getitems__(keys)
        except (RuntimeError, BadInput):
            return [self[key] for key in keys]  # fails again, at the one that is damaged

    def _where(self, row: int) -> str:
        for file in self._files:
            if row < file.take:
                break
            row -= file.take
        return f"{file.filename}, row {file.skip + row}"


def split_names(manifest: Manifest) -> dict[str, str]:
    """Split -> source. TFDS allows letters, digits, '_' and '-': what else is there becomes '_'.

    Raises:
      BadInput: two sources have one name then, or one is called `all`, TFDS's word for all splits.
    """
    names: dict[str, str] = {}
    for source in manifest.sources:
        split = "".join(c if c.isalnum() or c in "_-" else "_" for c in source.name)
        if split in names:
            raise BadInput(
                f"sources {names[split]} and {source.name} would both be split {split} of TFDS: "
                "build the data with another name for one"
            )
        if split.lower() == "all":
            raise BadInput(
                f"a source called {source.name} cannot be a split of TFDS, where that means all of "
                "them: build the data with another name for it"
            )
        names[split] = source.name
    return names


def metadata(manifest: Manifest) -> tfds.core.MetadataDict:
    """What the numbers in a row mean."""
    return tfds.core.MetadataDict(
        sources=[source.name for source in manifest.sources],
        modalities=list(MODALITIES),
        vocabulary_size=manifest.vocabulary.size,
        tokenizer_sha256=manifest.vocabulary.files,
    )


def _splits(manifest: Manifest, directory: Path, dataset: str) -> list[tfds.core.SplitInfo]:
    splits = []
    for split, source in split_names(manifest).items():
        shards = [shard for shard in manifest.shards if shard.source == source]
        template = tfds.core.ShardedFileTemplate(
            data_dir=directory,
            dataset_name=dataset,
            template=f"{SHARDS}/{source}-{{SHARD_INDEX}}.arrayrecord",
            split=split,
        )
        # TFDS makes the names of files; they must be those that are there.
        made = [
            template.relative_filepath(shard_index=n, num_shards=len(shards))
            for n in range(len(shards))
        ]
        if made != [shard.path for shard in shards]:
            raise BadInput(f"{directory}: the shards of {source} are not numbered as TFDS does")
        splits.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[shard.rows for shard in shards],
                num_bytes=sum(shard.bytes for shard in shards),
                filename_template=template,
            )
        )
    return splits
