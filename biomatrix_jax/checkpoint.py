"""Checkpoints on disk; the only module that knows Orbax.

A checkpoint directory holds `model.json` (architecture, how it was made), `hf/` (files of a Hugging
Face directory carried along byte for byte) and a folder for each saved step, written by Orbax:

   CKPT/model.json CKPT/hf/tokenizer.json ... CKPT/500/params CKPT/500/training CKPT/500/data

Orbax writes a step under another name and renames it when it is complete. Beside its items lies
`inventory.json`, the size of every file, so that a damaged step is reported by file name before
anything is read; what was carried along is told by its SHA-256 in `model.json`. Readers open the
items directly and never write; only `save` makes a manager.
"""

import contextlib
import dataclasses
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from biomatrix_jax.config import ModelConfig, from_dict
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, check_absent, read_json, sha256
from biomatrix_jax.tokens.tokenizer_files import TOKENIZER_FILES, copy_files

FORMAT = 1
CARRIED_FILES = ("config.json", *TOKENIZER_FILES)
INVENTORY = "inventory.json"
PARTS = ("params", "training", "data", INVENTORY, "_CHECKPOINT_METADATA")  # of a saved step


class CheckpointStore:
    """One checkpoint directory. Make it with `create` or `open`.

    Attributes:
      directory: where it is.
      model: the architecture of every step in it.
      made: how it was made, as plain data.
      keep: steps that `save` leaves, newest first; None keeps all.
    """

    def __init__(self, directory: Path, model: ModelConfig, made: dict, keep: int | None):
        self.directory = directory
        self.model = model
        self.made = made
        self.keep = keep
        self._saving: int | None = None

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike,
        config: ModelConfig,
        *,
        carried: str | os.PathLike | None = None,
        made: Mapping[str, Any] = {},
        keep: int | None = None,
    ) -> "CheckpointStore":
        """Makes an empty store.

        Args:
          carried: a directory whose tokenizer, configuration and chat template files are copied;
            `open` misses them where they are lost.
          made: how the weights come to be, kept in `model.json`.

        Raises:
          BadInput: `directory` exists and is not empty, or `check_place` refuses it.
        """
        directory = _absolute(directory)
        check_place(directory)
        check_absent(directory)  # in every process, so that none waits for one that gave up
        _barrier("checkpoint absent")
        if jax.process_index() == 0:
            with atomic_directory(directory) as temporary:
                files = temporary / "hf"
                files.mkdir()
                names = copy_files(carried, files, CARRIED_FILES) if carried is not None else []
                head = {
                    "format": FORMAT,
                    "model": dataclasses.asdict(config),
                    "made": dict(made),
                    "carried": {name: sha256(files / name) for name in names},
                }
                (temporary / "model.json").write_text(json.dumps(head, indent=1) + "\n")
        _barrier("checkpoint created")
        return cls(directory, config, dict(made), keep)

    @classmethod
    def open(cls, directory: str | os.PathLike, *, keep: int | None = None) -> "CheckpointStore":
        """Opens an existing store.

        Raises:
          BadInput: it is not one, its `model.json` is not readable, or a file that it carries is
            missing or another.
        """
        directory = _absolute(directory)
        path = directory / "model.json"
        if not path.is_file():
            raise BadInput(f"{directory} is not a checkpoint: no model.json in it")
        head = read_json(path)
        if head.get("format") != FORMAT:
            raise BadInput(f"{path}: format {head.get('format')!r}, this version reads {FORMAT}")
        config = _read_config(head, path)
        made = head.get("made")
        if not isinstance(made, dict):
            raise BadInput(f"{path}: made must say how the checkpoint was made, not {made!r}")
        _check_carried(head, directory)
        return cls(directory, config, made, keep)

    @property
    def carried(self) -> Path:
        return self.directory / "hf"

    def steps(self) -> list[int]:
        """The complete steps, ascending."""
        return complete_steps(self.directory)

    def latest(self) -> int | None:
        return max(self.steps(), default=None)

    def save(self, step: int, params, *, training=None, data: dict | None = None) -> None:
        """Saves asynchronously: returns as soon as the arrays may be changed.

        Every process calls it. An earlier save still in progress is waited for.

        Args:
          params: the parameters, `nnx.split(model, nnx.Param)[1]` or any tree of arrays.
          training: a tree of arrays, such as the optimizer state.
          data: plain data, such as the position in the data.

        Raises:
          BadInput: `step` is there already; a folder that is no step is called like one.
        """
        self.wait()
        for stranger, parts in _folders_called_steps(self.directory).items():
            # Orbax takes it for a step and would delete it, or a true one in its place. What a
            # killed clean-up left has some of the parts, and Orbax may have it.
            if not parts:
                raise BadInput(
                    f"{self.directory / str(stranger)} is called like a step but was not saved as "
                    "one: move it elsewhere"
                )
        if step in self.steps():
            raise BadInput(f"{self.directory} holds step {step} already")
        self._saving = step
        items = {"params": ocp.args.PyTreeSave(flatten(params))}
        if training is not None:
            items["training"] = ocp.args.PyTreeSave(flatten(training))
        if data is not None:
            items["data"] = ocp.args.JsonSave(data)
        self._manager.save(step, args=ocp.args.Composite(**items), force=True)

    def wait(self) -> None:
        """Returns when what was saved is on disk; raises what went wrong in the background."""
        if "_manager" in self.__dict__:
            self._manager.wait_until_finished()

    def close(self) -> None:
        if "_manager" in self.__dict__:
            self._manager.close()
            del self.__dict__["_manager"]

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def abstract_params(self, step: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and dtypes as stored, by parameter path ("layers.attention.q")."""
        return self._metadata(step, "params")

    def restore_params(self, step: int, abstract):
        """Reads parameters.

        Args:
          abstract: a tree of `jax.ShapeDtypeStruct` (or arrays) in the structure wanted back; each
            leaf's sharding says where the array goes (none: the first device) and its dtype what
            it is cast to.

        Raises:
          BadInput: no such step, damaged files, or names or shapes other than stored.
        """
        return self._restore(step, "params", abstract)

    def read_param(self, step: int, path: str) -> np.ndarray:
        """One parameter as a host array, in the dtype stored."""
        args = {path: ocp.RestoreArgs(restore_type=np.ndarray)}
        return self._read(step, "params", {path: 0}, args)[path]

    def restore_training(self, step: int, abstract):
        """As `restore_params`, for what was saved as `training`."""
        return self._restore(step, "training", abstract)

    def restore_data(self, step: int) -> dict:
        """What was saved as `data`."""
        path = self._item(step, "data")
        with _explained(path):
            return ocp.JsonCheckpointHandler().restore(path)

    @functools.cached_property
    def _manager(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.LatestN(self.keep),
            create=False,
            cleanup_tmp_directories=True,  # what an interrupted run left half-written
            save_root_metadata=False,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._take_inventory),
        )
        handlers = {
            "params": ocp.PyTreeCheckpointHandler(),
            "training": ocp.PyTreeCheckpointHandler(),
            "data": ocp.JsonCheckpointHandler(),
        }
        return ocp.CheckpointManager(self.directory, options=options, item_handlers=handlers)

    def _take_inventory(self) -> None:
        """Called by Orbax in process 0 when all items are written, just before the rename."""
        for folder in self.directory.glob(f"{self._saving}.orbax-checkpoint-tmp*"):
            (folder / INVENTORY).write_text(json.dumps(_sizes(folder), indent=1) + "\n")

    def _item(self, step: int, name: str) -> Path:
        """The folder of one item, after comparing its files with the inventory."""
        if step not in self.steps():
            raise BadInput(f"{self.directory} holds no step {step}; it holds {self.steps()}")
        folder = self.directory / str(step)
        inventory = folder / INVENTORY
        if inventory.exists():  # object stores have no rename to write it before
            _compare(folder, name, read_json(inventory).items())
        if not (folder / name).is_dir():
            raise BadInput(f"{folder} holds no {name}: it was saved without")
        return folder / name

    def _metadata(self, step: int, item: str) -> dict[str, jax.ShapeDtypeStruct]:
        path = self._item(step, item)
        with _explained(path):
            stored = ocp.PyTreeCheckpointHandler().metadata(path).tree
            return {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in stored.items()}

    def _restore(self, step: int, item: str, abstract):
        wanted = flatten(abstract)
        _check_fit(self.directory / str(step) / item, self._metadata(step, item), wanted)
        first = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        args = {
            name: ocp.ArrayRestoreArgs(
                sharding=getattr(leaf, "sharding", None) or first, dtype=leaf.dtype
            )
            for name, leaf in wanted.items()
        }
        restored = self._read(step, item, wanted, args)
        return jax.tree.unflatten(jax.tree.structure(abstract), [restored[k] for k in wanted])

    def _read(self, step: int, item: str, wanted: dict, restore_args: dict) -> dict:
        path = self._item(step, item)
        args = ocp.args.PyTreeRestore(wanted, restore_args=restore_args, partial_restore=True)
        with _explained(path):
            return ocp.PyTreeCheckpointHandler().restore(path, args=args)


def check_place(directory: str | os.PathLike) -> None:
    """Raises BadInput for a path with wildcards in it: Orbax takes them for a pattern when it ends
    a save, and what it saved there could never be read."""
    if found := sorted(set("[]*") & set(str(_absolute(directory)))):
        raise BadInput(
            f"{directory}: checkpoints cannot lie under a path with {' '.join(found)} in its name: "
            "choose another place"
        )


def locate(path: str | os.PathLike) -> tuple[Path, int]:
    """(checkpoint directory, step) of a run, a checkpoint directory (latest step) or a step in it.

    Raises:
      BadInput: `path` is none of them, or holds no complete step.
    """
    path = _absolute(path)
    if path.name.isdecimal() and (path.parent / "model.json").is_file():
        if path.name not in map(str, complete_steps(path.parent)):
            raise BadInput(f"{path.parent} holds no step {path.name}")
        return path.parent, int(path.name)
    for directory in (path, path / "checkpoints"):
        if (directory / "model.json").is_file():
            steps = complete_steps(directory)
            if not steps:
                raise BadInput(f"{directory} holds no complete step yet")
            return directory, steps[-1]
    if not path.exists():
        raise BadInput(f"{path} does not exist")
    raise BadInput(f"{path} is neither a checkpoint nor a run: no model.json in it")


def is_checkpoint(path: str | os.PathLike) -> bool:
    """Whether `path` is a run, a checkpoint directory, or a step in one."""
    path = _absolute(path)
    places = [path, path / "checkpoints"] + ([path.parent] if path.name.isdecimal() else [])
    return any((place / "model.json").is_file() for place in places)


def complete_steps(directory: Path) -> list[int]:
    """Steps under `directory` that were saved to the end, ascending.

    A step that lost files since is one of them: reading it says which, and an older one does not
    take its place.
    """
    found = _folders_called_steps(directory).items()
    # Neither an empty folder has them nor another program's.
    return sorted(step for step, parts in found if parts & {"params", INVENTORY})


def _folders_called_steps(directory: Path) -> dict[int, set[str]]:
    """The parts in each finished folder with the name of a step: not "0007", not "eval_7"."""
    folders = [Path(path) for path in ocp.utils.checkpoint_steps_paths(directory)]
    called = [folder for folder in folders if re.fullmatch("0|[1-9][0-9]*", folder.name)]
    return {int(f.name): {part for part in PARTS if (f / part).exists()} for f in called}


def flatten(tree) -> dict[str, Any]:
    """The leaves of a tree by dotted path, in the tree's order; nnx variables count as leaves."""
    leaves = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if path and path[-1] == jax.tree_util.GetAttrKey("value"):
            path = path[:-1]  # the inside of an nnx.Variable
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name in leaves:
            raise ValueError(f"two leaves of one name: {name}")
        leaves[name] = leaf
    return leaves


def _read_config(head: dict, path: Path) -> ModelConfig:
    tree = head.get("model")
    if not isinstance(tree, dict):
        raise BadInput(f"{path}: model must be a configuration, not {tree!r}")
    config = from_dict(ModelConfig, tree, str(path))
    # `create` writes all of it: a default in its place would be another function or files lost.
    if missing := dataclasses.asdict(config).keys() - tree.keys():
        raise BadInput(f"{path}: model lacks {', '.join(sorted(missing))}")
    return config


def _check_carried(head: dict, directory: Path) -> None:
    digests = head.get("carried")
    if not isinstance(digests, dict):
        raise BadInput(f"{directory / 'model.json'}: carried must list files, not {digests!r}")
    for name, digest in digests.items():
        path = directory / "hf" / name
        if not path.is_file():
            raise BadInput(f"{path} is missing: copy the checkpoint whole")
        if sha256(path) != digest:
            raise BadInput(f"{path} is not the file that the checkpoint was made with: restore it")


def _check_fit(where: Path, stored: Mapping, wanted: Mapping) -> None:
    wrong = [f"{name} is missing" for name in sorted(wanted.keys() - stored.keys())]
    wrong += [f"{name} is not expected" for name in sorted(stored.keys() - wanted.keys())]
    wrong += [
        f"{name} has shape {stored[name].shape}, expected {tuple(leaf.shape)}"
        for name, leaf in wanted.items()
        if name in stored and tuple(stored[name].shape) != tuple(leaf.shape)
    ]
    if wrong:
        more = f"; and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise BadInput(f"{where}: made for another configuration: {'; '.join(wrong[:8])}{more}")


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.glob("*/**/*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _compare(folder: Path, item: str, inventory: Iterable[tuple[str, int]]) -> None:
    found = _sizes(folder)
    for name, size in inventory:
        if name.startswith(f"{item}/") and found.get(name) != size:
            there = f"{found[name]} bytes" if name in found else "missing"
            raise BadInput(f"{folder / name}: {there}, written with {size} bytes: damaged")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns whatever is raised while reading into one line that names the file."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError):  # too large for where it is to go
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        named = re.search(r'local file "([^"]+)"', text)
        cause = text.partition(" [tensorstore_spec")[0][:300]
        where = named.group(1) if named else path
        raise BadInput(f"{where}: damaged checkpoint ({cause})") from None


def _absolute(path: str | os.PathLike) -> Path:
    return Path(os.path.abspath(path))


def _barrier(name: str) -> None:
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
