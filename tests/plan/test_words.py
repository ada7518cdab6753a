import json

import pytest
from click.testing import CliRunner

from biomatrix_jax.cli import biomatrix
from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan import Plan
from biomatrix_jax.plan.words import mesh_overrides, text


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
        "notes": ("a loop: as one run",),
    }
    return Plan(**values | changes)


def test_a_plan_in_words():
    lines = [line.split() for line in text(one()).splitlines()]
    assert lines[0][:5] == ["v5p:2x2x2:", "8", "devices,", "mesh", "data=2"]
    said = {" ".join(line) for line in lines}
    assert "memory 6.06 GB of 103 GB: fits" in said
    assert "arguments 2.58 GB: optimizer 1.72 GB, params 860 MB" in said
    assert "products 4 TFLOP, 75% of them the model's" in said
    assert "all-gather over data x fsdp 3.5 GB in 56 12.5 ms beside computing" in said
    assert "estimated step 1.25 s: computing 1.2 s, sending 12.5 ms" in said
    assert "estimated MFU 43.1%" in said
    assert "note: a loop: as one run" in said


def test_one_device_has_no_mesh():
    mesh = dict.fromkeys(("slice", "data", "fsdp", "context", "tensor"), 1)
    said = text(one(topology="here", devices=1, mesh=mesh, collectives=[]))
    assert said.startswith("here: 1 device:\n")
    assert "nothing" in said


def test_a_plan_that_does_not_fit_in_words():
    changes = {"flops": None, "hbm_bytes": None, "collectives": [], "estimated_mfu": None}
    changes |= {"estimated_step_seconds": None, "fits": False, "peak_bytes": 120_000_000_000}
    said = " ".join(text(one(**changes)).split())
    assert "memory 120 GB of 103 GB: DOES NOT FIT" in said
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
