import json

import pytest
from click.testing import CliRunner

from biomatrix_jax.cli import biomatrix
from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan import Plan
from biomatrix_jax.plan.words import duration, mesh_overrides, size, text


def one(**changes) -> Plan:
    gather = {
        "kind": "all-gather",
        "axes": ["data", "fsdp"],
        "group": 8,
        "overlapped": True,
        "count": 56,
        "bytes": 4e9,
        "wire_bytes": 3.5e9,
        "seconds": 0.0125,
    }
    values = {
        "topology": "v5p:2x2x2",
        "devices": 8,
        "mesh": {"slice": 1, "data": 2, "fsdp": 4, "context": 1, "tensor": 1},
        "argument_bytes": 2_580_000_000,
        "temp_bytes": 3_480_000_000,
        "peak_bytes": 6_060_000_000,
        "fits": True,
        "flops": 4e12,
        "hbm_bytes": 5e10,
        "collectives": [gather],
        "estimated_step_seconds": 1.25,
        "estimated_mfu": 0.431,
        "compile_seconds": 31.2,
        "limit_bytes": 102_800_000_000,
        "argument_parts": {"params": 860_000_000, "optimizer": 1_720_000_000, "batch": 12},
        "output_bytes": 0,
        "alias_bytes": 0,
        "model_flops": 3e12,
        "estimated_compute_seconds": 1.2,
        "estimated_memory_seconds": 0.9,
        "notes": ("a loop: as one run",),
    }
    return Plan(**values | changes)


def test_a_plan_in_words():
    lines = [line.split() for line in text(one()).splitlines()]
    assert lines[0][:5] == ["v5p:2x2x2:", "8", "devices,", "mesh", "data=2"]
    said = {" ".join(line) for line in lines}
    assert "memory 6.1 GB of 102.8 GB: fits" in said
    assert "arguments 2.6 GB: optimizer 1.7 GB, params 860.0 MB" in said
    assert "products 4 TFLOP" in said
    assert "all-gather over data x fsdp 3.5 GB in 56 12.5 ms beside computing" in said
    assert "estimated step 1.25 s: computing 1.2 s, sending 12.5 ms" in said
    assert "estimated MFU 43.1%, attention over whole rows" in said
    assert "note: a loop: as one run" in said


def test_the_traffic_of_memory_is_named_where_it_is_the_bound():
    """The collective beside computing takes 12.5 ms."""
    bound = text(one(estimated_compute_seconds=1.2, estimated_memory_seconds=1.25))
    assert "1.25 s: computing 1.2 s, reading and writing memory 1.25 s, sending 12.5 ms" in bound
    sending = one(estimated_compute_seconds=0.001, estimated_memory_seconds=0.012)
    assert "reading and writing" not in text(sending)


@pytest.mark.parametrize(
    ("seconds", "words"), [(46.0, "46 s"), (1.5, "1.5 s"), (0.0127, "12.7 ms"), (2.3e-5, "23 µs")]
)
def test_a_time_is_in_units_of_its_size(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("amount", "words"), [(1.0276e11, "102.8 GB"), (4.84e6, "4.8 MB"), (2048, "2.0 kB"), (9, "9 B")]
)
def test_bytes_are_in_units_of_their_size(amount, words):
    assert size(amount) == words


def test_products_are_in_units_of_their_number():
    assert " 4.5 GFLOP\n" in text(one(flops=4.5e9))
    assert " 12,346 TFLOP\n" in text(one(flops=1.23456e16))


def test_one_device_has_no_mesh():
    mesh = dict.fromkeys(("slice", "data", "fsdp", "context", "tensor"), 1)
    said = text(one(topology="here", devices=1, mesh=mesh, collectives=[]))
    assert said.startswith("here: 1 device:\n")
    assert "nothing" in said


def test_a_plan_that_does_not_fit_in_words():
    changes = {"flops": None, "hbm_bytes": None, "collectives": [], "estimated_mfu": None}
    changes |= {"estimated_step_seconds": None, "fits": False, "peak_bytes": 120_000_000_000}
    said = " ".join(text(one(**changes)).split())
    assert "memory 120.0 GB of 102.8 GB: DOES NOT FIT" in said
    assert "products" not in said
    assert "estimated step unknown" in said


def test_a_mesh_from_words():
    assert mesh_overrides("fsdp=4, tensor=2") == [
        "mesh.slice=1",
        "mesh.data=1",
        "mesh.fsdp=4",
        "mesh.context=1",
        "mesh.tensor=2",
    ]
    assert "mesh.data=-1" in mesh_overrides("data=-1")


@pytest.mark.parametrize(
    "words", ["fspd=8", "fsdp", "fsdp=", "fsdp=8,fsdp=2", "fsdp=x", "", "fsdp=-"]
)
def test_words_that_are_no_mesh(words):
    with pytest.raises(BadInput, match=r"write fsdp=8,tensor=2 with axes of slice, data, fsdp"):
        mesh_overrides(words)


def test_the_command():
    arguments = ["plan", "tiny", "model.layers=1", "--topology", "cpu:2", "--mesh", "data=2"]
    result = CliRunner().invoke(biomatrix, [*arguments, "--json"], catch_exceptions=False)
    tree = json.loads(result.stdout)
    assert (tree["devices"], tree["mesh"]["data"], tree["mesh"]["fsdp"]) == (2, 2, 1)
    assert tree["flops"] > 0
