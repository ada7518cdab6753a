"""The one table of names: our parameters and the tensors of the published GCP-VQVAE.

Both directions read it. A published tensor is one of our parameters, or one layer of it, in another
shape; no value changes. Beside those a published file has
- the codebook's moving averages, which are kept;
- constants, which are checked and dropped: frequencies, and that the codebook has been started;
- in models trained with its losses, a pairwise classification head that neither encoding nor
  decoding uses: checked by shape and dropped. With it the Large model has 421,103,332 parameters,
  without it 420,935,140.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from flax import nnx

from biomatrix_jax.errors import BadInput, some
from biomatrix_jax.model.decoder import rotary_frequencies
from biomatrix_jax.structure.protein.config import ROTARY_DIM, ProteinVQVAEConfig
from biomatrix_jax.structure.protein.layers import WHOLE
from biomatrix_jax.structure.protein.transformer import ROTARY_BASE
from biomatrix_jax.structure.protein.vqvae import ProteinVQVAE

# What our paths begin with and what the published names do; what follows is the same in both.
# {layer} counts our layers, {attention} and {ffn} the published ones, which are one or the other.
_GRAPH = "encoder.encoder."
_LAYER = f"{_GRAPH}interaction_layers.{{layer}}."
_STACKS = {"encoder": "vqvae.encoder_blocks.", "decoder": "vqvae.decoder.decoder_stack."}
_CODEBOOK = "vqvae.vector_quantizer._codebook."
_HEAD = "vqvae.decoder.affine_output_projection."
BEGINNINGS = {
    "gcpnet.node_norm": f"{_GRAPH}gcp_embedding.node_normalization.scalar_norm",
    "gcpnet.edge_norm": f"{_GRAPH}gcp_embedding.edge_normalization.scalar_norm",
    "gcpnet.node_embedding": f"{_GRAPH}gcp_embedding.node_embedding",
    "gcpnet.edge_embedding": f"{_GRAPH}gcp_embedding.edge_embedding",
    "gcpnet.layers.messages": f"{_LAYER}interaction.message_fusion",
    "gcpnet.layers.gate": f"{_LAYER}interaction.scalar_message_attention.0",
    "gcpnet.layers.expand": f"{_LAYER}feedforward_network.0",
    "gcpnet.layers.contract": f"{_LAYER}feedforward_network.1",
    "gcpnet.layers.contract.scalar_out.first": f"{_LAYER}feedforward_network.1.scalar_out.0",
    "gcpnet.layers.contract.scalar_out.second": f"{_LAYER}feedforward_network.1.scalar_out.2",
    "gcpnet.layers.norm": f"{_LAYER}gcp_norm.0.scalar_norm",
    "gcpnet.final_norm": f"{_GRAPH}invariant_node_projection.0.scalar_norm",
    "gcpnet.projection": f"{_GRAPH}invariant_node_projection.1",
    "encoder_in": "vqvae.encoder_tail.0",
    "encoder_out": "vqvae.encoder_head.0",
    "quantizer.codebook": f"{_CODEBOOK}embed",
    "quantizer.counts": f"{_CODEBOOK}cluster_size",
    "quantizer.sums": f"{_CODEBOOK}embed_avg",
    "decoder_in": "vqvae.decoder.projector_in",
    "head.hidden": f"{_HEAD}ffn1",
    "head.norm": f"{_HEAD}norm",
    "head.out": f"{_HEAD}proj",
    **{
        f"{ours}.{module}": theirs + name
        for ours, theirs in _STACKS.items()
        for module, name in {
            "project_in": "project_in",
            "layers.attention_norm": "attn_layers.layers.{attention}.0.0",
            "layers.attention.q": "attn_layers.layers.{attention}.1.to_q.weight",
            "layers.attention.k": "attn_layers.layers.{attention}.1.to_k.weight",
            "layers.attention.v": "attn_layers.layers.{attention}.1.to_v.weight",
            "layers.attention.o": "attn_layers.layers.{attention}.1.to_out.weight",
            "layers.ffn_norm": "attn_layers.layers.{ffn}.0.0",
            "layers.ffn.up": "attn_layers.layers.{ffn}.1.ff.0.proj.weight",
            "layers.ffn.up_bias": "attn_layers.layers.{ffn}.1.ff.0.proj.bias",
            "layers.ffn.down": "attn_layers.layers.{ffn}.1.ff.2.weight",
            "final_norm": "attn_layers.final_norm",
            "project_out": "project_out",
        }.items()
    },
}
CONVOLUTIONS = ("encoder_in.weight", "encoder_out.weight")  # of width 1 in the original

STARTED = f"{_CODEBOOK}initted"
CONSTANTS: dict[str, np.ndarray] = {
    "encoder.featuriser.positional_encoding.frequency": np.exp(
        np.linspace(0, math.log(1e-4), 8)
    ).astype(np.float32),
    **{
        f"{theirs}attn_layers.rotary_pos_emb.inv_freq": rotary_frequencies(ROTARY_DIM, ROTARY_BASE)
        for theirs in _STACKS.values()
    },
    STARTED: np.ones(1, np.float32),
}

PAIRWISE_HEAD = "vqvae.decoder.pairwise_classification_head."
_PAIRWISE_DIM, _PAIRWISE_CLASSES = 128, 64 + 6 * 16  # bins of distance, of six directions


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A published tensor and the parameter, or layer of one, that it is.

    Attributes:
      shape: in the file.
      path: of our parameter.
      layer: index on the parameter's first axis; None: the whole of it.
    """

    name: str
    shape: tuple[int, ...]
    path: str
    layer: int | None


