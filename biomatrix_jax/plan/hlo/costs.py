"""What a whole program costs a device, loops counted as often as they run."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce

from biomatrix_jax.plan.hlo import collectives
from biomatrix_jax.plan.hlo.collectives import Collective, Slices
from biomatrix_jax.plan.hlo.loops import Loops
from biomatrix_jax.plan.hlo.products import kernel_flops, product_flops
from biomatrix_jax.plan.hlo.text import Computation, Instruction, parse
from biomatrix_jax.plan.hlo.traffic import main_memory_bytes

# Beginnings of custom calls that compute; a compiler's own, which only move, have others.
_KERNELS = ("tpu_custom_call", "__", "triton", "mosaic")


ALONE = Slices()


@dataclass(frozen=True)
class Costs:
    """Of one device. `counts` and `sizes` (bytes) are of the same collectives."""

    flops: float = 0.0
    hbm_bytes: float = 0.0
    counts: Counter[Collective] = field(default_factory=Counter)
    sizes: Counter[Collective] = field(default_factory=Counter)
    busy: float = 0.0  # seconds of one instruction after the other, without collectives
    unknown: frozenset[str] = frozenset()  # what was counted otherwise than it runs, and how

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(
            self.flops + other.flops,
            self.hbm_bytes + other.hbm_bytes,
            self.counts + other.counts,
            self.sizes + other.sizes,
            self.busy + other.busy,
            self.unknown | other.unknown,
        )

    def times(self, count: int) -> "Costs":
        counts, sizes = (
            Counter({key: value * count for key, value in counter.items()})
            for counter in (self.counts, self.sizes)
        )
        flops, hbm_bytes, busy = (x * count for x in (self.flops, self.hbm_bytes, self.busy))
        return Costs(flops, hbm_bytes, counts, sizes, busy, self.unknown)


def count(
    text: str,
    mesh: Mapping[str, int],
    slices: Slices = ALONE,
    seconds: Callable[[float, float], float] | None = None,
) -> Costs:
    """Costs of a compiled program.

    Args:
      text: `compiled.as_text()`.
      mesh: names and sizes of the axes that its devices are laid out in; of several slices, of
        each of which this is the program, those of one.
      seconds: how long FLOPs and bytes of one instruction take; None: nobody asks.
    """
    program = parse(text)

    def sent(where: Computation, instruction: Instruction):
        return collectives.read(where, instruction, mesh, slices)

    loops = Loops(program)
    known: dict[tuple[str, bool], Costs] = {}

    def of(name: str, fused: bool) -> Costs:
        if (name, fused) not in known:
            where = program.computations[name]
            parts = (one(where, instruction, fused) for instruction in where.instructions)
            known[name, fused] = reduce(Costs.__add__, parts, Costs())
        return known[name, fused]

    def one(where: Computation, instruction: Instruction, fused: bool) -> Costs:
        own = _own(program, where, instruction, fused, sent(where, instruction))
        match instruction.opcode:
            case "while":
                trips = loops.trips(where, instruction)
                times = trips.count if trips else 1
                if not (trips and trips.exact):
                    how = f"as if it ran {times} times, the most it can" if trips else "as one run"
                    own += Costs(unknown=frozenset({f"a loop that depends on data: {how}"}))
                return own + of(instruction.calls("body")[0], fused).times(times)
            case "conditional":
                branches = [of(name, fused) for name in _branches(instruction)]
                return own + max(branches, key=lambda costs: (costs.flops, costs.hbm_bytes))
            case "call":
                return own + of(instruction.calls("to_apply")[0], fused)
            case "async-start":
                return own + of(instruction.calls("calls")[0], fused)
            case "fusion":
                own += of(instruction.calls("calls")[0], True)
        # What has started goes on beside the rest, and so does a collective.
        waits = not fused and not instruction.opcode.endswith("-start")
        if seconds and waits and instruction.opcode not in collectives.KINDS:
            own += Costs(busy=seconds(own.flops, own.hbm_bytes))
        return own

    return of(program.entry.name, False)


def _own(program, where: Computation, instruction: Instruction, fused: bool, sent) -> Costs:
    unknown = frozenset()
    if instruction.opcode == "custom-call" and kernel_flops(where, instruction) is None:
        target = (instruction.attribute("custom_call_target") or "").strip('"')
        if target.startswith(_KERNELS):
            unknown = frozenset({f"kernel {target} {instruction.name}: without FLOPs"})
    return Costs(
        product_flops(where, instruction),
        0.0 if fused else main_memory_bytes(program, where, instruction),
        Counter({sent[0]: 1} if sent else {}),
        Counter({sent[0]: sent[1]} if sent else {}),
        unknown=unknown,
    )


def _branches(instruction: Instruction) -> list[str]:
    keys = ("branch_computations", "true_computation", "false_computation")
    return [name for key in keys for name in instruction.calls(key)]
