"""The whole run as one tree of frozen dataclasses.

The classes are plain data: they import nothing but the standard library, so the model can use them
without a configuration library installed. `load` reads YAML that says only what differs from the
defaults, applies `key=value` overrides and validates strictly; `dump` writes the resolved tree.
"""

import dataclasses
import difflib
import functools
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from biomatrix_jax.errors import BadInput

DType = Literal["float32", "bfloat16", "float16"]
Remat = Literal["none", "dots", "minimal", "offload", "attention_saved", "full"]
Kernel = Literal["auto", "reference", "tiled", "splash", "flash", "cudnn"]
Axes = tuple[str, ...]
T = TypeVar("T")


def _check(config: Any, kind: str, holds: Callable[[Any], bool], *names: str) -> None:
    for name in names:
        if not holds(getattr(config, name)):
            raise BadInput(f"{name} must be {kind}, not {getattr(config, name)}")


def _positive(config: Any, *names: str) -> None:
    _check(config, "positive", lambda value: value > 0, *names)


@dataclass(frozen=True)
class ModelConfig:
    """A Qwen3 decoder's architecture: what decides the shapes and the function of its weights."""

    vocab_size: int = 168_064
    embed_dim: int = 2048
    layers: int = 28
    heads: int = 16
    kv_heads: int = 8
    head_dim: int = 128
    ffn_dim: int = 6144
    rope_theta: float = 1e6
    norm_eps: float = 1e-6
    tied_embeddings: bool = False
    max_positions: int = 40_960

    def __post_init__(self):
        sizes = ("vocab_size", "embed_dim", "layers", "heads", "kv_heads", "head_dim", "ffn_dim")
        _positive(self, *sizes, "rope_theta", "norm_eps", "max_positions")
        # Ids and positions are int32.
        _check(self, "below 2**31", lambda value: value < 2**31, *sizes, "max_positions")
        if self.heads % self.kv_heads:
            raise BadInput(
                f"model.kv_heads ({self.kv_heads}) must divide model.heads ({self.heads})"
            )
        if self.head_dim % 2:
            raise BadInput(f"model.head_dim ({self.head_dim}) must be even: RoPE rotates halves")


@dataclass(frozen=True)
class ComputeConfig:
    """How the decoder is computed; none of it changes what the weights mean."""

    dtype: DType = "bfloat16"  # activations and matrix products
    param_dtype: DType = "float32"  # stored parameters; optimizer moments are always float32
    remat: Remat = "full"  # what the backward pass keeps of a layer; see model/remat.py
    attention: Kernel = "auto"  # the kernel; see model/attention/choose.py
    loss_chunk: int = 2048  # tokens of a row whose logits exist at a time
    loss_vocab_tile: int = 4096  # rows of the output head (a device's own) gathered at a time
    z_loss: float = 0.0  # coefficient of log(Z)^2 in what is minimised; not in what is reported

    def __post_init__(self):
        _positive(self, "loss_chunk", "loss_vocab_tile")
        _check(self, "0 or more", lambda value: value >= 0, "z_loss")


@dataclass(frozen=True)
class MeshConfig:
    """Sizes of the mesh axes, outermost first. One of them may be -1: it takes what is left."""

    slice: int = 1
    data: int = 1
    fsdp: int = -1
    context: int = 1
    tensor: int = 1

    def __post_init__(self):
        sizes = dataclasses.asdict(self)
        bad = {k: v for k, v in sizes.items() if v < 1 and v != -1}
        if bad:
            axis, size = next(iter(bad.items()))
            raise BadInput(f"mesh.{axis} must be positive or -1, not {size}")
        if sum(v == -1 for v in sizes.values()) > 1:
            raise BadInput("mesh: at most one axis may be -1 (take what is left)")


@dataclass(frozen=True)
class ShardingRules:
    """Logical axis -> mesh axes. An empty tuple replicates.

    The first group names axes of parameters, the second axes of activations. They are kept apart
    because fsdp shards a parameter's `embed` while an activation's batch lies on the same devices.
    """

    layers: Axes = ()
    vocab: Axes = ("tensor",)
    embed: Axes = ("fsdp",)
    heads: Axes = ("tensor",)
    kv_heads: Axes = ("tensor",)
    head_dim: Axes = ()
    ffn: Axes = ("tensor",)
    norm: Axes = ()
    head_norm: Axes = ()

    batch: Axes = ("slice", "data", "fsdp")
    length: Axes = ("context",)
    act_embed: Axes = ()
    act_heads: Axes = ("tensor",)
    kv_length: Axes = ()
    act_kv_heads: Axes = ("tensor",)
    act_ffn: Axes = ("tensor",)
    act_vocab: Axes = ("tensor",)

    # Of parameters' axes that the optimizer's state splits otherwise. ZeRO-1 is `embed: []` above
    # with `state: {embed: [fsdp]}`: parameters whole on every device, moments in pieces.
    state: dict[str, Axes] = field(default_factory=dict)


@dataclass(frozen=True)
class MixtureStage:
    """Another mixture from a step on: the next draw of a source is that after its last one."""

    from_step: int
    mixture: dict[str, float]  # as `data.mixture`


