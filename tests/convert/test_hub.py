"""Reading from the Hub: what is asked for, what the cache serves, what is refused."""

import json
import re
import shutil
import socket
import sys

import huggingface_hub
import pytest

from biomatrix_jax.convert import hub
from biomatrix_jax.errors import BadInput
from tests.convert import fake_hub, hf

CODE = {"modeling_evil.py": b"raise SystemExit('executed')", "requirements.txt": b"evil"}


lists_files = pytest.mark.skipif(
    not hasattr(huggingface_hub, "get_cached_repo_tree"),
    reason="this huggingface_hub keeps no list of a repository's files",
)


@pytest.fixture
def server(monkeypatch, tmp_path):
    with fake_hub.connected(monkeypatch, tmp_path / "cache") as hub:
        yield hub


def contents(directory):
    """Every file below, by name, through links."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def model(directory, **options):
    """The files of a model with everything that belongs to one."""
    hf.write(directory, hf.TIED, **options)
    (directory / "tokenizer.json").write_text(hf.tokenizer_json(131))
    (directory / "additional_chat_templates").mkdir()
    (directory / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
    return contents(directory)


def offline(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def unplug(monkeypatch):
    """No server at the Hub's address any more."""
    from huggingface_hub import constants

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")


def refusal(path, revision=None):
    with pytest.raises(BadInput) as caught:
        hub.resolve(path, revision)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("spelling", ["lab/model", "hf://lab/model"])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_model_arrives_to_the_bit_and_nothing_else_is_asked_for(
    server, tmp_path, spelling, shards
):
    files = model(tmp_path / "model", shards=shards)
    others = {"pytorch_model.bin": b"pickle", "onnx/model.safetensors": b"x", "README.md": b"hello"}
    server.add("lab/model", files | others | CODE)
    assert contents(hub.resolve(spelling)) == files
    assert server.downloaded() == files.keys()


def test_revisions_are_branches_tags_and_commits(server, tmp_path):
    old = model(tmp_path / "old")
    new = old | {"generation_config.json": b'{"eos_token_id": 1}'}
    repository = server.add("lab/model", old)
    repository.refs["v1.0"] = first = repository.refs["main"]
    repository.commit(new)
    repository.commit(old | {"generation_config.json": b"{}"}, "dev/try")
    assert contents(hub.resolve("lab/model")) == new
    assert contents(hub.resolve("lab/model", "v1.0")) == old
    assert contents(hub.resolve("lab/model", first)) == old
    assert contents(hub.resolve("lab/model", "dev/try"))["generation_config.json"] == b"{}"
    assert hub.resolve("lab/model", "v1.0").name == first


@pytest.mark.parametrize("disconnect", [offline, unplug])
@pytest.mark.parametrize("revision", [None, "v1"])
def test_without_a_network_the_cache_serves(server, monkeypatch, tmp_path, disconnect, revision):
    files = model(tmp_path / "model", shards=2)
    repository = server.add("lab/model", files)
    repository.refs["v1"] = repository.refs["main"]
    first = hub.resolve("lab/model", revision)
    disconnect(monkeypatch)
    asked = len(server.requests)
    assert hub.resolve("lab/model", revision) == first
    assert contents(first) == files
    assert len(server.requests) == asked


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_is_out_of_order_is_as_good_as_none(server, tmp_path, status):
    files = model(tmp_path / "model")
    server.add("lab/model", files)
    first = hub.resolve("lab/model")
    server.fail["/api/"] = status
    assert hub.resolve("lab/model") == first
    assert "holds no copy: connect" in refusal("lab/model", "v2")


@pytest.mark.parametrize("disconnect", [offline, unplug])
def test_without_a_network_and_a_copy(server, monkeypatch, tmp_path, disconnect):
    server.add("lab/model", model(tmp_path / "model"))
    disconnect(monkeypatch)
    message = refusal("lab/model")
    assert "holds no copy: connect" in message
    assert str(tmp_path / "cache") in message


@pytest.mark.parametrize(
    "lost",
    [
        "config.json",
        "model-00002-of-00003.safetensors",
        "model.safetensors.index.json",
        pytest.param("tokenizer.json", marks=lists_files),
    ],
)
def test_a_partial_copy_is_completed_online_and_refused_offline(
    server, monkeypatch, tmp_path, lost
):
    files = model(tmp_path / "model", shards=3)
    server.add("lab/model", files)
    snapshot = hub.resolve("lab/model")
    (snapshot / lost).unlink()
    with monkeypatch.context() as context:
        offline(context)
        assert re.search("lacks|holds a part of it", refusal("lab/model"))
    assert contents(hub.resolve("lab/model")) == files