@functools.lru_cache(maxsize=8)
def parameters(config: ProteinVQVAEConfig) -> dict[str, tuple[tuple[int, ...], tuple[str, ...]]]:
    """Shape and logical axes of all that our files hold (moving averages, too), by path."""
    model = nnx.eval_shape(lambda: ProteinVQVAE(config, nnx.Rngs(0)))
    return {
        ".".join(map(str, path)): (variable.get_value().shape, variable.get_metadata()["axes"])
        for path, variable in nnx.to_flat_state(nnx.state(model))
    }


@functools.lru_cache(maxsize=8)
def tensors(config: ProteinVQVAEConfig) -> dict[str, tuple[Tensor, ...]]:
    """The published tensors of each of our parameters, layers in order."""
    return {
        path: tuple(_tensors(path, shape, axes))
        for path, (shape, axes) in parameters(config).items()
    }


def canonical(names: Iterable[str], where: str) -> dict[str, str]:
    """The table's spelling of each published name -> the name as it was found.

    Taken away is what `torch.compile` puts in (`_orig_mod.`); added, the second `encoder.` that
    some files lack.

    Raises:
      BadInput: two names are the same tensor.
    """
    found: dict[str, str] = {}
    for name in names:
        spelled = name.replace("_orig_mod.", "")
        if spelled.startswith("encoder.") and not spelled.startswith(
            (_GRAPH, "encoder.featuriser.")
        ):
            spelled = f"encoder.{spelled}"
        if spelled in found:
            raise BadInput(f"{where}: {found[spelled]} and {name} are one tensor: remove one")
        found[spelled] = name
    return found


def check_published(
    config: ProteinVQVAEConfig, shapes: Mapping[str, tuple[int, ...]], where: str
) -> None:
    """Compares what a published file holds, by `canonical` names, with what it must, both ways.

    Raises:
      BadInput: tensors are missing, unexpected, or of another shape; names them.
    """
    needed = {t.name: t.shape for group in tensors(config).values() for t in group}
    needed |= {name: value.shape for name, value in CONSTANTS.items()}
    if any(name.startswith(PAIRWISE_HEAD) for name in shapes):  # then the whole of it
        needed |= _pairwise_head(config)
    _compare(needed, shapes, where)