@dataclass(frozen=True)
class DataConfig:
    """Packed rows and how they are drawn."""

    path: str = ""  # directory with a manifest.json, made by `biomatrix data build`
    row_length: int = 8192  # tokens; must be the manifest's
    batch_rows: int = 1024  # rows of one global batch
    mixture: dict[str, float] = field(default_factory=dict)  # source -> weight; empty: by rows
    mixture_schedule: tuple[MixtureStage, ...] = ()  # what follows it, by step
    loss_weights: dict[str, float] = field(default_factory=dict)  # modality -> weight; default 1

    def __post_init__(self):
        _positive(self, "row_length", "batch_rows")
        steps = [0, *(stage.from_step for stage in self.mixture_schedule)]
        if any(later <= step for step, later in itertools.pairwise(steps)):
            listed = ", ".join(map(str, steps[1:]))
            raise BadInput(f"mixture_schedule: from_step must be above 0 and rise, not {listed}")


@dataclass(frozen=True)
class OptimizerConfig:
    """What makes an update of a gradient; see train/optimizer.py. Norm scales are not decayed."""

    name: Literal["adamw", "adafactor", "muon"] = "adamw"
    peak_learning_rate: float = 2e-4
    schedule: Literal["cosine", "wsd"] = "cosine"  # wsd: warm-up, stable at the peak, decay
    warmup_steps: int = 2000
    decay_fraction: float = 0.1  # of the steps, over which wsd decays; cosine takes all
    decay_shape: Literal["linear", "sqrt"] = "linear"  # of wsd; sqrt: 1 - sqrt(part done)
    final_fraction: float = 0.1  # of the peak, reached at the last step
    b1: float = 0.9  # AdamW's three; Muon has them for what is not a layer's matrix
    b2: float = 0.95
    eps: float = 1e-8
    momentum: float = 0.95  # Muon's
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    master_copy: bool = True  # of parameters narrower than float32: what updates add up in
    ema_decay: float = 0.0  # of a running average of the weights, kept beside them; 0: none
    frozen: tuple[str, ...] = ()  # parameters that stay, by path or its beginning: [layers]
    frozen_rows: int = 0  # the first rows of embedding and head that stay: those of the base

    def __post_init__(self):
        _positive(self, "peak_learning_rate", "clip_norm", "eps")
        _check(self, "0 or more", lambda value: value >= 0, "frozen_rows")
        _check(self, "from 0 to below 1", lambda value: 0 <= value < 1, "ema_decay")
        _check(self, "0 or more", lambda value: value >= 0, "warmup_steps", "weight_decay")
        _check(self, "from 0 to below 1", lambda value: 0 <= value < 1, "b1", "b2", "momentum")
        _check(self, "from 0 to 1", lambda value: 0 <= value <= 1, "final_fraction")
        _check(self, "above 0 and up to 1", lambda value: 0 < value <= 1, "decay_fraction")


@dataclass(frozen=True)
class GuardConfig:
    """Which updates are skipped; see train/guard.py. The batch counts as seen."""

    deviations: float = 0.0  # above the running mean of loss or gradient norm; 0: only non-finite
    window: int = 100  # steps that the running mean and deviation look back
    patience: int = 5  # skipped in a row, after which the run stops

    def __post_init__(self):
        _positive(self, "window")
        _check(self, "0 or more", lambda value: value >= 0, "deviations", "patience")


@dataclass(frozen=True)
class TrainConfig:
    steps: int = 36_400
    accumulate: int = 1  # parts of a batch computed one after the other, their gradients summed
    seed: int = 0
    init_from: str = ""  # HF directory or checkpoint whose weights start the run; empty: random
    checkpoint_every: int = 500  # steps
    keep_checkpoints: int = 3  # the newest
    keep_every: int = 0  # steps; checkpoints at its multiples are kept for good; 0: none
    tensorboard: bool = True

    def __post_init__(self):
        _positive(self, "steps", "accumulate", "checkpoint_every", "keep_checkpoints")
        _check(self, "0 or more", lambda value: value >= 0, "keep_every")
        _check(self, "from 0 to 4294967295", lambda value: 0 <= value < 2**32, "seed")


@dataclass(frozen=True)
class RunConfig:
    model: ModelConfig = ModelConfig()
    compute: ComputeConfig = ComputeConfig()
    mesh: MeshConfig = MeshConfig()
    rules: ShardingRules = ShardingRules()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    guard: GuardConfig = GuardConfig()
    train: TrainConfig = TrainConfig()


def load(path: str | os.PathLike, overrides: list[str] | tuple[str, ...] = ()) -> RunConfig:
    """Reads a run's configuration; see `load_as`."""
    return load_as(RunConfig, path, overrides)


