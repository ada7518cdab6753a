"""The stages of the quickstart: each calls one part of the product and says what came of it."""

import dataclasses
import importlib.util
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biomatrix_jax import config
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.files import atomic_file
from biomatrix_jax.machine import cores
from biomatrix_jax.quickstart.journal import Journal, Stage, machine, versions
from biomatrix_jax.tokens import (
    Molecule3D,
    Selfies,
    Vocabulary,
    base_tokenizer_path,
    extend_tokenizer,
)
from biomatrix_jax.tokens.counts import by_frequency, covering
from data_pipeline.records import MoleculeRecord

if TYPE_CHECKING:
    from biomatrix_jax.generate import Generation
    from biomatrix_jax.structure.molecule import MoleculeTokenizer

MAX_HEAVY_ATOMS = 20
STRUCTURE_CODES = 64  # few, so that a small corpus shows every joint token often enough
# Of joint token occurrences. The original keeps 0.99 of a large corpus; of this small one that
# would cost a third of the molecules their conformer.
COVERAGE = 0.999
VOCABULARY_MULTIPLE = 64  # rows of the embedding, so that it splits over devices
TEXT_PROMPTS = ("The ", "A process that ", "The chemical reactions ")
TEMPERATURE, TOP_P = 0.9, 0.95


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes:
      molecules: read from the set, before any is dropped.
      structure_steps: of the molecule structure tokenizer's training.
      overrides: of the shipped configuration of the training run.
      segments: modality -> how many are generated, and of how many tokens at most.
    """

    molecules: int
    structure_steps: int
    overrides: tuple[str, ...]
    segments: dict[str, tuple[int, int]]


FULL = Size(
    molecules=1500,
    structure_steps=400,
    overrides=(),
    segments={
        "selfies": (200, 128),
        "molecule_3d": (24, 200),
        "smiles": (24, 128),
        "protein_sequence": (4, 500),
    },
)


def make_conformers(path: Path, size: Size, stage: Stage) -> list[MoleculeRecord]:
    """Conformers for the smaller molecules of the set that RDKit carries, kept as an SDF file."""
    from data_pipeline.sources import nci, read, sdf
    from data_pipeline.sources.tally import Tally

    tally = Tally()
    options = nci.Options(limit=size.molecules, max_heavy_atoms=MAX_HEAVY_ATOMS, workers=cores())
    molecules = list(read("nci", None, options, tally))
    sdf.write(path, molecules)
    stage.outcome = f"{tally}"
    return molecules


def train_structure_tokenizer(
    molecules: list[MoleculeRecord], path: Path, size: Size, stage: Stage
) -> "MoleculeTokenizer":
    """A small VQ-VAE over the local geometry of every atom that has one."""
    from biomatrix_jax.structure.molecule.conformers import Described, describe_molecules
    from biomatrix_jax.structure.molecule.training import train_vqvae

    found = describe_molecules([record.mol for record in molecules])
    described = [item for item in found if isinstance(item, Described)]
    atoms = np.concatenate([item.descriptors for item in described])
    tokenizer = train_vqvae(atoms, codes=STRUCTURE_CODES, steps=size.structure_steps)
    tokenizer.save(path)
    stage.outcome = (
        f"{STRUCTURE_CODES} codes from {len(atoms):,} atoms of {len(described):,} molecules; "
        f"{len(found) - len(described):,} have no 3D serialization"
    )
    return tokenizer


def extend_vocabulary(
    molecules: list[MoleculeRecord], tokenizer: "MoleculeTokenizer", path: Path, stage: Stage
) -> Vocabulary:
    """The shipped base tokenizer with every family that these molecules need."""
    from data_pipeline.compose import Composition, compose
    from data_pipeline.counting import count_joint_tokens, count_symbols
    from data_pipeline.sources.tally import Tally

    views = [
        view
        for instance in compose(
            molecules, Composition(composite=0), 0, Tally(), molecule_tokenizer=tokenizer
        )
        for view in instance
    ]
    symbols = by_frequency(count_symbols(v.selfies for v in views if isinstance(v, Selfies)))
    joint = count_joint_tokens(v.struct_selfies for v in views if isinstance(v, Molecule3D))
    kept = covering(joint, COVERAGE)
    vocabulary = extend_tokenizer(
        base_tokenizer_path(), path, selfies=symbols, molecule_tokens=kept, protein_codes=0
    )
    stage.outcome = (
        f"{vocabulary.size:,} tokens, among them {len(symbols)} SELFIES symbols and {len(kept):,} "
        f"of {len(joint):,} joint molecule tokens, which cover {COVERAGE:.1%}"
    )
    return vocabulary


def build_data(out: Path, stage: Stage) -> Manifest:
    """The shipped recipe with this quickstart's files filled in, built."""
    from data_pipeline import recipe as recipes
    from data_pipeline.build import build_from_file

    recipe = recipes.load("quickstart")
    sources = tuple(
        dataclasses.replace(source, path=str(out / "molecules.sdf.gz"))
        if source.reader == "sdf"
        else source
        for source in recipe.sources
    )
    recipe = dataclasses.replace(
        recipe,
        tokenizer=str(out / "tokenizer"),
        molecule_tokenizer=str(out / "molecule_tokenizer"),
        sources=sources,
    )
    with atomic_file(out / "recipe.yaml", "w") as file:
        file.write(config.dump(recipe))
    stage.command = _command("data", "build", out / "recipe.yaml", "--out", out / "data")
    manifest = build_from_file(out / "recipe.yaml", out / "data", [])
    stage.outcome = (
        f"{manifest.rows:,} rows of {manifest.row_length} tokens, {manifest.fill:.1%} filled, from "
        f"{sum(source.documents for source in manifest.sources):,} documents"
    )
    return manifest


