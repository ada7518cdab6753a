"""Compares two models, Hugging Face directories or our checkpoints in any pairing: architectures,
tensors and, where asked, logits: our own, or ours against those of transformers."""

import dataclasses
import importlib.metadata
import json
import math
import os
from typing import Any

from biomatrix_jax.convert.compare import reference
from biomatrix_jax.convert.compare.logits import (
    LogitsReport,
    LogitsTest,
    compare_logits,
    our_logits,
)
from biomatrix_jax.convert.compare.random_rows import random_rows
from biomatrix_jax.convert.compare.tensors import Difference, Tolerance, compare_tensors
from biomatrix_jax.convert.source import Source, open_source
from biomatrix_jax.errors import BadInput

LISTED = 20  # tensors that the text names; the JSON names all
LIBRARIES = ("biomatrix-jax", "jax", "jaxlib", "flax", "numpy")


@dataclasses.dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes:
      b: None where A alone was run by the reference; no tensors are compared then.
      tol, rtol: the tolerance of tensors; None where dtypes and bits had to agree.
      against: "transformers" where it computed B's logits.
      config: architecture fields that differ, each [A's, B's].
      dtypes: of A's tensors, and of B's.
      tensors: how many were compared.
      differences: the tensors that do not agree.
      max_abs, max_rel: the largest of all tensors compared, see `Difference`; what differs in dtype
        already, where bits had to agree, was not measured.
      test, logits: what was run and what came out; None where it was not asked for. `logits` is
        None also where vocabularies differ, which `notes` says.
      notes: what was noticed on the way.
      versions: of the libraries.
    """

    a: str
    b: str | None
    tol: float | None
    rtol: float | None
    against: str | None
    config: dict[str, list[Any]]
    dtypes: list[list[str]]
    tensors: int
    differences: list[Difference]
    max_abs: float
    max_rel: float
    test: LogitsTest | None
    logits: LogitsReport | None
    notes: list[str]
    versions: dict[str, str]

    @property
    def equal(self) -> bool:
        same = not self.config and not self.differences
        return same and (self.logits is None or self.logits.equal)

    def text(self) -> str:
        """For reading: a line where all is equal, else a line for each difference."""
        lines = list(self.notes)
        if self.b is not None:
            lines += self._tensor_lines()
        if self.logits is not None:
            sides = f" ({self.against} computed B's)" if self.against else ""
            lines.append(self.logits.text() + sides)
        return "\n".join(lines)

    def to_json(self) -> str:
        """An object with `equal` and the attributes; `logits` has an `equal` of its own. Numbers
        that are not finite are null: JSON has none."""
        content = {"equal": self.equal, **dataclasses.asdict(self)}
        if self.logits is not None:
            content["logits"] = {"equal": self.logits.equal, **content["logits"]}
        return json.dumps(_finite(content), indent=1, allow_nan=False)

    def _tensor_lines(self) -> list[str]:
        kind = "bit for bit"
        if self.tol is not None:
            kind = f"within {self.tol:g}" + (f" + {self.rtol:g} |b|" if self.rtol else "")
        if not self.config and not self.differences:
            most = "" if self.tol is None else f", largest difference {self.max_abs:.3g}"
            return [f"equal {kind}: {self.tensors} tensors{most}"]
        lines = [f"not equal {kind}: A is {self.a}, B is {self.b}"]
        lines += [f"  config {key}: {a} in A, {b} in B" for key, (a, b) in self.config.items()]
        lines += [f"  {d.name}: {d.problem}" for d in self.differences[:LISTED]]
        if len(self.differences) > LISTED:
            lines.append(f"  and {len(self.differences) - LISTED} more tensors")
        return lines


def verify(
    a: str | os.PathLike,
    b: str | os.PathLike | None = None,
    tol: float | None = None,
    rtol: float | None = None,
    *,
    logits: LogitsTest | None = None,
    against: str | None = None,
    revision_a: str | None = None,
    revision_b: str | None = None,
) -> Report:
    """Compares architectures and all tensors, a few megabytes of each side in memory at a time.

    Args:
      a, b: Hugging Face directories or Hub ids, our runs, checkpoints or steps. `b` may be left out
        with `against`.
      tol, rtol: None: dtypes and bits must agree. With either, the other one being 0, values must
        do, whatever the dtypes: |a - b| <= tol + rtol |b|; NaN agrees with NaN.
      logits: also compares logits on random packed rows, in float32, one model in memory at a time.
      against: "transformers": compares logits, and has it compute those of B (of A, without `b`) in
        PyTorch on the CPU. For that a checkpoint is exported to a temporary directory.
      revision_a, revision_b: branch, tag or commit of a Hub id.

    Raises:
      BadInput: A or B cannot be read, a tolerance is no finite number of 0 or more, what was asked
        for does not go together, the reference is not installed.
    """
    within = None if tol is None and rtol is None else Tolerance(tol or 0.0, rtol or 0.0)
    if b is None and against is None:
        raise BadInput("verify: name B to compare A with, or pass --against transformers")
    if b is None and (within or revision_b):
        raise BadInput("verify: tolerances of tensors and a revision of B need a B")
    libraries = LIBRARIES
    if against is not None:
        reference.check(against)
        libraries += reference.LIBRARIES
        logits = logits or LogitsTest()
    one = open_source(a, revision_a)
    two = one if b is None else open_source(b, revision_b)
    ours, theirs = dataclasses.asdict(one.config), dataclasses.asdict(two.config)
    tensors = None if b is None else compare_tensors(one, two, within)
    notes = one.notes + (two.notes if two is not one else [])
    measured = None
    if logits is not None and one.config.vocab_size == two.config.vocab_size:
        measured = _compare_logits(one, two, logits, against)
    elif logits is not None:
        notes.append("logits not compared: they are over different vocabularies")
    return Report(
        a=str(a),
        b=None if b is None else str(b),
        tol=within and within.tol,
        rtol=within and within.rtol,
        against=against,
        config={key: [ours[key], theirs[key]] for key in ours if ours[key] != theirs[key]},
        dtypes=[_dtypes(one), _dtypes(two)],
        tensors=tensors.count if tensors else 0,
        differences=tensors.differences if tensors else [],
        max_abs=tensors.max_abs if tensors else 0.0,
        max_rel=tensors.max_rel if tensors else 0.0,
        test=logits,
        logits=measured,
        notes=notes,
        versions={name: importlib.metadata.version(name) for name in libraries},
    )


def _compare_logits(
    one: Source, two: Source, test: LogitsTest, against: str | None
) -> LogitsReport:
    positions = min(one.config.max_positions, two.config.max_positions)
    rows = random_rows(test.rows, test.length, test.seed, one.config.vocab_size, positions)
    ours = our_logits(one.path, rows)
    if against is None:
        return compare_logits(ours, our_logits(two.path, rows), rows, test.tol)
    with reference.hf_directory(two) as directory:
        return compare_logits(ours, reference.reference_logits(directory, rows), rows, test.tol)


def _dtypes(source: Source) -> list[str]:
    return sorted({spec.dtype.name for spec in source.specs().values()})


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
