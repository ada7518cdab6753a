import json
import math

import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import names
from biomatrix_jax.structure.protein.config import LARGE, LITE

HEAD = "vqvae.decoder.pairwise_classification_head.linear2.weight"
QUERY = "vqvae.encoder_blocks.attn_layers.layers.4.1.to_q.weight"


@pytest.fixture(scope="module")
def listed(gcp_vqvae) -> dict[str, dict]:
    """The published lists: of Large and of Lite."""
    return {
        name: json.loads((gcp_vqvae / f"{name}_state_dict.json").read_text())
        for name in ("large", "lite")
    }


def shapes_of(published: dict) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor["shape"]) for name, tensor in published["tensors"].items()}


@pytest.fixture
def large(listed) -> dict[str, tuple[int, ...]]:
    return shapes_of(listed["large"])


@pytest.mark.parametrize(("name", "config", "count"), [("large", LARGE, 593), ("lite", LITE, 516)])
def test_every_published_name_and_no_other(listed, name, config, count):
    shapes = shapes_of(listed[name])
    assert len(shapes) == count
    names.check_published(config, shapes, name)
    mapped = {t.name: t.shape for group in names.tensors(config).values() for t in group}
    rest = {key: shape for key, shape in shapes.items() if key not in mapped}
    assert {key: shapes[key] for key in mapped} == mapped
    heads = {key for key in rest if key.startswith(names.PAIRWISE_HEAD)}
    assert rest.keys() - heads == names.CONSTANTS.keys()
    assert len(heads) == (5 if name == "large" else 0)


def test_published_parameter_counts(listed):
    """What is called a parameter there is one here, and the sums are those stated."""
    for name, config in (("large", LARGE), ("lite", LITE)):
        published = listed[name]
        ours = {
            t.name
            for path, group in names.tensors(config).items()
            if path not in ("quantizer.counts", "quantizer.sums")
            for t in group
        }
        theirs = {key for key, t in published["tensors"].items() if t["kind"] == "parameter"}
        heads = {key for key in theirs if key.startswith(names.PAIRWISE_HEAD)}
        assert ours == theirs - heads
        sizes = {key: math.prod(t["shape"]) for key, t in published["tensors"].items()}
        assert sum(sizes[key] for key in ours) == published["total_without_pairwise_head"]
        assert sum(sizes[key] for key in ours | heads) == published["total_parameters"]


def test_no_entry_of_the_table_is_idle():
    paths = names.parameters(LARGE)
    for beginning in names.BEGINNINGS:
        assert any(f"{path}.".startswith(f"{beginning}.") for path in paths), beginning


def test_prefixes_that_are_taken_away_or_added(large):
    found = [name.replace("encoder.encoder.", "encoder.") for name in large]
    found = [f"_orig_mod.{name}" if "vqvae" in name else name for name in found]
    found = [name.replace("decoder.", "decoder._orig_mod.") for name in found]
    spelled = names.canonical(found, "here")
    assert list(spelled) == list(large)
    assert list(spelled.values()) == found


def test_one_tensor_under_two_names():
    found = ["encoder.gcp_embedding.x", "encoder.encoder.gcp_embedding.x"]
    with pytest.raises(BadInput, match=r"^here: encoder\.gcp.* and encoder\.encoder\..* are one"):
        names.canonical(found, "here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({QUERY: None}, f"1 missing: {QUERY}$"),
        ({"vqvae.extra": (3,)}, "1 unexpected: vqvae.extra$"),
        ({QUERY: (1024, 768)}, rf"1 mis-shaped: {QUERY} \[1024, 768\] instead of \[768, 1024\]$"),
        ({HEAD: None}, f"1 missing: {HEAD}$"),
        ({HEAD: (100, 128)}, rf"1 mis-shaped: {HEAD} \[100, 128\]"),
        ({names.STARTED: None}, f"1 missing: {names.STARTED}$"),
        ({"vqvae.encoder_head.0.weight": (128, 1024, 1)}, "mis-shaped: vqvae.encoder_head.0.weig"),
    ],
)
def test_what_does_not_fit_is_named(large, change, message):
    shapes = {k: v for k, v in (large | change).items() if v is not None}
    with pytest.raises(BadInput, match=message) as caught:
        names.check_published(LARGE, shapes, "file")
    assert "\n" not in str(caught.value)


def test_values_arrive_where_they_belong(gcp_vqvae, small):
    """Shapes alone would not tell layer 0 from 1, or attention's norm from the other."""
    tensors = load_file(gcp_vqvae / "small" / "model.safetensors")
    _, model = small
    attention = model.encoder.layers.attention
    stack = "vqvae.encoder_blocks.attn_layers.layers"
    for layer in (0, 1):
        query = tensors[f"{stack}.{2 * layer}.1.to_q.weight"]
        np.testing.assert_array_equal(attention.q[layer, 4], query[4 * 64 : 5 * 64])
        out = tensors[f"{stack}.{2 * layer}.1.to_out.weight"]
        np.testing.assert_array_equal(attention.o[layer, :, 5], out[:, 5 * 64 :])
        norm = tensors[f"{stack}.{2 * layer + 1}.0.0.gamma"]
        np.testing.assert_array_equal(model.encoder.layers.ffn_norm.gamma[layer], norm)
        up = tensors[f"{stack}.{2 * layer + 1}.1.ff.0.proj.weight"]
        np.testing.assert_array_equal(model.encoder.layers.ffn.up[layer, 1], up[256:])
    one = "encoder.encoder.interaction_layers.1."
    np.testing.assert_array_equal(
        model.gcpnet.layers.messages[2].vector_up.weight[1],
        tensors[f"{one}interaction.message_fusion.2.vector_up.weight"],
    )
    np.testing.assert_array_equal(
        model.gcpnet.layers.contract.scalar_out.second.bias[1],
        tensors[f"{one}feedforward_network.1.scalar_out.2.bias"],
    )
    np.testing.assert_array_equal(
        model.quantizer.sums[...], tensors["vqvae.vector_quantizer._codebook.embed_avg"][0]
    )


def test_there_and_back_bit_for_bit(gcp_vqvae, small):
    original = load_file(gcp_vqvae / "small" / "model.safetensors")
    config, model = small
    values = {
        ".".join(map(str, path)): np.asarray(variable.get_value())
        for path, variable in nnx.to_flat_state(nnx.state(model))
    }
    written = names.to_published(config, values)
    assert written.keys() == original.keys()
    for name, array in original.items():
        assert (written[name].shape, written[name].dtype) == (array.shape, array.dtype), name
        assert written[name].tobytes() == array.tobytes(), name


def test_constants_must_be_those_computed_with():
    name = "encoder.featuriser.positional_encoding.frequency"
    names.check_constant(name, names.CONSTANTS[name] * np.float32(1 + 1e-6), "file")
    with pytest.raises(BadInput, match=f"^file: {name} has other values"):
        names.check_constant(name, names.CONSTANTS[name] * 2, "file")
    with pytest.raises(BadInput, match="never been started"):
        names.check_constant(names.STARTED, np.zeros(1, np.float32), "file")
