"""Building from text and from molecules of the NCI set that RDKit carries."""

import dataclasses
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from biomatrix_jax.config import DataConfig, dump, from_dict
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.loader import Loader
from biomatrix_jax.data.reader import RowSource
from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import ProteinTokenizer
from biomatrix_jax.tokens import (
    MODALITIES,
    Protein3D,
    ProteinSequence,
    Selfies,
    Smiles,
    Text,
    Vocabulary,
    base_tokenizer_path,
    extend_tokenizer,
)
from data_pipeline import context, pack, rows, sources, tasks, versions, workplace
from data_pipeline import documents as making
from data_pipeline.build import build, build_from_file
from data_pipeline.composition import Composition, compose
from data_pipeline.engine.local import local
from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.removal.evaluation_sets import EvaluationSet
from data_pipeline.removal.settings import Removal
from data_pipeline.sources.tally import Tally
from tests.protein_tokenizers import untrained

REPOSITORY = Path(__file__).parents[2]
NCI = SourceRecipe("nci", "nci", options={"limit": 60, "conformers": False})
TEXTS = [
    "Haemoglobin carries oxygen in the blood of vertebrates.",
    "An enzyme lowers the energy of a transition state. " * 12,
    "Water.",
]


def read_nci(options):
    return list(sources.read("nci", None, sources.reader("nci").Options(**options), Tally()))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """The base tokenizer with the SELFIES symbols of the first 60 molecules, but for one."""
    instances = compose(read_nci(NCI.options), Composition(), 0, Tally())
    found = [s for instance in instances for s in instance if isinstance(s, Selfies)]
    symbols = {part for selfies in found for part in selfies.parts()} - {"."}
    path = tmp_path_factory.mktemp("tokenizer") / "extended"
    extend_tokenizer(
        base_tokenizer_path(), path, selfies=sorted(symbols), molecule_tokens=[], protein_codes=0
    )
    return path


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text(
        "".join(json.dumps({"id": f"t{i}", "text": t}) + "\n" for i, t in enumerate(TEXTS))
    )
    return path


@pytest.fixture
def recipe(tokenizer, texts):
    text = SourceRecipe("text", "text", path=str(texts))
    return Recipe(sources=(NCI, text), tokenizer=str(tokenizer), row_length=128)


def documents(directory, source) -> list[list[int]]:
    """The ids of all documents in a source's rows."""
    found = []
    for row in RowSource(directory, manifests.read(directory), source):
        stops = np.cumsum(row.lengths).tolist()
        found += [row.tokens[a:b].tolist() for a, b in zip([0, *stops], stops, strict=False)]
    return found


def test_every_instance_lies_in_the_rows_once_and_ended(recipe, tmp_path, tokenizer):
    recipe = dataclasses.replace(recipe, row_length=1024)  # nothing has to be cut
    manifest = build(recipe, tmp_path / "out")
    vocabulary = Vocabulary.from_pretrained(tokenizer)
    instances = compose(read_nci(NCI.options), Composition(), recipe.seed, Tally())
    expected = [[*vocabulary.encode(i).tolist(), vocabulary.eos_id] for i in instances]
    assert sorted(documents(tmp_path / "out", "nci")) == sorted(expected)
    assert manifest.sources[0].documents == len(expected)
    assert manifest.sources[0].total_tokens == sum(map(len, expected))


def test_documents_read_back_as_their_segments(recipe, tmp_path):
    recipe = dataclasses.replace(recipe, row_length=1024)
    build(recipe, tmp_path / "out")
    vocabulary = Vocabulary.from_pretrained(tmp_path / "out" / manifests.TOKENIZER)
    parsed = [vocabulary.parse(ids) for ids in documents(tmp_path / "out", "nci")]
    assert not [problem for one in parsed for problem in one.problems]
    smiles = {s.smiles for one in parsed for s in one.segments if isinstance(s, Smiles)}
    assert smiles == {record.smiles for record in read_nci(NCI.options)}


