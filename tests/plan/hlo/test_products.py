import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax.plan.hlo.products import product_flops
from biomatrix_jax.plan.hlo.text import parse

PROGRAM = """ENTRY %main (a: f32[2], b: f32[2]) -> f32[2] {
  %a = LEFT parameter(0)
  %b = RIGHT parameter(1)
  ROOT %it = RESULT
}
"""


def flops(left, right, result):
    text = PROGRAM.replace("LEFT", left).replace("RIGHT", right).replace("RESULT", result)
    program = parse(text)
    return product_flops(program.entry, program.entry.root)


def test_a_dot_is_two_for_each_multiply_add():
    dot = "f32[4,3,7] dot(%a, %b), lhs_batch_dims={0}, lhs_contracting_dims={2}, rhs_batch_dims={0}"
    assert flops("f32[4,3,5]{2,1,0}", "f32[4,5,7]{2,1,0}", dot) == 2 * 4 * 3 * 5 * 7


@pytest.mark.parametrize(
    ("left", "right", "result", "macs"),
    [
        ("bf16[8,5]", "bf16[7,5]", "f32[8,7] convolution(%a, %b), dim_labels=bf_oi->bf", 8 * 5 * 7),
        # Heads as a spatial dimension that is contracted: the window fills it.
        (
            "f32[4,8,6]", "f32[9,4,6]",
            "f32[8,9,1] convolution(%a, %b), window={size=4}, dim_labels=0bf_o0i->bf0",
            4 * 8 * 6 * 9,
        ),
        # Heads as a spatial dimension that is made: one place of each window is no padding.
        (
            "f32[1,32,6]", "f32[3,8,6]",
            "f32[32,3,8] convolution(%a, %b), window={size=3 pad=2_2 rhs_reversal=1}, "
            "dim_labels=0bf_0oi->b0f",
            32 * 3 * 8 * 6,
        ),
    ],
)  # fmt: skip
def test_a_tpus_products_are_convolutions(left, right, result, macs):
    assert flops(left, right, result) == 2 * macs


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("lhs_dilate", "rhs_dilate"), [(1, 1), (3, 1), (1, 2)])
def test_a_convolutions_padding_and_holes_do_not_count(stride, lhs_dilate, rhs_dilate):
    """Against the sum of a convolution of ones, each of which is one meeting."""
    one = {"window_strides": (stride,), "padding": ((2, 1),)}
    dilated = {"lhs_dilation": (lhs_dilate,), "rhs_dilation": (rhs_dilate,)}
    x, w = jnp.ones((2, 3, 6)), jnp.ones((4, 3, 3))
    met = np.asarray(jax.lax.conv_general_dilated(x, w, **one, **dilated))
    window = f"size=3 stride={stride} pad=2_1 lhs_dilate={lhs_dilate} rhs_dilate={rhs_dilate}"
    result = (
        f"f32[2,4,{met.shape[2]}] convolution(%a, %b), window={{{window}}}, dim_labels=bf0_oi0->bf0"
    )
    assert flops("f32[2,3,6]", "f32[4,3,3]", result) == 2 * met.sum()


def test_a_kernel_that_says_its_cost_is_believed():
    said = '"custom_call_config":{"cost_estimate":{"flops":"1234","bytes_accessed":"5"}}'
    call = (
        f'f32[2] custom-call(%a), custom_call_target="tpu_custom_call", backend_config={{{said}}}'
    )
    assert flops("f32[2]", "f32[2]", call) == 1234


def test_a_librarys_product_counts():
    said = '"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"]}'
    call = f'f32[4,7] custom-call(%a, %b), custom_call_target="__cublas$gemm", config={{{said}}}'
    assert flops("f32[4,5]", "f32[5,7]", call) == 2 * 4 * 5 * 7


SPLASH = (
    'custom-call(%a, %b), custom_call_target="tpu_custom_call", frontend_attributes={{said={{'
    '"{{\\"block_q{suffix}\\": 1024, \\"block_kv{suffix}\\": 512}}"}}}}, '
    'metadata={{op_name="jit(f)/splash_mha_{kernel}_segmented/pallas_call"}}'
)


@pytest.mark.parametrize(
    ("kernel", "suffix", "result", "products"),
    [
        ("fwd", "", "bf16[16,4096,128]", 2),
        ("dq", "_dq", "bf16[16,4096,128]", 3),
        ("dkv", "_dkv", "(bf16[8,4096,128], bf16[8,4096,128])", 4),
        ("dkv", "_dkv", "(bf16[2,16,4096,128], bf16[8,4096,128], bf16[8,4096,128])", 5),
    ],
)
def test_splash_computes_the_blocks_that_the_causal_mask_leaves(kernel, suffix, result, products):
    call = f"{result} {SPLASH.format(kernel=kernel, suffix=suffix)}"
    # Of 4 x 8 blocks of 1,024 by 512 those up to the diagonal: 2 + 4 + 6 + 8.
    block = 1024 * 512 * 128 * 16
    counted = flops("bf16[16,4096,128]", "bf16[8,4096,128]", call)
    assert counted == 2 * products * 20 * block


FLASH = (
    'custom-call(%a, %b), custom_call_target="__gpu$xla.gpu.triton", '
    'metadata={{op_name="jit(f)/shard_map/flash_{kernel}/pallas_call"}}, '
    "backend_config={{grid_x = {blocks} : i32, grid_y = 16 : i32}}"
)


@pytest.mark.parametrize(
    ("kernel", "blocks", "products"),
    [("forward", 8, 2), ("to_queries", 8, 3), ("to_keys", 8, 4), ("forward", 1, 2)],
)
def test_flash_computes_the_blocks_up_to_the_diagonal(kernel, blocks, products):
    call = f"bf16[2,4096,16,128] {FLASH.format(kernel=kernel, blocks=blocks)}"
    computed = 4096**2 * sum(range(1, blocks + 1)) / blocks**2  # of one head
    counted = flops("bf16[2,4096,16,128]", "bf16[2,4096,8,128]", call)
    assert counted == 2 * products * 128 * computed * 2 * 16


def test_flash_counts_a_devices_part_of_the_queries():
    call = f"bf16[1,1024,16,128] {FLASH.format(kernel='forward', blocks=8)}"
    counted = flops("bf16[1,1024,16,128]", "bf16[1,4096,8,128]", call)
    assert counted == 2 * 2 * 128 * 16 * 1024 * (4096 + 128) / 2
