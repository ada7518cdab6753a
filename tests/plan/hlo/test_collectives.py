import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from biomatrix_jax.plan.hlo.collectives import Collective, Slices, read
from biomatrix_jax.plan.hlo.costs import count
from biomatrix_jax.plan.hlo.text import parse

MESH = {"data": 2, "fsdp": 2, "tensor": 2}

PROGRAM = """%all-reduce-scatter.1 (p: f32[8]) -> f32[4] {
  %p = f32[8]{0} parameter(0)
  %inside = f32[8]{0} all-reduce(%p), replica_groups={{0,1},{2,3},{4,5},{6,7}}
  ROOT %slice = f32[4]{0} slice(%inside)
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  ROOT %it = LINE
}
"""


def collective(line):
    program = parse(PROGRAM.replace("LINE", line))
    return read(program.entry, program.entry.root, MESH, Slices(("slice",), 4))


@pytest.mark.parametrize(
    ("groups", "axes"),
    [
        ("{{0,1},{2,3},{4,5},{6,7}}", ("tensor",)),
        ("{{0,2},{1,3},{4,6},{5,7}}", ("fsdp",)),
        ("{}", ("data", "fsdp", "tensor")),
        ("[4,2]<=[8]", ("tensor",)),
        ("[4,2]<=[2,4]T(1,0)", ("data",)),
        ("[4,2]<=[2,2,2]T(0,2,1)", ("fsdp",)),
        ("[2,4]<=[4,2]T(1,0)", ("data", "fsdp")),
        ("mesh['a'=1,'b'=8] {'b'}", ("data", "fsdp", "tensor")),
        ("mesh['a'=2,'b'=4] {'a'}", ("data",)),
        ("mesh['a'=2,'b'=4] {'b':(1)2}", ("fsdp",)),
        ("mesh['a'=2,'b'=4] {'b':(2)2}", ("tensor",)),
        ("mesh['a'=2,'b'=4] {'a','b':(2)2}", ("data", "tensor")),
        ("mesh['a'=2,'b'=2,'c'=2], device_ids=([2,2,2]T(2,1,0)) {'a'}", ("tensor",)),
        ("mesh['a'=2,'b'=4], device_ids=([4,2]T(1,0)) {'a'}", ("tensor",)),
    ],
)
def test_groups_tell_axes(groups, axes):
    line = (
        f"f32[8] all-reduce(%a), channel_id=3, replica_groups={groups}, use_global_device_ids=true"
    )
    found, size = collective(line)
    assert found == Collective("all-reduce", axes, 2 ** len(axes), overlapped=False)
    assert size == 32


def test_an_all_gathers_array_is_its_result():
    assert collective("f32[32] all-gather(%a), replica_groups=[2,4]<=[8], dimensions={0}") == (
        Collective("all-gather", ("fsdp", "tensor"), 4, overlapped=False),
        128,
    )


def test_of_an_asynchronous_collective_the_start_counts():
    groups = "replica_groups=[4,2]<=[8]"
    found, size = collective(f"(f32[8], f32[16]) all-gather-start(%a), {groups}, dimensions={{0}}")
    assert found == Collective("all-gather", ("tensor",), 2, overlapped=True)
    assert size == 64
    assert collective("f32[16] all-gather-done(%a)") is None
    # The same collective again in the fusions that go on beside it.
    chained = f'f32[16] all-gather(%a), {groups}, frontend_attributes={{chain_id="4"}}'
    assert collective(chained) is None


def test_a_start_that_is_waited_for_at_once_is_beside_nothing():
    start = "f32[16] all-gather-start(%a), replica_groups=[4,2]<=[8], dimensions={0}"
    found, _ = collective(f'{start}, backend_config={{"is_sync":true}}')
    assert found == Collective("all-gather", ("tensor",), 2, overlapped=False)


def test_a_group_of_one_sends_nothing():
    assert collective("f32[8] all-reduce(%a), replica_groups={{0},{1},{2},{3}}") is None