def train_model(
    out: Path, vocabulary: Vocabulary, devices: int, size: Size, stage: Stage
) -> list[dict]:
    """The smoke configuration, trained; returns what it measured at each step."""
    from biomatrix_jax.train.loop import train
    from biomatrix_jax.train.metrics import FILE, read

    rows = -(-vocabulary.size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    overrides = [f"model.vocab_size={rows}", _override("data.path", out / "data")]
    overrides += size.overrides
    run = config.load("smoke", overrides)
    stage.command = _command(
        "train", "smoke", *overrides, "--out", out / "run", "--cpu-devices", devices
    )
    train(run, out / "run")
    metrics = read(out / "run" / FILE)
    first, last = metrics[0]["loss"], np.mean([line["loss"] for line in metrics[-10:]])
    stage.outcome = f"loss {first:.2f} -> {last:.2f} in {len(metrics)} steps"
    if not last < first:
        raise RuntimeError(f"the loss did not fall: {first} -> {last}")
    return metrics


def export(run: Path, hf: Path, stage: Stage) -> None:
    """Out to Hugging Face format, and back in: every bit, and transformers' logits if installed."""
    from biomatrix_jax.convert.exporter import to_hf
    from biomatrix_jax.convert.verify import verify

    stage.command = _command("convert", "to-hf", run, hf)
    to_hf(run, hf)
    missing = [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]
    report = verify(run, hf, against=None if missing else "transformers")
    if not report.equal:
        raise RuntimeError(report.text())
    stage.outcome = f"{report.tensors} tensors read back equal bit for bit; "
    if missing:
        stage.outcome += f"not compared with transformers: {' and '.join(missing)} not installed"
    else:
        stage.outcome += f"logits within {report.logits.max_abs:.1e} of transformers"


def generate_samples(
    hf: Path, path: Path, size: Size, stage: Stage
) -> dict[str, list["Generation"]]:
    """Segments of every modality from a lone start token, and a few texts; by modality."""
    from biomatrix_jax.convert.load import load
    from biomatrix_jax.generate import Start, generate

    model, vocabulary = load(hf), Vocabulary.from_pretrained(hf)
    jobs = {
        modality: ([Start(modality)] * n, most) for modality, (n, most) in size.segments.items()
    }
    jobs["text"] = (TEXT_PROMPTS, 64)
    generated = {
        modality: generate(
            model,
            vocabulary,
            prompts,
            max_new_tokens=most,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            batch_rows=64,
        )
        for modality, (prompts, most) in jobs.items()
    }
    everything = [one for several in generated.values() for one in several]
    with atomic_file(path, "w") as file:
        file.writelines(one.to_json() + "\n" for one in everything)
    count, most = size.segments["selfies"]
    settings = ("--temperature", TEMPERATURE, "--top-p", TOP_P, "--max-tokens", most)
    stage.command = _command(
        "generate", hf, "--start", "selfies", "--count", count, *settings, "--json"
    )
    clean = sum(not one.problems for one in everything)
    stage.outcome = f"{clean} of {len(everything)} parse without a problem"
    return generated


def write_report(
    out: Path,
    molecules: list[MoleculeRecord],
    manifest: Manifest,
    metrics: list[dict],
    generated: dict[str, list["Generation"]],
    journal: Journal,
    stage: Stage,
) -> dict:
    """The page, and the figures that quickstart.json keeps."""
    from biomatrix_jax.quickstart import report
    from biomatrix_jax.quickstart.molecules import judge_all
    from biomatrix_jax.structure.molecule import MoleculeTokenizer

    known = {record.smiles for record in molecules}
    decode = MoleculeTokenizer.from_pretrained(out / "molecule_tokenizer").decode
    judged = {
        modality: judge_all(generated[modality], known, decode)
        for modality in ("selfies", "molecule_3d", "smiles")
    }
    report.write_report(
        out / "report.html",
        config=config.load(out / "run" / "config.yaml"),
        metrics=metrics,
        manifest=manifest,
        generated=generated,
        judged=judged,
        known=known,
        stages=journal.stages,
        machine=machine(),
        versions=versions(),
    )
    tally = judged["selfies"].tally
    stage.outcome = (
        f"of {tally.generated} SELFIES molecules {tally.validity:.1%} valid, of these "
        f"{tally.uniqueness:.1%} unique, of these {tally.novelty:.1%} new"
    )
    return {
        "loss": {"first": metrics[0]["loss"], "last": metrics[-1]["loss"]},
        "molecules": {modality: dataclasses.asdict(one.tally) for modality, one in judged.items()},
    }


def _command(*words) -> str:
    """A command line of ours, to be copied into a shell."""
    return shlex.join(["biomatrix", *map(str, words)])


def _override(key: str, path: Path) -> str:
    """`key=path`, quoted where the path has characters that mean something in YAML."""
    text = str(path)
    plain = re.fullmatch(r"[\w./-]+", text)
    return f"{key}={text if plain else json.dumps(text, ensure_ascii=False)}"
