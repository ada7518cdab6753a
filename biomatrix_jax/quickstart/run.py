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
OUT/report.html          the page to look at
"""

import json
import shutil
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.quickstart import stages
from biomatrix_jax.quickstart.journal import Journal, machine, versions
from biomatrix_jax.sharding.mesh import simulate_cpu_devices

DEVICES = 8  # simulated on the CPU; the configuration lays a mesh over them
MARK = "quickstart.json"


def quickstart(out: Path, *, overwrite: bool = False, size: stages.Size = stages.FULL) -> dict:
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
    journal = Journal(total=8)

    with journal.stage("molecules with conformers") as stage:
        molecules = stages.make_conformers(out / "molecules.sdf.gz", size, stage)
    with journal.stage("molecule structure tokenizer") as stage:
        tokenizer = stages.train_structure_tokenizer(
            molecules, out / "molecule_tokenizer", size, stage
        )
    with journal.stage("unified vocabulary") as stage:
        vocabulary = stages.extend_vocabulary(molecules, tokenizer, out / "tokenizer", stage)
    with journal.stage("packed shards") as stage:
        manifest = stages.build_data(out, stage)
    with journal.stage("sharded training") as stage:
        metrics = stages.train_model(out, vocabulary, DEVICES, size, stage)
    with journal.stage("Hugging Face export, read back") as stage:
        stages.export(out / "run", out / "hf", stage)
    with journal.stage("generation") as stage:
        generated = stages.generate_samples(out / "hf", out / "generated.jsonl", size, stage)
    with journal.stage("report") as stage:
        summary = stages.write_report(out, molecules, manifest, metrics, generated, journal, stage)

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
