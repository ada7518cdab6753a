"""Rows of another length, from the documents of a data directory."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Maker, Manifest
from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import check_absent
from biomatrix_jax.tokens import Vocabulary
from data_pipeline.engine import Engine
from data_pipeline.engine.local import local
from data_pipeline.rows import packing, with_rows
from data_pipeline.versions import code, versions
from data_pipeline.workplace import (
    Crew,
    Progress,
    finish_data,
    save_vocabulary,
    workplace,
)


def repack(
    directory: str | os.PathLike,
    out: str | os.PathLike,
    row_length: int,
    *,
    overwrite: bool = False,
    engine: Engine | None = None,
    progress: Progress = lambda stage, done, tasks: None,
    say: Callable[[str], None] = lambda line: None,
) -> Manifest:
    """Makes a data directory with rows of another length from the documents of one.

    The new one holds rows alone; its manifest's documents are none.

    Raises:
      BadInput: `directory` is no complete data directory or has no documents; as `build` for `out`.
    """
    check_absent(out, overwrite)
    directory = Path(directory)
    old = manifests.read(directory)
    if not old.documents:
        raise BadInput(f"{directory} keeps no documents to make rows from: build it again")
    if row_length < 2:
        raise BadInput(f"rows must have at least 2 tokens, not {row_length}")
    before, now = Maker(old.code, old.versions), Maker(code(), versions())
    vocabulary = Vocabulary.from_pretrained(directory / manifests.TOKENIZER)
    with workplace(out, overwrite, say) as place:
        saved = save_vocabulary(vocabulary, place.data / manifests.TOKENIZER)
        crew = Crew(place, engine or local(1), progress, saved.files)
        manifest = replace(
            old,
            row_length=row_length,
            packing=packing(row_length),
            shards=(),
            sources=tuple(replace(source, rows=0, cut=0) for source in old.sources),
            recipe=old.recipe | {"row_length": row_length, "keep_documents": False},
            versions=now.versions,
            code=now.code,
            documents_by=None if before == now else before,
        )
        manifest = with_rows(crew, manifest, directory, vocabulary)
        manifest = replace(manifest, documents=())
        finish_data(place, manifest)
    return manifest


def repack_shown(
    directory: str | os.PathLike,
    out: str | os.PathLike,
    row_length: int,
    *,
    overwrite: bool = False,
    engine: Engine | None = None,
) -> Manifest:
    """As `repack`; shows progress on standard error."""
    with Display(sys.stderr, "tasks") as display:
        manifest = repack(
            directory,
            out,
            row_length,
            overwrite=overwrite,
            engine=engine,
            progress=display.show,
            say=display.line,
        )
        display.line(f"{manifest.rows:,} rows of {row_length:,} tokens, {manifest.fill:.2%} filled")
    return manifest
