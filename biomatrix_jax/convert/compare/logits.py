"""Compares the logits of two models on packed rows; neither all logits nor two models in memory.

The logits of the first model go to a temporary file, against which those of the second are read, a
few tokens at a time: over a vocabulary of 168,064, two rows of 256 tokens have 344 MB of them.
"""

import dataclasses
import functools
import gc
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from biomatrix_jax.convert.compare.random_rows import Rows
from biomatrix_jax.convert.load import load
from biomatrix_jax.errors import BadInput

CHUNK_BYTES = 8 << 20  # float32 logits that exist at a time; measuring takes several times that
DTYPE = "float32"  # of either side's parameters and computation


@dataclasses.dataclass(frozen=True)
class LogitsTest:
    """What is run, see `random_rows`, and what passes.

    Attributes:
      tol: largest difference of a logit allowed, in units of the root mean square of B's logits, or
        of 1 where they are smaller. What float32 rounds away is about a tenth of the default.

    Raises:
      BadInput: `tol` is no finite number of 0 or more, `seed` is negative.
    """

    rows: int = 2
    length: int = 256
    seed: int = 0
    tol: float = 1e-4

    def __post_init__(self):
        if not 0 <= self.tol < math.inf:
            raise BadInput(f"tolerance of logits {self.tol}: give a finite number, 0 or more")
        if self.seed < 0:
            raise BadInput(f"seed {self.seed}: give 0 or more")


@dataclasses.dataclass(frozen=True)
class LogitsReport:
    """How far apart the next-token logits are, at all tokens that are no padding.

    Attributes:
      dtype: of both computations.
      tokens: how many were compared.
      not_finite: how many of them have a logit that is NaN or infinite in A or B. They agree with
        nothing, and the measures below leave them out.
      max_abs, mean_abs: of |a - b| over all logits.
      max_rel: the largest |a - b| of a token relative to the largest |b| of that token.
      worst: [row, index in the row] of the token with `max_abs`.
      kl_max, kl_mean: of the KL divergence from B's next-token distribution to A's, in nats.
      top1: the fraction of tokens whose likeliest next token is the same.
      bound: what `max_abs` may be.
    """

    dtype: str
    tokens: int
    not_finite: int
    max_abs: float
    mean_abs: float
    max_rel: float
    worst: tuple[int, int]
    kl_max: float
    kl_mean: float
    top1: float
    bound: float

    @property
    def equal(self) -> bool:
        return not self.not_finite and self.max_abs <= self.bound

    def text(self) -> str:
        words = "equal" if self.equal else "not equal"
        row, index = self.worst
        line = (
            f"logits {words} within {self.bound:.3g} at {self.tokens} tokens: largest difference "
            f"{self.max_abs:.3g} (row {row}, token {index}), KL {self.kl_max:.3g} nats at most, "
            f"likeliest next token the same at {self.top1:.2%}"
        )
        bad = f"; logits of {self.not_finite} tokens are NaN or infinite" if self.not_finite else ""
        return line + bad


def our_logits(path: str | os.PathLike, rows: Rows) -> Iterator[np.ndarray]:
    """Yields this package's logits, float32 [n, V], at all tokens that are no padding, in order."""
    model = load(path, dtype=DTYPE)
    vocab_size = model.config.vocab_size
    graph, state = nnx.split(model)
    for row in range(len(rows.tokens)):
        one = Rows(*(array[row : row + 1] for array in rows))
        hidden = np.asarray(_hidden(graph, state, one))[one.segment_ids > 0]
        yield from in_chunks(functools.partial(_logits, graph, state), hidden, vocab_size)
    del model, graph, state
    gc.collect()  # modules lie in cycles of references and would stay beside the next model


