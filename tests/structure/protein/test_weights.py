import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import config as configs
from biomatrix_jax.structure.protein import names, weights
from biomatrix_jax.structure.protein.config import (
    LARGE,
    GCPNetConfig,
    ProteinVQVAEConfig,
    QuantizerConfig,
    TransformerConfig,
)
from biomatrix_jax.structure.protein.vqvae import ProteinVQVAE
from tests.structure.protein.conftest import random_graph
from tests.torch_writer import Call, Name, tensor, write

CONFIG = ProteinVQVAEConfig(
    gcpnet=GCPNetConfig(2, 6, 4, 5, 2),
    encoder=TransformerConfig(8, 2, 2, 1),
    quantizer=QuantizerConfig(dim=3, codes=7),
    decoder=TransformerConfig(16, 1, 1, 1),
)
CODEBOOK = "vqvae.vector_quantizer._codebook.embed"


@pytest.fixture(scope="module")
def model() -> ProteinVQVAE:
    return ProteinVQVAE(CONFIG, nnx.Rngs(0))


@pytest.fixture
def ours(tmp_path, model):
    weights.write(tmp_path / "ours", CONFIG, model)
    return tmp_path / "ours"


@pytest.fixture
def published(tmp_path, model):
    weights.write(tmp_path / "published", CONFIG, model, form="published")
    return tmp_path / "published"


def assert_same(one: ProteinVQVAE, two: ProteinVQVAE):
    one, two = (dict(nnx.to_flat_state(nnx.state(model))) for model in (one, two))
    assert one.keys() == two.keys()
    for path, variable in one.items():
        assert variable.get_value().dtype == jnp.float32, path
        assert np.asarray(variable).tobytes() == np.asarray(two[path]).tobytes(), path
        assert variable.get_metadata() == two[path].get_metadata(), path


def change(directory, edit):
    file = directory / "model.safetensors"
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file)


@pytest.mark.parametrize("form", ["ours", "published"])
def test_round_trip_is_bit_identical(request, model, form):
    config, again = weights.read(request.getfixturevalue(form))
    assert config == CONFIG
    assert_same(again, model)
    assert set(nnx.state(again, nnx.Param)) == set(nnx.state(model, nnx.Param))


def test_our_names_are_paths(ours, model):
    tensors = load_file(ours / "model.safetensors")
    np.testing.assert_array_equal(
        tensors["decoder.layers.ffn.down"], model.decoder.layers.ffn.down[...]
    )
    assert "gcpnet.layers.messages.3.scalar_out.bias" in tensors
    assert json.loads((ours / "config.json").read_text())["kind"] == "gcp-vqvae"


def test_published_files_pass_through_unchanged(gcp_vqvae, tmp_path, small):
    config, model = small
    weights.write(tmp_path / "out", config, model, form="published")
    one, two = (load_file(d / "model.safetensors") for d in (gcp_vqvae / "small", tmp_path / "out"))
    assert one.keys() == two.keys()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    assert configs.read(tmp_path / "out" / "config.json") == config


def test_a_checkpoint_of_training(published, model):
    """Names as compiling leaves them, and beside the weights what only PyTorch could build."""
    tensors = load_file(published / "model.safetensors")
    (published / "model.safetensors").unlink()
    state = {
        "_orig_mod." + name.replace("encoder.encoder.", "encoder."): tensor(array)
        for name, array in tensors.items()
    }
    state[f"{names.PAIRWISE_HEAD}downproject.weight"] = tensor(np.zeros((128, 16), np.float32))
    for name, shape in {
        "linear1.weight": (128, 128), "norm.weight": (128,), "norm.bias": (128,),
        "linear2.weight": (160, 128),
    }.items():  # fmt: skip
        state[names.PAIRWISE_HEAD + name] = tensor(np.zeros(shape, np.float32))
    (published / "checkpoints").mkdir()
    optimizer = {"state": {0: Call(Name("bitsandbytes.functional", "QuantState"), (1, 2))}}
    tree = {"epoch": 7, "model_state_dict": state, "optimizer_state_dict": optimizer}
    write(published / "checkpoints" / "best_valid.pth", tree)
    config, again = weights.read(published)
    assert config == CONFIG
    assert_same(again, model)


def test_a_checkpoint_without_weights(published):
    (published / "model.safetensors").unlink()
    (published / "checkpoints").mkdir()
    write(published / "checkpoints" / "best_valid.pth", {"epoch": 7})
    with pytest.raises(BadInput, match="no dictionary model_state_dict"):
        weights.read(published)


