"""What a training step needs of a device, by arithmetic: no compiler, no device.

The terms that growth follows, each from the configuration alone. They leave out what a compiler
adds (buffers of fusions, padding, what it gathers ahead), so memory is a floor and traffic an
ideal; `growth.py` holds them against compiled steps. What they count:

  memory     float32 parameters and AdamW's two moments, in as many pieces as parameters are; the
             batch's arrays; gradients of the same pieces; each layer's input, what the remat policy
             keeps beside it (`model/remat.py`); one layer's weights gathered, and the activations
             of the layer that is being differentiated
  FLOPs      two for each weight and token forward, twice as many backward, attention's two products
             over the half of a row that the causal mask leaves; with `full` and `attention_saved`
             the forward pass of each layer a second time (`attention_saved`: without attention)
  network    of each part of a batch: a layer's weights gathered over fsdp for each pass through it,
             its gradients reduced and scattered once; the loss gathers the head likewise; over
             tensor two sums of the activations a layer and pass; over data the gradients summed, of
             each part
"""

from dataclasses import dataclass

from biomatrix_jax.config import RunConfig

FLOAT32, BFLOAT16 = 4, 2
BATCH_ARRAYS = 6  # of 4 bytes a token, see `train.step.BATCH`


@dataclass(frozen=True)
class Estimate:
    """Of one device and step; bytes, FLOPs, seconds."""

    argument_bytes: float
    temp_bytes: float
    flops: float
    network_bytes: float  # sent and, as many, received


def estimate(config: RunConfig, mesh: dict[str, int]) -> Estimate:
    """Of a step on a mesh whose axes have these sizes; those left out are 1."""
    sizes = dict.fromkeys(("slice", "data", "fsdp", "context", "tensor"), 1) | mesh
    model, rows = config.model, config.data.batch_rows
    parts, tensor, fsdp = config.train.accumulate, sizes["tensor"], sizes["fsdp"]
    pieces = fsdp * tensor
    shards = sizes["slice"] * sizes["data"] * fsdp * sizes["context"]
    tokens = rows * config.data.row_length / shards  # of a device, in a step
    at_once = tokens / parts

    per_layer, vocabulary = _weights(config)
    parameters = model.layers * per_layer + vocabulary
    batch = BATCH_ARRAYS * FLOAT32 * tokens
    arguments = 3 * FLOAT32 * parameters / pieces + batch

    width = _kept(config)
    layer = BFLOAT16 * at_once * (_everything(config) / tensor + 2 * model.embed_dim)
    temporaries = (
        FLOAT32 * parameters / pieces * (1 if parts == 1 else 2)
        + model.layers * BFLOAT16 * at_once * (model.embed_dim + width / tensor)
        + 2 * BFLOAT16 * per_layer / tensor
        + layer
    )
    return Estimate(
        arguments,
        temporaries,
        _flops(config, tokens) / tensor,
        _network(config, sizes, per_layer, vocabulary, at_once),
    )


def _weights(config: RunConfig) -> tuple[float, float]:
    """Of one layer, and of embedding and head."""
    m = config.model
    attention = 2 * m.embed_dim * m.head_dim * (m.heads + m.kv_heads)
    norms = 2 * m.embed_dim + 2 * m.head_dim
    tables = m.vocab_size * m.embed_dim * (1 if m.tied_embeddings else 2)
    return attention + 3 * m.embed_dim * m.ffn_dim + norms, tables + m.embed_dim


def _kept(config: RunConfig) -> float:
    """Numbers of a token and layer that the remat policy keeps beside the layer's input."""
    m = config.model
    heads, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
    return {
        "full": 0,
        "attention_saved": heads,
        "offload": 0,  # on the host
        "minimal": m.embed_dim + 2 * (heads + kv) + 2 * m.ffn_dim,
        "dots": 2 * m.embed_dim + heads + 2 * kv + 2 * m.ffn_dim,
        "none": _everything(config),
    }[config.compute.remat]


def _everything(config: RunConfig) -> float:
    """Numbers of a token that a layer's forward pass makes, attention's scores never."""
    m = config.model
    heads, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
    return 3 * m.embed_dim + 3 * heads + 3 * kv + 4 * m.ffn_dim


def _flops(config: RunConfig, tokens: float) -> float:
    m = config.model
    per_layer, _ = _weights(config)
    layers = 2.0 * m.layers * per_layer
    # Queries with keys, weights with values; each position sees half of its row on average.
    attention = 2.0 * m.layers * config.data.row_length * m.heads * m.head_dim
    head = 2.0 * m.vocab_size * m.embed_dim
    # The loss makes its logits a second time for its backward pass.
    twice = {"full": layers + attention, "attention_saved": layers}
    again = twice.get(config.compute.remat, 0.0) + head
    return tokens * (3 * (layers + attention + head) + again)


def _network(config: RunConfig, sizes, per_layer, vocabulary, at_once) -> float:
    """Bytes that a device sends, along all axes of the mesh."""
    m, parts = config.model, config.train.accumulate
    weights = (m.layers * per_layer + vocabulary) / sizes["tensor"]
    passes = 2  # forward, and backward with what it computes again
    gathered_and_scattered = (passes * BFLOAT16 + FLOAT32) * weights
    summed = 2 * FLOAT32 * weights / sizes["fsdp"]
    sums = m.layers * 2 * (passes + 1)  # of a layer after attention and after feed-forward
    activations = sums * 2 * BFLOAT16 * at_once * m.embed_dim
    whole = {
        "slice": summed,
        "data": summed,
        "fsdp": gathered_and_scattered,
        "tensor": activations,
    }
    return parts * sum(amount * (1 - 1 / sizes[axis]) for axis, amount in whole.items())
