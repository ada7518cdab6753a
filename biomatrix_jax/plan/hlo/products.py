"""FLOPs of matrix products: two for each multiply-add. Nothing else is counted as FLOPs."""

import math
import re

import numpy as np

from biomatrix_jax.plan.hlo.text import Computation, Instruction, Leaf

# Products of [T, H] with [S, H], or of [T, S] with [S, H], that each splash kernel computes. Its
# backward pass is one kernel that also gives the queries' gradient, or two.
_SPLASH = {"fwd": 2, "dq": 3, "dkv": 4}
_SPLASH_FUSED = 5
# And each of ours for GPUs, `model/attention/gpu_kernels.py`.
_FLASH = {"forward": 2, "to_queries": 3, "to_keys": 4}


def product_flops(where: Computation, instruction: Instruction) -> float:
    """FLOPs of one instruction, not of what it calls; 0 for what is no product.

    The products of kernels that the compiler cannot look into: those of libraries for GPUs, those
    that say their cost, JAX's splash attention for TPUs and our flash attention for GPUs.
    """
    if instruction.opcode == "dot":
        return _dot(where, instruction, instruction.integers("lhs_contracting_dims"))
    if instruction.opcode == "convolution":
        return _convolution(where, instruction)
    if instruction.opcode == "custom-call":
        return kernel_flops(where, instruction) or 0.0
    return 0.0


def kernel_flops(where: Computation, call: Instruction) -> float | None:
    """FLOPs of a custom call; None where nobody says."""
    if contracting := re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', call.attributes):
        return _dot(where, call, tuple(int(d) for d in re.findall(r"\d+", contracting[1])))
    if said := re.search(r'"cost_estimate":\{[^}]*"flops":"?(\d+)', call.attributes):
        return float(said[1])
    metadata = call.attribute("metadata") or ""
    if kernel := re.search(r"splash_m[hq]a_(fwd|dq|dkv)", metadata):
        return _splash(where, call, kernel[1])
    if kernel := re.search(r"/flash_(forward|to_queries|to_keys)/", metadata):
        return _flash(where, call, kernel[1])
    return None


def _dot(where: Computation, dot: Instruction, contracting: tuple[int, ...]) -> float:
    left = where.operands(dot)[0].shape[0]
    return 2.0 * dot.shape[0].elements * math.prod(left.dims[d] for d in contracting)


def _convolution(where: Computation, convolution: Instruction) -> float:
    """libtpu writes every product so, batched ones with a window that mostly looks at nothing.

    For each spatial dimension only the pairs of output and window positions count that meet a
    number of the input, not padding and not the holes of a dilated one.
    """
    left, right = (operand.shape[0] for operand in where.operands(convolution))
    labels = re.match(r"([\w?]+)_([\w?]+)->([\w?]+)", convolution.attribute("dim_labels"))
    lhs, rhs, out = labels.groups()
    batch_groups = (convolution.integers("batch_group_count") or (1,))[0]
    macs = right.dims[rhs.index("i")] * right.dims[rhs.index("o")]
    macs *= left.dims[lhs.index("b")] // batch_groups
    window = _window(convolution.attribute("window") or "")
    for number in range(len(lhs) - 2):
        sizes = (
            left.dims[lhs.index(str(number))],
            right.dims[rhs.index(str(number))],
            convolution.shape[0].dims[out.index(str(number))],
        )
        macs *= _meetings(*sizes, **{key: values[number] for key, values in window.items()})
    return 2.0 * macs


def _window(text: str) -> dict[str, list[int]]:
    """-> by name, of what is given, a value for each spatial dimension."""
    window = {}
    for key in ("stride", "lhs_dilate", "rhs_dilate"):
        if given := re.search(rf"\b{key}=([\dx]+)", text):
            window[key] = [int(value) for value in given[1].split("x")]
    if given := re.search(r"\bpad=([\dx_\-]+)", text):
        window["pad"] = [int(pair.split("_")[0]) for pair in given[1].split("x")]
    return window


def _meetings(size, kernel, output, stride=1, pad=0, lhs_dilate=1, rhs_dilate=1) -> int:
    """Pairs (output, window position) that look at one of `size` numbers."""
    fewer, fewer_step, more, more_step = kernel, rhs_dilate, output, stride
    if kernel > output:
        fewer, fewer_step, more, more_step = output, stride, kernel, rhs_dilate
    along = np.arange(more) * more_step - pad
    met = 0
    for start in range(0, fewer * fewer_step, fewer_step):
        at = along + start
        met += int(np.sum((at >= 0) & (at <= (size - 1) * lhs_dilate) & (at % lhs_dilate == 0)))
    return met


def _splash(where: Computation, call: Instruction, kernel: str) -> float:
    """Only blocks that the causal mask leaves something of are computed, and those whole.

    Operands: what says which blocks, then queries [..., N, T, H] and keys [..., K, S, H].
    """
    queries, keys = _queries_and_keys(where, call)
    blocks = {
        key: int(size) for key, size in re.findall(r'\\"(block_\w+)\\": (\d+)', call.attributes)
    }
    suffix = "" if kernel == "fwd" else f"_{kernel}"
    rows = keys.dims[-2]
    block_q, block_kv = (blocks.get(f"block_{of}{suffix}", 1) for of in ("q", "kv"))
    starts = np.arange(0, rows, block_q)
    computed = np.sum(-(-np.minimum(starts + block_q, rows) // block_kv)) * block_q * block_kv
    products = _SPLASH[kernel]
    if kernel == "dkv" and any(leaf.dims[1:] == queries.dims[-3:] for leaf in call.shape):
        products = _SPLASH_FUSED
    return 2.0 * products * queries.elements * rows * min(computed / rows**2, 1.0)


def _flash(where: Computation, call: Instruction, kernel: str) -> float | None:
    """As if each row were one document: on average a query's block sees the half before it, and
    itself whole.

    Operands: what says which blocks, then queries [B, T, N, H] and keys [B, S, K, H].
    """
    queries, keys = _queries_and_keys(where, call)
    t, s = queries.dims[1], keys.dims[1]
    blocks = re.search(r"grid_x = (\d+)", call.attributes)
    if not blocks:
        return None
    block = (s if kernel == "to_keys" else t) // int(blocks[1])
    return 2.0 * _FLASH[kernel] * queries.elements * min((s + block) / 2, s)


def _queries_and_keys(where: Computation, call: Instruction) -> list[Leaf]:
    arrays = [operand.shape[0] for operand in where.operands(call)]
    return [leaf for leaf in arrays if _is_float(leaf) and len(leaf.dims) > 2][:2]


def _is_float(leaf: Leaf) -> bool:
    return leaf.dtype.startswith(("f", "bf"))
