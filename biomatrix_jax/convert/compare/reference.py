"""The reference: transformers' own Qwen3 in PyTorch, where both are installed."""

import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from biomatrix_jax.convert import exporter
from biomatrix_jax.convert.compare.logits import DTYPE, in_chunks
from biomatrix_jax.convert.compare.random_rows import Rows
from biomatrix_jax.convert.source import HFSource, Source
from biomatrix_jax.errors import BadInput, some

LIBRARIES = ("torch", "transformers")


def check(against: str) -> None:
    """Raises BadInput where `against` names no reference, or it is not installed."""
    if against != "transformers":
        raise BadInput(f"against {against!r}: known is 'transformers'")
    missing = [name for name in LIBRARIES if not importlib.util.find_spec(name)]
    if missing:
        raise BadInput(
            f"--against transformers: {' and '.join(missing)} not installed: "
            "pip install 'biomatrix-jax[torch]'"
        )


@contextlib.contextmanager
def hf_directory(source: Source) -> Iterator[Path]:
    """A directory that transformers reads: the source's own, or a temporary export of it."""
    if isinstance(source, HFSource):
        yield source.path
        return
    with tempfile.TemporaryDirectory() as temporary:
        exporter.to_hf(source.path, Path(temporary) / "hf")
        yield Path(temporary) / "hf"


def reference_logits(directory: Path, rows: Rows) -> Iterator[np.ndarray]:
    """As `our_logits`, computed by transformers on the CPU.

    Raises:
      BadInput: it does not find in `directory` what its Qwen3 needs, or finds more.
    """
    import torch

    model = _load(directory)
    mask_btt = torch.from_numpy(_additive_mask(rows.segment_ids))
    with torch.inference_mode():
        for row, (tokens, segment_ids, positions) in enumerate(zip(*rows, strict=True)):
            output = model.model(
                input_ids=torch.from_numpy(tokens).long()[None],
                attention_mask=mask_btt[row][None, None],
                position_ids=torch.from_numpy(positions).long()[None],
                use_cache=False,
            )
            hidden = output.last_hidden_state[0, torch.from_numpy(segment_ids > 0)]
            yield from in_chunks(model.lm_head, hidden, model.config.vocab_size)


def _additive_mask(segment_ids: np.ndarray) -> np.ndarray:
    """float32 [B, T, T]: 0 where a token sees another, else the lowest number.

    Written from the meaning of packed rows and not with the decoder's own mask, which is under
    test here.
    """
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    sees = same & np.tri(segment_ids.shape[1], dtype=bool)
    return np.where(sees, 0, np.finfo(np.float32).min).astype(np.float32)


def _load(directory: Path):
    """The model in float32. By its class: code in the directory is never looked at."""
    import torch
    from transformers import Qwen3ForCausalLM

    try:
        model, info = Qwen3ForCausalLM.from_pretrained(
            directory,
            dtype=getattr(torch, DTYPE),
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"{directory}: transformers does not read it: {error}") from None
    # What it misses it makes up.
    found = {kind: sorted(map(str, info[f"{kind}_keys"])) for kind in ("missing", "unexpected")}
    found["mismatched"] = sorted(str(key[0]) for key in info["mismatched_keys"])
    problems = [f"{kind} {some(keys)}" for kind, keys in found.items() if keys]
    if problems:
        raise BadInput(f"{directory}: transformers reads it otherwise: {'; '.join(problems)}")
    return model.eval()
