"""Thousands of damaged model directories: each is refused in one line, or read exactly.

Exactly means: what the safetensors library reads from the damaged files. Whatever happens, nothing
but the destination changes, and the destination is there only after a success.
"""

import json
import os
import shutil
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from biomatrix_jax.convert import rules
from biomatrix_jax.convert.files.safetensors_file import read_header
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.source import open_source
from biomatrix_jax.errors import BadInput
from tests.convert import hf, mutations

CONFIG = hf.ModelConfig(11, 6, 2, 2, 1, 2, 6, 1e6, 1e-6, True, 512)
SHARDS = 3
INDEX = "model.safetensors.index.json"
FEW, MANY = 700, 14_000  # seconds, minutes


@pytest.fixture(params=[FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def count(request) -> int:
    return request.param


class Place:
    """A directory with a model, its destination, and a file beside them."""

    def __init__(self, root: Path, shards: int):
        self.root, self.source, self.target = root, root / "src", root / "dst"
        hf.write(self.source, CONFIG, shards=shards)
        shutil.copy(next(self.source.glob("*.safetensors")), root / "outside.safetensors")
        self._whole = hf.snapshot(root)

    def mend(self) -> None:
        """Makes it what it was at first."""
        for path in self.source.iterdir():
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        for path, content in self._whole.items():
            path.write_bytes(content)

    def is_accepted(self, convert: bool = True) -> bool:
        """Converts, or only reads; checks what has to hold whether it is accepted or not."""
        before = state(self.root)
        try:
            if convert:
                from_hf(self.source, self.target)
            opened, refusal = open_source(self.target if convert else self.source), None
        except BadInput as error:
            opened, refusal = None, str(error)
        if opened:
            flat = {path: opened.read(path) for path in opened.specs()}
            read = rules.to_hf_tensors(opened.config, flat)
            hf.assert_same_bits(read, hf.read_weights(self.source))
        if opened and convert:
            shutil.rmtree(self.target)
        assert refusal is None or refusal.isprintable()
        assert state(self.root) == before
        return refusal is None


def state(root: Path) -> dict[Path, bytes | None]:
    """Everything below: the bytes of files, None for what is none."""
    return dict.fromkeys(root.rglob("*")) | hf.snapshot(root)


def split_header(content: bytes) -> tuple[dict, bytes]:
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def with_header(text: str, data: bytes) -> bytes:
    header = text.encode()
    return len(header).to_bytes(8, "little") + header + data


@pytest.fixture
def place(request, tmp_path, monkeypatch) -> Place:
    """Also the working directory, so that a file written to a relative path is seen."""
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, getattr(request, "param", 1))


@pytest.mark.parametrize("place", [1, SHARDS], indirect=True)
def test_damaged_bytes_of_weights(place, count):
    accepted = 0
    for seed in range(count):
        rng = Random(seed)
        file = rng.choice(sorted(place.source.glob("*.safetensors")))
        file.write_bytes(mutations.damaged(file.read_bytes(), rng))
        accepted += place.is_accepted(convert=seed % 10 == 0)
        place.mend()
    assert 0 < accepted < count  # some damage is to the values, which nobody can tell


def test_altered_headers(place, count):
    file = place.source / "model.safetensors"
    header, data = split_header(file.read_bytes())
    assert place.is_accepted()
    for seed in range(count):
        file.write_bytes(with_header(mutations.altered(header, Random(seed)), data))
        place.is_accepted(convert=seed % 10 == 0)


def test_exchanged_entries(place, count):
    """Headers that are sound, but for the tensor that is called so."""
    file = place.source / "model.safetensors"
    header, data = split_header(file.read_bytes())
    names, accepted = [name for name in header if name != "__metadata__"], 0
    for seed in range(count // 5):
        rng = Random(seed)
        a, b = rng.sample(names, 2)
        key = rng.choice(("data_offsets", "shape", "dtype"))
        other = json.loads(json.dumps(header))
        other[a][key], other[b][key] = header[b][key], header[a][key]
        file.write_bytes(with_header(json.dumps(other), data))
        accepted += place.is_accepted(convert=seed % 10 == 0)
    assert 0 < accepted < count // 5


@pytest.mark.parametrize("place", [SHARDS], indirect=True)
def test_altered_indexes(place, count):
    index = json.loads((place.source / INDEX).read_text())
    for seed in range(count):
        (place.source / INDEX).write_text(mutations.altered(index, Random(seed)))
        place.is_accepted(convert=seed % 10 == 0)


@pytest.mark.parametrize("place", [1, SHARDS], indirect=True)
def test_files_that_are_something_else(place, count):
    places = [
        lambda path, rng: path.mkdir(),
        lambda path, rng: os.mkfifo(path),
        lambda path, rng: path.symlink_to("/dev/zero"),
        lambda path, rng: path.symlink_to("../outside.safetensors"),
        lambda path, rng: path.symlink_to(path.parent.parent / "outside.safetensors"),
        lambda path, rng: path.symlink_to(path.name),
        lambda path, rng: path.symlink_to(rng.choice(sorted(path.parent.iterdir())).name),
        lambda path, rng: path.write_bytes(b""),
        lambda path, rng: path.write_bytes(rng.randbytes(rng.randint(1, 300))),
        lambda path, rng: None,
    ]
    for seed in range(count // 5):
        rng = Random(seed)
        path = rng.choice(sorted(place.source.iterdir()))
        path.unlink()
        rng.choice(places)(path, rng)
        place.is_accepted()
        place.mend()


def test_altered_configurations(place, count):
    config = json.loads((place.source / "config.json").read_text())
    for seed in range(count):
        text = mutations.altered(config, Random(seed))
        (place.source / "config.json").write_bytes(text.encode())
        place.is_accepted(convert=seed % 10 == 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
SIZES = st.lists(st.integers(0, 4) | st.integers(), max_size=3)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "F64"]),
        "shape": SIZES,
        "data_offsets": st.lists(st.integers(0, 32), min_size=2, max_size=2) | SIZES,
    }
)


@settings(max_examples=500, deadline=None)
@given(
    st.dictionaries(st.text(max_size=3), ENTRY | ENTRY | JSON, max_size=4), st.binary(max_size=64)
)
def test_any_header_is_refused_or_tells_what_the_library_reads(tmp_path_factory, header, data):
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_bytes(with_header(json.dumps(header), data))
    try:
        found = read_header(path)
    except BadInput:
        return
    hf.assert_same_bits({name: tensor.read() for name, tensor in found.items()}, load_file(path))