def forget_listings(tmp_path):
    """As older versions of the library left a cache, or single downloads do: no list of files."""
    for folder in tmp_path.glob("cache/*/trees"):
        shutil.rmtree(folder)
    if in_memory := sys.modules.get("huggingface_hub._tree_cache"):
        in_memory._IN_MEMORY_TREE_CACHE.clear()


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("config.json", "config.json"),
        ("model-00002-of-00003.safetensors", "model-00002-of-00003.safetensors"),
        ("model.safetensors.index.json", "model.safetensors"),
    ],
)
def test_a_partial_copy_shows_without_a_listing(server, monkeypatch, tmp_path, lost, named):
    server.add("lab/model", model(tmp_path / "model", shards=3))
    (hub.resolve("lab/model") / lost).unlink()
    forget_listings(tmp_path)
    offline(monkeypatch)
    assert f"lacks {named}: connect" in refusal("lab/model")


def test_a_copy_without_tokenizer_is_used_offline_with_a_warning(
    server, monkeypatch, tmp_path, caplog
):
    server.add("lab/model", model(tmp_path / "model"))
    snapshot = hub.resolve("lab/model")
    assert not caplog.records
    (snapshot / "tokenizer.json").unlink()
    forget_listings(tmp_path)
    offline(monkeypatch)
    assert hub.resolve("lab/model") == snapshot
    assert "the cached copy has no tokenizer" in caplog.text


def test_an_index_that_names_what_the_repository_lacks(server, tmp_path):
    files = model(tmp_path / "model", shards=2)
    del files["model-00002-of-00002.safetensors"]
    server.add("lab/model", files)
    message = refusal("lab/model")
    assert "lacks model-00002-of-00002.safetensors: the repository's" in message


def test_pickled_weights_are_refused_without_asking_for_them(server, tmp_path):
    files = model(tmp_path / "model") | {"pytorch_model.bin": b"pickle"} | CODE
    del files["model.safetensors"]
    server.add("lab/model", files)
    message = refusal("hf://lab/model")
    assert "pytorch_model.bin but no safetensors" in message
    assert "hf download lab/model --local-dir DIR" in message
    assert server.downloaded() == set()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"adapter_model.safetensors": b""}, "no config.json"),
        ({"config.json": b"{}", "tf_model.h5": b""}, "holds no weights"),
        ({"config.json": b"{}", "sub/model.safetensors": b""}, "holds no weights"),
    ],
)
def test_other_repositories_are_refused_before_loading(server, files, message):
    server.add("lab/model", files)
    assert message in refusal("lab/model")
    assert server.downloaded() == set()


def test_what_is_not_there_or_not_allowed_is_said(server, tmp_path):
    files = model(tmp_path / "model")
    server.add("lab/model", files)
    server.add("lab/gated", files, gated=True)
    server.add("lab/secret", files, private=True)
    unknown = refusal("lab/none")
    assert unknown.startswith("lab/none (no local path, so a Hub id): the Hub shows no such model")
    assert "revision 'v9': no such revision" in refusal("lab/model", "v9")
    assert "gated: ask for access" in refusal("hf://lab/gated")
    assert "if it is private, log in" in refusal("hf://lab/secret")


def test_a_login_opens_private_and_gated_models(server, monkeypatch, tmp_path):
    files = model(tmp_path / "model")
    server.add("lab/secret", files, private=True, gated=True)
    monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
    assert contents(hub.resolve("lab/secret")) == files


def test_a_download_that_breaks_is_one_line_and_goes_on_later(server, monkeypatch, tmp_path):
    files = model(tmp_path / "model", shards=2)
    server.add("lab/model", files)
    server.fail["model-00002"] = 403
    assert "not permitted" in refusal("lab/model")
    server.fail.clear()
    server.requests.clear()
    assert contents(hub.resolve("lab/model")) == files
    assert "model-00001-of-00002.safetensors" not in server.downloaded()


def test_local_paths_are_returned_as_they_are(server, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab" / "model").mkdir(parents=True)
    server.add("lab/model", model(tmp_path / "model"))
    for path in ("lab/model", "./lab/none", "../x", "/no/such", "~/x", "a/b/c", "nowhere", "a b/c"):
        assert str(hub.resolve(path)) == path.removeprefix("./")
    assert server.requests == []
    assert hub.resolve("hf://lab/model") != tmp_path / "lab" / "model"


@pytest.mark.parametrize("path", ["model", "/no/such", "./lab/model"])
def test_a_revision_belongs_to_a_hub_id(server, monkeypatch, tmp_path, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    assert "revisions belong to Hub ids" in refusal(path, "main")
    assert server.requests == []


@pytest.mark.parametrize("text", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@v1", "hf://../x"])
def test_what_is_no_hub_id(server, text):
    assert "is no Hub id: write org/name" in refusal(text)
    assert server.requests == []


def test_an_index_of_another_form_is_left_to_its_reader(server, tmp_path):
    files = model(tmp_path / "model", shards=2)
    files["model.safetensors.index.json"] = json.dumps({"weight_map": []}).encode()
    server.add("lab/model", files)
    assert contents(hub.resolve("lab/model")) == files
