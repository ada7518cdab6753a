import jax
import jax.numpy as jnp

from biomatrix_jax.plan.hlo.costs import Costs, count

ONE = {"data": 1}


def compiled(function, *shapes):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(function).lower(*arrays).compile().as_text()


def test_a_loop_costs_what_its_unrolled_form_does():
    """Layers in a loop, chunks in a loop inside of it, and the backward pass of both."""

    def step(unroll):
        def layer(x, w):
            def chunk(_, part):
                return None, jnp.tanh(part @ w)

            return jax.lax.scan(chunk, None, x.reshape(4, 8, 16), unroll=unroll)[1].reshape(x.shape)

        def loss(ws, x):
            return jnp.sum(jax.lax.scan(lambda x, w: (layer(x, w), None), x, ws, unroll=unroll)[0])

        return jax.grad(loss, argnums=(0, 1))

    shapes = (3, 16, 16), (32, 16)
    scanned, unrolled = (count(compiled(step(way), *shapes), ONE) for way in (1, 12))
    # Of three layers the product itself, and those of both gradients.
    assert scanned.flops == unrolled.flops == 9 * 2 * 32 * 16 * 16
    assert not scanned.unknown


def test_a_loop_in_a_loop_multiplies():
    def step(x, w):
        def inner(x, _):
            return jnp.tanh(x @ w), None

        def outer(x, _):
            return jax.lax.scan(inner, x, None, length=5)[0], None

        return jax.lax.scan(outer, x, None, length=7)[0]

    costs = count(compiled(step, (8, 16), (16, 16)), ONE)
    assert costs.flops == 35 * 2 * 8 * 16 * 16
    # Each time the product reads x and w and writes, and tanh reads and writes.
    assert 35 * (4 * 16 * 16 + 2 * 4 * 8 * 16) <= costs.hbm_bytes <= 35 * 6 * 4 * 16 * 16


def test_a_slice_of_a_stack_is_read_not_the_stack():
    def step(x, ws):
        def body(x, w):
            return x * w, x

        return jax.lax.scan(body, x, ws)

    costs = count(compiled(step, (1024,), (100, 1024)), ONE)
    # Of 100 layers each reads x and w and writes two: 4 arrays of 4 kB, not the stack's 400 kB.
    assert costs.hbm_bytes < 100 * 10 * 4096


def test_of_branches_the_dearest_counts():
    def step(x, w):
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ w @ w, lambda: x)

    assert count(compiled(step, (8, 16), (16, 16)), ONE).flops == 2 * 2 * 8 * 16 * 16


def test_a_loop_that_depends_on_data_is_noted():
    def step(x, w):
        return jax.lax.while_loop(lambda x: x.sum() < 10, lambda x: x @ w, x)

    costs = count(compiled(step, (8, 16), (16, 16)), ONE)
    assert costs.flops == 2 * 8 * 16 * 16
    assert len(costs.unknown) == 1
    assert "as one run" in next(iter(costs.unknown))


def test_time_is_that_of_one_instruction_after_the_other():
    def step(x, w):
        def body(x, _):
            return jnp.tanh(x @ w), None

        return jax.lax.scan(body, x, None, length=5)[0]

    text = compiled(step, (8, 16), (16, 16))
    costs = count(text, ONE, seconds=lambda flops, size: flops)
    assert costs.busy == costs.flops == 5 * 2 * 8 * 16 * 16
    assert count(text, ONE, seconds=lambda flops, size: size).busy == costs.hbm_bytes


def test_costs_add_up():
    costs = Costs(flops=2.0, hbm_bytes=3.0, busy=1.0, unknown=frozenset({"a"}))
    total = (costs + costs).times(2)
    assert (total.flops, total.hbm_bytes, total.busy, total.unknown) == (8, 12, 4, {"a"})