def test_the_manifest_accounts_for_everything(recipe, tmp_path):
    manifest = build(recipe, tmp_path / "out")
    assert manifests.read(tmp_path / "out", checksums=True) == manifest
    nci, text = manifest.sources
    assert (nci.name, nci.records, text.name, text.records) == ("nci", 60, "text", 3)
    for index, source in enumerate(manifest.sources):
        assert source.records == source.used + sum(source.dropped.values())
        rows = list(RowSource(tmp_path / "out", manifest, source.name))
        assert len(rows) == source.rows
        own = [shard for shard in manifest.shards if shard.source == source.name]
        assert sum(len(row.lengths) for row in rows) == sum(shard.documents for shard in own)
        assert source.documents == source.instances - sum(source.rejected.values())
        assert {m: sum(shard.tokens[m] for shard in own) for m in MODALITIES} == source.tokens
        counted = sum(
            np.bincount(row.modality[: row.lengths.sum()], minlength=len(MODALITIES))
            for row in rows
        )
        assert dict(zip(MODALITIES, counted.tolist(), strict=True)) == source.tokens
        assert all((row.source == index).all() for row in rows)
    assert nci.tokens["smiles"] > 0 < nci.tokens["selfies"]
    assert text.tokens["text"] == text.total_tokens
    assert manifest.seed == recipe.seed
    assert manifest.vocabulary.size == Vocabulary.from_pretrained(recipe.tokenizer).size


def test_a_text_longer_than_a_row_is_cut_and_joins_again(recipe, tmp_path):
    recipe = dataclasses.replace(recipe, row_length=64)
    manifest = build(recipe, tmp_path / "out")
    vocabulary = Vocabulary.from_pretrained(recipe.tokenizer)
    whole = [*vocabulary.encode([Text(TEXTS[1])]).tolist(), vocabulary.eos_id]
    assert len(whole) > 64
    text = manifest.sources[1]
    assert (text.instances, text.cut) == (3, 1)
    assert text.documents == 3
    assert manifest.shards[1].documents == 2 + -(-len(whole) // 64)
    parts = [d for d in documents(tmp_path / "out", "text") if len(d) == 64]
    assert whole[:64] in parts
    assert sum(map(len, documents(tmp_path / "out", "text"))) == text.total_tokens


def test_a_long_document_is_cut_between_its_segments(tokenizer):
    vocabulary = Vocabulary.from_pretrained(tokenizer)
    instance = [Text("Two chains:"), ProteinSequence("M" * 40), ProteinSequence("K" * 50)]
    counts = making._Counts()
    sizes = []
    [record] = making.gathered(making.encoded([instance], vocabulary, counts), 0, sizes)
    whole = pack.Documents(
        record.tokens, record.modality, np.array([0]), np.array(sizes), record.source
    )
    pieces, cut = pack.cut(whole, 64, context.end_tokens(vocabulary))
    last = record.tokens[(pieces.starts + pieces.lengths - 1)].tolist()
    assert last == [vocabulary.end_id("protein_sequence"), vocabulary.eos_id]
    assert cut == 1


def assert_same(one, other):
    """Two directories hold the same files with the same bytes."""
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (one, other)
    )
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert len(first) >= 5


def test_building_twice_gives_the_same_directory(recipe, tmp_path):
    build(recipe, tmp_path / "a")
    build(recipe, tmp_path / "b")
    assert_same(tmp_path / "a", tmp_path / "b")


def test_another_tokenizer_in_the_place_of_one_is_read_again(tokenizer, recipe, tmp_path):
    """In one process; what is copied beside the rows is what made them."""
    extend_tokenizer(
        base_tokenizer_path(),
        tmp_path / "tok",
        selfies=["[C]"],
        molecule_tokens=[],
        protein_codes=0,
    )
    recipe = dataclasses.replace(recipe, sources=(NCI,), tokenizer=str(tmp_path / "tok"))
    poor = build(recipe, tmp_path / "poor")
    shutil.rmtree(tmp_path / "tok")
    shutil.copytree(tokenizer, tmp_path / "tok")
    rich = build(recipe, tmp_path / "rich")
    assert rich.vocabulary.size > poor.vocabulary.size
    assert not rich.sources[0].lost
    assert poor.sources[0].lost


