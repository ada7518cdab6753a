"""The quickstart's page: what was learnt, what was generated, what was run."""

from collections.abc import Mapping, Sequence
from typing import Any

from biomatrix_jax.config import RunConfig, dump
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.generate import Generation
from biomatrix_jax.quickstart.backbone_sections import backbones as backbone_section
from biomatrix_jax.quickstart.backbones import BackboneVerdict, RoundTrip
from biomatrix_jax.quickstart.journal import Stage
from biomatrix_jax.quickstart.molecule_sections import conformers, headlines, molecules
from biomatrix_jax.quickstart.molecules import Judged
from biomatrix_jax.report import training
from biomatrix_jax.report.blocks import (
    Bar,
    Bars,
    Code,
    Facts,
    Page,
    Sample,
    Samples,
    Section,
    Table,
)
from biomatrix_jax.report.numbers import count, duration
from biomatrix_jax.tokens import ProteinSequence

SAMPLES = 4


def quickstart_page(
    *,
    config: RunConfig,
    metrics: Sequence[Mapping[str, Any]],
    manifest: Manifest,
    generated: Mapping[str, Sequence[Generation]],
    judged: Mapping[str, Judged],
    known: frozenset[str] | set[str],
    backbones: Sequence[BackboneVerdict],
    chains: RoundTrip,
    stages: Sequence[Stage],
    machine: str,
    versions: Mapping[str, str],
) -> Page:
    """The page.

    Args:
      config: of the training run.
      metrics: the lines of its `metrics.jsonl`.
      manifest: of the data it was trained on.
      generated: modality -> what was generated of it.
      judged: the same of the modalities that are molecules: "selfies", "molecule_3d", ...
      known: canonical SMILES of the molecules that the data were made from.
      backbones: what was generated of "protein_3d", judged.
      chains: the protein chains that the data were made from, and through their codes.
      stages: what was done, in order.
      machine, versions: on what.
    """
    seconds = sum(stage.seconds for stage in stages)
    sections = [training.losses(metrics), molecules(judged, known)]
    if "molecule_3d" in judged and judged["molecule_3d"].tally.valid:
        sections.append(conformers(judged["molecule_3d"], known))
    sections.append(backbone_section(backbones, chains))
    sections.append(_samples(generated))
    sections.append(_run(config, manifest, stages, machine, versions))
    return Page(
        title="BioMatrix in JAX: the quickstart",
        subtitle=f"The main job, small, on real input: molecules, proteins and text became tokens; "
        f"a decoder learnt from them for {len(metrics):,} steps and wrote new ones. "
        f"{duration(seconds)} in all.",
        headlines=[*training.headlines(metrics), *headlines(judged)],
        sections=sections,
        footer=f"biomatrix-jax {versions['biomatrix-jax']}, {machine}",
    )


def _samples(generated: Mapping[str, Sequence[Generation]]) -> Section:
    """The first proteins and texts. A text's prompt is set apart from what the model wrote."""
    samples = [
        _sample(one, modality)
        for modality in ("protein_sequence", "text")
        for one in generated.get(modality, ())[:SAMPLES]
    ]
    return Section("Proteins and text", [Samples(samples)])


def _sample(generation: Generation, modality: str) -> Sample:
    name = training.NAMES[modality]
    match generation.segments:
        case [ProteinSequence(sequence)] if not generation.problems:
            return Sample(f"{name}, {len(sequence):,} residues", "", sequence)
    made = len(generation.ids) - generation.prompt_length
    cut = "" if generation.finished else ", cut at the limit"
    return Sample(
        f"{name}, {made:,} tokens{cut}",
        given=generation.prompt,
        made=generation.text.removeprefix(generation.prompt),
        note="; ".join(problem.message for problem in generation.problems),
    )


def _run(config, manifest: Manifest, stages, machine, versions) -> Section:
    bars = Bars([Bar(s.name, s.seconds, duration(s.seconds), s.outcome) for s in stages])
    model = config.model
    mesh = config.mesh
    axes = ((axis, getattr(mesh, axis)) for axis in ("slice", "data", "fsdp", "context", "tensor"))
    facts = Facts(
        [
            (
                "model",
                f"Qwen3 decoder: {model.layers} layers, width {model.embed_dim}, {model.heads} "
                f"query and {model.kv_heads} key/value heads of {model.head_dim}, feed-forward "
                f"{model.ffn_dim}, {model.vocab_size:,} tokens",
            ),
            (
                "mesh",
                ", ".join(f"{axis}={size}" for axis, size in axes if size != 1) or "1 device",
            ),
            (
                "batch",
                f"{config.data.batch_rows} rows of {config.data.row_length:,} tokens; "
                f"packing fills {manifest.fill:.1%} of a row",
            ),
            ("machine", machine),
            ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ]
    )
    commands = "\n".join(stage.command for stage in stages if stage.command)
    return Section(
        "What was run",
        [
            bars,
            _sources(manifest),
            facts,
            Code(commands),
            Code(dump(config), summary="The resolved configuration of the training run"),
        ],
    )


def _sources(manifest: Manifest) -> Table:
    columns = ("source", "records", "used", "documents", "tokens", "rows", "left out")
    rows = [
        (
            source.name,
            f"{source.records:,}",
            f"{source.used:,}",
            f"{source.documents:,}",
            count(source.total_tokens),
            f"{source.rows:,}",
            "; ".join(
                f"{what}: {', '.join(f'{reason} ({n:,})' for reason, n in reasons.items())}"
                for what, reasons in (
                    ("records", source.dropped),
                    ("views", source.lost),
                    ("instances", source.rejected),
                )
                if reasons
            ),
        )
        for source in manifest.sources
    ]
    return Table(columns, rows, numeric=columns[1:6])
