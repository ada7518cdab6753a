"""The pod configurations: as benchmarks/pods.py made them, of the published batch, whole meshes."""

import json
import math
import sys

import pytest

from biomatrix_jax.config import configs_directory, dump, load
from tests.conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))
import pods
import pods_text

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
