"""What is left out of a build: repetitions within and across corpora, and evaluation sets."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import base_tokenizer_path, extend_tokenizer
from data_pipeline.build import build
from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.records import (
    InteractionRecord,
    InterleavedRecord,
    Mention,
    MoleculeRecord,
    Property,
    ProteinRecord,
    TextRecord,
)
from data_pipeline.removal.decide import Verdict, decide
from data_pipeline.removal.evaluation_sets import EvaluationSet, evaluation_keys
from data_pipeline.removal.identity import entity_key, entity_keys, record_key
from data_pipeline.removal.keys import FOLDER, PARTS, KeysTask
from data_pipeline.removal.near_duplicates import HASHES
from data_pipeline.removal.settings import Removal
from data_pipeline.sources.tally import Tally
from data_pipeline.tasks import Places

ALANINE = "C[C@H](N)C(=O)O"


def molecule(smiles, conformer=False, identifier="m"):
    mol = Chem.MolFromSmiles(smiles)
    if conformer:
        mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    return MoleculeRecord(identifier, smiles, "", mol)


def protein(sequence, structure=False):
    backbone = np.zeros((len(sequence), 4, 3), np.float32) if structure else None
    return ProteinRecord("p", "A", sequence, backbone, "")


def test_records_are_the_same_by_what_they_say():
    same = [
        (molecule("CCO", identifier="a"), molecule("CCO", identifier="b")),
        (protein("MKV"), ProteinRecord("q", "B", "MKV", None, "titled")),
        (TextRecord("1", "", "Some  Words\nhere"), TextRecord("2", "x", "some words here")),
        (
            InteractionRecord("1", (molecule("C"), protein("M")), (Property("Ki", 1.0, "nM"),)),
            InteractionRecord("2", (protein("M"), molecule("C")), (Property("Ki", 1.0, "nM"),)),
        ),
    ]
    for one, other in same:
        assert record_key(one) == record_key(other)
    different = [
        (molecule("CCO"), molecule("CCN")),
        (molecule("CCO"), molecule("CCO", conformer=True)),
        (molecule(ALANINE), molecule("C[C@@H](N)C(=O)O")),
        (protein("MKV"), protein("MKV", structure=True)),
        (protein("C"), molecule("C")),
        (
            InteractionRecord("1", (molecule("C"), protein("M")), (Property("Ki", 1.0, "nM"),)),
            InteractionRecord("1", (molecule("C"), protein("M")), (Property("Ki", 2.0, "nM"),)),
        ),
    ]
    for one, other in different:
        assert record_key(one) != record_key(other)


def test_what_a_record_tells_of_a_known_molecule_stays(tmp_path, monkeypatch):
    """A description, or a measured value, would be lost with its record."""
    bare = molecule("CCO")
    told = dataclasses.replace(bare, texts={"Description": "Burns well."})
    measured = dataclasses.replace(bare, properties=(Property("Boiling point", 78.4, "°C"),))
    named = dataclasses.replace(bare, name="ethanol")
    monkeypatch.setattr(
        KeysTask, "records", lambda task, tally: iter({"a": [told], "b": corpus}[task.inputs[0]])
    )
    corpus = [bare, named, told, measured, measured, molecule("CCN")]
    sources = tuple(SourceRecipe(name, "nci") for name in "ab")
    removal = Removal(duplicates=True)
    recipe = Recipe(sources, "", removal=removal)
    tasks = [KeysTask(recipe, number, 0, (name,)) for number, name in enumerate("ab")]
    places = Places(tmp_path, tmp_path, tmp_path)
    counts = [task.do(places, "").records for task in tasks]
    verdict = decide(removal, tasks, counts, tmp_path)[1]
    assert list(verdict.keep(iter(corpus), tally := Tally())) == [measured, corpus[-1]]
    assert tally.dropped == {"repeats a record of a": 3, "repeats a record of b": 1}


def test_a_text_with_an_unpaired_surrogate_has_a_key():
    """It is composition that drops it, and says so."""
    assert record_key(TextRecord("1", "", "a\ud800")) != record_key(TextRecord("2", "", "a"))


def test_entities_are_what_an_evaluation_would_take_for_one():
    wanted = entity_key("molecule", ALANINE)
    assert list(entity_keys(molecule("CC(N)C(=O)O"))) == [wanted]  # whatever its stereo
    assert list(entity_keys(molecule("C[C@H]([NH3+])C(=O)[O-]"))) == [wanted]
    assert list(entity_keys(molecule("CC(N)C(N)=O"))) != [wanted]
    mention = InterleavedRecord("t", "", "x y", (Mention(0, 1, "molecule", ALANINE),))
    assert list(entity_keys(mention)) == [wanted]
    pair = InteractionRecord("i", (protein("MKV"), molecule(ALANINE)))
    assert list(entity_keys(pair)) == [entity_key("protein", "MKV"), wanted]
    assert list(entity_keys(TextRecord("t", "", ALANINE))) == []


@pytest.mark.parametrize(
    ("name", "content", "column"),
    [
        ("a.smi", "CCO one\nCCN\ttwo\n\nC\n", ""),
        ("a.csv", "id,smiles\n1,CCO\n2,CCN\n3,C\n", "smiles"),
        ("a.tsv", "smiles\tid\nCCO\t1\nCCN\t2\nC\t3\n", "smiles"),
    ],
)
def test_evaluation_sets_are_read_in_their_formats(tmp_path, name, content, column):
    (tmp_path / name).write_text(content)
    found = evaluation_keys(EvaluationSet("e", str(tmp_path / name), "molecule", column))
    assert found == {entity_key("molecule", smiles) for smiles in ("CCO", "CCN", "C")}


def test_a_molecule_that_would_end_the_process_goes_by_its_letters(tmp_path):
    chain = "C" * 30_000
    (tmp_path / "a.smi").write_text(f"{chain}\nCCO\n")
    found = evaluation_keys(EvaluationSet("e", str(tmp_path / "a.smi"), "molecule", ""))
    assert found == {entity_key("molecule", smiles) for smiles in (chain, "CCO")}
    assert entity_key("molecule", chain) != entity_key("molecule", f"{chain}C")


def test_evaluation_sets_of_sequences(tmp_path):
    (tmp_path / "a.fasta").write_text(">one\nMKV\nLLA\n>two\nGGG\n")
    found = evaluation_keys(EvaluationSet("e", str(tmp_path / "a.fasta"), "protein"))
    assert found == {entity_key("protein", "MKVLLA"), entity_key("protein", "GGG")}


def test_a_test_set_that_cannot_be_read_whole_is_refused(tmp_path):
    (tmp_path / "empty.smi").touch()
    with pytest.raises(BadInput, match=r"evaluation set e: .* holds nothing"):
        evaluation_keys(EvaluationSet("e", str(tmp_path / "empty.smi"), "molecule"))
    (tmp_path / "a.tsv").write_text("smiles\tid\nCCO\t1\nCCN\n")
    with pytest.raises(BadInput, match=r"evaluation set e, a\.tsv:3"):
        evaluation_keys(EvaluationSet("e", str(tmp_path / "a.tsv"), "molecule", "smiles"))
    with pytest.raises(BadInput, match="kind is molecule or protein"):
        EvaluationSet("e", "x", "text")


def test_molecules_without_an_inchi_are_one_by_their_canonical_smiles():
    assert Chem.MolToInchiKey(Chem.MolFromSmiles("*CCO")) == ""
    assert entity_key("molecule", "OCC*") == entity_key("molecule", "*CCO")
    assert entity_key("molecule", "OCC*") != entity_key("molecule", "*CCN")


def test_sequences_of_an_evaluation_set_match_those_of_records(tmp_path):
    """Records have capitals, and no stop."""
    (tmp_path / "a.fasta").write_bytes(b">one\r\nmkv\r\nlla*\r\n")
    found = evaluation_keys(EvaluationSet("e", str(tmp_path / "a.fasta"), "protein"))
    assert found == {entity_key("protein", "MKVLLA")}


@pytest.mark.parametrize(("kind", "content"), [("molecule", "id\nx1\n"), ("protein", "12\n34\n")])
def test_an_evaluation_set_of_something_else_is_refused(tmp_path, kind, content):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(BadInput, match=f"holds nothing that is a {kind}"):
        evaluation_keys(EvaluationSet("e", str(tmp_path / "a.txt"), kind))


@pytest.mark.parametrize("count", [1, 3])
def test_a_verdict_on_other_records_is_no_verdict(tmp_path, count):
    np.save(tmp_path / "codes.npy", np.array([1, 0], np.int16))
    verdict = Verdict(str(tmp_path / "codes.npy"), "", ("repeated",))
    texts = [TextRecord(str(i), "", "x") for i in range(3)]
    tally = Tally()
    assert list(verdict.keep(iter(texts[:2]), tally)) == texts[1:2]
    assert tally.dropped == {"repeated": 1}
    with pytest.raises(BadInput, match="2 records were judged"):
        list(verdict.keep(iter(texts[:count]), tally))


TEXT = "The kinase phosphorylates its substrate at a serine, as was shown in cells of mice. " * 3
TEXTS = {
    "a": [
        TEXT,
        "Water boils at one hundred degrees when the pressure is that of the sea's level.",
        "Unlike the others.",
    ],
    "b": [
        "  " + TEXT.replace(" ", "  ").upper(),
        "Water boils at one hundred degrees when the pressure is that of the sea's level, here.",
        "Something else entirely, of which there is no other.",
        "Something else entirely, of which there is no other.",
    ],
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "extended"
    extend_tokenizer(
        base_tokenizer_path(), path, selfies=["[C]", "[O]"], molecule_tokens=[], protein_codes=0
    )
    return str(path)


@pytest.fixture
def corpora(tmp_path):
    for name, texts in TEXTS.items():
        lines = [json.dumps({"id": f"{name}{i}", "text": text}) for i, text in enumerate(texts)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    molecules = ["CCO\t1", "CC(N)C(=O)O\t2", "CCO\t3", "CCN\t4", "OCC\t5"]
    (tmp_path / "m.smi").write_text("\n".join(molecules))
    (tmp_path / "held.smi").write_text(f"{ALANINE}\n")
    text = [SourceRecipe(name, "text", path=str(tmp_path / f"{name}.jsonl")) for name in TEXTS]
    options = {"conformers": False}
    nci = SourceRecipe("m", "nci", path=str(tmp_path / "m.smi"), options=options)
    return (*text, nci)


def test_what_goes_is_counted_by_reason_and_the_first_stays(corpora, tokenizer, tmp_path):
    removal = Removal(
        duplicates=True,
        near_duplicates=0.7,
        evaluation_sets=(EvaluationSet("held", str(tmp_path / "held.smi"), "molecule"),),
    )
    recipe = Recipe(corpora, tokenizer, removal=removal, row_length=128)
    a, b, m = build(recipe, tmp_path / "out").sources
    assert (a.records, a.used, a.dropped) == (3, 3, {})
    assert b.dropped == {
        "nearly repeats a text of a": 1,
        "repeats a record of a": 1,
        "repeats a record of b": 1,
    }
    assert b.examples["nearly repeats a text of a"] == "b1"
    assert b.used == 1
    assert m.dropped == {"in the evaluation set held": 1, "repeats a record of m": 2}
    assert m.examples["in the evaluation set held"] == "nci:2"
    assert not (tmp_path / "out" / "keys").exists()


def test_without_removal_all_stays(corpora, tokenizer, tmp_path):
    recipe = Recipe(corpora, tokenizer, row_length=128)
    everything = build(recipe, tmp_path / "all")
    assert sum(source.used for source in everything.sources) == 12
    exact = Recipe(corpora, tokenizer, removal=Removal(duplicates=True), row_length=128)
    fewer = build(exact, tmp_path / "fewer")
    assert [source.used for source in fewer.sources] == [3, 2, 3]


def test_verdicts_do_not_depend_on_memory(tmp_path):
    """A task without records is among them, and records that go for several reasons."""
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ACDE"), 12)) for _ in range(300)]
    (tmp_path / "held.fasta").write_text("".join(f">x\n{one}\n" for one in sequences[:30]))
    (tmp_path / "more.fasta").write_text("".join(f">x\n{one}\n" for one in sequences[20:50]))
    held = [EvaluationSet(n, str(tmp_path / f"{n}.fasta"), "protein") for n in ("held", "more")]
    removal = Removal(duplicates=True, near_duplicates=0.8, evaluation_sets=tuple(held))
    recipe = Recipe(tuple(SourceRecipe(n, "text") for n in "ab"), "", removal=removal)
    tasks = [KeysTask(recipe, source, i, ("x",)) for source, i in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    counts = [300, 0, 100, 300]
    (tmp_path / FOLDER).mkdir()
    hashes_nh = rng.integers(0, 2**32, (200, HASHES), dtype=np.uint32)
    for task, count in zip(tasks, counts, strict=True):
        records, entities, signatures = (np.zeros(count, dtype) for dtype in PARTS.values())
        about = rng.integers(0, 300, count)
        records["subject"] = records["said"] = [f"{i:016}" for i in rng.integers(0, 900, count)]
        entities["key"] = [entity_key("protein", sequences[i]) for i in about]
        signatures["hashes"] = hashes_nh[rng.integers(0, 200, count)]
        changed = rng.random((count, HASHES)) < rng.uniform(0, 0.3, (count, 1))
        signatures["hashes"][changed] = rng.integers(0, 2**32, changed.sum())
        entities["record"] = signatures["record"] = np.arange(count)
        for part, rows in zip(PARTS, (records, entities, signatures), strict=True):
            rows.tofile(task.path(tmp_path, part))
    verdicts = decide(removal, tasks, counts, tmp_path)
    codes = np.concatenate([np.load(verdict.path) for verdict in verdicts])
    assert verdicts[0].reasons == (
        "in the evaluation set held",
        "in the evaluation set more",
        "repeats a record of a",
        "repeats a record of b",
        "nearly repeats a text of a",
        "nearly repeats a text of b",
    )
    assert decide(removal, tasks, counts, tmp_path, 100_000) == verdicts
    assert not (tmp_path / FOLDER / "deciding").exists()
    # What was found when all keys were held in memory.
    assert np.bincount(codes).tolist() == [323, 76, 42, 133, 47, 72, 7]
    digest = "ce8f0be85d7fb8b62b4e7b27ff219852f90f4aadb72f5e0b8d1eec9197791ed7"
    assert hashlib.sha256(codes.tobytes()).hexdigest() == digest


def test_removal_settings_are_checked():
    with pytest.raises(BadInput, match=r"near_duplicates is from 0 to 1, not 1\.5"):
        Removal(near_duplicates=1.5)
    twice = (EvaluationSet("e", "x", "protein"),) * 2
    with pytest.raises(BadInput, match="two evaluation sets are called e"):
        Removal(evaluation_sets=twice)
