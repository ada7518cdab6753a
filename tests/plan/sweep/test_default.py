import dataclasses

import pytest

from biomatrix_jax.config import DataConfig, ModelConfig, RunConfig
from biomatrix_jax.plan.sweep.default import default_axes

PUBLISHED = RunConfig()


def axes(config=PUBLISHED, devices=8, slices=1):
    return {axis.key: list(axis.values) for axis in default_axes(config, devices, slices)}


def test_meshes_use_all_devices_and_divide_the_heads():
    assert axes()["mesh"] == [
        {"fsdp": 8},
        {"data": 2, "fsdp": 4},
        {"fsdp": 4, "tensor": 2},
        {"fsdp": 2, "tensor": 4},
    ]
    two_heads = RunConfig(model=ModelConfig(kv_heads=2))
    assert {"fsdp": 2, "tensor": 4} not in axes(two_heads)["mesh"]
    assert axes(devices=1)["mesh"] == [{"fsdp": 1}]


def test_slices_are_the_outermost_axis():
    for mesh in axes(devices=32, slices=2)["mesh"]:
        assert next(iter(mesh.items())) == ("slice", 2)
        size = 1
        for value in mesh.values():
            size *= value
        assert size == 32


def test_long_rows_may_be_split():
    long = RunConfig(data=DataConfig(row_length=65_536))
    assert {"fsdp": 4, "context": 2} in axes(long)["mesh"]
    assert not any("context" in mesh for mesh in axes()["mesh"])


@pytest.mark.parametrize(
    ("rows", "devices", "expected"),
    [(1024, 8, [128, 64]), (8, 8, [1]), (12, 8, [3]), (1024, 64, [16, 8])],
)
def test_the_batch_is_cut_into_parts_of_one_and_two_rows_a_device(rows, devices, expected):
    config = RunConfig(data=DataConfig(batch_rows=rows))
    if expected == [3]:
        config = dataclasses.replace(config, train=dataclasses.replace(config.train, accumulate=3))
    assert axes(config, devices)["train.accumulate"] == expected
