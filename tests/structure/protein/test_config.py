import json

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import config as configs
from biomatrix_jax.structure.protein.config import LARGE, LITE, ProteinVQVAEConfig

PUBLISHED = json.loads(configs.to_published_json(LITE))
OURS = json.loads(configs.to_json(LITE))


def save(tmp_path, tree):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(tree))
    return path


def changed(tree, key, value=None, *, remove=False):
    """A copy of `tree` with one dotted key set or removed."""
    tree = branch = json.loads(json.dumps(tree))
    *groups, last = key.split(".")
    for group in groups:
        branch = branch[group]
    if remove:
        del branch[last]
    else:
        branch[last] = value
    return tree


def test_published_files(gcp_vqvae):
    assert configs.read(gcp_vqvae / "large_config.json") == LARGE
    assert configs.read(gcp_vqvae / "lite_config.json") == LITE
    small = configs.read(gcp_vqvae / "small" / "config.json")
    assert (small.max_length, small.neighbours) == (160, 16)
    assert (small.gcpnet.layers, small.gcpnet.node_scalars, small.gcpnet.edge_vectors) == (2, 32, 4)
    assert (small.encoder.heads, small.encoder.kv_heads, small.decoder.heads) == (6, 3, 4)
    assert (small.quantizer.dim, small.quantizer.codes, small.quantizer.decay) == (16, 256, 0.995)


def test_the_published_form_is_written_as_it_was(gcp_vqvae):
    for name in ("large_config.json", "lite_config.json", "small/config.json"):
        original = json.loads((gcp_vqvae / name).read_text())
        written = json.loads(configs.to_published_json(configs.read(gcp_vqvae / name)))
        del original["note"], written["note"]
        assert written == original


@pytest.mark.parametrize("config", [LARGE, LITE])
@pytest.mark.parametrize("form", [configs.to_json, configs.to_published_json])
def test_round_trip(tmp_path, config, form):
    path = tmp_path / "config.json"
    path.write_text(form(config))
    assert configs.read(path) == config


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (changed(PUBLISHED, "encoder.deph", 3), "unknown key encoder.deph; did you mean"),
        (changed(PUBLISHED, "knn_k", remove=True), "lacks knn_k"),
        (changed(PUBLISHED, "quantizer", remove=True), "lacks quantizer.dim, quantizer"),
        (changed(PUBLISHED, "gcpnet.r_max", 12.0), "gcpnet.r_max is 12.0; what is implemented is"),
        (changed(PUBLISHED, "gcpnet.pre_norm", 0), "gcpnet.pre_norm is 0; what is implemented"),
        (changed(PUBLISHED, "encoder.depth", 2.5), "encoder.layers must be a valid integer"),
        (changed(PUBLISHED, "encoder", 3), "unknown key encoder"),
        (changed(OURS, "encoder.layer", 3), "unknown key encoder.layer; did you mean layers"),
        (changed(OURS, "encoder.layers", remove=True), "lacks encoder.layers"),
        (changed(OURS, "kind", "molstructok"), "not a protein tokenizer"),
        (changed(OURS, "max_length", "long"), "max_length must be"),
        (changed(OURS, "decoder.kv_heads", 3), r"kv_heads \(3\) must divide heads \(8\)"),
        (changed(OURS, "gcpnet.node_vectors", 3), "node_vectors must be at least 4"),
        (changed(OURS, "encoder.heads", 0), "heads must be positive"),
        (changed(OURS, "quantizer.decay", 1), "decay must lie between 0 and 1"),
        (changed(OURS, "neighbours", 0), "neighbours must be positive"),
        ({}, "lacks max_length"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, tree, message):
    path = save(tmp_path, tree)
    with pytest.raises(BadInput, match=message) as caught:
        configs.read(path)
    assert str(path) in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        configs.read(tmp_path / "config.json")


def test_defaults_are_the_large_model():
    assert ProteinVQVAEConfig() == LARGE
    assert LARGE.quantizer.commitment == 0.05
    assert LITE.quantizer.commitment == 0.25
