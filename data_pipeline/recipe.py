"""The recipe of a data directory: which sources, read how, composed how, packed into what rows."""

import dataclasses
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biomatrix_jax.config import configs_directory, from_dict, load_as
from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.composition.settings import Composition
from data_pipeline.removal.settings import Removal

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class SourceRecipe:
    """One corpus. Its rows stay apart from other sources', so that a mixture can weight it."""

    name: str  # of its shards, and what `data.mixture` calls it
    reader: str  # a reader of data_pipeline.sources
    path: str = ""  # what the reader reads; empty: what it ships with
    options: dict[str, Any] = field(default_factory=dict)  # the reader's own
    composition: Composition = field(default_factory=Composition)  # its views and fields

    def __post_init__(self):
        if not _NAME.fullmatch(self.name):
            raise BadInput(
                f"source {self.name!r}: a name is letters, digits, '_', '-' and '.', as files have"
            )


@dataclass(frozen=True)
class Recipe:
    """What `biomatrix data build` makes. Paths are relative to where it runs."""

    sources: tuple[SourceRecipe, ...]
    tokenizer: str  # directory with the tokenizer.json of the unified vocabulary
    # Directories of a MoleculeTokenizer and a ProteinTokenizer, or `default` for the shipped ones;
    # empty: no molecules or no proteins in 3D.
    molecule_tokenizer: str = ""
    protein_tokenizer: str = ""
    removal: Removal = field(default_factory=Removal)  # of repetitions and evaluation sets
    row_length: int = 8192  # tokens
    keep_documents: bool = True  # beside the rows, to make rows of another length from
    seed: int = 0  # of everything that composition draws

    def __post_init__(self):
        if self.row_length < 2:
            raise BadInput(f"row_length must be at least 2, not {self.row_length}")
        if self.seed < 0:
            raise BadInput(f"seed must not be negative: {self.seed}")
        names = [source.name for source in self.sources]
        if not names:
            raise BadInput("sources is empty: name at least one corpus")
        if repeated := {name for name in names if names.count(name) > 1}:
            raise BadInput(f"two sources are called {min(repeated)}: give each its own name")


def reader_options(source: SourceRecipe) -> Any:
    """The reader's options of a source, checked; raises BadInput, also for an unknown reader."""
    reader = sources.reader(source.reader)
    return from_dict(reader.Options, source.options, f"source {source.name}, options")


def resolved(recipe: Recipe) -> dict[str, Any]:
    """All of a recipe as plain data, with the defaults that its readers have for their options.

    `from_dict` makes a recipe of it that builds the same.
    """
    sources = tuple(
        dataclasses.replace(source, options=dataclasses.asdict(reader_options(source)))
        for source in recipe.sources
    )
    tree = dataclasses.asdict(dataclasses.replace(recipe, sources=sources))
    return json.loads(json.dumps(tree))


def load(path: str | os.PathLike, overrides=()) -> Recipe:
    """Reads a recipe, strictly; `overrides` are `key=value`, as for a run's configuration.

    Args:
      path: a YAML file, or the bare name of a recipe shipped in `configs/recipes/`.

    Raises:
      BadInput: no such file, broken YAML, an unknown key, a value of a wrong type or range.
    """
    path = Path(path)
    recipes = configs_directory() / "recipes"
    if not path.is_file():
        shipped = sorted(found.stem for found in recipes.glob("*.yaml"))
        if str(path) not in shipped:
            raise BadInput(f"{path}: no such recipe; shipped by name: {', '.join(shipped)}")
        path = recipes / f"{path}.yaml"
    return load_as(Recipe, path, overrides)
