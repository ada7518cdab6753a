"""Counting what a vocabulary needs, over a corpus."""

import dataclasses
import json

import pytest
import selfies

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import MoleculeTokenizer
from biomatrix_jax.structure.packaged import tokenizer_path
from biomatrix_jax.tokens import Molecule3D, Selfies
from biomatrix_jax.tokens.counts import choose, read_counts
from data_pipeline import sources
from data_pipeline.composition import Composition, compose
from data_pipeline.composition.views import StructureTokenizers
from data_pipeline.counting import count, count_joint_tokens, count_symbols
from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.removal.settings import Removal
from data_pipeline.sources.nci import Options
from data_pipeline.sources.tally import Tally


def test_symbols_are_counted_one_by_one():
    assert count_symbols(["[C][=C].[C]", "[C]"]) == {"[C]": 3, "[=C]": 1}
    assert count_joint_tokens(["[C 1][C 2][Branch1 -1][C 1]"]) == {
        "[C 1]": 2,
        "[C 2]": 1,
        "[Branch1 -1]": 1,
    }


@pytest.fixture
def recipe(tmp_path):
    options = {"limit": 12, "max_heavy_atoms": 12}
    return Recipe(
        (
            SourceRecipe("nci", "nci", options=options),
            SourceRecipe("again", "nci", options=options),
            SourceRecipe("text", "text", options={"limit": 3}),
        ),
        tokenizer=str(tmp_path / "not there yet"),
        molecule_tokenizer="default",
    )


def test_a_corpus_is_counted_as_it_would_be_composed(recipe, tmp_path):
    found = count(recipe, tmp_path / "out")
    tokenizer = MoleculeTokenizer.from_pretrained(tokenizer_path("molecule", "default"))
    records = list(sources.read("nci", None, Options(limit=12, max_heavy_atoms=12), Tally()))
    views = [
        view
        for instance in compose(
            records,
            Composition(composite=0),
            0,
            Tally(),
            tokenizers=StructureTokenizers(molecule=tokenizer),
        )
        for view in instance
    ]
    joint = count_joint_tokens(v.struct_selfies for v in views if isinstance(v, Molecule3D))
    symbols = count_symbols(v.selfies for v in views if isinstance(v, Selfies))
    assert found.joint == {token: 2 * number for token, number in joint.items()}
    assert found.symbols == {symbol: 2 * number for symbol, number in symbols.items()}
    assert found.molecules == 2 * len(records)
    assert read_counts(tmp_path / "out" / "joint.tsv") == found.joint
    chosen = choose(tmp_path / "out" / "joint.tsv", tmp_path / "out" / "selfies.txt")
    assert chosen.selfies[0] == max(symbols, key=symbols.get)
    assert set(chosen.selfies) == set(symbols)


def test_molecules_that_texts_mention_are_counted(recipe, tmp_path):
    """They are spelled as SELFIES behind their mentions."""
    document = {"id": "1", "text": "They were given aspirin."}
    (tmp_path / "a.jsonl").write_text(json.dumps(document))
    source = SourceRecipe("texts", "interleaved", path=str(tmp_path / "a.jsonl"))
    [record] = sources.read("interleaved", source.path, None, Tally())
    [mention] = record.mentions
    found = count(dataclasses.replace(recipe, sources=(source,)), tmp_path / "out")
    assert found.symbols == count_symbols([selfies.encoder(mention.string)])
    assert (found.molecules, found.joint) == (1, {})


def test_what_a_recipe_leaves_out_is_not_counted(recipe, tmp_path):
    once = dataclasses.replace(recipe, removal=Removal(duplicates=True))
    assert count(once, tmp_path / "out").molecules == count(recipe, tmp_path / "all").molecules / 2


def test_what_a_build_left_undone_is_no_part_of_a_count(recipe, tmp_path):
    left = tmp_path / "out.incomplete" / "data"
    for name in ("shards/nci-00000.arrayrecord", "tokenizer/tokenizer.json", ".joint.tsv.old"):
        (left / name).parent.mkdir(parents=True, exist_ok=True)
        (left / name).touch()
    count(recipe, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == [
        "joint.tsv",
        "selfies.txt",
    ]


def test_a_corpus_without_molecules_has_nothing_to_count(recipe, tmp_path):
    text = dataclasses.replace(recipe, sources=recipe.sources[2:])
    with pytest.raises(BadInput, match="no source of the recipe has a molecule to count"):
        count(text, tmp_path / "out")
    assert not (tmp_path / "out").exists()
