"""Sizes of GCP-VQVAE and the settings of its codebook, in our words and in the published ones.

What every published configuration has alike (8 radial basis functions to 10 A, four message units,
heads of 64) is code here, not configuration; a configuration that says otherwise is refused.
"""

import dataclasses
import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomatrix_jax.config import from_dict
from biomatrix_jax.errors import BadInput, some
from biomatrix_jax.files import read_json

KIND = "gcp-vqvae"
HEAD_DIM = 64
ROTARY_DIM = 32  # of a head's dimensions, the first ones
FFN_MULTIPLE = 4  # of a transformer's width


def _check_sizes(group: str, config: Any) -> None:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.type is int and value < 1:
            raise BadInput(f"{group} {field.name} must be positive, not {value}")


@dataclass(frozen=True)
class GCPNetConfig:
    """The graph network's depth and its channels."""

    layers: int = 6
    node_scalars: int = 128
    node_vectors: int = 16
    edge_scalars: int = 32
    edge_vectors: int = 4

    def __post_init__(self):
        _check_sizes("gcpnet", self)
        if self.node_vectors < 4:  # its units work in a quarter of them
            raise BadInput(f"gcpnet.node_vectors must be at least 4, not {self.node_vectors}")


@dataclass(frozen=True)
class TransformerConfig:
    """One of the two transformers."""

    embed_dim: int
    layers: int
    heads: int
    kv_heads: int

    def __post_init__(self):
        _check_sizes("a transformer's", self)
        if self.heads % self.kv_heads:
            raise BadInput(f"kv_heads ({self.kv_heads}) must divide heads ({self.heads})")


@dataclass(frozen=True)
class QuantizerConfig:
    """The codebook: its sizes, and how it is trained.

    Attributes:
      decay: of the moving averages that the codes follow.
      commitment: weight of the loss that draws latents to their codes.
      orthogonality: weight of the loss that drives codes apart.
      orthogonality_codes: at most so many codes in use are driven apart in one step.
      dead_code_threshold: a code with a smaller moving count is replaced.
      kmeans_steps: that find the first codes.
    """

    dim: int = 256
    codes: int = 4096
    decay: float = 0.995
    commitment: float = 0.05
    orthogonality: float = 10.0
    orthogonality_codes: int = 512
    dead_code_threshold: float = 2.0
    kmeans_steps: int = 10

    def __post_init__(self):
        _check_sizes("quantizer", self)
        if not 0 < self.decay < 1:
            raise BadInput(f"quantizer.decay must lie between 0 and 1, not {self.decay}")
        for name in ("commitment", "orthogonality", "dead_code_threshold"):
            if getattr(self, name) < 0:
                raise BadInput(f"quantizer.{name} must be 0 or more, not {getattr(self, name)}")


@dataclass(frozen=True)
class ProteinVQVAEConfig:
    """The whole tokenizer; the defaults are those of the published Large model.

    Attributes:
      max_length: residues of the longest chain.
      neighbours: of a residue in the graph.
    """

    max_length: int = 1280
    neighbours: int = 16
    gcpnet: GCPNetConfig = GCPNetConfig()
    encoder: TransformerConfig = TransformerConfig(1024, 12, 12, 3)
    quantizer: QuantizerConfig = QuantizerConfig()
    decoder: TransformerConfig = TransformerConfig(1024, 16, 16, 1)

    def __post_init__(self):
        for name in ("max_length", "neighbours"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} must be positive, not {getattr(self, name)}")


LARGE = ProteinVQVAEConfig()
LITE = ProteinVQVAEConfig(
    encoder=TransformerConfig(1024, 8, 8, 2),
    quantizer=QuantizerConfig(dim=128, decay=0.99, commitment=0.25),
    decoder=TransformerConfig(1024, 12, 8, 2),
)


def read(path: str | Path) -> ProteinVQVAEConfig:
    """Reads a config.json in our form or the published one, strictly.

    Raises:
      BadInput: no such file, no configuration, an unknown key, a missing one, a value that cannot
        be; in the published form also a setting that this implementation does not have.
    """
    tree = read_json(path)
    if "kind" not in tree:
        return _from_published(tree, str(path))
    if (kind := tree.pop("kind")) != KIND:
        raise BadInput(f'{path}: not a protein tokenizer: "kind" is {kind!r} instead of "{KIND}"')
    # The defaults are for those who train; what a file leaves out would be guessed. Of an unknown
    # key `from_dict` says more.
    found, known = _flat(tree).keys(), _flat(dataclasses.asdict(LARGE)).keys()
    if found < known:
        raise BadInput(f"{path}: lacks {some(sorted(known - found))}: copy it again")
    return from_dict(ProteinVQVAEConfig, tree, str(path))