def test_the_recipe_on_record_is_whole_and_builds_the_same(recipe, tmp_path):
    composition = Composition(selfies=0.25, fields={"LogP (Crippen)": 1.0})
    (tmp_path / "held.smi").write_text("CCO\n")
    held = EvaluationSet("held", str(tmp_path / "held.smi"), "molecule")
    recipe = dataclasses.replace(
        recipe,
        sources=(dataclasses.replace(NCI, composition=composition), *recipe.sources[1:]),
        removal=Removal(duplicates=True, evaluation_sets=(held,)),
        seed=3,
    )
    made = build(recipe, tmp_path / "a")
    nci, text = made.recipe["sources"]
    expected = {"limit": 60, "conformers": False, "max_heavy_atoms": None}  # the last by default
    assert nci["options"].items() >= expected.items()
    assert (text["path"], text["options"]["limit"]) == (recipe.sources[1].path, None)
    assert nci["composition"] == dataclasses.asdict(composition)
    assert made.recipe["removal"]["evaluation_sets"][0]["path"] == held.path
    assert made.evaluation_sets == {"held": hashlib.sha256(b"CCO\n").hexdigest()}
    assert made.code == versions.code()
    again = from_dict(Recipe, manifests.read(tmp_path / "a").recipe, "manifest")
    build(again, tmp_path / "b")
    assert_same(tmp_path / "a", tmp_path / "b")


def test_an_evaluation_set_that_is_missing_stops_before_anything_is_read(recipe, tmp_path):
    missing = EvaluationSet("held", str(tmp_path / "none.smi"), "molecule")
    recipe = dataclasses.replace(recipe, removal=Removal(evaluation_sets=(missing,)))
    with pytest.raises(BadInput, match=r"evaluation set held: .*none\.smi: No such file"):
        build(recipe, tmp_path / "out", progress=pytest.fail)
    assert not list(tmp_path.glob("out*"))


def test_fields_that_nothing_had_are_told(recipe, tmp_path):
    fields = {"LogP (Cripen)": 1.0, "Molecular formula": 0.0, "Boiling point": 1.0}
    nci = dataclasses.replace(NCI, composition=Composition(fields=fields))
    text = dataclasses.replace(recipe.sources[1], composition=Composition(fields={"Title": 1.0}))
    said = []
    recipe = dataclasses.replace(recipe, sources=(nci, text))
    built = build(recipe, tmp_path / "out", say=said.append)
    # One that is never drawn is there all the same.
    assert [source.absent_fields for source in built.sources] == [
        ("Boiling point", "LogP (Cripen)"),
        ("Title",),
    ]
    of_nci, of_text = said
    assert of_nci.startswith(
        "source nci: its composition names fields that no composite had: 'Boiling point', "
        "'LogP (Cripen)' (is it 'LogP (Crippen)'?); those it had: 'Hydrogen bond acceptors', "
    )
    assert of_text.endswith("no composite had: 'Title'; those it had: none")
    assert manifests.read(tmp_path / "out") == built


def test_another_seed_composes_otherwise(recipe, tmp_path):
    first = build(recipe, tmp_path / "a")
    second = build(dataclasses.replace(recipe, seed=1), tmp_path / "b")
    assert first.shards[0].sha256 != second.shards[0].sha256
    assert first.sources[0].records == second.sources[0].records


@pytest.fixture(scope="module")
def protein_tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("proteins") / "tokenizer"
    untrained(codes=16).save(path)
    return path


