import shutil
import subprocess

import jax
import pytest

from biomatrix_jax import provenance


@pytest.fixture
def checkout(tmp_path):
    """A package in a git checkout of its own, with one commit."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    package = tmp_path / "checkout" / "package"
    package.mkdir(parents=True)
    (package / "code.py").write_text("1\n")
    git(package.parent, "init", "--quiet")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "--quiet", "--message", "first")
    return package


def git(directory, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", directory, *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def forget():
    yield
    provenance._checkout.cache_clear()


def test_a_checkout_says_its_commit_and_whether_files_differ_from_it(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "untracked.txt").write_text("x")
    found = provenance.code(checkout)
    assert (found["commit"], found["dirty"]) == (commit, False)
    assert found["biomatrix-jax"]
    provenance._checkout.cache_clear()
    (checkout / "code.py").write_text("2\n")
    assert provenance.code(checkout)["dirty"] is True


def test_a_checkout_of_something_else_is_not_ours(checkout):
    installed = checkout.parent / "env" / "biomatrix_jax"
    installed.mkdir(parents=True)
    assert provenance.code(installed).keys() == {"biomatrix-jax"}
    beside = checkout.parent / "biomatrix_jax"  # not one of its files
    beside.mkdir()
    assert provenance.code(beside).keys() == {"biomatrix-jax"}


def test_git_is_not_needed(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.code(checkout).keys() == {"biomatrix-jax"}


def test_versions_are_those_of_what_is_installed():
    found = provenance.versions(("jax", "no-such-package"))
    assert found.keys() == {"python", "jax"}
    assert found["jax"] == jax.__version__
