"""The `biomatrix` command: a thin function a subcommand; imports inside keep --help quick."""

import errno
import gc
import json
import os
import signal
import sys
from pathlib import Path

import click

from biomatrix_jax.errors import BadInput

# A path that is missing, forbidden or of the wrong kind is the caller's to mend, like bad input.
_CALLERS_FAULT = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR}
_CALLERS_FAULT |= {errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}


def main() -> None:
    """Runs the command line; exit status 2 and one line on standard error for bad input."""
    # What is imported lives to the end: looking through it again and again, and once more at exit,
    # takes a third of a second.
    gc.set_threshold(50_000)
    # So that what is half-written goes, as after Ctrl-C. Training saves instead, see `train.loop`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        biomatrix(prog_name="biomatrix")
    except BadInput as error:
        _fail(str(error), 2)
    except OSError as error:
        if error.errno is None:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        _fail(f"{where}{error.strerror}", 2 if error.errno in _CALLERS_FAULT else 1)
    finally:
        gc.freeze()


def _fail(message: str, status: int) -> None:
    print(f"biomatrix: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


def _tell(notes: list[str]) -> None:
    for note in notes:
        click.echo(note, err=True)


_path = click.Path(path_type=Path)
_task_workers = click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Processes that work on the tasks.",
)


def _runner(command):
    """Options that give the tasks to Apache Beam."""
    flag = click.option(
        "--runner-flag",
        "runner_flags",
        multiple=True,
        metavar="FLAG",
        help="For the runner, for example --project=NAME; may be given several times.",
    )
    name = click.option(
        "--runner",
        metavar="NAME",
        help="Apache Beam's runner that works instead: DirectRunner, "
        "DataflowRunner, FlinkRunner, SparkRunner.",
    )
    return name(flag(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="biomatrix-jax", prog_name="biomatrix")
def biomatrix():
    """BioMatrix in JAX: one decoder for text, molecules and proteins, in sequence and in 3D."""


@biomatrix.command()
@click.option("--out", type=_path, default=Path("quickstart"), show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace an earlier quickstart in OUT.")
def quickstart(out, overwrite):
    """The main job, small, on real input, with pictures: OUT/report.html."""
    from biomatrix_jax.quickstart.run import quickstart

    quickstart(out, overwrite=overwrite)


@biomatrix.group()
def data():
    """Packed rows: build them from corpora, look at what is in them."""


@data.command("build")
@click.argument("recipe", type=_path)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option("--out", required=True, metavar="DIR|URL", help="A directory, or gs://, s3://, ...")
@click.option("--staging", type=_path, help="Where to build what goes to a URL.")
@click.option("--overwrite", is_flag=True, help="Replace OUT.")
@_task_workers
@_runner
def data_build(recipe, overrides, out, staging, overwrite, **engine):
    """Corpora named in RECIPE -> packed shards and a manifest in OUT.

    Interrupted, it goes on with what lies in OUT.incomplete.
    """
    from data_pipeline.build import build_from_file

    build_from_file(
        recipe, out, overrides, overwrite=overwrite, staging=staging, engine=_engine(**engine)
    )


@data.command("copy")
@click.argument("source")
@click.argument("target")
@click.option("--overwrite", is_flag=True, help="Replace TARGET.")
def data_copy(source, target, overwrite):
    """A data directory to or from an object store (gs://, s3://, ...), every file checked."""
    from data_pipeline.storage import copy_shown

    copy_shown(source, target, overwrite=overwrite)


@data.command("count")
@click.argument("recipe", type=_path)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option("--out", type=_path, required=True)
@click.option("--overwrite", is_flag=True, help="Replace OUT.")
@_task_workers
@_runner
def data_count(recipe, overrides, out, overwrite, **engine):
    """SELFIES symbols and joint molecule tokens of RECIPE's corpora, for `vocab extend`."""
    from data_pipeline.counting import count_from_file

    count_from_file(recipe, out, overrides, overwrite=overwrite, engine=_engine(**engine))


@data.command("repack")
@click.argument("directory", type=_path)
@click.option("--out", type=_path, required=True)
@click.option("--row-length", type=click.IntRange(2), required=True, help="Tokens of a row.")
@click.option("--overwrite", is_flag=True, help="Replace OUT.")
@_task_workers
@_runner
def data_repack(directory, out, row_length, overwrite, **engine):
    """The documents of DIRECTORY in rows of another length."""
    from data_pipeline.repack import repack_shown

    repack_shown(directory, out, row_length, overwrite=overwrite, engine=_engine(**engine))


def _engine(workers, runner, runner_flags):
    """What carries the tasks of a build out."""
    if runner is None and runner_flags:
        raise BadInput("--runner-flag is for a --runner: name one, DirectRunner for example")
    if runner is not None:
        from data_pipeline.engine.beam import beam

        return beam([f"--runner={runner}", *runner_flags])
    from data_pipeline.engine.local import local

    return local(workers)


@data.command("tfds")
@click.argument("directory", type=_path)
@click.option(
    "--out", type=_path, required=True, help="As DATA_DIR/biomatrix/1.0.0, TFDS finds it by name."
)
@click.option("--overwrite", is_flag=True, help="Replace OUT.")
def data_tfds(directory, out, overwrite):
    """The rows of DIRECTORY as a data set of TensorFlow Datasets.

    A split for each source, in ArrayRecord files: read without TensorFlow by
    `tfds.builder_from_directory(OUT).as_data_source()`.
    """
    from data_pipeline.tfds.export import export_shown

    export_shown(directory, out, overwrite=overwrite)


@data.command("inspect")
@click.argument("directory", type=_path)
@click.option(
    "--rows",
    default=2,
    show_default=True,
    type=click.IntRange(0),
    help="Rows of each source to show decoded.",
)
@click.option("--json", "as_json", is_flag=True, help="Statistics as JSON.")
def data_inspect(directory, rows, as_json):
    """What is in the shards of DIRECTORY: checked, counted and decoded."""
    from data_pipeline.inspect import inspect

    click.echo(inspect(directory, rows=rows, as_json=as_json))


@biomatrix.command()
@click.argument("config", type=_path)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option("--out", type=_path, required=True, help="The run's directory; resumed if it exists.")
@click.option(
    "--cpu-devices", type=click.IntRange(1, 9999), help="Simulate this many devices on the CPU."
)
@click.option(
    "--distributed",
    is_flag=True,
    help="One of several processes, as the environment of a TPU pod, Slurm, Open MPI or a JobSet "
    "says, or the three options that follow.",
)
@click.option("--coordinator", metavar="HOST:PORT", help="Where process 0 is reached.")
@click.option("--processes", type=click.IntRange(1, 9999), help="How many there are.")
@click.option("--process-id", type=click.IntRange(0, 9998), help="Which one this is, from 0.")
@click.option(
    "--allow-changes",
    is_flag=True,
    help="Resume with a configuration or data that change what the run means; the run keeps a "
    "record of it.",
)
def train(config, overrides, out, cpu_devices, distributed, allow_changes, **joined):
    """Pretraining or instruction tuning as CONFIG says; starting again resumes by itself.

    SIGTERM and SIGINT save and end it with status 0. When one of several processes dies, all end.
    """
    from biomatrix_jax.config import load
    from biomatrix_jax.stopping import leave, stop_on_signal

    run = load(config, overrides)
    with stop_on_signal() as stop:  # while JAX is imported, too
        from biomatrix_jax.lifeline import shared_fate
        from biomatrix_jax.processes import join
        from biomatrix_jax.sharding.mesh import request_cpu_devices, simulate_cpu_devices

        if distributed or any(value is not None for value in joined.values()):
            if cpu_devices:  # of each process's own
                request_cpu_devices(cpu_devices)
            join(joined["coordinator"], joined["processes"], joined["process_id"])
        elif cpu_devices:
            simulate_cpu_devices(cpu_devices)
        from biomatrix_jax.train.loop import train

        with shared_fate():
            train(run, out, allow_changes=allow_changes)
    if stop.abandoned:
        leave(0)


@biomatrix.command()
@click.argument("config", type=_path)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option(
    "--topology",
    required=True,
    help="v5p:2x2x2, v5e:4x4 or v6e:4x4 (v5e:4x4*2: two slices), with no TPU at hand; cpu:8; here.",
)
@click.option(
    "--mesh",
    "meshes",
    multiple=True,
    help="Sizes of its axes, the others 1: fsdp=8 or fsdp=4,tensor=2. With --sweep several times.",
)
@click.option(
    "--sweep",
    "swept",
    is_flag=True,
    help="Plan a grid, the best first: of overrides with lists, compute.remat=[full, minimal]; "
    "without any, of meshes, remat policies and parts of the batch.",
)
@click.option("--out", type=_path, help="Of a sweep: table, pictures and page, and its cache.")
@click.option("--jobs", type=click.IntRange(1), help="Of a sweep: the most compiles at a time.")
@click.option("--json", "as_json", is_flag=True)
def plan(config, overrides, topology, meshes, swept, out, jobs, as_json):
    """Memory, FLOPs, communication and estimated time of a training step on TOPOLOGY.

    The step is compiled, not run, and the data need not exist.
    """
    # Of a compiler that has no device the warnings are about that.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if swept:
        from biomatrix_jax.plan.sweep.run import mesh_axis, sweep

        axes = [*overrides, *([mesh_axis(meshes)] if meshes else [])]
        found = sweep(str(config), topology, axes, out, jobs)
        click.echo(json.dumps(found.as_json()) if as_json else found.text())
        sys.exit(0 if found.planned else 1)
    if len(meshes) > 1 or out or jobs:
        raise BadInput("several --mesh, --out and --jobs are of a sweep: add --sweep")
    from biomatrix_jax.config import load
    from biomatrix_jax.plan.plan import plan
    from biomatrix_jax.plan.words import mesh_overrides, text

    run = load(config, [*overrides, *(mesh_overrides(meshes[0]) if meshes else [])])
    planned = plan(run, topology)
    click.echo(json.dumps(planned.as_json()) if as_json else text(planned))


@biomatrix.group()
def convert():
    """Weights between Hugging Face directories and our checkpoints, bit for bit."""


_overwrite = click.option("--overwrite", is_flag=True, help="Replace DST.")


@convert.command("from-hf")
@click.argument("src")
@click.argument("dst", type=_path)
@click.option("--revision", help="Of a SRC on the Hub: branch, tag or commit.")
@_overwrite
def convert_from_hf(src, dst, revision, overwrite):
    """Hugging Face directory or Hub id (org/name) SRC -> our checkpoint DST."""
    from biomatrix_jax.convert.importer import from_hf

    _tell(from_hf(src, dst, overwrite=overwrite, revision=revision))


@convert.command("to-hf")
@click.argument("src", type=_path)
@click.argument("dst")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), help="Cast to.")
@click.option("--shard-size", default="5GB", show_default=True, help="Largest weight file.")
@click.option("--average", is_flag=True, help="The run's average of the weights in their place.")
@_overwrite
@click.option("--push", is_flag=True, help="DST is a Hub id: send it there, with a model card.")
@click.option("--private", is_flag=True, help="Push to a private repository.")
@click.option("--revision", help="The branch to push to, made if it is not there.")
def convert_to_hf(src, dst, dtype, shard_size, average, overwrite, push, private, revision):
    """Our checkpoint or run SRC -> Hugging Face directory DST, or repository DST on the Hub."""
    what = {"dtype": dtype, "shard_size": shard_size, "item": "average" if average else "params"}
    if push:
        if overwrite:
            raise BadInput("--overwrite is for directories: a push adds a commit, take it out")
        from biomatrix_jax.convert.push import push_checkpoint

        to = {"private": private, "revision": revision}
        url, notes = push_checkpoint(src, dst, **to, **what)
        _tell(notes)
        click.echo(url)
        return
    if private or revision or dst.startswith("hf://"):
        raise BadInput(f"{dst}: a Hub id, --private and --revision need --push beside them")
    from biomatrix_jax.convert.exporter import to_hf

    _tell(to_hf(src, dst, **what, overwrite=overwrite))


