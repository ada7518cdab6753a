"""The main job, end to end: `quickstart` reads top to bottom as the product's table of contents.

What it leaves in its directory:

OUT/quickstart.json      what was run and what came of it; "complete" turns true at the very end
OUT/molecules.sdf.gz     molecules with conformers
OUT/molecule_tokenizer/  the structure tokenizer trained on them
OUT/tokenizer/           the base tokenizer extended by all token families
OUT/recipe.yaml          the recipe, filled in
OUT/data/                packed shards and their manifest
OUT/run/                 the training run
OUT/hf/                  the trained model in Hugging Face format
OUT/generated.jsonl      everything generated
OUT/structures/          generated molecules (SDF) and backbones (PDB), and pictures of the first
OUT/report.html          the page to look at
"""

import json
import shutil
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.quickstart import inputs, model, results
from biomatrix_jax.quickstart.journal import Journal, machine, versions
from biomatrix_jax.quickstart.size import FULL, Size
from biomatrix_jax.sharding.mesh import simulate_cpu_devices

DEVICES = 8  # simulated on the CPU; the configuration lays a mesh over them
MARK = "quickstart.json"


def quickstart(out: Path, *, overwrite: bool = False, size: Size = FULL) -> dict:
    """Runs the main job into the directory `out`.

    Args:
      overwrite: replace an earlier quickstart there; anything else is refused all the same.
      size: how much of everything.

    Returns:
      What quickstart.json holds.

    Raises:
      BadInput: `out` holds something that this would replace, or JAX has started on other devices.
    """
    out = Path(out)
    _check(out, overwrite)
    simulate_cpu_devices(DEVICES)
    _clear(out)
    _mark(out, {"complete": False})
    journal = Journal(total=10)

    with journal.stage("molecules with conformers") as stage:
        molecules = inputs.make_conformers(out / "molecules.sdf.gz", size, stage)
    with journal.stage("molecule structure tokenizer") as stage:
        molecule_tokenizer = inputs.train_structure_tokenizer(
            molecules, out / "molecule_tokenizer", size, stage
        )
    recipe = inputs.fill_recipe(out, size)
    with journal.stage("protein structure tokenizer") as stage:
        protein_tokenizer, chains = inputs.code_proteins(recipe, stage)
    with journal.stage("unified vocabulary") as stage:
        codes = protein_tokenizer.config.quantizer.codes
        vocabulary = inputs.extend_vocabulary(
            molecules, molecule_tokenizer, codes, out / "tokenizer", stage
        )
    with journal.stage("packed shards") as stage:
        manifest = inputs.build_data(recipe, out, stage)
    with journal.stage("sharded training") as stage:
        metrics = model.train_model(out, vocabulary, DEVICES, size, stage)
    with journal.stage("Hugging Face export, read back") as stage:
        model.export(out / "run", out / "hf", stage)
    with journal.stage("generation") as stage:
        generated = model.generate_samples(out / "hf", out / "generated.jsonl", size, stage)
    with journal.stage("structures from codes") as stage:
        known = frozenset(record.smiles for record in molecules)
        judged = results.judge_molecules(generated, known, molecule_tokenizer)
        backbones = results.judge_backbones(generated["protein_3d"], protein_tokenizer)
        results.write_structures(out / "structures", judged["molecule_3d"], backbones, stage)
    with journal.stage("report") as stage:
        summary = results.write_report(
            out,
            stage,
            metrics=metrics,
            manifest=manifest,
            generated=generated,
            judged=judged,
            known=known,
            backbones=backbones,
            chains=chains,
            stages=journal.stages,
        )

    result = {
        "complete": True,
        **summary,
        "stages": [vars(stage) for stage in journal.stages],
        "seconds": journal.seconds,
        "machine": machine(),
        "versions": versions(),
    }
    _mark(out, result)
    print(f"{out / 'report.html'} ({journal.seconds:.0f} s in all)")
    return result


def _check(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MARK).is_file():
        raise BadInput(
            f"{out} exists and is no quickstart (it has no {MARK}): choose another place"
        )
    if not overwrite:
        raise BadInput(f"{out} holds a quickstart already: choose another place, or --overwrite")


def _clear(out: Path) -> None:
    """Makes `out` an empty directory. One that is there stays itself: it may be a link, or "."."""
    out.mkdir(parents=True, exist_ok=True)
    # The mark goes last: what an interrupted clearing leaves can be cleared again.
    for path in sorted(out.iterdir(), key=lambda path: path.name == MARK):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _mark(out: Path, content: dict) -> None:
    with atomic_file(out / MARK, "w") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