@pytest.mark.parametrize(
    ("form", "edit", "message"),
    [
        ("ours", lambda t: t.pop("quantizer.counts"), "1 missing: quantizer.counts$"),
        ("ours", lambda t: t.update(more=np.zeros(1, np.float32)), "1 unexpected: more$"),
        ("published", lambda t: t.pop(CODEBOOK), f"1 missing: {CODEBOOK}$"),
        (
            "published",
            lambda t: t.update({CODEBOOK: t[CODEBOOK][:, 1:]}),
            r"1 mis-shaped: .*6, 3\]",
        ),
        ("published", lambda t: t.update({CODEBOOK: t[CODEBOOK].astype(np.float16)}), "F16: these"),
        (
            "published",
            lambda t: t.update({CODEBOOK: t[CODEBOOK] * np.nan}),
            "embed has values that",
        ),
        (
            "published",
            lambda t: t.update({names.STARTED: np.zeros(1, np.float32)}),
            "never been st",
        ),
    ],
)
def test_what_does_not_fit_is_refused(request, form, edit, message):
    directory = request.getfixturevalue(form)
    change(directory, edit)
    with pytest.raises(BadInput, match=message) as caught:
        weights.read(directory)
    assert str(directory) in str(caught.value)


def test_a_configuration_of_another_model(ours):
    tree = json.loads((ours / "config.json").read_text())
    tree["decoder"]["layers"] = 2
    (ours / "config.json").write_text(json.dumps(tree))
    with pytest.raises(BadInput, match=r"mis-shaped: decoder.layers.* instead of \[2, "):
        weights.read(ours)


def test_missing_and_damaged_files(tmp_path, ours):
    with pytest.raises(
        BadInput, match=r"no model.safetensors here, nor checkpoints/best_valid.pth"
    ):
        weights.read(tmp_path / "nothing")
    content = (ours / "model.safetensors").read_bytes()
    (ours / "model.safetensors").write_bytes(content[:-100])
    with pytest.raises(BadInput, match="cannot be read"):
        weights.read(ours)
    (ours / "model.safetensors").write_bytes(content)
    (ours / "config.json").unlink()
    with pytest.raises(BadInput, match=r"no config.json here, and not the codebook of Large or Li"):
        weights.read(ours)


def test_nothing_is_overwritten(ours, model):
    with pytest.raises(BadInput, match="exists already"):
        weights.write(ours, CONFIG, model)


def multiples(index: int, count: int) -> np.ndarray:
    """Of a small number that belongs to `index`."""
    ramp = np.arange(count, dtype=np.int32) % 17 - 8
    return ramp.astype(np.float32) * np.float32((index + 1) * 1e-5)


@pytest.mark.slow
def test_a_checkpoint_of_the_large_shape(gcp_vqvae, tmp_path):
    """421 million parameters under the 593 published names, read, and a short chain through them.

    Each tensor holds multiples of one number of its own, so that a mix-up of two would show.
    """
    listed = json.loads((gcp_vqvae / "large_state_dict.json").read_text())["tensors"]
    assert len(listed) == 593
    tensors = {}
    for index, (name, entry) in enumerate(listed.items()):
        values = multiples(index, np.prod(entry["shape"])).reshape(entry["shape"])
        tensors[name] = names.CONSTANTS.get(name, values)
    save_file(tensors, tmp_path / "model.safetensors")
    del tensors
    config, model = weights.read(tmp_path)
    assert config == LARGE  # by its codebook: the published directory need not have a config.json
    (tmp_path / "model.safetensors").unlink()
    assert sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))) == 420_935_140
    order = list(listed)
    for path, variable in nnx.to_flat_state(nnx.state(model)):
        value = np.asarray(variable.get_value())
        for t in names.tensors(config)[".".join(map(str, path))]:
            found = (value if t.layer is None else value[t.layer]).reshape(-1)[:40]
            np.testing.assert_array_equal(found, multiples(order.index(t.name), len(found)))

    length = 24
    graph = jax.tree.map(lambda x: x[None], random_graph(length, 16 * length))
    mask = np.ones((1, length), bool)
    latents = nnx.jit(lambda model, *args: model.latents(*args))(model, graph, mask, mask)
    codes = model.quantize(latents, mask)
    found = nnx.jit(lambda model, *args: model.coordinates(*args))(model, model.embed(codes), mask)
    assert (latents.shape, found.shape) == ((1, length, 256), (1, length, 3, 3))
    assert np.isfinite(latents).all()
    assert np.isfinite(found).all()
