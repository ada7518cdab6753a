"""Writing to the Hub: what goes there, in one commit, and who may."""

import json
import tempfile

import pytest

from biomatrix_jax.checkpoint import CheckpointStore
from biomatrix_jax.convert import rules
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.push import push, push_checkpoint
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import Vocabulary, base_tokenizer_path
from tests import torch_writer
from tests.convert import fake_hub, hf
from tests.model import cases


@pytest.fixture
def server(monkeypatch, tmp_path):
    with fake_hub.connected(monkeypatch, tmp_path / "cache") as hub:
        monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
        yield hub


@pytest.fixture
def model(tmp_path):
    hf.write(tmp_path / "model", hf.TIED, shards=2)
    (tmp_path / "model" / "additional_chat_templates").mkdir()
    (tmp_path / "model" / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
    return tmp_path / "model"


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint as training makes it, of a model whose tokenizer can be read."""
    config = hf.ModelConfig(4096, 16, 2, 4, 2, 8, 24, 5e5, 1e-6, True, 512)
    state = rules.from_hf_tensors(config, cases.hf_weights(config, 0))
    with CheckpointStore.create(
        tmp_path / "checkpoint", config, carried=base_tokenizer_path(), made={"by": "training"}
    ) as store:
        store.save(7, state)
    return tmp_path / "checkpoint"


def contents(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def refusal(*arguments, **options):
    with pytest.raises(BadInput) as caught:
        push(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize("repo_id", ["lab/new", "hf://lab/new"])
def test_a_directory_goes_there_in_one_commit(server, model, repo_id):
    files = contents(model) | {"README.md": b"mine\n", "vocab_extension.json": b"{}"}
    others = {"adapter.safetensors": b"x", "run.py": b"x", ".env": b"x"}
    others |= {"pytorch_model.bin": b"x", "pytorch_model.bin.index.json": b"{}"}
    for name, content in (files | others).items():
        (model / name).write_bytes(content)
    url = push(model, repo_id, message="A first try")
    repository = server.repositories["lab/new"]
    assert url == f"{server.url}/lab/new/commit/{repository.refs['main']}"
    assert repository.head() == files | {".gitattributes": b"*.safetensors filter=lfs"}
    assert repository.messages == ["A first try"]
    assert not repository.private


def test_what_the_old_model_had_beyond_the_new_one_goes(server, model):
    stale = {
        "model.safetensors": b"old",
        "model-00001-of-00009.safetensors": b"old",
        "added_tokens.json": b"old",
        "additional_chat_templates/old.jinja": b"old",
        "config.json": b"old",
    }
    kept = {"LICENSE": b"x", "notes/model.safetensors": b"x", "adapter_model.safetensors": b"x"}
    repository = server.add("lab/model", stale | kept | {"README.md": b"by hand"})
    push(model, "lab/model")
    assert repository.head() == contents(model) | kept | {"README.md": b"by hand"}
    assert len(repository.commits) == 2


def test_a_branch_is_made_where_there_is_none(server, model):
    repository = server.add("lab/model", {"LICENSE": b"x"})
    push(model, "lab/model", revision="step/100")
    assert repository.head("main") == {"LICENSE": b"x"}
    assert repository.head("step/100") == contents(model) | {"LICENSE": b"x"}
    push(model, "lab/model", revision="step/100")


def test_private_is_never_public(server, model):
    push(model, "lab/hidden", private=True)
    push(model, "lab/hidden", private=True)
    assert server.repositories["lab/hidden"].private
    repository = server.add("lab/open", {"LICENSE": b"x"})
    assert "is public already" in refusal(model, "lab/open", private=True, revision="new")
    assert repository.head() == {"LICENSE": b"x"}
    assert repository.refs.keys() == {"main"}


def test_a_directory_that_is_no_whole_model_is_refused(server, model, tmp_path):
    assert "does not exist" in refusal(tmp_path / "none", "lab/new")
    (model / "README.md").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_text("secret")
    assert "leads out of the directory" in refusal(model, "lab/new")
    (model / "README.md").unlink()
    (model / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors" in refusal(model, "lab/new")
    assert server.requests == []


def test_pickled_weights_are_not_pushed(server, model):
    for path in model.glob("model*"):
        path.unlink()
    weights = hf.weights(hf.TIED).items()
    tree = {name: torch_writer.tensor(array) for name, array in weights}
    torch_writer.write(model / "pytorch_model.bin", tree)
    assert "only safetensors are pushed" in refusal(model, "lab/new")
    assert server.requests == []


def test_who_may_not_push_is_told(server, model, monkeypatch):
    assert "not permitted to this login" in refusal(model, "other/model")
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    assert "log in with `hf auth login` or set HF_TOKEN" in refusal(model, "lab/model")
    monkeypatch.delenv("HF_TOKEN")
    server.requests.clear()
    assert "needs an account: log in" in refusal(model, "lab/model")
    assert server.requests == []
    assert "is no Hub id" in refusal(model, "./model")
    assert server.repositories == {}


def test_a_push_that_breaks_leaves_the_old_model(server, model):
    repository = server.add("lab/model", {"config.json": b"old"})
    for part, status in (("/lfs/", 403), ("/commit/", 412), ("/api/validate-yaml", 500)):
        (model / "README.md").write_text("---\ntags: []\n---\n")
        server.fail = {part: status}
        assert "hf://lab/model: " in refusal(model, "lab/model")
        assert repository.head() == {"config.json": b"old"}


def test_a_file_that_the_repository_ignores_is_missed(server, model):
    server.add("lab/model", {".gitignore": b"generation_config.json"})
    assert "generation_config.json did not arrive" in refusal(model, "lab/model")


def test_a_checkpoint_comes_back_to_the_bit(server, model, tmp_path):
    files = contents(model)
    from_hf(model, tmp_path / "checkpoint")
    url, _ = push_checkpoint(tmp_path / "checkpoint", "lab/new", shard_size="1GB")
    assert url.startswith(f"{server.url}/lab/new/commit/")
    pushed = server.repositories["lab/new"].head()
    names = {name for name in files if "safetensors" not in name}
    assert pushed.keys() == names | {"model.safetensors", "README.md", ".gitattributes"}
    assert {name: pushed[name] for name in names} == {name: files[name] for name in names}
    from_hf_again = tmp_path / "again"
    from_hf_again.mkdir()
    for name in ("config.json", "model.safetensors"):
        (from_hf_again / name).write_bytes(pushed[name])
    hf.assert_same_bits(hf.read_weights(from_hf_again), hf.read_weights(model))


def test_the_card_says_what_is_known(server, checkpoint):
    push_checkpoint(checkpoint, "lab/new", dtype="bfloat16")
    repository = server.repositories["lab/new"]
    card = repository.head()["README.md"].decode()
    assert "# new\n" in card
    assert "in bfloat16, rounded from float32." in card
    size = Vocabulary.from_pretrained(base_tokenizer_path()).size
    assert f"{size:,} tokens in an embedding of 4,096 rows" in card
    assert json.loads(repository.head()["config.json"])["dtype"] == "bfloat16"


def test_a_made_card_is_renewed_and_one_by_hand_stays(server, checkpoint, caplog):
    push_checkpoint(checkpoint, "lab/new")
    push_checkpoint(checkpoint, "lab/new", dtype="float16")
    repository = server.repositories["lab/new"]
    assert b"in float16, rounded from float32" in repository.head()["README.md"]
    assert not caplog.records
    repository.commit(repository.head() | {"README.md": b"# By hand"})
    push_checkpoint(checkpoint, "lab/new")
    assert repository.head()["README.md"] == b"# By hand"
    assert "written by hand; it stays" in caplog.text


def test_a_failed_export_pushes_nothing_and_leaves_nothing(server, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(BadInput, match="nowhere does not exist"):
        push_checkpoint(tmp_path / "nowhere", "lab/new")
    assert server.requests == []
    assert list((tmp_path / "temporary").iterdir()) == []
