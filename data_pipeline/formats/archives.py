"""Archives of many files: tar, plain or compressed, read from front to back."""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary


def members(path: str | Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in a tar archive whose name ends in one of `suffixes`.

    Raises:
      BadInput: the archive is missing, damaged or cut short.
    """
    with open_binary(path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and member.name.endswith(suffixes):
                        content = archive.extractfile(member)
                        yield PurePosixPath(member.name).name, content.read()
        except tarfile.TarError as error:
            raise BadInput(
                f"{path}: damaged or truncated tar archive ({error}): fetch it again"
            ) from None
