"""A base model with the token families of BioMatrix: its tokenizer, and rows for the new tokens."""

import dataclasses
import functools
import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from biomatrix_jax import __version__
from biomatrix_jax.config import ModelConfig
from biomatrix_jax.convert import hf_config, rules
from biomatrix_jax.convert.files import hf_files
from biomatrix_jax.convert.files.stored import Spec
from biomatrix_jax.convert.hub import find_id, resolve
from biomatrix_jax.convert.importer import check_apart, check_places, left_behind
from biomatrix_jax.convert.new_rows import GENERATOR, Plan, Table, description_pieces, extended
from biomatrix_jax.convert.source import HFSource, check_tokenizer
from biomatrix_jax.convert.values import Finite
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, sha256
from biomatrix_jax.tokens import Vocabulary, extend_tokenizer
from biomatrix_jax.tokens.tokenizer_files import EXTENSION, TOKENIZER_JSON

SHARD_SIZE = "5GB"

_STREAMS = {"embedding.table": 0, "head.table": 1}  # of the noise


def extend(
    base: str | os.PathLike,
    dst: str | os.PathLike,
    *,
    selfies: Iterable[str],
    molecule_tokens: Iterable[str],
    protein_codes: int = 4096,
    pad_to: int = 64,
    seed: int = 0,
    noise: float | None = None,
    untie: bool = False,
    overwrite: bool = False,
    revision: str | None = None,
) -> list[str]:
    """Makes the Hugging Face directory `dst`: the base with all token families added.

    Every token of the base keeps its id and its row to the bit, and all other tensors are copied. A
    new token's row is the mean of the base's rows for the pieces of its description (see
    `tokens.descriptions`), plus Gaussian noise. An own output head gets its new rows in the same
    way from its own rows, with other noise. Rows that the base has beyond its tokens are taken
    before the table grows; where it need not grow, the rest of them stay as they are. Where it
    does, it grows to a multiple of `pad_to`; those last rows belong to no token and have no
    description: they are the mean of all the base's tokens, plus noise. What the base came with
    (generation configuration, chat template) is copied byte for byte. `dst` appears when all is
    written, with everything that defines it in vocab_extension.json.

    Args:
      base: a Hugging Face directory of a Qwen3 model, or its Hub id.
      selfies: SELFIES symbols, `[=C]`, in the order of their ids.
      molecule_tokens: joint tokens of a symbol and a structure code, `[=C 166]`, likewise.
      protein_codes: how many protein structure codes there are.
      noise: its standard deviation; None: 1 / sqrt(D), as the original.
      untie: gives a tied base a head of its own: the embedding's old rows, and new rows with noise
        of their own.
      revision: of a base on the Hub.

    Returns:
      Notes for the user, one line each.

    Raises:
      BadInput: the base cannot be used, has one of the tokens already, or has NaN or infinity in a
        row that a mean is made of; tokens that no family has; `dst` exists and `overwrite` is
        false, or is the base. Nothing is written.
    """
    _check_whole("pad_to", pad_to, 1, 2**32)
    _check_whole("seed", seed, 0, 2**64)
    check_places(base, dst, overwrite)
    path = resolve(base, revision)
    check_apart(path, dst)  # a Hub id lies in the cache
    source = HFSource(path)
    check_tokenizer(path, source.config)
    old = Vocabulary.from_pretrained(path)
    spread = _spread(noise, source.config)
    origin = {
        "path": str(base),
        "revision": path.name if find_id(base) else None,  # the commit, since branches move
        "tokenizer_sha256": sha256(path / TOKENIZER_JSON),
        "tokens": old.size,
        "rows": source.config.vocab_size,
        "tied": source.config.tied_embeddings,
    }
    with atomic_directory(dst, overwrite) as temporary:
        # First of all: it replaces the directory.
        vocabulary = extend_tokenizer(
            path,
            temporary,
            selfies=selfies,
            molecule_tokens=molecule_tokens,
            protein_codes=protein_codes,
        )
        plan = _plan(old, vocabulary, source.config.vocab_size, pad_to)
        tied = source.config.tied_embeddings and not untie
        model = dataclasses.replace(source.config, vocab_size=plan.rows, tied_embeddings=tied)
        config = hf_config.rewritten(path / hf_config.FILE, model, None)
        (temporary / hf_config.FILE).write_bytes(config)
        finite = _write_weights(temporary, source, model, plan, spread, seed)
        record = {
            "made_by": f"biomatrix-jax {__version__}, numpy {np.__version__}",
            "base": origin,
            "tokens": plan.tokens,
            "rows": plan.rows,
            "pad_to": pad_to,
            "padding_rows": plan.rows - plan.tokens,
            "tied": tied,
            "families": {
                family: {"count": len(ids), "first_id": int(ids.min())}
                for family, ids in vocabulary.families.items()
            },
            "noise": {"seed": seed, "standard_deviation": spread, "generator": GENERATOR},
        }
        (temporary / EXTENSION).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        left = left_behind(source, temporary)
    notes = [*source.notes, *finite.notes(base)]
    notes += [f"{base}: not carried along: {', '.join(left)}"] if left else []
    return [*notes, _summary(plan, model)]


