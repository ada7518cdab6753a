import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax.model.narrow import layer_by_layer

LAYERS, D = 3, 5


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.standard_normal((LAYERS, D, D), dtype=np.float32), jnp.ones((2, D), jnp.bfloat16)


def plain(stacked, x):
    return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w.astype(x.dtype)), None), x, stacked)[0]


def narrow(stacked, x):
    pieces, of_layer = layer_by_layer(stacked, "bfloat16")
    return jax.lax.scan(lambda x, w: (jnp.tanh(x @ of_layer(w)), None), x, pieces)[0]


def test_values_and_gradients_are_those_of_a_cast_bit_for_bit(arrays):
    for function in (lambda f: f, lambda f: jax.grad(lambda w, x: f(w, x).astype("float32").sum())):
        np.testing.assert_array_equal(function(narrow)(*arrays), function(plain)(*arrays))


def test_gradients_are_stacked_in_the_narrow_type(arrays):
    def gradient(stacked, x):
        return jax.grad(lambda w: narrow(w, x).astype("float32").sum())(stacked)

    program = str(jax.make_jaxpr(gradient)(*arrays))
    assert re.search(r"bf16\[3,5,5\] = scan|:bf16\[3,5,5\]", program)
    assert gradient(*arrays).dtype == jnp.float32


def test_weights_of_the_type_itself_go_through_as_they_are(arrays):
    stacked = {"w": jnp.asarray(arrays[0])}
    pieces, of_layer = layer_by_layer(stacked, "float32")
    assert pieces is stacked
    assert of_layer(pieces) is stacked
