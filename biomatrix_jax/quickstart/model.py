"""Stages of the language model: trained, exported, read back, asked for new segments."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biomatrix_jax import config
from biomatrix_jax.files import atomic_file
from biomatrix_jax.quickstart.commands import command, override
from biomatrix_jax.quickstart.journal import Stage
from biomatrix_jax.quickstart.size import Size
from biomatrix_jax.tokens import Vocabulary

if TYPE_CHECKING:
    from biomatrix_jax.generate import Generation

VOCABULARY_MULTIPLE = 64  # rows of the embedding, so that it splits over devices
TEXT_PROMPTS = ("The ", "A process that ", "The chemical reactions ")
TEMPERATURE, TOP_P = 0.9, 0.95
# Of thousands of structure codes the corpus shows each a few times. As warm as the others, most
# chains would meet a token of another kind before their end.
COOLER = {"protein_3d": 0.5}


def train_model(
    out: Path, vocabulary: Vocabulary, devices: int, size: Size, stage: Stage
) -> list[dict]:
    """The smoke configuration, trained; returns what it measured at each step."""
    from biomatrix_jax.train.loop import train
    from biomatrix_jax.train.metrics import FILE, read

    rows = -(-vocabulary.size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    overrides = [f"model.vocab_size={rows}", override("data.path", out / "data")]
    overrides += size.overrides
    run = config.load("smoke", overrides)
    stage.command = command(
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

    stage.command = command("convert", "to-hf", run, hf)
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
            temperature=COOLER.get(modality, TEMPERATURE),
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
    stage.command = command(
        "generate", hf, "--start", "selfies", "--count", count, *settings, "--json"
    )
    clean = sum(not one.problems for one in everything)
    stage.outcome = f"{clean} of {len(everything)} parse without a problem"
    return generated