def check_ours(
    config: ProteinVQVAEConfig, shapes: Mapping[str, tuple[int, ...]], where: str
) -> None:
    """As `check_published`, for a file of our own."""
    _compare({path: shape for path, (shape, _) in parameters(config).items()}, shapes, where)


def check_constant(name: str, found: np.ndarray, where: str) -> None:
    """Raises BadInput where a published file's constant is not the one computed with here."""
    if name == STARTED and not found.all():
        raise BadInput(f"{where}: {name} is 0: its codebook has never been started; train it first")
    if not np.allclose(found, CONSTANTS[name], rtol=1e-5, atol=0):
        raise BadInput(f"{where}: {name} has other values than this network is computed with")


def from_published(
    config: ProteinVQVAEConfig, path: str, read: Callable[[str], np.ndarray]
) -> np.ndarray:
    """One of our parameters, from the tensors that `read` gives by the table's names."""
    shape, _ = parameters(config)[path]
    group = tensors(config)[path]
    if group[0].layer is None:
        return read(group[0].name).reshape(shape)
    whole = np.empty(shape, np.float32)
    for t in group:
        whole[t.layer] = read(t.name).reshape(shape[1:])
    return whole


def to_published(
    config: ProteinVQVAEConfig, values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The published tensors by name from all our parameters by path; views where possible."""
    check_ours(config, {path: value.shape for path, value in values.items()}, "parameters")
    named = dict(CONSTANTS)
    for t in itertools.chain(*tensors(config).values()):
        value = values[t.path] if t.layer is None else values[t.path][t.layer]
        named[t.name] = value.reshape(t.shape)
    return named


def _tensors(path: str, shape: tuple[int, ...], axes: tuple[str, ...]) -> Iterator[Tensor]:
    ours = max((b for b in BEGINNINGS if f"{path}.".startswith(f"{b}.")), key=len)
    name = BEGINNINGS[ours] + path.removeprefix(ours)
    if axes[0] != "layers":
        yield Tensor(name, _published_shape(path, shape, axes), path, None)
        return
    inner = _published_shape(path, shape[1:], axes[1:])
    for layer in range(shape[0]):
        spelled = name.format(layer=layer, attention=2 * layer, ffn=2 * layer + 1)
        yield Tensor(spelled, inner, path, layer)


def _published_shape(path: str, shape: tuple[int, ...], axes: tuple[str, ...]) -> tuple[int, ...]:
    if path.startswith("quantizer."):
        return (1, *shape)  # the original could have several codebooks
    if path in CONVOLUTIONS:
        return (*shape, 1)
    for first, second in (("heads", "head_dim"), ("kv_heads", "head_dim"), (WHOLE, "ffn")):
        for at in range(len(axes) - 1):
            if axes[at : at + 2] == (first, second):  # one axis there
                return (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])
    return shape


def _pairwise_head(config: ProteinVQVAEConfig) -> dict[str, tuple[int, ...]]:
    dim = _PAIRWISE_DIM
    shapes = {
        "downproject.weight": (dim, config.decoder.embed_dim),
        "linear1.weight": (dim, dim),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
        "linear2.weight": (_PAIRWISE_CLASSES, dim),
    }
    return {PAIRWISE_HEAD + name: shape for name, shape in shapes.items()}


def _compare(
    needed: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], where: str
) -> None:
    report = {
        "missing": [name for name in needed if name not in found],
        "unexpected": [name for name in found if name not in needed],
        "mis-shaped": [
            f"{name} {list(found[name])} instead of {list(shape)}"
            for name, shape in needed.items()
            if name in found and tuple(found[name]) != shape
        ],
    }
    kinds = [f"{len(names)} {kind}: {some(names)}" for kind, names in report.items() if names]
    if kinds:
        raise BadInput(f"{where}: tensors do not fit config.json; {'; '.join(kinds)}")
