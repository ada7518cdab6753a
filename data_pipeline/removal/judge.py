"""The verdicts on all records of a recipe."""

from collections.abc import Sequence

from data_pipeline.recipe import Recipe
from data_pipeline.removal.decide import Verdict, decide
from data_pipeline.removal.keys import KeysTask
from data_pipeline.tasks import InputGroup
from data_pipeline.workplace import Crew


def judged(crew: Crew, recipe: Recipe, groups: Sequence[InputGroup]) -> list[Verdict | None]:
    """The verdict on the records of each group of inputs; None where a recipe removes nothing."""
    if not recipe.removal.any:
        return [None] * len(groups)
    todo = [KeysTask(recipe, *group) for group in groups]
    found = crew.carry_out("keys", todo)
    counts = [account.records for account in found]
    return decide(recipe.removal, todo, counts, crew.place.data, progress=crew.progress)
