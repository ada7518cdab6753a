"""The README.md that goes to the Hub with a model: only what its files and its record say.

Nothing is guessed. What is not known, the license above all, is left out for the owner to add;
of local paths only the last name is told.
"""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from biomatrix_jax.config import ModelConfig, RunConfig, from_dict
from biomatrix_jax.convert import rules
from biomatrix_jax.convert.hf_config import ARCHITECTURE
from biomatrix_jax.convert.hub import SCHEME
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import Vocabulary

# Whoever edits the card by hand takes this line out, or leaves it to have the card kept up to date.
_MARK = "<!-- Written by biomatrix-jax and replaced by its next push, unless this line is gone. -->"

_FAMILIES = {
    "control": "control tokens, opening and closing a segment",
    "selfies": "SELFIES symbols",
    "residues": "protein residues",
    "protein_codes": "protein structure codes",
    "molecule_tokens": "molecule structure tokens, a SELFIES symbol with a code each",
}


def model_card(
    repo_id: str,
    config: ModelConfig,
    dtype: str,
    *,
    made: Mapping[str, Any],
    step: int,
    rounded_from: str | None = None,
    vocabulary: Vocabulary | None = None,
    extension: Mapping[str, Any] | None = None,
) -> str:
    """Markdown with the metadata that the Hub reads at its top.

    Args:
      repo_id: `org/name` of the repository that the card is for.
      dtype: of the weights there.
      made: the checkpoint's record of how it was made.
      step: of the checkpoint.
      rounded_from: the checkpoint's own dtype, where the weights were cast.
      vocabulary: the tokenizer that goes there; None: none does.
      extension: what vocab_extension.json says, where there is one.
    """
    base = _hub_base(made, extension or {})
    lines = [*_front_matter(base, vocabulary), "", f"# {repo_id.partition('/')[2]}", "", _MARK, ""]
    lines += [*_architecture(config, dtype, rounded_from), ""]
    if vocabulary is not None:
        lines += ["## Vocabulary", "", *_vocabulary(config, vocabulary, extension or {}), ""]
    if history := list(_history(made, step)):
        lines += ["## How it was made", "", *history, ""]
    lines += ["## Use", "", *_use(repo_id, vocabulary is not None)]
    return "\n".join(lines) + "\n"


def is_made(card: str | os.PathLike) -> bool:
    """Whether the file is a card as `model_card` makes them, not one that somebody wrote."""
    return _MARK in Path(card).read_text("utf-8", errors="replace")


def _front_matter(base: str | None, vocabulary: Vocabulary | None) -> list[str]:
    tags = ["biomatrix-jax"]
    families = vocabulary.families if vocabulary is not None else {}
    tags += ["chemistry"] if {"selfies", "molecule_tokens"} & families.keys() else []
    tags += ["biology"] if {"residues", "protein_codes"} & families.keys() else []
    lines = ["library_name: transformers", "pipeline_tag: text-generation"]
    lines += [f"base_model: {base}"] if base else []
    return ["---", *lines, "tags:", *(f"- {tag}" for tag in tags), "---"]


def _architecture(config: ModelConfig, dtype: str, rounded_from: str | None) -> list[str]:
    groups = rules.tensors(config).values()
    count = sum(math.prod(tensor.shape) for group in groups for tensor in group)
    rounded = f", rounded from {rounded_from}" if rounded_from not in (None, dtype) else ""
    tied = "shared with" if config.tied_embeddings else "separate from"
    return [
        f"A Qwen3 decoder (`{ARCHITECTURE}`) with {count:,} parameters in {dtype}{rounded}.",
        "",
        "| | |",
        "|---|---|",
        f"| hidden size | {config.embed_dim:,} |",
        f"| layers | {config.layers} |",
        f"| query heads / key-value heads | {config.heads} / {config.kv_heads} |",
        f"| head dimension | {config.head_dim} |",
        f"| feed-forward size | {config.ffn_dim:,} |",
        f"| rope theta | {config.rope_theta:,.0f} |",
        f"| output head | {tied} the embedding |",
    ]


