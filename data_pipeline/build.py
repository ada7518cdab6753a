"""A recipe -> a data directory: read, compose, tokenize, pack, write, and account for every record.

    corpus -> records -> instances of segments -> documents of tokens -> rows -> shards

The work lies in tasks (see `tasks`), carried out by an engine. Nothing in the shards depends on the
time, the machine, the engine or the number of processes: building twice gives the same bytes. What
is done of a build that was interrupted lies in `OUT.incomplete`, and the same command goes on with
it.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import check_absent, sha256
from data_pipeline import context, storage, tasks
from data_pipeline import recipe as recipes
from data_pipeline.accounting import source_entry, told, told_absent
from data_pipeline.beside import hashes
from data_pipeline.documents import DocumentsTask
from data_pipeline.engine import Engine
from data_pipeline.engine.local import local
from data_pipeline.recipe import Recipe
from data_pipeline.removal.judge import judged
from data_pipeline.rows import packing, with_rows
from data_pipeline.versions import code, versions
from data_pipeline.workplace import (
    Crew,
    Progress,
    checksums,
    finish_data,
    save_vocabulary,
    workplace,
)


def build_from_file(
    path: str | os.PathLike,
    out: str | os.PathLike,
    overrides=(),
    *,
    overwrite: bool = False,
    engine: Engine | None = None,
    staging: str | os.PathLike | None = None,
) -> Manifest:
    """As `build`, from a recipe file or a shipped recipe's name; shows progress on standard error.

    Args:
      out: a directory, or a URL as `storage` takes them: the data are built in `staging`, a local
        directory, and copied there.
      overrides: `key=value` changes to the recipe.
    """
    recipe = recipes.load(path, overrides)
    remote = storage.is_url(str(out))
    if remote and staging is None:
        raise BadInput(f"to build for {out} give --staging, a directory here to build in")
    with Display(sys.stderr, "tasks") as display:
        manifest = build(
            recipe,
            staging if remote else out,
            overwrite=overwrite,
            engine=engine,
            progress=display.show,
            say=display.line,
        )
        if remote:
            storage.copy(str(staging), str(out), overwrite=overwrite, progress=display.show)
            display.line(f"{out} is complete; {staging} may go")
        for source in manifest.sources:
            display.line(told(source))
    return manifest


def build(
    recipe: Recipe,
    out: str | os.PathLike,
    *,
    overwrite: bool = False,
    engine: Engine | None = None,
    progress: Progress = lambda stage, done, tasks: None,
    say: Callable[[str], None] = lambda line: None,
) -> Manifest:
    """Builds a data directory; it appears when it is complete.

    A document longer than a row is cut (see `pack`). A view that the vocabulary cannot spell is
    lost, an instance whose text it cannot is rejected; both are counted by reason.

    Args:
      engine: carries the tasks out; None: this process.
      say: takes a line for the user.

    Raises:
      BadInput: `out` exists, or is being built by another process; an unknown reader or option; a
        tokenizer or corpus that is missing or damaged; a source of which nothing can be packed.
    """
    check_absent(out, overwrite)
    vocabulary = context.load(recipe).vocabulary
    tokenizers = {
        kind: checksums(path) for kind, path in context.structure_tokenizer_paths(recipe).items()
    }
    evaluation_sets = _evaluation_sets(recipe)
    groups = tasks.all_inputs(recipe)
    with workplace(out, overwrite, say) as place:
        saved = save_vocabulary(vocabulary, place.data / manifests.TOKENIZER)
        crew = Crew(place, engine or local(1), progress, [saved.files, tokenizers])
        beside = hashes(crew, recipe, groups)
        verdicts = judged(crew, recipe, groups)
        documents = [
            DocumentsTask(recipe, *group, verdict)
            for group, verdict in zip(groups, verdicts, strict=True)
        ]
        accounts = crew.carry_out("documents", documents)
        of_source = [
            [a for task, a in zip(documents, accounts, strict=True) if task.source == index]
            for index in range(len(recipe.sources))
        ]
        entries = tuple(map(source_entry, recipe.sources, of_source, beside))
        for source, own in zip(recipe.sources, of_source, strict=True):
            if absent := told_absent(source, own):
                say(absent)
        shards = tuple(account.shard for account in accounts if account.shard)
        manifest = Manifest(
            schema_version=manifests.SCHEMA_VERSION,
            row_length=recipe.row_length,
            seed=recipe.seed,
            recipe=recipes.resolved(recipe),
            code=code(),
            versions=versions(),
            vocabulary=saved,
            packing=packing(recipe.row_length),
            sources=entries,
            shards=(),
            documents=shards,
            structure_tokenizers=tokenizers,
            evaluation_sets=evaluation_sets,
        )
        manifest = with_rows(crew, manifest, place.data, vocabulary)
        if not recipe.keep_documents:
            manifest = replace(manifest, documents=())
        finish_data(place, manifest)
    return manifest


def _evaluation_sets(recipe: Recipe) -> dict[str, str]:
    """The SHA-256 of each one's file."""
    found = {}
    for one in recipe.removal.evaluation_sets:
        try:
            found[one.name] = sha256(one.path)
        except OSError as error:
            raise BadInput(f"evaluation set {one.name}: {one.path}: {error.strerror}") from None
    return found