@convert.command("verify")
@click.argument("a")
@click.argument("b", required=False)
@click.option("--tol", type=float, help="Largest absolute difference allowed.  [default: bitwise]")
@click.option("--rtol", type=float, help="In addition, this times the size of B's value.")
@click.option("--logits", is_flag=True, help="Compare logits on random packed rows too.")
@click.option("--rows", type=int, help="Of them.  [default: 2; implies --logits]")
@click.option("--length", type=int, help="Tokens of a row.  [default: 256; implies --logits]")
@click.option("--seed", type=int, help="Of the rows.  [default: 0; implies --logits]")
@click.option(
    "--logits-tol",
    type=float,
    help="Largest difference of a logit allowed, in units of the root mean square of B's or of 1, "
    "whichever is more.  [default: 1e-4; implies --logits]",
)
@click.option(
    "--against",
    type=click.Choice(["transformers"]),
    help="It computes B's logits (without B: those of A) on the CPU; implies --logits.",
)
@click.option("--revision-a", help="Of an A on the Hub: branch, tag or commit.")
@click.option("--revision-b", help="Of a B on the Hub.")
@click.option("--json", "as_json", is_flag=True)
def convert_verify(a, b, tol, rtol, logits, rows, length, seed, logits_tol, as_json, **options):
    """Compares any two of: Hugging Face directory or Hub id (org/name), our checkpoint.

    Exit status 1 where they differ.
    """
    from biomatrix_jax.convert.compare.logits import LogitsTest
    from biomatrix_jax.convert.verify import verify

    given = {"rows": rows, "length": length, "seed": seed, "tol": logits_tol}
    given = {name: value for name, value in given.items() if value is not None}
    test = LogitsTest(**given) if logits or given else None
    report = verify(a, b, tol, rtol, logits=test, **options)
    click.echo(report.to_json() if as_json else report.text())
    sys.exit(0 if report.equal else 1)