def _check_whole(name: str, value: Any, least: int, end: int) -> None:
    if type(value) is not int or not least <= value < end:
        raise BadInput(f"{name} must be a whole number, {least} or more, not {value!r}")


def _spread(noise: float | None, model: ModelConfig) -> float:
    if noise is None:
        return 1 / math.sqrt(model.embed_dim)
    if not 0 <= noise < math.inf:
        raise BadInput(f"noise is a standard deviation, finite and 0 or more, not {noise}")
    return float(noise)


def _plan(old: Vocabulary, vocabulary: Vocabulary, stored: int, pad_to: int) -> Plan:
    spellings = [vocabulary.token(token_id) for token_id in range(old.size, vocabulary.size)]
    pieces = [description_pieces(old, spelling) for spelling in spellings]
    return Plan(old, pieces, stored, max(stored, math.ceil(vocabulary.size / pad_to) * pad_to))


def _write_weights(
    directory: Path, source: HFSource, model: ModelConfig, plan: Plan, noise: float, seed: int
) -> Finite:
    """Writes all tensors piece by piece; returns which of them have values that are no numbers."""
    dtypes = {path: np.dtype(spec.dtype) for path, spec in source.specs().items()}
    dtypes.setdefault("head.table", dtypes["embedding.table"])
    tensors = rules.in_file_order(model, dtypes)
    specs = [Spec(t.name, dtypes[t.path], t.shape) for t in tensors]
    finite = Finite()

    def pieces(tensor: rules.Tensor) -> Iterator[np.ndarray]:
        if tensor.path in _STREAMS:
            table = _table(source, tensor.path)
            made = extended(table, plan, noise, seed, _STREAMS[tensor.path])
        else:
            indices = rules.pieces(tensor, dtypes[tensor.path].itemsize)
            made = (source.read(tensor.path, index) for index in indices)
        for piece in made:
            finite.look(tensor.name, piece)
            yield piece

    hf_files.write_tensors(directory, specs, map(pieces, tensors), hf_files.parse_size(SHARD_SIZE))
    return finite


def _table(source: HFSource, path: str) -> Table:
    specs = source.specs()
    origin = path if path in specs else "embedding.table"  # of a head that was tied
    spec = specs[origin]
    read = functools.partial(source.read, origin)
    name = f"{source.path}: {rules.NAMES[origin]}"
    return Table(name, np.dtype(spec.dtype), spec.shape[1], read)


def _summary(plan: Plan, model: ModelConfig) -> str:
    head = "tied to the embedding" if model.tied_embeddings else "its own"
    return (
        f"{plan.tokens:,} tokens, {len(plan.pieces):,} of them new from id {plan.base.size} on, in "
        f"{plan.rows:,} rows (the base has {plan.stored:,}); the output head is {head}"
    )
