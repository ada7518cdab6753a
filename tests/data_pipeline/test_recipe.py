import pytest

from biomatrix_jax.config import configs_directory, dump, from_dict
from biomatrix_jax.errors import BadInput
from data_pipeline import recipe as recipes
from data_pipeline import sources
from data_pipeline.composition import Composition
from data_pipeline.recipe import Recipe, SourceRecipe

SMALL = """
tokenizer: some/tokenizer
row_length: 64
sources:
- {name: nci, reader: nci, options: {limit: 5}, composition: {selfies: 0.5, name: 1}}
- {name: text, reader: text, path: texts.jsonl}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_a_recipe_is_read_with_its_defaults(small):
    recipe = recipes.load(small)
    assert recipe == Recipe(
        sources=(
            SourceRecipe(
                "nci", "nci", options={"limit": 5}, composition=Composition(selfies=0.5, name=1)
            ),
            SourceRecipe("text", "text", path="texts.jsonl"),
        ),
        tokenizer="some/tokenizer",
        molecule_tokenizer="",
        protein_tokenizer="",
        row_length=64,
        seed=0,
    )


def test_overrides_win(small):
    recipe = recipes.load(small, ["seed=7", "tokenizer=elsewhere"])
    assert (recipe.seed, recipe.tokenizer) == (7, "elsewhere")


def test_a_dumped_recipe_reads_back(small, tmp_path):
    recipe = recipes.load(small)
    (tmp_path / "again.yaml").write_text(dump(recipe))
    assert recipes.load(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("row_length", "row_lenght", "unknown key row_lenght; did you mean row_length"),
        ("path: texts", "pathh: texts", "unknown key sources.1.pathh; did you mean path"),
        ("row_length: 64", "row_length: long", "row_length must be"),
        ("row_length: 64", "row_length: 1", "row_length must be at least 2"),
        ("row_length: 64", "seed: -1", "seed must not be negative"),
        ("tokenizer: some/tokenizer", "", "tokenizer is missing"),
        ("name: nci, ", "", r"sources\.0\.name is missing"),
        ("selfies:", "selfeis:", "sources.0.composition.selfeis; did you mean selfies"),
        ("name: text", "name: nci", "two sources are called nci"),
        ("name: text", "name: a/b", "source 'a/b': a name is letters"),
        ("selfies: 0.5", "selfies: 1.5", "probability of selfies must be from 0 to 1, not 1.5"),
    ],
)
def test_a_faulty_recipe_says_where(small, old, new, says):
    small.write_text(SMALL.replace(old, new))
    with pytest.raises(BadInput, match=says):
        recipes.load(small)


def test_a_recipe_needs_sources():
    with pytest.raises(BadInput, match="sources is empty"):
        from_dict(Recipe, {"tokenizer": "t", "sources": []}, "here")


SHIPPED = sorted((configs_directory() / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_resolved_as_committed(path):
    """So that a changed default shows which data it changes."""
    resolved = path.parent / "resolved" / path.name
    assert resolved.read_text() == dump(recipes.load(path.stem)), "run: make configs"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_name_readers_and_options_that_exist(path):
    for source in recipes.load(path).sources:
        from_dict(sources.reader(source.reader).Options, source.options, source.name)


def test_an_unknown_recipe_names_the_shipped_ones(tmp_path):
    with pytest.raises(BadInput, match=r"no such recipe; shipped by name: .*quickstart"):
        recipes.load("quikstart")
    with pytest.raises(BadInput, match=r"missing\.yaml: no such recipe"):
        recipes.load(tmp_path / "missing.yaml")