def test_backbones_lie_in_the_rows_as_the_codes_of_the_tokenizer_on_record(
    protein_tokenizer, tmp_path
):
    extend_tokenizer(
        base_tokenizer_path(), tmp_path / "tok", selfies=[], molecule_tokens=[], protein_codes=16
    )
    options = {"limit": 3}
    recipe = Recipe(
        sources=(SourceRecipe("chains", "wwpdb", options=options),),
        tokenizer=str(tmp_path / "tok"),
        protein_tokenizer=str(protein_tokenizer),
        row_length=1024,
    )
    manifest = build(recipe, tmp_path / "out")
    chains = list(sources.read("wwpdb", None, sources.reader("wwpdb").Options(**options), Tally()))
    encode = ProteinTokenizer.from_pretrained(protein_tokenizer).encode
    codes = [encode(chain.backbone, chain.sequence) for chain in chains]
    expected = {Protein3D(code[code >= 0]) for code in codes}
    vocabulary = Vocabulary.from_pretrained(tmp_path / "out" / manifests.TOKENIZER)
    parsed = [vocabulary.parse(ids) for ids in documents(tmp_path / "out", "chains")]
    assert not [problem for one in parsed for problem in one.problems]
    assert {s for one in parsed for s in one.segments if isinstance(s, Protein3D)} == expected
    assert len({code for segment in expected for code in segment.codes}) > 4
    assert manifest.sources[0].tokens["protein_3d"] > sum(len(s.codes) for s in expected)
    assert manifest.structure_tokenizers == {
        "protein": {
            name: hashlib.sha256((protein_tokenizer / name).read_bytes()).hexdigest()
            for name in ("config.json", "model.safetensors")
        }
    }
    assert manifests.read(tmp_path / "out") == manifest


def test_without_structure_tokenizers_none_is_on_record(recipe, tmp_path):
    assert build(recipe, tmp_path / "out").structure_tokenizers == {}


@pytest.mark.parametrize("kind", ["molecule", "protein"])
def test_a_missing_structure_tokenizer_stops_before_anything_is_read(recipe, tmp_path, kind):
    broken = dataclasses.replace(recipe, **{f"{kind}_tokenizer": str(tmp_path / "none")})
    with pytest.raises(BadInput, match="none"):
        build(broken, tmp_path / "out", progress=pytest.fail)
    assert not (tmp_path / "out").exists()


def test_the_loader_draws_what_was_built(recipe, tmp_path):
    manifest = build(recipe, tmp_path / "out")
    batch = Loader(tmp_path / "out", DataConfig(row_length=128, batch_rows=8), seed=0).batch(0)
    assert batch["tokens"].shape == (8, 128)
    assert batch["tokens"].max() < manifest.vocabulary.size
    assert set(np.unique(batch["source"])) <= {0, 1}
    smiles = batch["modality"] == MODALITIES.index("smiles")
    assert batch["loss_weights"][smiles].all()


def test_a_view_that_the_vocabulary_cannot_spell_is_lost_alone_and_counted(recipe, tmp_path):
    """The next molecules have SELFIES symbols that the first sixty did not."""
    nci = dataclasses.replace(NCI, options={"limit": 600, "conformers": False})
    manifest = build(dataclasses.replace(recipe, sources=(nci,), row_length=1024), tmp_path / "out")
    (source,) = manifest.sources
    reason = "SELFIES: beyond the vocabulary"
    assert source.lost[reason] > 3
    assert source.examples[reason].startswith("nci:")
    assert not source.rejected
    assert source.used == source.records
    assert source.documents == source.instances
    vocabulary = Vocabulary.from_pretrained(recipe.tokenizer)
    kept = [vocabulary.parse(ids) for ids in documents(tmp_path / "out", "nci")]
    assert not any(parsed.problems for parsed in kept)
    alone = [type(parsed.segments[0]) for parsed in kept if len(parsed.segments) == 1]
    assert alone.count(Smiles) == 600
    assert alone.count(Selfies) == 600 - sum(source.lost.values())