def to_json(config: ProteinVQVAEConfig) -> str:
    """The content of config.json in our form."""
    return json.dumps({"kind": KIND, **dataclasses.asdict(config)}, indent=2) + "\n"


def to_published_json(config: ProteinVQVAEConfig) -> str:
    """The content of config.json in the published form."""
    ours = _flat(dataclasses.asdict(config))
    values = {**_FIXED, **{theirs: ours[name] for theirs, name in _FIELDS.items()}}
    tree: dict[str, Any] = {"note": "written by biomatrix-jax"}
    for key, value in sorted(values.items()):
        *groups, last = key.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[last] = value
    return json.dumps(tree, indent=2) + "\n"


# The published form's keys and our fields.
_FIELDS = {
    "max_length": "max_length",
    "knn_k": "neighbours",
    "gcpnet.num_layers": "gcpnet.layers",
    "gcpnet.node_scalar": "gcpnet.node_scalars",
    "gcpnet.node_vector": "gcpnet.node_vectors",
    "gcpnet.edge_scalar": "gcpnet.edge_scalars",
    "gcpnet.edge_vector": "gcpnet.edge_vectors",
    **{
        f"{stack}.{theirs}": f"{stack}.{ours}"
        for stack in ("encoder", "decoder")
        for theirs, ours in (
            ("dimension", "embed_dim"),
            ("depth", "layers"),
            ("heads", "heads"),
            ("attn_kv_heads", "kv_heads"),
        )
    },
    "quantizer.dim": "quantizer.dim",
    "quantizer.codebook_size": "quantizer.codes",
    "quantizer.decay": "quantizer.decay",
    "quantizer.commitment_weight": "quantizer.commitment",
    "quantizer.orthogonal_reg_weight": "quantizer.orthogonality",
    "quantizer.orthogonal_reg_max_codes": "quantizer.orthogonality_codes",
    "quantizer.threshold_ema_dead_code": "quantizer.dead_code_threshold",
    "quantizer.kmeans_iters": "quantizer.kmeans_steps",
}

# Those that must say what the code does.
_FIXED: dict[str, Any] = {
    "aa_vocab": "ABCDEFGHIJKLMNPQRSTVWXYZ (index in string; 23 one-hot classes, "
    "Z mapped to X before)",
    "gcpnet.node_scalar_in": 49,
    "gcpnet.node_vector_in": 2,
    "gcpnet.edge_scalar_in": 9,
    "gcpnet.edge_vector_in": 1,
    "gcpnet.num_rbf": 8,
    "gcpnet.r_max": 10.0,
    "gcpnet.bottleneck": 4,
    "gcpnet.embedding_bottleneck": 1,
    "gcpnet.num_message_layers": 4,
    "gcpnet.num_feedforward_layers": 2,
    "gcpnet.pre_norm": False,
    "gcpnet.dropout": 0.0,
    "encoder.ff_mult": FFN_MULTIPLE,
    "encoder.dim_head": HEAD_DIM,
    "encoder.rotary_dim": ROTARY_DIM,
    "encoder.rotary_base": 10000,
    "encoder.qk_norm_scale": 10,
    "encoder.norm_eps": 1e-5,
    "encoder.ff": "SwiGLU, bias on the in-projection only",
    "quantizer.orthogonal_reg_active_codes_only": True,
    "quantizer.rotation_trick": True,
    "quantizer.kmeans_init": True,
    "quantizer.stochastic_sample_codes": False,
    "quantizer.sample_codebook_temp": 0.1,
    "decoder.ff_mult": FFN_MULTIPLE,
    "decoder.dim_head": HEAD_DIM,
    "decoder.rotary_dim": ROTARY_DIM,
    "decoder.pos_scale_factor": 1.0,
    "decoder.output_scaling": 1,
    "backbone_template_N_CA_C": [[0.5256, 1.3612, 0.0], [0.0, 0.0, 0.0], [-1.5251, 0.0, 0.0]],
}


def _from_published(tree: dict[str, Any], where: str) -> ProteinVQVAEConfig:
    found = _flat(tree)
    found.pop("note", None)
    known = {**_FIELDS, **_FIXED}
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadInput(f"{where}: unknown key {key}{hint}")
    if missing := [key for key in known if key not in found]:
        raise BadInput(f"{where}: lacks {some(missing)}: copy it again")
    for key, value in _FIXED.items():
        if found[key] != value or isinstance(found[key], bool) != isinstance(value, bool):
            raise BadInput(f"{where}: {key} is {found[key]!r}; what is implemented is {value!r}")
    ours: dict[str, Any] = {}
    for theirs, name in _FIELDS.items():
        *groups, last = name.split(".")
        branch = ours.setdefault(groups[0], {}) if groups else ours
        branch[last] = found[theirs]
    return from_dict(ProteinVQVAEConfig, ours, where)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
