"""Hugging Face directory -> checkpoint."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from biomatrix_jax.blocks import Index
from biomatrix_jax.checkpoint import CheckpointStore, Pieces, check_place
from biomatrix_jax.convert import hub
from biomatrix_jax.convert.source import HFSource, check_tokenizer
from biomatrix_jax.convert.values import Finite
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, check_absent
from biomatrix_jax.tokens.tokenizer_files import CHAT_TEMPLATES


def from_hf(
    src: str | os.PathLike,
    dst: str | os.PathLike,
    overwrite: bool = False,
    revision: str | None = None,
) -> list[str]:
    """Makes the checkpoint directory `dst` with one step, 0, and the files that came with `src`.

    Values and dtypes are kept to the bit; configuration, tokenizer and chat templates come along
    byte for byte. Weights go from file to file a few megabytes at a time; a stack of matrices is
    written layer by layer, each one or more chunks of its own. `dst` appears when all is written.

    Args:
      src: a Hugging Face directory or Hub id.
      revision: of a Hub id: branch, tag or commit.

    Returns:
      Notes for the user, one line each: tensors with values that are not finite, and what else
      `src` holds, which was left there.

    Raises:
      BadInput: `src` cannot be used, or `dst` exists and `overwrite` is false; nothing is written.
    """
    check_place(dst)
    check_places(src, dst, overwrite)
    source = HFSource(hub.resolve(src, revision))
    check_apart(source.path, dst)  # a Hub id lies in the cache
    check_tokenizer(source.files, source.config)
    specs = source.specs()
    dtype = specs["embedding.table"].dtype.name
    made = {"by": "convert from-hf", "from": str(src), "dtype": dtype}
    if hub.find_id(src):
        made["commit"] = source.path.name  # as the Hub's cache calls its folders
    finite = Finite()

    def runs(path: str, index: Index) -> Iterator[np.ndarray]:
        for tensor, run in source.runs(path, index):
            finite.look(tensor.name, run)
            yield run

    pieces = {
        path: Pieces(spec.shape, spec.dtype, functools.partial(runs, path))
        for path, spec in specs.items()
    }
    with (
        atomic_directory(dst, overwrite) as temporary,
        CheckpointStore.create(temporary, source.config, carried=source.files, made=made) as store,
    ):
        store.save_pieces(0, pieces)
        left = left_behind(source, store.carried)
    notes = [*source.notes, *finite.notes(src)]
    return [*notes, f"{src}: not carried along: {', '.join(left)}"] if left else notes


def left_behind(source: HFSource, carried: Path) -> list[str]:
    """What the source holds that is neither weights nor copied to `carried`."""
    paths = [*source.path.glob("*"), *source.path.glob(f"{CHAT_TEMPLATES}/*")]
    # The destination may lie in the source.
    paths = [path for path in paths if not carried.resolve().is_relative_to(path.resolve())]
    names = sorted(path.relative_to(source.path).as_posix() for path in paths)
    return [n for n in names if n not in source.weight_files and not (carried / n).exists()]


def check_places(src: str | os.PathLike, dst: str | os.PathLike, overwrite: bool) -> None:
    """Raises BadInput where writing `dst` would replace something, or would replace `src`."""
    if os.fspath(dst).startswith(hub.SCHEME[:-1]):  # a Path has one slash only
        raise BadInput(f"{dst} is on the Hub: name a local directory, or push what was exported")
    check_absent(dst, overwrite)
    check_apart(src, dst)


def check_apart(src: str | os.PathLike, dst: str | os.PathLike) -> None:
    """Raises BadInput where replacing the directory `dst` would take `src` with it."""
    a, b = Path(src).resolve(), Path(dst).resolve()
    if a == b or b in a.parents:
        raise BadInput(f"{dst} is or contains the source {src}: choose another place")
