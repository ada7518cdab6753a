"""`CheckpointStore`: saving and restoring the steps of one checkpoint directory."""

import functools
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from biomatrix_jax.checkpoint import head
from biomatrix_jax.checkpoint.arrays import (
    Pieces,
    Reader,
    no_word_of_databases,
    pieces_handler,
    save_args,
)
from biomatrix_jax.checkpoint.damage import (
    Unraisable,
    check_inventory,
    explained,
    is_news,
    write_inventory,
    written,
)
from biomatrix_jax.checkpoint.places import (
    ITEMS,
    absolute,
    check_place,
    complete_steps,
    folders_called_steps,
)
from biomatrix_jax.config import ModelConfig
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, check_absent
from biomatrix_jax.processes import barrier, is_first


class CheckpointStore:
    """One checkpoint directory. Make it with `create` or `open`.

    Attributes:
      directory: where it is.
      model: the architecture of every step in it.
      made: how it was made, as plain data.
      keep: how many steps `save` leaves, the newest; None keeps all.
      keep_every: those at its multiples stay besides; 0: none.
    """

    def __init__(
        self,
        directory: Path,
        model: ModelConfig,
        made: dict,
        keep: int | None = None,
        keep_every: int = 0,
    ):
        self.directory = directory
        self.model = model
        self.made = made
        self.keep = keep
        self.keep_every = keep_every
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
        keep_every: int = 0,
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
                head.write(temporary, config, carried, made)
        barrier("checkpoint created")
        return cls(directory, config, dict(made), keep, keep_every)

    @classmethod
    def open(
        cls, directory: str | os.PathLike, *, keep: int | None = None, keep_every: int = 0
    ) -> "CheckpointStore":
        """Opens an existing store.

        Raises:
          BadInput: it is not one, its `model.json` is not readable, or a file that it carries is
            missing or another.
        """
        directory = absolute(directory)
        return cls(directory, *head.read(directory), keep, keep_every)

    @property
    def carried(self) -> Path:
        return self.directory / head.CARRIED

    def steps(self) -> list[int]:
        """The complete steps, ascending."""
        return complete_steps(self.directory)

    def latest(self) -> int | None:
        return max(self.steps(), default=None)

    def save(self, step: int, params, *, data: dict | None = None, **items) -> None:
        """Saves asynchronously: returns as soon as the arrays may be changed.

        Every process calls it. An earlier save still in progress is waited for.

        Args:
          params: the parameters, `nnx.split(model, nnx.Param)[1]` or any tree of arrays.
          data: plain data, such as the position in the data.
          items: trees of arrays by name: `average`, of parameters; `training`, what else a run
            needs to go on, such as the optimizer's state. None is as if it were not given.

        Raises:
          BadInput: `step` is there already; a folder that is no step is called like one.
        """
        self.wait()
        self._check_free(step)
        self._saving = step
        saved = {}
        for name, tree in {"params": params, **items}.items():
            if tree is not None:
                flat = flatten(tree)
                saved[name] = ocp.args.PyTreeSave(flat, save_args(flat))
        if data is not None:
            saved["data"] = ocp.args.JsonSave(data)
        with written(self.directory):
            self._manager.save(step, args=ocp.args.Composite(**saved), force=True)

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

    def shapes(self, step: int, item: str = "params") -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and dtypes as stored, by path in the item ("layers.attention.q")."""
        path = self._item(step, item)
        with explained(path):
            stored = ocp.PyTreeCheckpointHandler().metadata(path).tree
            return {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in stored.items()}

    def restore(self, step: int, abstract, item: str = "params"):
        """Reads a tree of arrays.

        Args:
          abstract: a tree of `jax.ShapeDtypeStruct` (or arrays) in the structure wanted back; each
            leaf's sharding says where the array goes (none: the first device) and its dtype what
            it is cast to.

        Raises:
          BadInput: no such step, it was saved without such an item, names or shapes other than
            stored; `Damaged` where files are.
        """
        wanted = flatten(abstract)
        _check_fit(self.directory / str(step) / item, self.shapes(step, item), wanted)
        first = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        args = {
            name: ocp.ArrayRestoreArgs(
                sharding=getattr(leaf, "sharding", None) or first, dtype=leaf.dtype
            )
            for name, leaf in wanted.items()
        }
        restored = self._read(step, item, wanted, args)
        return jax.tree.unflatten(jax.tree.structure(abstract), [restored[k] for k in wanted])

    def reader(self, step: int, item: str = "params") -> Reader:
        """Reads an item's arrays as host arrays, whole or in part, in the dtypes stored."""
        names = self.shapes(step, item)
        return Reader(self._item(step, item), names)

    def restore_data(self, step: int) -> dict:
        """What was saved as `data`."""
        path = self._item(step, "data")
        with explained(path):
            return ocp.JsonCheckpointHandler().restore(path)

    @functools.cached_property
    def _manager(self) -> ocp.CheckpointManager:
        return self._make_manager(ocp.PyTreeCheckpointHandler())

    def _make_manager(self, params_handler: ocp.PyTreeCheckpointHandler) -> ocp.CheckpointManager:
        logging.getLogger("absl").addFilter(is_news)
        if not isinstance(sys.unraisablehook, Unraisable):
            sys.unraisablehook = Unraisable(sys.unraisablehook)
        policies = [ocp.checkpoint_managers.LatestN(self.keep)]
        if self.keep_every:
            policies.append(ocp.checkpoint_managers.EveryNSteps(self.keep_every))
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.AnyPreservationPolicy(policies),
            create=False,
            cleanup_tmp_directories=True,  # what an interrupted run left half-written
            save_root_metadata=False,
            async_options=ocp.AsyncOptions(
                post_finalization_callback=self._take_inventory,
                # `PiecesHandler` writes at once.
                create_directories_asynchronously=False,
            ),
        )
        handlers = {item: ocp.PyTreeCheckpointHandler() for item in ITEMS}
        handlers |= {"params": params_handler, "data": ocp.JsonCheckpointHandler()}
        return ocp.CheckpointManager(self.directory, options=options, item_handlers=handlers)

    def _take_inventory(self) -> None:
        """Called by Orbax in process 0 when all items are written, just before the rename."""
        for folder in self.directory.glob(f"{self._saving}.orbax-checkpoint-tmp*"):
            write_inventory(folder)

    def _item(self, step: int, name: str) -> Path:
        """The folder of one item, after comparing its files with the inventory."""
        if step not in self.steps():
            raise BadInput(f"{self.directory} holds no step {step}; it holds {self.steps()}")
        folder = self.directory / str(step)
        check_inventory(folder, name)
        if not (folder / name).is_dir():
            raise BadInput(f"{folder} holds no {name}: it was saved without")
        return folder / name

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
