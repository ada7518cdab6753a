"""What devices send each other: kind, bytes, and along which axes of the mesh."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from biomatrix_jax.plan.hlo.text import Computation, Instruction

KINDS = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-broadcast",
    "collective-permute",
)
_ONCE = {kind: kind for kind in KINDS} | {f"{kind}-start": kind for kind in KINDS}


class Slices(NamedTuple):
    """TPU slices, each of which runs a program of its own devices: who else there is.

    What they send each other the program hands to the host, and says what is to become of it.
    """

    axes: tuple[str, ...] = ()  # of the mesh that go from slice to slice
    count: int = 1


class Collective(NamedTuple):
    """What one device takes part in; equal ones are counted together."""

    kind: str
    axes: tuple[str, ...]  # of the mesh, in its order, that vary within a group
    group: int  # devices that exchange with each other; a ring's for a permutation
    overlapped: bool  # the program goes on computing meanwhile

    def wire_bytes(self, size: float) -> float:
        """Bytes that a device must send, of a collective whose array has `size` (see `read`)."""
        share = (self.group - 1) / self.group
        return {
            "all-reduce": 2 * share * size,  # a reduce-scatter and an all-gather
            "collective-permute": size,
            "collective-broadcast": size,
        }.get(self.kind, share * size)


def read(
    where: Computation, instruction: Instruction, mesh: Mapping[str, int], slices: Slices
) -> tuple[Collective, int] | None:
    """-> the collective that an instruction is, and the bytes of its array; None: it is none.

    The array is what a device has at most of what is exchanged: an all-gather's result, otherwise
    the operand. Of an asynchronous one only the start counts. libtpu writes such a one also as a
    chain of the same collective in several fusions, which overlap it with products; and some
    reduce-scatters as a fusion of that name, which sums everything and takes a slice.

    Args:
      mesh: axis names and sizes; device ids count along them, the last the fastest. Of several
        slices the mesh within one.
    """
    if between := re.search(r'_xla_megascale_transfer_type="(\w+)"', instruction.attributes):
        return _sent(where, instruction, between[1], slices)
    kind = _ONCE.get(instruction.opcode)
    if kind is None or ("chain_id=" in instruction.attributes and not _starts(where, instruction)):
        return None
    if kind == "all-reduce" and where.name.startswith("all-reduce-scatter"):
        kind = "reduce-scatter"
    waited = '"is_sync":true' in instruction.attributes  # at once: so GPUs' compiler says it
    started = instruction.opcode.endswith("-start") and not waited
    overlapped = started or "chain_id=" in instruction.attributes
    operands = where.operands(instruction)
    if kind == "collective-permute":
        groups = _pairs(instruction)
        size = operands[0].bytes
    else:
        groups = _groups(instruction, int(np.prod(list(mesh.values()))))
        size = sum(operand.bytes for operand in operands)
    if all(len(group) == 1 for group in groups):
        return None
    axes = _axes(groups, mesh)
    members = int(np.prod([mesh[axis] for axis in axes]))
    if kind != "collective-permute":
        members = max(len(group) for group in groups)
        if kind == "all-gather":
            size *= members
    return Collective(kind, axes, members, overlapped), size


def _sent(
    where: Computation, instruction: Instruction, transfer: str, slices: Slices
) -> tuple[Collective, int] | None:
    if instruction.opcode != "send":
        return None
    kind = transfer.lower().replace("_", "-")
    size = where.operands(instruction)[0].bytes * (slices.count if kind == "all-gather" else 1)
    return Collective(kind, slices.axes, slices.count, overlapped=True), size


def _starts(where: Computation, instruction: Instruction) -> bool:
    users = where.users[instruction.name]
    return any('"AsyncCollectiveStart"' in user.attributes for user in users)


def _axes(groups: list[list[int]], mesh: Mapping[str, int]) -> tuple[str, ...]:
    varies = np.zeros(len(mesh), bool)
    for group in groups:
        places = np.stack(np.unravel_index(group, tuple(mesh.values())))  # [axes, members]
        varies |= (places != places[:, :1]).any(axis=1)
    return tuple(axis for axis, does in zip(mesh, varies, strict=True) if does)


def _pairs(instruction: Instruction) -> list[list[int]]:
    ids = instruction.integers("source_target_pairs")
    return [list(pair) for pair in zip(ids[::2], ids[1::2], strict=True)]


_NUMBERS = r"[\d,]+"
_IOTA = rf"\[({_NUMBERS})\](?:<=\[({_NUMBERS})\])?(?:T\(({_NUMBERS})\))?"


def _groups(instruction: Instruction, devices: int) -> list[list[int]]:
    """`replica_groups`, in any of its forms; ids are those of devices in the mesh's order.

    {{0,1},{2,3}}                        as they are; {} is all devices
    [2,2]<=[2,2]T(1,0)                   0, 1, .. in the shape [2,2], transposed, as rows
    mesh['a'=2,'b'=2] {'b'}              those that differ in b; 'b':(1)2 is a factor of b.
    mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'b'}
    """
    text = instruction.attributes
    if mesh := re.search(r"replica_groups=@?mesh\[([^\]]*)\](.*?)\{('[^}]*)\}", text):
        return _mesh_groups(*mesh.groups())
    if iota := re.search(rf"replica_groups={_IOTA}", text):
        return _iota(*iota.groups()).tolist()
    listed = instruction.attribute("replica_groups") or "{}"
    groups = [[int(i) for i in group.split(",")] for group in re.findall(r"\{([\d,]+)\}", listed)]
    return groups or [list(range(devices))]


def _iota(shape: str, reshape: str | None, order: str | None) -> np.ndarray:
    to, through = _integers(shape), _integers(reshape or shape)
    ids = np.arange(np.prod(to)).reshape(through)
    return (ids.transpose(_integers(order)) if order else ids).reshape(to)


def _mesh_groups(axes: str, ids: str, used: str) -> list[list[int]]:
    sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", axes)}
    order = np.arange(np.prod(list(sizes.values())))
    if iota := re.search(_IOTA, ids):
        order = _iota(*iota.groups()).ravel()
    elif listed := re.findall(r"\d+", ids):
        order = np.array([int(i) for i in listed])
    # A factor of an axis: split the axis into what comes before it, itself, and what comes after.
    factors: list[tuple[int, bool]] = []
    refs = re.findall(r"'([^']+)'(?::\((\d+)\)(\d+))?", used)
    for name, size in sizes.items():
        taken = sorted((int(pre or 1), int(n or size)) for axis, pre, n in refs if axis == name)
        done = 1
        for before, count in taken:
            factors += [(before // done, False), (count, True)]
            done = before * count
        factors.append((size // done, False))
    array = order.reshape([count for count, _ in factors])
    kept = [i for i, (_, used) in enumerate(factors) if not used]
    members = [i for i, (_, used) in enumerate(factors) if used]
    size = int(np.prod([factors[i][0] for i in members]))
    return array.transpose(kept + members).reshape(-1, size).tolist()


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in text.split(","))
