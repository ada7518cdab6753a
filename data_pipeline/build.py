"""A recipe -> a data directory: read, compose, tokenize, pack, write, and account for every record.

    corpus -> records -> instances of segments -> documents of tokens -> rows -> shards

The work lies in tasks (see `tasks`), carried out by an engine. Nothing in the shards depends on the
time, the machine, the engine or the number of processes: building twice gives the same bytes. What
is done of a build that was interrupted lies in `OUT.incomplete`, and the same command goes on with
it.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest, SourceEntry
from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import check_absent
from biomatrix_jax.tokens import MODALITIES
from data_pipeline import context, storage, tasks
from data_pipeline import recipe as recipes
from data_pipeline.documents import DocumentsAccount, DocumentsTask
from data_pipeline.engine import Engine
from data_pipeline.engine.local import local
from data_pipeline.recipe import Recipe
from data_pipeline.removal.judge import judged
from data_pipeline.rows import packing, with_rows
from data_pipeline.workplace import (
    Crew,
    Progress,
    checksums,
    finish_data,
    save_vocabulary,
    versions,
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
            display.line(_told(source))
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
    groups = tasks.all_inputs(recipe)
    with workplace(out, overwrite, say) as place:
        saved = save_vocabulary(vocabulary, place.data / manifests.TOKENIZER)
        crew = Crew(place, engine or local(1), progress, [saved.files, tokenizers])
        verdicts = judged(crew, recipe, groups)
        documents = [
            DocumentsTask(recipe, *group, verdict)
            for group, verdict in zip(groups, verdicts, strict=True)
        ]
        accounts = crew.carry_out("documents", documents)
        entries = _source_entries(recipe, documents, accounts)
        shards = tuple(account.shard for account in accounts if account.shard)
        manifest = Manifest(
            schema_version=manifests.SCHEMA_VERSION,
            row_length=recipe.row_length,
            seed=recipe.seed,
            vocabulary=saved,
            packing=packing(recipe.row_length),
            sources=entries,
            shards=(),
            documents=shards,
            structure_tokenizers=tokenizers,
            versions=versions(),
        )
        manifest = with_rows(crew, manifest, place.data, vocabulary)
        if not recipe.keep_documents:
            manifest = replace(manifest, documents=())
        finish_data(place, manifest)
    return manifest


def _source_entries(
    recipe: Recipe, done: Sequence[DocumentsTask], accounts: Sequence[DocumentsAccount]
) -> tuple[SourceEntry, ...]:
    """What became of each source's records, its rows aside."""
    entries = []
    for index, source in enumerate(recipe.sources):
        own = [a for task, a in zip(done, accounts, strict=True) if task.source == index]
        first = {}
        for account in reversed(own):
            first |= account.examples
        entry = SourceEntry(
            name=source.name,
            inputs=tuple(account.inputs for account in own),
            records=sum(account.records for account in own),
            used=sum(account.used for account in own),
            dropped=_added(account.dropped for account in own),
            lost=_added(account.lost for account in own),
            instances=sum(account.instances for account in own),
            rejected=_added(account.rejected for account in own),
            examples=dict(sorted(first.items())),
            documents=sum(account.documents for account in own),
            cut=0,
            tokens={name: sum(account.tokens[name] for account in own) for name in MODALITIES},
            rows=0,
        )
        if not entry.documents:
            raise BadInput(f"source {source.name}: nothing to pack ({_told(entry)})")
        entries.append(entry)
    return tuple(entries)


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def _told(source: SourceEntry) -> str:
    """A line for people: what became of a source's records."""
    parts = [
        f"{source.name}: {source.records:,} records -> {source.documents:,} documents, "
        f"{source.total_tokens:,} tokens, {source.rows:,} rows"
    ]
    for word, counts in (
        ("dropped", source.dropped),
        ("lost", source.lost),
        ("rejected", source.rejected),
    ):
        parts += [
            f"{number:,} {word}: {reason} (first {source.examples[reason]})"
            for reason, number in counts.items()
        ]
    return "; ".join(parts)
