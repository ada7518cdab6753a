"""The directory of a training run: its state, to go on from, and its metrics."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.structure.molecule.training.config import TrainingConfig

STATE_FILE, METRICS_FILE = "state.safetensors", "metrics.jsonl"


class Run:
    """Reads and writes the files of one run; without a directory it does neither."""

    def __init__(
        self, directory: str | Path | None, config: TrainingConfig, data: np.ndarray
    ) -> None:
        self._directory = Path(directory) if directory is not None else None
        digest = hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()
        self._identity = {"config": json.dumps(dataclasses.asdict(config)), "data": digest}

    def resume(self, fresh: Any) -> tuple[int, Any]:
        """The step to go on with and the state before it: of the files, else 0 and `fresh`.

        Metrics of steps from there on are dropped, so that none appears twice.

        Raises:
          BadInput: the directory holds the state of a run with other data or settings, or a file
            that is not such a state.
        """
        from safetensors import SafetensorError, safe_open

        if self._directory is None:
            return 0, fresh
        path = self._directory / STATE_FILE
        if not path.exists():
            self._keep_metrics(before=0)
            return 0, fresh
        leaves, structure = jax.tree_util.tree_flatten_with_path(fresh)
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = dict(file.metadata() or {})
                step = int(metadata.pop("step"))
                if metadata != self._identity:
                    raise BadInput(
                        f"{path}: state of a run with other data or settings: choose another "
                        "directory, or remove this one"
                    )
                loaded = [jnp.asarray(file.get_tensor(_spell(keys))) for keys, _ in leaves]
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{path}: not a state of this trainer ({error}): remove it") from error
        self._keep_metrics(before=step)
        return step, jax.tree_util.tree_unflatten(structure, loaded)

    def save(self, step: int, state: Any) -> None:
        """Replaces the state on disk, atomically; `step` is the next to do."""
        from safetensors.numpy import save

        if self._directory is None:
            return
        leaves, _ = jax.tree_util.tree_flatten_with_path(state)
        tensors = {_spell(keys): np.asarray(leaf, order="C") for keys, leaf in leaves}
        with atomic_file(self._directory / STATE_FILE) as file:
            file.write(save(tensors, {"step": str(step), **self._identity}))

    def log(self, line: dict[str, Any]) -> None:
        if self._directory is None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        with open(self._directory / METRICS_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _keep_metrics(self, before: int) -> None:
        path = self._directory / METRICS_FILE
        if not path.exists():
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < before]
        with atomic_file(path, "w") as file:
            file.writelines(kept)


def _spell(keys: tuple) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator=".")
