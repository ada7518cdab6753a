"""Stages after generation: what was written, judged, turned into structures, and told."""

import dataclasses
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biomatrix_jax import config
from biomatrix_jax.files import atomic_directory, atomic_file
from biomatrix_jax.quickstart import backbones as judging
from biomatrix_jax.quickstart.backbones import BackboneVerdict
from biomatrix_jax.quickstart.journal import Stage, machine, versions
from biomatrix_jax.quickstart.molecules import Judged, first_of_each, judge_all
from biomatrix_jax.structure.molecule.errors import MoleculeError
from biomatrix_jax.tokens import Molecule3D

if TYPE_CHECKING:
    from rdkit import Chem

    from biomatrix_jax.generate import Generation
    from biomatrix_jax.structure.molecule import MoleculeTokenizer
    from biomatrix_jax.structure.protein import ProteinTokenizer

Generated = Mapping[str, Sequence["Generation"]]  # by modality


def judge_molecules(
    generated: Generated, known: Collection[str], tokenizer: "MoleculeTokenizer"
) -> dict[str, Judged]:
    """Those modalities that are molecules, against the canonical SMILES of the training data."""
    decode = _refined(generated["molecule_3d"], tokenizer)
    return {
        modality: judge_all(generated[modality], known, decode)
        for modality in ("selfies", "molecule_3d", "smiles")
    }


def _refined(generations: Sequence["Generation"], tokenizer: "MoleculeTokenizer"):
    """A `decode` of the molecules that these hold: all done at once, which compiles less."""
    strings = [
        s.struct_selfies for g in generations for s in g.segments if isinstance(s, Molecule3D)
    ]
    mols = dict(zip(strings, tokenizer.decode_batch(strings, refine=True), strict=True))

    def decode(struct_selfies: str) -> "Chem.Mol":
        if isinstance(mol := mols[struct_selfies], MoleculeError):
            raise mol
        return mol

    return decode


def judge_backbones(
    generations: Sequence["Generation"], tokenizer: "ProteinTokenizer"
) -> list[BackboneVerdict]:
    return [judging.judge(generation, tokenizer.decode) for generation in generations]


def write_structures(
    directory: Path, molecules: Judged, backbones: Sequence[BackboneVerdict], stage: Stage
) -> None:
    """Every distinct molecule as molecule<n>.sdf, every backbone as backbone<n>.pdb, in the order
    they were generated."""
    from biomatrix_jax.structure.protein import writer

    mols = [verdict.mol for verdict in first_of_each(molecules.verdicts)]
    chains = [verdict.backbone for verdict in backbones if verdict.backbone is not None]
    with atomic_directory(directory) as temporary:
        for number, mol in enumerate(mols, start=1):
            (temporary / f"molecule{number}.sdf").write_text(_sdf(mol), encoding="utf-8")
        for number, chain in enumerate(chains, start=1):
            writer.write(temporary / f"backbone{number}.pdb", [_unknown_residues(chain)])
    stage.outcome = (
        f"{molecules.tally.valid} of {molecules.tally.generated} molecules with coordinates, "
        f"{len(mols)} of them distinct; {len(chains)} of {len(backbones)} backbones"
    )


def write_report(out: Path, stage: Stage, **content: Any) -> dict:
    """The page with its pictures, and the figures that quickstart.json keeps.

    Args:
      content: arguments of `report.quickstart_page`, but for those that are found here.
    """
    from biomatrix_jax.quickstart.report import quickstart_page
    from biomatrix_jax.report.render import views, write

    page = quickstart_page(
        config=config.load(out / "run" / "config.yaml"),
        machine=machine(),
        versions=versions(),
        **content,
    )
    for view in views(page):
        with atomic_file(out / "structures" / f"{view.name}.png") as file:
            file.write(view.png)
    write(page, out / "report.html")
    metrics, judged = content["metrics"], content["judged"]
    tally = judged["selfies"].tally
    stage.outcome = (
        f"of {tally.generated} SELFIES molecules {tally.validity:.1%} valid, of these "
        f"{tally.uniqueness:.1%} unique, of these {tally.novelty:.1%} new"
    )
    return {
        "loss": {"first": metrics[0]["loss"], "last": metrics[-1]["loss"]},
        "molecules": {modality: dataclasses.asdict(one.tally) for modality, one in judged.items()},
        "backbones": {
            "generated": len(content["backbones"]),
            "valid": sum(one.backbone is not None for one in content["backbones"]),
        },
    }


def _sdf(mol: "Chem.Mol") -> str:
    from rdkit import Chem

    text = io.StringIO()
    with Chem.SDWriter(text) as writer:
        writer.write(mol)
    return text.getvalue()


def _unknown_residues(backbone: np.ndarray):
    """A chain of which only the structure is known."""
    from biomatrix_jax.structure.protein.chains import Chain

    length = len(backbone)
    return Chain("A", "X" * length, backbone, (None,) * length, np.full(length, np.nan, np.float32))
