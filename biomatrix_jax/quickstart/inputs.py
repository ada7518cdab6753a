"""Stages before training: structures, their tokenizers, the vocabulary and the packed rows.

As all stages, each calls one part of the product and says what came of it.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biomatrix_jax import config
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.machine import cores
from biomatrix_jax.quickstart.backbones import RoundTrip, compare
from biomatrix_jax.quickstart.commands import command
from biomatrix_jax.quickstart.journal import Stage
from biomatrix_jax.quickstart.size import MAX_HEAVY_ATOMS, Size
from biomatrix_jax.tokens import (
    Molecule3D,
    Selfies,
    Vocabulary,
    base_tokenizer_path,
    extend_tokenizer,
)
from biomatrix_jax.tokens.counts import by_frequency, covering
from data_pipeline.recipe import Recipe
from data_pipeline.records import MoleculeRecord

if TYPE_CHECKING:
    from biomatrix_jax.structure.molecule import MoleculeTokenizer
    from biomatrix_jax.structure.protein import ProteinTokenizer

STRUCTURE_CODES = 64  # few, so that a small corpus shows every joint token often enough
# Of joint token occurrences. The original keeps 0.99 of a large corpus; of this small one that
# would cost a third of the molecules their conformer.
COVERAGE = 0.999


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


def fill_recipe(out: Path, size: Size) -> Recipe:
    """The shipped recipe with this quickstart's files."""
    from data_pipeline import recipe as recipes

    recipe = recipes.load("quickstart")
    changes = {
        "sdf": lambda source: {"path": str(out / "molecules.sdf.gz")},
        "wwpdb": lambda source: {"options": source.options | {"limit": size.structures}},
    }
    sources = tuple(
        dataclasses.replace(source, **changes[source.reader](source))
        if source.reader in changes
        else source
        for source in recipe.sources
    )
    return dataclasses.replace(
        recipe,
        tokenizer=str(out / "tokenizer"),
        molecule_tokenizer=str(out / "molecule_tokenizer"),
        protein_tokenizer=size.protein_tokenizer,
        sources=sources,
    )


def code_proteins(recipe: Recipe, stage: Stage) -> tuple["ProteinTokenizer", RoundTrip]:
    """The recipe's protein chains as structure codes and back, to see what the codes keep."""
    from biomatrix_jax.structure.packaged import tokenizer_path
    from biomatrix_jax.structure.protein import ProteinTokenizer
    from data_pipeline.sources import read, reader
    from data_pipeline.sources.tally import Tally

    tokenizer = ProteinTokenizer.from_pretrained(
        tokenizer_path("protein", recipe.protein_tokenizer)
    )
    [source] = [source for source in recipe.sources if source.reader == "wwpdb"]
    options = reader(source.reader).Options(**source.options)
    chains = list(read(source.reader, source.path or None, options, Tally()))
    coded = tokenizer.encode_batch([(chain.backbone, chain.sequence) for chain in chains])
    kept = [i for i, codes in enumerate(coded) if not isinstance(codes, BadInput)]
    decoded = tokenizer.decode_batch([coded[i] for i in kept])
    trip = compare([chains[i].backbone[:, :3] for i in kept], decoded)
    stage.outcome = (
        f"{tokenizer.config.quantizer.codes:,} codes; {len(kept)} of {len(chains)} real chains "
        f"come back from theirs, their CA within {np.median(trip.rmsd):.1f} angstrom RMSD, "
        f"TM-score {np.median(trip.tm):.2f} (medians)"
    )
    return tokenizer, trip


def extend_vocabulary(
    molecules: list[MoleculeRecord],
    tokenizer: "MoleculeTokenizer",
    protein_codes: int,
    path: Path,
    stage: Stage,
) -> Vocabulary:
    """The shipped base tokenizer with every family that these molecules need."""
    from data_pipeline.composition import Composition, compose
    from data_pipeline.composition.views import StructureTokenizers
    from data_pipeline.counting import count_joint_tokens, count_symbols
    from data_pipeline.sources.tally import Tally

    views = [
        view
        for instance in compose(
            molecules,
            Composition(composite=0),
            0,
            Tally(),
            tokenizers=StructureTokenizers(molecule=tokenizer),
        )
        for view in instance
    ]
    symbols = by_frequency(count_symbols(v.selfies for v in views if isinstance(v, Selfies)))
    joint = count_joint_tokens(v.struct_selfies for v in views if isinstance(v, Molecule3D))
    kept = covering(joint, COVERAGE)
    vocabulary = extend_tokenizer(
        base_tokenizer_path(),
        path,
        selfies=symbols,
        molecule_tokens=kept,
        protein_codes=protein_codes,
    )
    stage.outcome = (
        f"{vocabulary.size:,} tokens, among them {len(symbols)} SELFIES symbols, {protein_codes:,} "
        f"protein structure codes and {len(kept):,} of {len(joint):,} joint molecule tokens, which "
        f"cover {COVERAGE:.1%}"
    )
    return vocabulary


def build_data(recipe: Recipe, out: Path, stage: Stage) -> Manifest:
    """The recipe, built as the command line does it, from a file."""
    from data_pipeline.build import build_from_file

    with atomic_file(out / "recipe.yaml", "w") as file:
        file.write(config.dump(recipe))
    stage.command = command("data", "build", out / "recipe.yaml", "--out", out / "data")
    manifest = build_from_file(out / "recipe.yaml", out / "data", [])
    stage.outcome = (
        f"{manifest.rows:,} rows of {manifest.row_length} tokens, {manifest.fill:.1%} filled, from "
        f"{sum(source.documents for source in manifest.sources):,} documents"
    )
    return manifest
