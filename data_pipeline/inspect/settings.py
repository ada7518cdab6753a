"""How data were made, in a few lines: of each source what was set, of the rest what is on."""

import dataclasses
import json
from typing import Any

from biomatrix_jax.config import from_dict
from data_pipeline.composition import Composition
from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.removal.settings import Removal


def settings(found: dict) -> list[str]:
    """The lines; none for rows that no recipe made.

    Raises:
      BadInput: the recipe on record has settings that this release does not know.
    """
    if not found["recipe"]:
        return []
    recipe = from_dict(Recipe, found["recipe"], f"{found['directory']}, the recipe on record")
    absent = [source["absent_fields"] for source in found["sources"]]
    return [
        "made by:",
        *map(_source, recipe.sources, absent),
        f"  removal: {_removal(recipe.removal, found['evaluation_sets'])}",
        *([f"  documents: {_maker(found['documents_by'])}"] if found["documents_by"] else []),
        f"  {_maker(found)}",
    ]


def _maker(found: dict) -> str:
    return f"biomatrix-jax {found['versions'].get('biomatrix-jax')}, code {found['code']}"


def _source(source: SourceRecipe, absent: list[str]) -> str:
    options = {name: value for name, value in source.options.items() if value is not None}
    usual = dataclasses.asdict(Composition())
    set_ = {
        name: value
        for name, value in dataclasses.asdict(source.composition).items()
        if value != usual[name]
    }
    parts = [
        f"reader {source.reader} of {source.path or 'what it ships with'}",
        _told(options),
        f"composition: {_told(set_) or 'as by default'}",
        f"fields that no composite had: {', '.join(absent)}" if absent else "",
    ]
    return f"  {source.name}: {'; '.join(filter(None, parts))}"


def _removal(removal: Removal, hashes: dict[str, str]) -> str:
    parts = [
        "duplicates" if removal.duplicates else "",
        f"texts alike from {removal.near_duplicates:g} on" if removal.near_duplicates else "",
        *(
            f"evaluation set {one.name} ({one.path}, SHA-256 {hashes.get(one.name)})"
            for one in removal.evaluation_sets
        ),
    ]
    return "; ".join(filter(None, parts)) or "none"


def _told(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {json.dumps(value)}" for name, value in values.items())