@biomatrix.group()
def vocab():
    """The vocabulary: text, and the tokens of molecules and proteins."""


@vocab.command("extend")
@click.argument("base")
@click.argument("dst", type=_path)
@click.option(
    "--counts",
    type=_path,
    help='Joint molecule tokens and how often they occur: JSON {"[C 42]": 123}, or a line each '
    "with a tab between.  [default: no joint tokens]",
)
@click.option(
    "--coverage",
    default=0.99,
    show_default=True,
    help="Keep the most frequent joint tokens that are more than this share of all occurrences.",
)
@click.option(
    "--selfies",
    type=_path,
    help="SELFIES symbols, one a line.  [default: those of the joint tokens]",
)
@click.option(
    "--protein-codes",
    default=4096,
    show_default=True,
    type=click.IntRange(0),
    help="How many protein structure codes.",
)
@click.option(
    "--pad-to",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="The table grows to a multiple of this.",
)
@click.option("--seed", default=0, show_default=True, help="Of the noise on new rows.")
@click.option("--untie", is_flag=True, help="Give a tied base an output head of its own.")
@click.option("--revision", help="Of a BASE on the Hub: branch, tag or commit.")
@_overwrite
def vocab_extend(base, dst, counts, selfies, coverage, **options):
    """Qwen3 model BASE (Hugging Face directory or Hub id) -> the same with all token families,
    DST."""
    from biomatrix_jax.convert.extend import extend
    from biomatrix_jax.tokens.counts import choose

    chosen = choose(counts, selfies, coverage)
    tokens = {"selfies": chosen.selfies, "molecule_tokens": chosen.molecule_tokens}
    _tell(chosen.notes + extend(base, dst, **tokens, **options))


