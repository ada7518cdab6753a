"""Whether the files of a data directory are those that its manifest describes."""

from pathlib import Path

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import sha256
from data_pipeline.shards import read_shard


def read_checked(directory: Path) -> Manifest:
    """The manifest of a data directory of which every byte is as it was written.

    Raises:
      BadInput: as `manifests.read`; for damage within a shard, of rows or of documents, it names
        the first record that cannot be read.
    """
    try:
        return manifests.read(directory, checksums=True)
    except BadInput:
        _find_damage(directory)
        raise


def _find_damage(directory: Path) -> None:
    """Raises BadInput for the first record of a shard that cannot be read, if there is one."""
    manifest = manifests.read(directory)
    counts = {shard.path: shard.rows for shard in manifest.shards}
    counts |= {shard.path: shard.records for shard in manifest.documents}
    for shard in (*manifest.shards, *manifest.documents):
        path = directory / shard.path
        if sha256(path) != shard.sha256:
            for number in range(counts[shard.path]):
                list(read_shard(path, number, number + 1))  # alone, or its neighbours fail, too
