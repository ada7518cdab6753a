import json

import pytest

from biomatrix_jax.plan.sweep import cache


@pytest.fixture
def store(tmp_path):
    return cache.Cache(tmp_path / "plans")


def test_what_was_kept_is_found_and_nothing_else(store):
    assert store.get("a") is None
    assert not store.directory.exists()
    reply = {"plan": {"peak_bytes": 3}, "host_bytes": 7}
    store.keep("a", {"topology": "cpu:2"}, reply)
    assert store.get("a") == reply
    assert store.get("b") is None


def test_why_a_point_is_invalid_is_kept_a_failure_is_not(store):
    store.keep("a", {}, {"invalid": "because"})
    store.keep("b", {}, {"failed": "killed"})
    assert store.get("a") == {"invalid": "because"}
    assert store.get("b") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"request": {}}', '{"reply": {"plan": 1}'])
def test_a_damaged_entry_counts_as_none(store, content):
    store.keep("a", {}, {"plan": 1})
    [path] = store.directory.iterdir()
    path.write_text(content)
    assert store.get("a") is None
    store.keep("a", {}, {"plan": 2})
    assert json.loads(path.read_text())["reply"] == {"plan": 2}


def test_the_key_follows_all_that_decides_a_plan(monkeypatch):
    request = {"config": {"compute": {"remat": "full"}}, "topology": "cpu:2"}
    keys = [cache.key(request, "cpu"), cache.key(request, "gpu")]
    keys.append(cache.key(request | {"topology": "cpu:4"}, "cpu"))
    keys.append(cache.key(request | {"config": {"compute": {"remat": "none"}}}, "cpu"))
    surroundings = cache._surroundings()
    for name, value in (("source", "other"), ("variables", {"XLA_FLAGS": "--fast"})):
        monkeypatch.setattr(cache, "_surroundings", lambda n=name, v=value: surroundings | {n: v})
        keys.append(cache.key(request, "cpu"))
    assert len(set(keys)) == len(keys)
    monkeypatch.undo()
    assert cache.key(dict(reversed(request.items())), "cpu") == keys[0]


def test_the_source_is_what_the_step_is_made_of(tmp_path):
    written = {"model/attention/a.py": True, "plan/sweep/page.py": False, "cli.py": False}
    for name in cache.SOURCES:
        folder = tmp_path / name if "." not in name else (tmp_path / name).parent
        folder.mkdir(parents=True, exist_ok=True)
        if "." in name:
            (tmp_path / name).write_text("1")
    for name, decides in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        before = cache._source_hash(tmp_path)
        (tmp_path / name).write_text("2")
        assert (cache._source_hash(tmp_path) != before) == decides


def test_the_user_s_directory_follows_the_convention(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.user_directory() == tmp_path / "biomatrix-jax" / "plans"
