"""The pod configurations: as benchmarks/pods.py made them, of the published batch, whole meshes."""

import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from biomatrix_jax.config import configs_directory, dump, load
from tests.conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))
import arithmetic
import pods
import pods_text

from biomatrix_jax.chips import find_chip
from biomatrix_jax.plan.hlo.collectives import Collective
from biomatrix_jax.plan.roofline import collective_seconds

FOLDER = configs_directory() / "pods"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
RESULTS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((REPOSITORY / "benchmarks" / "results" / "pods").glob("*.json"))
}


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_is_what_its_sweep_found(name):
    assert (FOLDER / f"{name}.yaml").read_text() == pods_text.configuration(RESULTS[name])
    resolved = (FOLDER / "resolved" / f"{name}.yaml").read_text()
    assert resolved == dump(load(f"pods/{name}")), "run: make configs"


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_trains_the_published_run_on_all_devices(name):
    run, published = load(f"pods/{name}"), load(RESULTS[name]["model"])
    assert (run.model, run.optimizer, run.data) == (
        published.model, published.optimizer, published.data,
    )  # fmt: skip
    best = RESULTS[name]["points"][0]
    mesh = {axis: size for axis, size in vars(run.mesh).items() if size > 1}
    assert mesh == {axis: size for axis, size in best["settings"]["mesh"].items() if size > 1}
    assert math.prod(mesh.values()) == best["devices"]
    rows_of_part = run.data.batch_rows / run.train.accumulate
    assert rows_of_part % (run.mesh.data * run.mesh.fsdp) == 0
    assert run.model.embed_dim % run.mesh.fsdp == 0


def test_the_table_is_that_of_the_results():
    table = (REPOSITORY / "docs" / "pods.md").read_text()
    assert all(f"`pods/{name}`" in table for name in NAMES)
    order = [line.split("`")[1] for line in table.split("\n") if "`pods/" in line]
    results = sorted(RESULTS.values(), key=lambda one: order.index(f"pods/{one['name']}"))
    missing = pods.missing(list(RESULTS))
    assert table == pods_text.document(results, missing)
    assert all(f"`{name}`" in table for name in missing)


@pytest.mark.parametrize(
    "mesh",
    [
        {"fsdp": 8},
        {"fsdp": 32},
        {"data": 4, "fsdp": 8},
        {"data": 2, "fsdp": 8, "tensor": 2},
        {"fsdp": 4, "tensor": 16},
    ],
)
def test_arithmetic_has_a_gpus_collectives_take_what_the_planner_has_them_take(mesh):
    chip, count = find_chip("H100"), math.prod(mesh.values())
    gpus = np.empty(count, object)
    gpus[:] = [SimpleNamespace(process_index=number // 8) for number in range(count)]
    there = SimpleNamespace(devices=gpus.reshape(list(mesh.values())), axis_names=tuple(mesh))
    speeds = arithmetic.gpu_bytes_per_second(chip, mesh, 8)
    for axis, size in mesh.items():
        gather = Collective("all-gather", (axis,), size, overlapped=False)
        planned = collective_seconds(chip, there, gather, 1e9)
        assert gather.wire_bytes(1e9) / speeds[axis] == pytest.approx(planned)


def test_what_was_not_compiled_says_so():
    for name in NAMES:
        text = (FOLDER / f"{name}.yaml").read_text()
        assert ("not compiled" in text) == ("h100" in name)