@biomatrix.group()
def molecule():
    """Molecules with coordinates to structure tokens and back (MolStrucTok)."""
    # The network is too small for an accelerator, and its codes should not depend on there being
    # one. Worker processes inherit this.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


_molecule_weights = click.option(
    "--weights",
    default="default",
    show_default=True,
    help="A tokenizer's directory, or the file that MolStrucTok published; default: the one "
    "shipped.",
)
_processes = click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 999),
    help="Processes; what they write does not depend on how many.",
)


@molecule.command("encode")
@click.argument("sources", nargs=-1, required=True, metavar="IN...")
@click.argument("out", type=_path, metavar="OUT.jsonl")
@_molecule_weights
@_processes
@click.option("--seed", default=0, show_default=True, help="Of conformers that are made.")
@click.option("--json", "as_json", is_flag=True, help="What came of it, as JSON.")
def molecule_encode(sources, out, weights, workers, seed, as_json):
    """Molecules IN (SDF with hydrogens and 3D coordinates; folders; patterns) -> a JSON line each.

    {"name", "smiles", "codes", "struct_selfies"}. IN may also be tables with SMILES (.smi, or .csv
    and .tsv with a column SMILES, perhaps one NAME or ID): hydrogens are added to those, and a
    conformer is made with ETKDGv3 and relaxed with MMFF94. All also gzipped. A molecule that fails
    is a line {"name", "error"}, and the others go on; exit status 2 if none can be encoded.
    """
    from biomatrix_jax.structure.molecule.commands import encode

    _report(encode(sources, out, weights, workers, seed), out, as_json, "molecules")


