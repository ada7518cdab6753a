"""`CheckpointStore`: saving and restoring the steps of one checkpoint directory."""

import dataclasses
import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from biomatrix_jax.checkpoint.arrays import (
    Pieces,
    Reader,
    no_word_of_databases,
    pieces_handler,
    save_args,
)
from biomatrix_jax.checkpoint.damage import check_carried, compare, explained, sizes, written
from biomatrix_jax.checkpoint.places import (
    INVENTORY,
    absolute,
    check_place,
    complete_steps,
    folders_called_steps,
)
from biomatrix_jax.config import ModelConfig, from_dict
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, check_absent, read_json, sha256
from biomatrix_jax.processes import barrier, is_first
from biomatrix_jax.tokens.tokenizer_files import TOKENIZER_FILES, copy_files

FORMAT = 1
CARRIED_FILES = ("config.json", *TOKENIZER_FILES)


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
        directory = absolute(directory)
        check_place(directory)
        check_absent(directory)  # in every process, so that none waits for one that gave up
        barrier("checkpoint absent")
        if is_first():
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
        barrier("checkpoint created")
        return cls(directory, config, dict(made), keep)

    @classmethod
    def open(cls, directory: str | os.PathLike, *, keep: int | None = None) -> "CheckpointStore":
        """Opens an existing store.

        Raises:
          BadInput: it is not one, its `model.json` is not readable, or a file that it carries is
            missing or another.
        """
        directory = absolute(directory)
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
        check_carried(head, directory)
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
        self._check_free(step)
        self._saving = step
        flat = flatten(params)
        items = {"params": ocp.args.PyTreeSave(flat, save_args(flat))}
        if training is not None:
            flat = flatten(training)
            items["training"] = ocp.args.PyTreeSave(flat, save_args(flat))
        if data is not None:
            items["data"] = ocp.args.JsonSave(data)
        with written(self.directory):
            self._manager.save(step, args=ocp.args.Composite(**items), force=True)

    def save_pieces(self, step: int, params: Mapping[str, Pieces]) -> None:
        """Saves parameters that are made piece by piece; returns when they are on disk.

        Raises:
          BadInput: as `save`.
        """
        self.wait()
        self._check_free(step)
        self._saving = step
        with (
            written(self.directory),
            no_word_of_databases(),
            self._make_manager(pieces_handler()) as manager,
        ):
            items = ocp.args.Composite(params=ocp.args.PyTreeSave(dict(params)))
            manager.save(step, args=items, force=True)
            manager.wait_until_finished()

    def _check_free(self, step: int) -> None:
        for stranger, parts in folders_called_steps(self.directory).items():
            # Orbax takes it for a step and would delete it, or a true one in its place. What a
            # killed clean-up left has some of the parts, and Orbax may have it.
            if not parts:
                raise BadInput(
                    f"{self.directory / str(stranger)} is called like a step but was not saved as "
                    "one: move it elsewhere"
                )
        if step in self.steps():
            raise BadInput(f"{self.directory} holds step {step} already")

    def wait(self) -> None:
        """Returns when what was saved is on disk; raises what went wrong in the background."""
        if "_manager" in self.__dict__:
            with written(self.directory):
                self._manager.wait_until_finished()

    def close(self) -> None:
        if "_manager" in self.__dict__:
            with written(self.directory):
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

    def reader(self, step: int) -> Reader:
        """Reads parameters as host arrays, whole or in part, in the dtypes stored."""
        names = self.abstract_params(step)
        return Reader(self._item(step, "params"), names)

    def restore_training(self, step: int, abstract):
        """As `restore_params`, for what was saved as `training`."""
        return self._restore(step, "training", abstract)

    def restore_data(self, step: int) -> dict:
        """What was saved as `data`."""
        path = self._item(step, "data")
        with explained(path):
            return ocp.JsonCheckpointHandler().restore(path)

    @functools.cached_property
    def _manager(self) -> ocp.CheckpointManager:
        return self._make_manager(ocp.PyTreeCheckpointHandler())

    def _make_manager(self, params_handler: ocp.PyTreeCheckpointHandler) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.LatestN(self.keep),
            create=False,
            cleanup_tmp_directories=True,  # what an interrupted run left half-written
            save_root_metadata=False,
            async_options=ocp.AsyncOptions(
                post_finalization_callback=self._take_inventory,
                # `PiecesHandler` writes at once.
                create_directories_asynchronously=False,
            ),
        )
        handlers = {
            "params": params_handler,
            "training": ocp.PyTreeCheckpointHandler(),
            "data": ocp.JsonCheckpointHandler(),
        }
        return ocp.CheckpointManager(self.directory, options=options, item_handlers=handlers)

    def _take_inventory(self) -> None:
        """Called by Orbax in process 0 when all items are written, just before the rename."""
        for folder in self.directory.glob(f"{self._saving}.orbax-checkpoint-tmp*"):
            (folder / INVENTORY).write_text(json.dumps(sizes(folder), indent=1) + "\n")

    def _item(self, step: int, name: str) -> Path:
        """The folder of one item, after comparing its files with the inventory."""
        if step not in self.steps():
            raise BadInput(f"{self.directory} holds no step {step}; it holds {self.steps()}")
        folder = self.directory / str(step)
        inventory = folder / INVENTORY
        if inventory.exists():  # object stores have no rename to write it before
            compare(folder, name, read_json(inventory).items())
        if not (folder / name).is_dir():
            raise BadInput(f"{folder} holds no {name}: it was saved without")
        return folder / name

    def _metadata(self, step: int, item: str) -> dict[str, jax.ShapeDtypeStruct]:
        path = self._item(step, item)
        with explained(path):
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
        with explained(path):
            return ocp.PyTreeCheckpointHandler().restore(path, args=args)


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