def load_as(cls: type[T], path: str | os.PathLike, overrides=()) -> T:
    """Reads YAML into the dataclass `cls`, then applies `key.sub=value` overrides in order.

    Args:
      path: a YAML file, or the bare name of a configuration shipped in `configs/`.
      overrides: values are YAML too: `model.layers=2`, `data.mixture={nci: 2}`.

    Raises:
      BadInput: no such file, broken YAML, an unknown key (the nearest known one is suggested), or
        a value of the wrong type (key and type are named).
    """
    path = find(path)
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text ({error})") from None
    tree = parse_yaml(text, str(path)) or {}
    if not isinstance(tree, dict):
        raise BadInput(f"{path}: expected keys and values at the top, found {_kind(tree)}")
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise BadInput(f"override {override!r}: write key=value, for example model.layers=2")
        _set(tree, key.split("."), parse_yaml(value, f"override {override!r}"), override)
    return from_dict(cls, tree, str(path))


def find(path: str | os.PathLike) -> Path:
    """A configuration file by path, or a shipped one by its name in `configs/`: `smoke`,
    `pods/biomatrix_1p7b_v5p_2x2x2`."""
    path = Path(path)
    if path.is_file():
        return path
    shipped = configs_directory()
    if not path.is_absolute() and ".." not in path.parts and not path.suffix:
        named = shipped / f"{path}.yaml"
        if named.is_file():
            return named
    names = ", ".join(sorted(p.stem for p in shipped.glob("*.yaml"))) or "none"
    if pods := len(list(shipped.glob("pods/*.yaml"))):
        names += f", and {pods} below pods/"
    raise BadInput(f"{path}: no such configuration file; shipped by name: {names}")


def configs_directory() -> Path:
    """Where the shipped configurations are: inside an installed package, or in the repository."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def dump(config: Any) -> str:
    """The resolved tree as YAML that `load` reads back to an equal one."""
    import io

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False  # a key a line, so that a change shows as one line
    yaml.sort_base_mapping_type_on_output = False
    stream = io.StringIO()
    yaml.dump(json.loads(json.dumps(dataclasses.asdict(config))), stream)
    return stream.getvalue()


def within(key: str, names: Iterable[str]) -> bool:
    """Whether a dotted key is one of `names` or lies below one: model.layers below model."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def parse_yaml(text: str, where: str) -> Any:
    """YAML 1.2 to plain Python values (`1e-4` is a number, a repeated key an error)."""
    from ruamel.yaml import YAML, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise BadInput(f"{where}: not readable as YAML: {_one_line(error)}") from None
    except RecursionError:
        raise BadInput(f"{where}: not readable as YAML: nested too deep") from None


def from_dict(cls: type[T], tree: dict, where: str) -> T:
    """Builds the dataclass `cls` from plain values, strictly.

    A string is no number, a float no integer, `true` no number, neither are NaN and infinity; an
    integer may stand for a float.

    Args:
      where: the file the values came from, for the message.

    Raises:
      BadInput: names the key, what was expected and what was found.
    """
    from pydantic import ValidationError

    _check_tree(cls, tree, where)
    try:
        # Through JSON because only there pydantic's strict mode takes mappings for dataclasses.
        return _adapter(cls).validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise BadInput(f"{where}: " + "; ".join(map(_explain, error.errors()))) from None
    except (TypeError, ValueError) as error:  # a date; an anchor that holds itself
        raise BadInput(f"{where}: a value that is not plain data: {_one_line(error)}") from None


@functools.cache  # making one takes longer than using it: a build reads thousands of accounts
def _adapter(cls: type):
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _check_tree(cls: type, tree: Any, where: str, prefix: str = "") -> None:
    """What validation would not say: the nearest known key to an unknown one, a NaN's key."""
    import typing

    if isinstance(tree, float) and not math.isfinite(tree):
        raise BadInput(f"{where}: {prefix[:-1]} must be a finite number, not {tree}")
    if typing.get_origin(cls) in (list, tuple) and isinstance(tree, list):
        of = typing.get_args(cls)[0]
        # Of what can be millions (records of documents, say) validation says all there is to say.
        for index, item in enumerate(() if of in (int, str) else tree):
            _check_tree(of, item, where, f"{prefix}{index}.")
    if typing.get_origin(cls) is dict and isinstance(tree, dict):
        for key, item in tree.items():
            _check_tree(typing.get_args(cls)[1], item, where, f"{prefix}{key}.")
    if not dataclasses.is_dataclass(cls) or not isinstance(tree, dict):
        return
    hints = typing.get_type_hints(cls)
    known = {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}
    for key, value in tree.items():
        if key not in known:
            raise BadInput(f"{where}: unknown key {prefix}{key}; {_suggest(str(key), known)}")
        _check_tree(known[key], value, where, f"{prefix}{key}.")


def _suggest(key: str, known) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _set(tree: dict, keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise BadInput(f"override {override!r}: {key} is a value, it has no keys below it")
    tree[keys[-1]] = value


def _explain(error: dict) -> str:
    key = ".".join(map(str, error["loc"])) or "the top"
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, BadInput):
        return str(cause)
    message = error["msg"].removeprefix("Input should be ")
    if error["type"] == "missing":
        return f"{key} is missing"
    return f"{key} must be {message}, not {error['input']!r} ({_kind(error['input'])})"


def _kind(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list"}
    return names.get(type(value), "mapping" if isinstance(value, dict) else "nothing")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