def _vocabulary(
    config: ModelConfig, vocabulary: Vocabulary, extension: Mapping[str, Any]
) -> list[str]:
    lines = [f"{vocabulary.size:,} tokens in an embedding of {config.vocab_size:,} rows."]
    if vocabulary.families:
        rows = (
            f"| {_FAMILIES.get(name, name)} | {len(ids):,} |"
            for name, ids in vocabulary.families.items()
        )
        lines += ["", "| family | tokens |", "|---|---|", *rows]
    base, noise = extension.get("base"), extension.get("noise")
    if isinstance(base, Mapping) and isinstance(noise, Mapping) and "path" in base:
        lines += [
            "",
            f"The families were added to {_named(base['path'], base.get('revision'))}, which has "
            f"{base.get('tokens')} tokens. A new token's row began as the mean of the base's rows "
            "for the pieces of its description, plus Gaussian noise of standard deviation "
            f"{noise.get('standard_deviation')} (seed {noise.get('seed')}).",
        ]
    return lines


def _history(made: Mapping[str, Any], step: int) -> Iterator[str]:
    if isinstance(source := made.get("from"), str):
        yield f"- Weights converted from {_named(source, made.get('commit'))}."
    if (run := _run(made)) is None:
        return
    start = _named(run.train.init_from, None) if run.train.init_from else "random weights"
    steps, seed = run.train.steps, run.train.seed
    yield f"- Trained for {step:,} of {steps:,} steps, starting from {start}, seed {seed}."
    yield f"- A step: {run.data.batch_rows:,} packed rows of {run.data.row_length:,} tokens."
    if run.data.mixture:
        yield f"- Mixture by weight: {_weights(run.data.mixture)}."
    for stage in run.data.mixture_schedule:
        weights = _weights(stage.mixture) or "as many rows as there are"
        yield f"- Mixture from step {stage.from_step:,} on: {weights}."
    names = {"adamw": "AdamW", "adafactor": "Adafactor", "muon": "Muon"}
    decays = {"cosine": "cosine", "wsd": "warm-up-stable-decay"}
    yield (
        f"- {names[run.optimizer.name]}: peak learning rate {run.optimizer.peak_learning_rate:g}, "
        f"{run.optimizer.warmup_steps:,} warm-up steps, "
        f"{decays[run.optimizer.schedule]} decay to "
        f"{run.optimizer.final_fraction:g} of the peak, weight decay "
        f"{run.optimizer.weight_decay:g}."
    )


def _weights(mixture: Mapping[str, float]) -> str:
    return ", ".join(f"{_code(name)} {weight:g}" for name, weight in mixture.items())


def _run(made: Mapping[str, Any]) -> RunConfig | None:
    """The configuration of the run that made the weights, if one did and it can be read here."""
    try:
        return from_dict(RunConfig, made["config"], "made") if "config" in made else None
    except BadInput:  # another version's: its keys may mean something else
        return None


def _use(repo_id: str, tokenizer: bool) -> list[str]:
    names = "AutoModelForCausalLM" + (", AutoTokenizer" if tokenizer else "")
    load = [f'tokenizer = AutoTokenizer.from_pretrained("{repo_id}")'] if tokenizer else []
    return [
        "With transformers:",
        "",
        "```python",
        f"from transformers import {names}",
        "",
        *load,
        f'model = AutoModelForCausalLM.from_pretrained("{repo_id}", dtype="auto")',
        "```",
        "",
        "With biomatrix-jax:",
        "",
        "```python",
        "import biomatrix_jax as bm",
        "",
        f'model = bm.load("{SCHEME}{repo_id}")',
        "```",
    ]


def _hub_base(made: Mapping[str, Any], extension: Mapping[str, Any]) -> str | None:
    """The Hub id that the model comes from, where the records name one for certain."""
    run, base = _run(made), extension.get("base")
    origins = [(made.get("from"), made.get("commit"))]
    origins += [(run.train.init_from, None)] if run else []
    origins += [(base.get("path"), base.get("revision"))] if isinstance(base, Mapping) else []
    return next(filter(None, (_hub_id(*origin) for origin in origins)), None)


def _hub_id(path: Any, commit: Any) -> str | None:
    # `org/name` alone may have been a local path; with a commit beside it, it was not.
    if not isinstance(path, str) or not (path.startswith(SCHEME) or commit):
        return None
    return path.removeprefix(SCHEME)


def _named(path: str, commit: str | None) -> str:
    if repo_id := _hub_id(path, commit):
        link = f"[{repo_id}](https://huggingface.co/{repo_id})"
        return f"{link} at commit {_code(commit)}" if commit else link
    return f"the directory {_code(PurePath(path).name)}"


def _code(text: str) -> str:
    return f"`{' '.join(str(text).replace('`', ' ').split())}`"
