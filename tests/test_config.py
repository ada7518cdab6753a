import dataclasses

import pytest

from biomatrix_jax import config
from biomatrix_jax.errors import BadInput


@pytest.fixture
def yaml_file(tmp_path):
    def write(text):
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return path

    return write


def test_yaml_says_only_what_differs(yaml_file):
    run = config.load(yaml_file("model: {layers: 2}\noptimizer: {peak_learning_rate: 1e-3}\n"))
    assert run.model == dataclasses.replace(config.ModelConfig(), layers=2)
    assert run.optimizer.peak_learning_rate == 1e-3  # YAML 1.1 would read the string "1e-3"
    assert run.mesh == config.MeshConfig()


def test_overrides_win_over_the_file_and_the_last_over_the_first(yaml_file):
    path = yaml_file("model: {layers: 2}\n")
    run = config.load(path, ["model.layers=3", "model.layers=5", "data.mixture={nci: 2}"])
    assert run.model.layers == 5
    assert run.data.mixture == {"nci": 2.0}


def test_dump_reads_back_equal(yaml_file):
    overrides = ["rules.batch=[data]", "data.loss_weights={text: 0.5}", "mesh.tensor=4"]
    run = config.load(yaml_file(""), overrides)
    assert config.load(yaml_file(config.dump(run))) == run


def test_an_integer_stands_for_a_float_but_nothing_else_is_converted(yaml_file):
    assert config.load(yaml_file(""), ["model.rope_theta=5"]).model.rope_theta == 5.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.layrs=2", "unknown key model.layrs; did you mean layers?"),
        ("optimiser.b1=0.5", "unknown key optimiser; did you mean optimizer?"),
        ("model.layers='2'", "model.layers must be a valid integer, not '2' (string)"),
        ("model.layers=2.5", "model.layers must be a valid integer, not 2.5 (number)"),
        ("model.layers=true", "model.layers must be a valid integer, not True (boolean)"),
        ("model.layers=0", "layers must be positive, not 0"),
        ("model=3", "model must be an object, not 3 (integer)"),
        ("model.layers.deep=1", "model.layers must be a valid integer"),
        ("compute.dtype=float8", "compute.dtype must be 'float32', 'bfloat16' or 'float16'"),
        ("rules.vocab=tensor", "rules.vocab must be a valid array, not 'tensor' (string)"),
        ("data.mixture={nci: many}", "data.mixture.nci must be a valid number"),
        ("data.path=null", "data.path must be a valid string, not None (nothing)"),
        ("model.kv_heads=3", "model.kv_heads (3) must divide model.heads (16)"),
        ("mesh={fsdp: -1, data: -1}", "at most one axis may be -1"),
        ("model.layers", "write key=value"),
        ("model.layers=[1", "not readable as YAML"),
        ("mesh={slice: 0, tensor: -5}", "mesh.slice must be positive or -1, not 0"),
        ("optimizer.peak_learning_rate=.nan", "optimizer.peak_learning_rate must be a finite"),
        ("data.mixture={nci: .inf}", "data.mixture.nci must be a finite number, not inf"),
        ("optimizer.warmup_steps=-5", "warmup_steps must be 0 or more, not -5"),
        ("optimizer.weight_decay=-0.1", "weight_decay must be 0 or more"),
        ("optimizer.b1=1", "b1 must be from 0 to below 1, not 1.0"),
        ("optimizer.final_fraction=10", "final_fraction must be from 0 to 1, not 10.0"),
        ("train.seed=-1", "seed must be from 0 to 4294967295, not -1"),
    ],
)
def test_a_bad_value_names_key_and_type_in_one_line(yaml_file, override, message):
    with pytest.raises(BadInput) as caught:
        config.load(yaml_file(""), [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: b: c",
        "- 1\n- 2\n",
        "model: {layers: 1, layers: 2}",
        "7",
        "model: &m {layers: *m}",
        "train: {steps: 2020-01-01}",
        "[" * 5000,
        b"model: {layers: \xff}",
    ],
)
def test_broken_files_are_named(yaml_file, text):
    path = yaml_file("")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput, match=r"run\.yaml") as caught:
        config.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_lists_the_shipped_names():
    with pytest.raises(BadInput, match=r"no such configuration file; shipped by name: .*smoke"):
        config.load("smok")


def test_a_shipped_configuration_is_found_by_name():
    assert config.load("smoke") == config.load(config.configs_directory() / "smoke.yaml")


@dataclasses.dataclass(frozen=True)
class Lists:
    counts: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"counts": [1, 2.5]}, r"counts\.1 must be a valid integer, not 2\.5"),
        ({"counts": [1, float("nan")]}, r"counts\.1 must be a valid integer, not nan"),
        ({"counts": [True]}, r"counts\.0 must be a valid integer, not True"),
        ({"names": ["a", 1]}, r"names\.1 must be a valid string, not 1"),
        ({"names": [float("inf")]}, r"names\.0 must be a valid string, not inf"),
        ({"shares": [1, float("nan")]}, r"shares\.1 must be a finite number, not nan"),
    ],
)
def test_a_bad_value_in_a_list_is_named_with_its_place(tree, message):
    with pytest.raises(BadInput, match=message):
        config.from_dict(Lists, tree, "here")
    assert config.from_dict(Lists, {"counts": [1], "shares": [1]}, "here").shares == (1.0,)