@molecule.command("decode")
@click.argument("lines", type=_path, metavar="IN.jsonl")
@click.argument("out", type=_path, metavar="OUT.sdf")
@_molecule_weights
@_processes
@click.option(
    "--refine",
    is_flag=True,
    help="Make all tokens, ring closures and usual bond lengths agree at once, by least squares.",
)
@click.option("--mmff", is_flag=True, help="Relax the coordinates with MMFF94, refined or not.")
@click.option("--json", "as_json", is_flag=True, help="What came of it, as JSON.")
def molecule_decode(lines, out, weights, workers, refine, mmff, as_json):
    """Lines of codes IN.jsonl -> an SDF file of conformers in the same order, OUT.sdf or .sdf.gz.

    Of a line "name" and "struct_selfies" are enough. Lines that fail are in OUT.failed.jsonl, and
    the others go on; exit status 2 if none can be decoded.
    """
    from biomatrix_jax.structure.molecule.commands import decode, failures_beside

    summary = decode(lines, out, weights, refine, mmff, workers)
    _report(summary, out, as_json, "molecules", failures_beside(out))


@molecule.command("import-weights")
@click.argument("src", type=_path, metavar="SRC.bin")
@click.argument("dst", type=_path)
def molecule_import_weights(src, dst):
    """The file of weights that MolStrucTok published -> the same as a directory of ours, DST."""
    from biomatrix_jax.structure.molecule.commands import import_weights

    import_weights(src, dst)


@biomatrix.group()
def protein():
    """Backbones of proteins to structure tokens and back (GCP-VQVAE)."""


_protein_weights = click.option(
    "--weights",
    default="default",
    show_default=True,
    help="A tokenizer's directory: config.json and model.safetensors; default: the one shipped.",
)


@protein.command("encode")
@click.argument("sources", nargs=-1, required=True, metavar="IN...")
@click.argument("out", type=_path, metavar="OUT.jsonl")
@_protein_weights
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 999),
    help="Processes that read files.",
)
@click.option("--json", "as_json", is_flag=True, help="What came of it, as JSON.")
def protein_encode(sources, out, weights, workers, as_json):
    """Structure files IN (PDB or mmCIF, also gzipped; folders; patterns) -> a JSON line a chain.

    {"name", "chain", "sequence", "codes", "numbers", "b_factors"}: -1 where a residue was not
    observed. A file or chain that fails is a line {"name", "error"}, and the others go on; exit
    status 2 if none can be encoded.
    """
    from biomatrix_jax.structure.protein.commands import encode

    _report(encode(sources, out, weights, workers), out, as_json)


@protein.command("decode")
@click.argument("lines", type=_path, metavar="IN.jsonl")
@click.argument("out", type=_path, metavar="OUTDIR")
@_protein_weights
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["pdb", "cif", "pdb.gz", "cif.gz"]),
    default="pdb",
    show_default=True,
)
@click.option("--overwrite", is_flag=True, help="Replace OUTDIR.")
@click.option("--json", "as_json", is_flag=True, help="What came of it, as JSON.")
def protein_decode(lines, out, weights, suffix, overwrite, as_json):
    """Lines of codes IN.jsonl -> a file of N, CA, C for each chain, OUTDIR/NAME_CHAIN.pdb.

    Of a line "name" and "codes" are enough. Lines that fail are in OUTDIR/failed.jsonl, and the
    others go on; exit status 2 if none can be decoded.
    """
    from biomatrix_jax.structure.protein.commands import decode

    _report(decode(lines, out, weights, suffix, overwrite), out, as_json)


def _report(summary, out, as_json, what="chains", failures=None):
    """`what` is the summary's name for that which is in `out`; `failures` is where they are told of
    if not there."""
    if as_json:
        click.echo(json.dumps({**vars(summary), "out": str(out)}))
    done, failed = getattr(summary, what), summary.failed
    if failed and not done:
        raise BadInput(
            f"all of {failed} failed, see {failures or out}; the first: {summary.first_error}"
        )
    if not as_json:
        see = f" ({failures})" if failed and failures else ""
        click.echo(f"{done:,} {what} in {out}, {failed:,} failed{see}", err=True)


@biomatrix.command()
@click.argument("checkpoint")
@click.option("--prompt", help="Text, control tokens spelled out where wanted.")
@click.option("--start", help="Open a segment instead: smiles, selfies, molecule_3d, ...")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1))
@click.option("--temperature", default=1.0, show_default=True, help="0 is greedy.")
@click.option("--top-p", default=1.0, show_default=True)
@click.option("--max-tokens", default=256, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option("--revision", help="Of a CHECKPOINT on the Hub: branch, tag or commit.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a generation.")
def generate(checkpoint, as_json, **options):
    """Text, molecules and proteins from CHECKPOINT (ours, a Hugging Face directory or Hub id)."""
    from biomatrix_jax.generate.generate import run

    for line in run(checkpoint, as_json=as_json, **options):
        click.echo(line)


if __name__ == "__main__":
    main()
