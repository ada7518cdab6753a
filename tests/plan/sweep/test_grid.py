import pytest

from biomatrix_jax.config import load, parse_yaml
from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan.sweep.grid import Axis, points, spell, split


def test_lists_where_a_value_goes_are_axes():
    fixed, axes = split(
        [
            "data.row_length=64",
            "mesh=[{fsdp: 8}, {fsdp: 4, tensor: 2}]",
            "compute.remat=[full, none]",
            "data.mixture.nci=[1, 2]",
        ]
    )
    assert fixed == ["data.row_length=64"]
    assert axes == [
        Axis("mesh", ({"fsdp": 8}, {"fsdp": 4, "tensor": 2})),
        Axis("compute.remat", ("full", "none")),
        Axis("data.mixture.nci", (1, 2)),
    ]


def test_a_field_that_takes_a_list_is_swept_by_a_list_of_lists():
    single = ["rules.batch=[data, fsdp]", "optimizer.frozen=[layers]", "rules.norm=[]"]
    assert split(single) == (single, [])
    _, axes = split(["rules.batch=[[data, fsdp], [fsdp]]", "rules.state.embed=[[fsdp], []]"])
    assert axes == [
        Axis("rules.batch", (["data", "fsdp"], ["fsdp"])),
        Axis("rules.state.embed", (["fsdp"], [])),
    ]


def test_what_is_no_key_is_left_for_the_configuration_to_refuse():
    fixed, axes = split(["compute.rematt=[full, none]"])
    assert not axes
    with pytest.raises(BadInput, match="did you mean remat"):
        load("tiny", fixed)


def test_a_point_is_a_list_of_overrides_that_load_takes():
    _, axes = split(["mesh=[{fsdp: 4, tensor: 2}]", "compute.remat=[full, none]"])
    first, second = points(axes)
    assert first.overrides == ["mesh={fsdp: 4, tensor: 2}", "compute.remat=full"]
    assert second.overrides == ["mesh={fsdp: 4, tensor: 2}", "compute.remat=none"]
    config = load("tiny", second.overrides)
    assert (config.mesh.fsdp, config.mesh.tensor, config.compute.remat) == (4, 2, "none")


def test_every_combination_once_the_last_axis_fastest():
    grid = points([Axis("a", (1, 2)), Axis("b", ("x", "y", "z"))])
    assert [tuple(v for _, v in p.settings) for p in grid] == [
        (1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z"),
    ]  # fmt: skip


def test_values_given_twice_count_once():
    _, [axis] = split(["train.accumulate=[2, 1, 2]"])
    assert axis.values == (2, 1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["compute.remat=[]"], "no values"),
        (["compute.remat=[full]", "compute.remat=[none]"], "swept twice"),
        (["compute.remat=[full"], "not readable as YAML"),
    ],
)
def test_bad_axes_are_refused(overrides, message):
    with pytest.raises(BadInput, match=message):
        split(overrides)


def test_a_grid_beyond_reason_is_refused():
    with pytest.raises(BadInput, match="1,000,000 points"):
        points([Axis(key, tuple(range(100))) for key in "abc"])


@pytest.mark.parametrize(
    "value",
    [
        *(1, 1.5, 1e-9, True, None, "full", "true", "8", "1e3", "a b", "a: b", "", "null", "é#"),
        *({"fsdp": 8, "x y": "true"}, [["data", "fsdp"], []], {}),
    ],
)
def test_values_are_spelled_so_that_they_read_back(value):
    assert parse_yaml(spell(value), "") == value
    assert "\n" not in spell(value)