def in_chunks(
    project: Callable[[Any], Any], hidden_nd: Any, vocab_size: int
) -> Iterator[np.ndarray]:
    """Applies the output head to a few tokens at a time."""
    step = max(1, CHUNK_BYTES // (4 * vocab_size))
    for start in range(0, len(hidden_nd), step):
        yield np.asarray(project(hidden_nd[start : start + step]))


def compare_logits(
    one: Iterable[np.ndarray], two: Iterable[np.ndarray], rows: Rows, tol: float
) -> LogitsReport:
    """Measures how far A's logits are from B's.

    Args:
      one, two: A's and B's logits at the tokens of `rows` that are no padding, float32 [n, V] each
        time. `two` is asked for when `one` is exhausted, so that the two models follow each other.
      tol: see `LogitsTest`.

    Raises:
      BadInput: no room for the temporary file.
    """
    with tempfile.TemporaryFile() as file:
        for logits in one:
            _write(file, logits)
        file.seek(0)
        parts = [_measure(_read(file, logits), logits) for logits in two]
    return _report(_Measures(*map(np.concatenate, zip(*parts, strict=True))), rows, tol)


class _Measures(NamedTuple):
    """Of each token, [n] each."""

    finite: np.ndarray
    max_abs: np.ndarray
    mean_abs: np.ndarray
    max_rel: np.ndarray
    mean_square: np.ndarray  # of B's logits
    kl: np.ndarray
    same_top: np.ndarray


def _measure(a: np.ndarray, b: np.ndarray) -> _Measures:
    same_top = a.argmax(-1) == b.argmax(-1)
    finite = np.isfinite(a).all(-1) & np.isfinite(b).all(-1)
    # In float64, so that nothing measured is the measuring's own rounding.
    a, b = (np.where(finite[:, None], side, 0).astype(np.float64) for side in (a, b))
    distance = np.abs(a - b)
    max_abs = distance.max(-1)
    largest = np.abs(b).max(-1)
    log_a, log_b = _log_softmax(a), _log_softmax(b)
    return _Measures(
        finite,
        max_abs,
        distance.mean(-1),
        np.divide(max_abs, largest, out=np.where(max_abs > 0, np.inf, 0), where=largest > 0),
        np.square(b).mean(-1),
        np.maximum((np.exp(log_b) * (log_b - log_a)).sum(-1), 0),
        same_top,
    )


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _report(measures: _Measures, rows: Rows, tol: float) -> LogitsReport:
    finite = measures.finite
    if not finite.any():
        nothing = [math.nan] * 3
        return LogitsReport(DTYPE, len(finite), len(finite), *nothing, (0, 0), *nothing, math.nan)
    at = np.argwhere(rows.segment_ids > 0)[finite]
    m = _Measures(*(values[finite] for values in measures))
    return LogitsReport(
        dtype=DTYPE,
        tokens=len(finite),
        not_finite=int((~finite).sum()),
        max_abs=float(m.max_abs.max()),
        mean_abs=float(m.mean_abs.mean()),
        max_rel=float(m.max_rel.max()),
        worst=tuple(at[m.max_abs.argmax()].tolist()),
        kl_max=float(m.kl.max()),
        kl_mean=float(m.kl.mean()),
        top1=float(m.same_top.mean()),
        bound=tol * max(1.0, float(np.sqrt(m.mean_square.mean()))),
    )


def _write(file: IO[bytes], logits: np.ndarray) -> None:
    try:
        file.write(np.ascontiguousarray(logits, np.float32))
        file.flush()
    except OSError as error:
        raise BadInput(
            f"{tempfile.gettempdir()}: no room for a temporary file of logits ({error.strerror}): "
            "set TMPDIR to another place"
        ) from None


def _read(file: IO[bytes], like: np.ndarray) -> np.ndarray:
    return np.frombuffer(file.read(4 * like.size), np.float32).reshape(like.shape)


@functools.partial(jax.jit, static_argnums=0)
def _hidden(graph, state, rows: Rows) -> jax.Array:
    return nnx.merge(graph, state).hidden(*rows)


@functools.partial(jax.jit, static_argnums=0)
def _logits(graph, state, hidden_nd: jax.Array) -> jax.Array:
    return nnx.merge(graph, state).logits(hidden_nd[None])[0]