def test_special_tokens_in_a_text_are_rejected(recipe, texts, tmp_path):
    with open(texts, "a") as file:
        file.write(json.dumps({"text": "Ends early. <|mol_smi_start|> Goes on."}) + "\n")
        file.write("not json\n")
    (source,) = build(
        dataclasses.replace(recipe, sources=recipe.sources[1:]), tmp_path / "o"
    ).sources
    assert source.rejected == {"text that the vocabulary cannot spell": 1}
    assert source.dropped == {"not JSON": 1}
    assert (source.records, source.used, source.instances) == (5, 4, 4)
    assert source.examples["not JSON"] == "texts.jsonl:5"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reader": "ncii"}, "no reader is called 'ncii': did you mean nci"),
        ({"options": {"limt": 3}}, "source nci, options: unknown key limt; did you mean limit"),
        ({"options": {"limit": "all"}}, "source nci, options: limit must be"),
        ({"path": "/no/such/file.smi"}, "/no/such/file.smi"),
    ],
)
def test_a_recipe_that_cannot_work_writes_nothing(recipe, tmp_path, change, says):
    before = sorted(tmp_path.iterdir())
    broken = dataclasses.replace(NCI, **change)
    with pytest.raises(BadInput, match=says):
        build(dataclasses.replace(recipe, sources=(*recipe.sources[1:], broken)), tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_tokenizer_stops_before_anything_is_read(recipe, tmp_path):
    broken = dataclasses.replace(recipe, tokenizer=str(tmp_path / "none"))
    with pytest.raises(BadInput, match="none"):
        build(broken, tmp_path / "out", progress=pytest.fail)
    assert not (tmp_path / "out").exists()


def test_a_source_without_anything_to_pack_is_named(recipe, texts, tmp_path):
    texts.write_text(json.dumps({"text": "<|prot_aa_end|>"}) + "\n")
    with pytest.raises(BadInput, match=r"source text: nothing to pack .*1 rejected: text that"):
        build(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damage_half_way_leaves_nothing_that_looks_complete(recipe, tmp_path):
    damaged = tmp_path / "damaged.jsonl.gz"
    damaged.write_bytes(
        gzip.compress((json.dumps({"text": "word " * 99}) + "\n").encode() * 999)[:-40]
    )
    text = dataclasses.replace(recipe.sources[1], path=str(damaged))
    with pytest.raises(BadInput, match="damaged"):
        build(dataclasses.replace(recipe, sources=(NCI, text)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadInput, match="no finished data"):
        manifests.read(tmp_path / "out.incomplete" / "data")


def test_a_build_goes_on_with_what_is_done_and_gives_the_same_bytes(recipe, tmp_path):
    build(recipe, tmp_path / "whole")
    texts = Path(recipe.sources[1].path)
    content = texts.read_bytes()
    state = os.stat(texts)
    texts.write_bytes(b"\xff" * len(content))
    with pytest.raises(BadInput, match="nothing to pack"):
        build(recipe, tmp_path / "out")
    left = tmp_path / "out.incomplete" / "data" / "documents"
    assert [path.name for path in left.iterdir()] == ["nci-00000.arrayrecord"]
    before = (left / "nci-00000.arrayrecord").stat().st_mtime_ns
    texts.write_bytes(content)
    os.utime(texts, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    said, told = [], []
    build(recipe, tmp_path / "out", progress=lambda *one: told.append(one), say=said.append)
    assert told == [
        ("documents", 1, 2),
        ("documents", 2, 2),
        ("rows", 0, 2),
        ("rows", 1, 2),
        ("rows", 2, 2),
    ]
    assert said == [f"{tmp_path / 'out.incomplete'}: going on with what is done there"]
    made = tmp_path / "out" / "documents" / "nci-00000.arrayrecord"
    assert made.stat().st_mtime_ns == before
    assert_same(tmp_path / "whole", tmp_path / "out")
    assert not (tmp_path / "out.incomplete").exists()


def test_what_other_code_left_is_done_again(recipe, tmp_path, monkeypatch):
    """The same version of the package, say, with a fix in a reader."""
    texts = Path(recipe.sources[1].path)
    content, state = texts.read_bytes(), os.stat(texts)
    texts.write_bytes(b"\xff" * len(content))
    with pytest.raises(BadInput, match="nothing to pack"):
        build(recipe, tmp_path / "out")
    texts.write_bytes(content)
    os.utime(texts, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    monkeypatch.setattr(workplace, "code", lambda: "another")
    told = []
    build(recipe, tmp_path / "out", progress=lambda *one: told.append(one))
    assert told[0] == ("documents", 0, 2)


def test_what_another_recipe_left_is_done_again_and_its_shards_go(recipe, tmp_path):
    text, *_ = recipe.sources[1:]
    missing = dataclasses.replace(text, name="other", path=str(tmp_path / "damaged.jsonl"))
    (tmp_path / "damaged.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(BadInput, match="source other: nothing to pack"):
        build(dataclasses.replace(recipe, sources=(*recipe.sources, missing)), tmp_path / "out")
    changed = dataclasses.replace(recipe, sources=(NCI,), seed=5)
    build(changed, tmp_path / "out")
    build(changed, tmp_path / "fresh")
    assert_same(tmp_path / "out", tmp_path / "fresh")


def test_an_account_does_not_vouch_for_what_another_recipe_left_half_done(
    recipe, tmp_path, monkeypatch
):
    """Killed behind a shard and before its account, when the shards are as long as the first's."""
    text = dataclasses.replace(recipe, sources=recipe.sources[1:])
    build(text, tmp_path / "whole")
    (tmp_path / "empty.jsonl").write_text(json.dumps({"text": "<|prot_aa_end|>"}) + "\n")
    empty = SourceRecipe("other", "text", path=str(tmp_path / "empty.jsonl"))
    for seed in (0, 1):  # the second does the first's work again, and writes no account
        with monkeypatch.context() as patch:
            if seed:
                patch.setattr(tasks, "atomic_file", lambda *_: pytest.fail("killed"))
            with pytest.raises((BadInput, pytest.fail.Exception)):
                build(
                    dataclasses.replace(text, sources=(*text.sources, empty), seed=seed),
                    tmp_path / "out",
                )
    shard = tmp_path / "out.incomplete" / "data" / "documents" / "text-00000.arrayrecord"
    shard.write_bytes(bytes(shard.stat().st_size))
    build(text, tmp_path / "out")
    assert_same(tmp_path / "whole", tmp_path / "out")


def test_two_builds_of_one_directory_are_kept_apart(recipe, tmp_path):
    def inside(stage, done, tasks):
        with pytest.raises(BadInput, match=r"out\.incomplete is being written by process"):
            build(recipe, tmp_path / "out")

    build(recipe, tmp_path / "out", progress=inside)


def test_several_processes_give_the_same_directory(recipe, texts, tmp_path):
    for number in range(3):
        (tmp_path / "texts").mkdir(exist_ok=True)
        lines = [json.dumps({"text": f"{word} {number} times."}) for word in ("One", "Two")]
        (tmp_path / "texts" / f"{number}.jsonl").write_text("\n".join(lines))
    text = dataclasses.replace(recipe.sources[1], path=str(tmp_path / "texts"))
    recipe = dataclasses.replace(recipe, sources=(NCI, text))
    build(recipe, tmp_path / "one")
    build(recipe, tmp_path / "two", engine=local(2))
    assert_same(tmp_path / "one", tmp_path / "two")


def test_inputs_are_read_in_groups_and_are_on_record(recipe, texts, tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    for number in range(5):
        (tmp_path / "texts" / f"{number}.jsonl").write_text(json.dumps({"text": "word " * 20}))
    size = (tmp_path / "texts" / "0.jsonl").stat().st_size
    monkeypatch.setattr(tasks, "INPUT_BYTES", 2 * size)
    text = dataclasses.replace(recipe.sources[1], path=str(tmp_path / "texts"))
    manifest = build(dataclasses.replace(recipe, sources=(text,)), tmp_path / "out")
    (source,) = manifest.sources
    assert [(i.first, i.files, i.bytes) for i in source.inputs] == [
        ("0.jsonl", 2, 2 * size),
        ("2.jsonl", 2, 2 * size),
        ("4.jsonl", 1, size),
    ]
    digest = hashlib.sha256((tmp_path / "texts" / "4.jsonl").read_bytes()).hexdigest()
    assert source.inputs[2].sha256 == hashlib.sha256(f"{digest}  4.jsonl\n".encode()).hexdigest()
    assert [shard.path for shard in manifest.documents] == [
        f"documents/text-0000{number}.arrayrecord" for number in range(3)
    ]
    assert len(manifest.shards) == 1  # whose documents come from all three
    assert manifest.shards[0].documents == 5


def test_without_its_documents_a_directory_has_rows_alone(recipe, tmp_path):
    manifest = build(dataclasses.replace(recipe, keep_documents=False), tmp_path / "out")
    assert manifest.documents == ()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "shards",
        "tokenizer",
    ]
    assert manifests.read(tmp_path / "out", checksums=True) == manifest


def test_documents_beyond_a_shard_are_refused_and_how_long_rows_must_be(
    recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(rows, "ROWS_PER_SHARD", 4)
    text = dataclasses.replace(recipe, sources=recipe.sources[1:], row_length=64)
    says = r"source text: a record of documents has (\d+) tokens, .* 4 rows of 64: .* at least \1$"
    with pytest.raises(BadInput, match=says):
        build(text, tmp_path / "out")


def test_a_killed_build_leaves_no_data_directory(recipe, tmp_path):
    """As by SIGKILL or a power cut: nothing gets to tidy up."""
    (tmp_path / "recipe.yaml").write_text(dump(recipe))
    script = """
import os, sys
from data_pipeline import build, recipe
recipe, out = recipe.load(sys.argv[1]), sys.argv[2]
build.build(recipe, out, progress=lambda stage, done, n: stage == "rows" and done and os._exit(9))
"""
    arguments = [sys.executable, "-c", script, str(tmp_path / "recipe.yaml"), str(tmp_path / "out")]
    assert subprocess.run(arguments, cwd=REPOSITORY).returncode == 9
    assert not (tmp_path / "out").exists()
    left = tmp_path / "out.incomplete" / "data"
    assert list(left.rglob("nci-*")), "it was killed too early to show anything"
    with pytest.raises(BadInput, match="no finished data"):
        manifests.read(left)
    build(recipe, tmp_path / "out")  # goes on
    build(recipe, tmp_path / "whole")
    assert_same(tmp_path / "out", tmp_path / "whole")


def test_an_id_beyond_the_vocabulary_stops_the_build():
    """No tokenizer should give one; a row with it would index outside the embedding."""

    class Wrong:
        path, size, eos_id = "some/tokenizer", 10, 9

        def tokens_of(self, family):
            return np.arange(10)

        def encode_with_modality(self, segments):
            return np.array([3, 10, 4], np.int32), np.zeros(3, np.uint8)

    with pytest.raises(BadInput, match=r"some/tokenizer: gives ids up to 10, beyond its 10"):
        list(making.encoded([[Text("x")]], Wrong(), making._Counts()))


def test_what_is_there_stays_unless_it_may_be_overwritten(recipe, tmp_path):
    build(recipe, tmp_path / "out")
    manifest = (tmp_path / "out" / manifests.FILE).read_bytes()
    other = dataclasses.replace(recipe, row_length=256)
    with pytest.raises(BadInput, match="exists already"):
        build(other, tmp_path / "out", progress=pytest.fail)
    assert (tmp_path / "out" / manifests.FILE).read_bytes() == manifest
    assert build(other, tmp_path / "out", overwrite=True).row_length == 256
    assert manifests.read(tmp_path / "out").row_length == 256


def test_a_source_that_gives_nothing_says_why(recipe, tmp_path):
    (tmp_path / "lone.jsonl").write_text('{"id": "surrogate", "text": "a\\ud800"}\n')
    lone = SourceRecipe("lone", "text", path=str(tmp_path / "lone.jsonl"))
    why = r"source lone: nothing to pack .*1 dropped: not Unicode .* \(first lone\.jsonl:1"
    with pytest.raises(BadInput, match=why):
        build(dataclasses.replace(recipe, sources=(lone,)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_building_from_a_file_tells_what_became_of_each_source(recipe, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text(dump(recipe))
    manifest = build_from_file(tmp_path / "recipe.yaml", tmp_path / "out", ["row_length=256"])
    assert manifest.row_length == 256
    assert Path(tmp_path / "out" / manifests.FILE).is_file()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["nci", "text"]
    assert lines[1].startswith("text: 3 records -> 3 documents")
