import shutil
from pathlib import Path

import pytest

import biomatrix_jax
from data_pipeline import versions


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Copies of what the digest is of, which may be changed."""
    for name, origin in (
        ("biomatrix_jax", Path(biomatrix_jax.__file__).parent),
        ("data_pipeline", Path(versions.__file__).parent),
    ):
        ignored = shutil.ignore_patterns("__pycache__", "assets")
        shutil.copytree(origin, tmp_path / name, ignore=ignored)
    monkeypatch.setattr(biomatrix_jax, "__file__", str(tmp_path / "biomatrix_jax/__init__.py"))
    monkeypatch.setattr(versions, "__file__", str(tmp_path / "data_pipeline/versions.py"))
    return tmp_path


def test_all_that_it_is_of_is_there():
    library = Path(biomatrix_jax.__file__).parent
    assert [part for part in versions._PARTS if not (library / part).exists()] == []


def digest():
    return versions.code.__wrapped__()  # what the process found first is kept


@pytest.mark.parametrize(
    "file",
    [
        "data_pipeline/sources/pubchem.py",
        "data_pipeline/pack.py",
        "biomatrix_jax/reading.py",
        "biomatrix_jax/data/rows.py",
        "biomatrix_jax/structure/protein/gcpnet.py",
        "biomatrix_jax/tokens/vocabulary.py",
    ],
)
def test_a_change_of_code_that_decides_bytes_is_another_code(packages, file):
    before = digest()
    with open(packages / file, "a") as code:
        code.write("# changed\n")
    assert digest() != before


def test_a_module_that_comes_or_moves_is_another_code(packages):
    found = {digest()}
    (packages / "data_pipeline/new.py").write_text("")
    found.add(digest())
    (packages / "data_pipeline/new.py").rename(packages / "data_pipeline/newer.py")
    found.add(digest())
    assert len(found) == 3


def test_other_code_and_what_python_leaves_is_not(packages):
    before = digest()
    (packages / "biomatrix_jax/train/new.py").write_text("")
    (packages / "data_pipeline/__pycache__").mkdir()
    (packages / "data_pipeline/__pycache__/pack.pyc").write_text("")
    assert digest() == before


def test_packages_that_are_not_there_are_left_out(monkeypatch):
    assert versions.versions().keys() >= {"biomatrix-jax", "numpy", "rdkit", "array-record"}
    monkeypatch.setattr(versions, "PACKAGES", ("numpy", "no-such-package"))
    assert set(versions.versions()) == {"python", "numpy"}