def test_a_permutation_goes_along_the_axes_that_change():
    line = "f32[8] collective-permute(%a), source_target_pairs={{0,2},{2,0},{1,3},{3,1}}"
    assert collective(line) == (Collective("collective-permute", ("fsdp",), 2, False), 32)


def test_libtpus_fused_reduce_scatter_is_one():
    program = parse(PROGRAM.replace("LINE", "f32[8] copy(%a)"))
    where = program.computations["all-reduce-scatter.1"]
    found, size = read(where, where.by_name["inside"], MESH, Slices())
    assert (found.kind, found.axes, size) == ("reduce-scatter", ("tensor",), 32)


def test_what_slices_send_each_other_goes_through_the_host():
    def sent(opcode, transfer):
        handler = '_xla_host_transfer_handler_name="xla_megascale_runtime"'
        how = f'{{{handler},_xla_megascale_transfer_type="{transfer}"}}'
        return collective(f"(f32[8], u32[], token[]) {opcode}(%a), frontend_attributes={how}")

    assert sent("send", "ALL_REDUCE") == (Collective("all-reduce", ("slice",), 4, True), 32)
    assert sent("send", "ALL_GATHER") == (Collective("all-gather", ("slice",), 4, True), 128)
    assert sent("recv", "ALL_REDUCE") is None


def test_bytes_that_must_be_sent():
    def wire(kind):
        return Collective(kind, ("fsdp",), 4, False).wire_bytes(1000)

    assert wire("all-gather") == wire("reduce-scatter") == wire("all-to-all") == 750
    assert wire("all-reduce") == 1500
    assert wire("collective-permute") == 1000


@pytest.fixture
def mesh():
    return Mesh(np.array(jax.devices()[:8]).reshape(2, 2, 2), tuple(MESH))


@pytest.mark.parametrize(
    ("exchange", "out", "kind", "axes", "size"),
    [
        (lambda x: jax.lax.psum(x, "tensor"), P("data", "fsdp"), "all-reduce", ("tensor",), 256),
        (
            lambda x: jax.lax.psum(x, ("data", "tensor")),
            P(None, "fsdp"), "all-reduce", ("data", "tensor"), 256,
        ),
        (
            lambda x: jax.lax.all_gather(x, "fsdp", axis=1, tiled=True),
            P("data"), "all-gather", ("fsdp",), 512,
        ),
        (
            lambda x: jax.lax.psum_scatter(x, "data", scatter_dimension=0, tiled=True),
            P("data", "fsdp"), "reduce-scatter", ("data",), 256,
        ),
        (
            lambda x: jax.lax.all_to_all(x, "tensor", 0, 1, tiled=True),
            P("data", ("fsdp", "tensor")), "all-to-all", ("tensor",), 256,
        ),
        (
            lambda x: jax.lax.ppermute(x, "data", [(0, 1), (1, 0)]),
            P("data", "fsdp"), "collective-permute", ("data",), 256,
        ),
    ],
)  # fmt: skip
def test_known_programs_have_their_bytes_and_axes(mesh, exchange, out, kind, axes, size):
    """A [16, 16] float32 array, of which each device has [8, 8]: three exchanges in a loop."""

    def local(x):
        def body(total, _):
            return total + exchange(x * total.sum()), None

        return jax.lax.scan(body, jnp.zeros_like(exchange(x)), None, length=3)[0]

    x = jnp.ones((16, 16), jnp.float32)
    mapped = jax.shard_map(
        local, mesh=mesh, in_specs=P("data", "fsdp"), out_specs=out, check_vma=False
    )
    text = jax.jit(mapped).lower(x).compile().as_text()
    costs = count(text, mesh.shape)
    assert {one[:3] for one in costs.counts} == {(kind, axes, 2 ** len(axes))}
    assert list(costs.counts.values()) == [3]
    assert list(costs.sizes.values()) == [3 * size]
