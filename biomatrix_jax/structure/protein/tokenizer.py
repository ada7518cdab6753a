"""Protein backbones to codes and back (GCP-VQVAE), many chains at once."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.packaged import DEFAULT, tokenizer_path
from biomatrix_jax.structure.protein import gaps, weights
from biomatrix_jax.structure.protein.buckets import batches
from biomatrix_jax.structure.protein.chains import FARTHEST
from biomatrix_jax.structure.protein.config import ProteinVQVAEConfig
from biomatrix_jax.structure.protein.graph import RESIDUES, featurise
from biomatrix_jax.structure.protein.quantizer import NO_CODE
from biomatrix_jax.structure.protein.vqvae import ProteinVQVAE

# Of a batch on an accelerator. A CPU is busy with one chain: see benchmarks/proteins.py.
RESIDUES_AT_ONCE = 8192
# Letters of no single residue, and of residues that the published encoder never saw.
_AS_X = str.maketrans("BJOUZ", "XXXXX")


class _Chain(NamedTuple):
    """What the encoder reads of a chain; each array has one entry a residue."""

    backbone: np.ndarray  # float32 [L, 3, 3], without gaps
    residues: np.ndarray  # int32 [L], indices into RESIDUES
    present: np.ndarray  # bool [L], false for padding
    observed: np.ndarray  # bool [L]


class _Codes(NamedTuple):
    """What the decoder reads of a chain."""

    codes: np.ndarray  # int32 [L]


class ProteinTokenizer:
    """A codebook of backbone conformations with its encoder and decoder.

    The codes of a chain are those that the published encoder gives it when it comes alone. They
    depend on the sequence as well as on the coordinates. They do not depend on what else is
    encoded, since a chain runs in the same program in any call, nor on the pose, but for what
    `gaps` says of chains with gaps.
    """

    def __init__(
        self, config: ProteinVQVAEConfig, model: ProteinVQVAE, residues: int | None = None
    ):
        """
        Args:
          residues: so many, padding included, run at once, or a single chain; by default as many as
            suit the device. A call with fewer takes as long.
        """
        self.config = config
        self._model = nnx.split(model)
        self._residues = residues or (1 if jax.default_backend() == "cpu" else RESIDUES_AT_ONCE)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike = DEFAULT) -> "ProteinTokenizer":
        """Reads a tokenizer.

        Args:
          path: a directory with `config.json` and `model.safetensors`, which `save` wrote or which
            have the keys and names of the published checkpoints; without it the tokenizer that the
            package ships.

        Raises:
          BadInput: a file is missing or damaged, or the tensors do not fit the configuration.
        """
        return cls(*weights.read(tokenizer_path("protein", path)))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the directory that `from_pretrained` reads; `path` must not exist, or be empty."""
        weights.write(Path(path), self.config, nnx.merge(*self._model))

    def encode(self, backbone: np.ndarray, sequence: str) -> np.ndarray:
        """The codes of one chain.

        Args:
          backbone: [L, 4, 3] N, CA, C, O in angstrom, NaN where an atom was not observed. O may be
            left out, [L, 3, 3]: no other atom depends on it, so that the codes are the same unless
            a residue lacks its O alone.
          sequence: L letters A to Z; B, J, O, U and Z are read as X.

        Returns:
          int32 [L], -1 where a residue was not observed whole.

        Raises:
          BadInput: this is no chain, it has nothing observed, or it is longer than
            `config.max_length`.
        """
        return _one(self.encode_batch([(backbone, sequence)]))

    def encode_batch(self, chains: Sequence[tuple[np.ndarray, str]]) -> list[np.ndarray | BadInput]:
        """The codes of each chain, exactly those of `encode`; one that cannot be encoded has its
        error in their place, and the others go on."""
        longest = self.config.max_length
        items = [_attempt(_prepare, *chain, longest) for chain in chains]
        return self._run(
            partial(_encode, neighbours=self.config.neighbours), items, _Chain(0.0, 0, False, False)
        )

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The backbone that codes stand for, in an arbitrary pose.

        A residue without a code keeps its place: those around it are decoded at their distance in
        the sequence. Where the published tools drop such residues before decoding, what follows
        moves up; `decode(codes[codes >= 0])` is what they compute then.

        Args:
          codes: integers [L], -1 where a residue was not observed.

        Returns:
          float32 [L, 3, 3] N, CA, C in angstrom, NaN where there is no code.

        Raises:
          BadInput: no code at all, one that is not in the codebook, or more residues than
            `config.max_length`.
        """
        return _one(self.decode_batch([codes]))

    def decode_batch(self, chains: Sequence[np.ndarray]) -> list[np.ndarray | BadInput]:
        """The backbone of each chain, exactly that of `decode`; one that cannot be decoded has its
        error in its place, and the others go on."""
        items = [_attempt(_check_codes, codes, self.config) for codes in chains]
        return self._run(_decode, items, _Codes(NO_CODE))

    def _run(self, program: Callable, items: list, padding: tuple) -> list:
        """What `program` gives for each item, a tuple of arrays over residues; errors stay."""
        results = list(items)
        sound = [i for i, item in enumerate(items) if not isinstance(item, BadInput)]
        lengths = [len(items[i][0]) for i in sound]
        # All are dispatched before the first is waited for, so that a device is never idle.
        pending = []
        for batch in batches(lengths, self.config.max_length, self._residues):
            members = [sound[member] for member in batch.members]
            # Rows to spare repeat the first chain: a row without residues is no valid input.
            filled = members + members[:1] * (batch.rows - len(members))
            arrays = [
                _stack([items[i][part] for i in filled], batch.length, value)
                for part, value in enumerate(padding)
            ]
            pending.append((members, program(*self._model, *arrays)))
        for members, values in pending:
            for i, row in zip(members, np.asarray(values), strict=False):
                results[i] = row[: len(items[i][0])].copy()
        return results


@partial(jax.jit, static_argnums=0, static_argnames="neighbours")
def _encode(graphdef, state, backbone, residues, present, observed, *, neighbours: int):
    graph = jax.vmap(partial(featurise, neighbours=neighbours))(backbone, residues, present)
    model = nnx.merge(graphdef, state)
    return model.quantize(model.latents(graph, present, observed), observed)


@partial(jax.jit, static_argnums=0)
def _decode(graphdef, state, codes):
    model, observed = nnx.merge(graphdef, state), codes != NO_CODE
    backbone = model.coordinates(model.embed(codes), observed)
    return jnp.where(observed[..., None, None], backbone, jnp.nan)


def _stack(rows: list[np.ndarray], length: int, value) -> np.ndarray:
    """[rows, length, ...], each row padded with `value`."""
    stacked = np.full((len(rows), length, *rows[0].shape[1:]), value, rows[0].dtype)
    for padded, row in zip(stacked, rows, strict=True):
        padded[: len(row)] = row
    return stacked


def _prepare(backbone: np.ndarray, sequence: str, longest: int) -> _Chain:
    backbone = _numbers(backbone, "the backbone")
    if backbone.ndim != 3 or backbone.shape[1] not in (3, 4) or backbone.shape[2] != 3:
        raise BadInput(
            f"a backbone has the shape [residues, 4, 3] (N, CA, C, O) or [residues, 3, 3], not "
            f"{list(backbone.shape)}"
        )
    if not isinstance(sequence, str):
        raise BadInput(f"the sequence should be text, not {type(sequence).__name__}")
    if len(backbone) != len(sequence):
        raise BadInput(
            f"the backbone has {len(backbone)} residues and the sequence {len(sequence)}: one "
            "letter a residue is needed, X where it is not known"
        )
    _check_length(len(backbone), longest)
    if (np.abs(backbone) >= FARTHEST).any():  # false for NaN
        raise BadInput(
            f"an atom lies further than {FARTHEST:.0e} angstrom from the origin: give coordinates "
            "in angstrom, NaN where there is none"
        )
    filled, observed = gaps.fill(backbone)
    return _Chain(filled[:, :3], _classes(sequence), np.ones(len(backbone), bool), observed)


def _classes(sequence: str) -> np.ndarray:
    if outside := sorted({letter for letter in sequence if not "A" <= letter <= "Z"}):
        raise BadInput(
            f"the sequence has {outside[0]!r}: residues are letters A to Z, X for any other"
        )
    return np.array([RESIDUES.index(letter) for letter in sequence.translate(_AS_X)], np.int32)


def _check_codes(codes: np.ndarray, config: ProteinVQVAEConfig) -> _Codes:
    codes = _numbers(codes, "the codes")
    if codes.ndim != 1 or (codes != np.floor(codes)).any():
        raise BadInput("codes are a list of integers, -1 for a residue without one")
    _check_length(len(codes), config.max_length)
    outside = codes[(codes < NO_CODE) | (codes >= config.quantizer.codes)]
    if outside.size:
        raise BadInput(
            f"code {outside[0]:.0f} is not among the {config.quantizer.codes} of this tokenizer"
        )
    if (codes == NO_CODE).all():
        raise BadInput("no residue has a code: there is nothing to decode")
    return _Codes(codes.astype(np.int32))


def _check_length(length: int, longest: int) -> None:
    if not 0 < length <= longest:
        raise BadInput(f"{length} residues: this tokenizer takes chains of 1 to {longest}")


def _numbers(values, what: str) -> np.ndarray:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"{what} should be an array of numbers") from None


def _attempt(prepare: Callable, *arguments):
    try:
        return prepare(*arguments)
    except BadInput as error:
        return error


def _one(results: list):
    [result] = results
    if isinstance(result, BadInput):
        raise result
    return result
