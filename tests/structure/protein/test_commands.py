"""The commands, with a tokenizer that writes down what it was given, and once with a real one."""

import gzip
import io
import json
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import biomatrix_jax
from biomatrix_jax import cli
from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.pool import WorkerDied
from biomatrix_jax.structure.protein import commands
from biomatrix_jax.structure.protein.chains import Limits, read_chain
from biomatrix_jax.structure.protein.commands import decode, encode
from biomatrix_jax.structure.protein.files import parse
from tests.protein_tokenizers import untrained
from tests.structure.protein.structures import PDB_HEAD, pdb_text, residue_lines

PROTEINS = Path(biomatrix_jax.__file__).parent / "assets/proteins"


class StandIn:
    """Codes are 10 * x of the CA; decoding puts the CA there again."""

    config = SimpleNamespace(max_length=100)

    def __init__(self):
        self.batches = []

    def encode_batch(self, chains):
        self.batches.append(len(chains))
        return [
            BadInput("it is all W") if set(sequence) == {"W"} else self.encode(backbone)
            for backbone, sequence in chains
        ]

    def encode(self, backbone):
        x = backbone[:, 1, 0]
        missing = np.isnan(backbone).any(axis=(1, 2))
        return np.where(missing, -1, np.nan_to_num(x) * 10 + 0.5).astype(np.int32)

    def decode_batch(self, chains):
        self.batches.append(len(chains))
        return [BadInput("code 9999 is not there") if 9999 in c else self.decode(c) for c in chains]

    def decode(self, codes):
        backbone = np.zeros((len(codes), 3, 3), np.float32)
        backbone[..., 0] = codes[:, None] / 10 + np.array([-0.1, 0, 0.1])
        backbone[codes < 0] = np.nan
        return backbone


@pytest.fixture
def tokenizer(monkeypatch):
    tokenizer = StandIn()
    monkeypatch.setattr(commands, "_load", lambda weights: tokenizer)
    return tokenizer


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path):
    """Three files: two chains, water in a third; one with insertion codes, gzipped; one empty."""
    folder = tmp_path / "in"
    folder.mkdir()
    water = residue_lines(1, 9, residue="HOH", chain="W", hetero=True)
    both = pdb_text(range(1, 7), b_factor=30) + pdb_text([3, 4], chain="b", residue="GLY") + water
    (folder / "a.pdb").write_text(PDB_HEAD + both)
    odd = residue_lines(-1, 1) + residue_lines(0, 2, code="A", b_factor=1.5) + residue_lines(2, 3)
    odd += residue_lines(3, 4) + residue_lines(4, 5) + residue_lines(5, 6)
    (folder / "b.x.ent.gz").write_bytes(gzip.compress(odd.encode()))
    (folder / "c.pdb").touch()
    return folder


def test_a_line_for_each_chain_in_order_and_one_for_each_that_fails(tokenizer, folder, tmp_path):
    summary = encode([str(folder)], tmp_path / "out.jsonl", stream=io.StringIO())
    found = lines(tmp_path / "out.jsonl")
    assert [(line["name"], line.get("chain")) for line in found] == [
        ("a", "A"),
        ("a", "b"),
        ("a", None),
        ("b.x", "A"),
        ("c", None),
    ]
    assert found[0]["sequence"] == "AAAAAA"
    assert found[0]["codes"] == [1, 39, 77, 115, 153, 191]  # 10 * (0.1 + 3.8 n)
    assert found[0]["b_factors"] == [30.0] * 6
    assert found[1]["numbers"] == [3, 4]
    assert found[2] == {"name": "a", "error": "9XYZ, chain W: no protein residue"}
    assert found[3]["numbers"] == [-1, "0A", None, 2, 3, 4, 5]
    assert found[3]["codes"] == [11, 21, -1, 31, 41, 51, 61]
    assert found[3]["b_factors"] == [0.0, 1.5, None, 0.0, 0.0, 0.0, 0.0]
    assert found[4] == {"name": "c", "error": f"{folder}/c.pdb: empty file"}
    assert (summary.chains, summary.failed) == (3, 2)
    assert summary.first_error == "9XYZ, chain W: no protein residue"


def test_workers_change_nothing(tokenizer, folder, tmp_path):
    for i in range(20):
        (folder / f"z{i}.pdb").write_text(pdb_text(range(1, 3 + i)))
    for workers in (1, 2):
        encode([str(folder)], tmp_path / f"{workers}.jsonl", workers=workers, stream=io.StringIO())
    assert (tmp_path / "2.jsonl").read_text() == (tmp_path / "1.jsonl").read_text()
    assert len(lines(tmp_path / "1.jsonl")) == 25


def test_chains_are_encoded_many_at_once_over_files(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "TOGETHER", 4)
    for i in range(5):
        (tmp_path / f"{i}.pdb").write_text(pdb_text([1, 2]) + pdb_text([1, 2, 3], chain="B"))
    encode([f"{tmp_path}/*.pdb", str(tmp_path / "0.pdb")], tmp_path / "o", stream=io.StringIO())
    assert tokenizer.batches == [4, 4, 4]
    assert [line["name"] for line in lines(tmp_path / "o")] == list("001122334400")
    assert [len(line["codes"]) for line in lines(tmp_path / "o")] == [2, 3] * 6


def test_what_the_tokenizer_refuses_is_an_error_of_that_chain(tokenizer, tmp_path):
    text = (
        pdb_text([1, 2]) + pdb_text([1, 2], chain="B", residue="TRP") + pdb_text([7, 8], chain="C")
    )
    text += pdb_text(range(1, 102), chain="D")
    (tmp_path / "x.pdb").write_text(text)
    encode([str(tmp_path)], tmp_path / "o", stream=io.StringIO())
    first, second, third, fourth = lines(tmp_path / "o")
    assert (first["chain"], third["chain"]) == ("A", "C")
    assert second == {"name": "x", "error": "x, chain B: it is all W"}
    assert fourth == {
        "name": "x",
        "error": "x, chain D: longer than 100 residues: cut it into domains",
    }


def test_a_chain_without_o_is_encoded(tokenizer, tmp_path):
    (tmp_path / "x.pdb").write_text(pdb_text([1, 2, 3], atoms=("N", "CA", "C")))
    encode([str(tmp_path)], tmp_path / "o", stream=io.StringIO())
    assert lines(tmp_path / "o")[0]["codes"] == [1, 39, 77]


def test_decoding_writes_a_file_a_chain_with_numbers_and_b_factors(tokenizer, folder, tmp_path):
    encode([str(folder)], tmp_path / "o.jsonl", stream=io.StringIO())
    for suffix in ("pdb", "cif", "pdb.gz"):
        out = tmp_path / suffix
        summary = decode(tmp_path / "o.jsonl", out, suffix=suffix, stream=io.StringIO())
        assert (summary.chains, summary.failed) == (3, 2)
        names = [f"{name}.{suffix}" for name in ("a_A", "a_b", "b.x_A")]
        assert sorted(path.name for path in out.iterdir()) == [*names, "failed.jsonl"]
        [chain] = parse(out / names[2]).chains
        read = read_chain(chain, Limits(), ("N", "CA", "C"))
        assert read.numbers == ((-1, ""), (0, "A"), None, (2, ""), (3, ""), (4, ""), (5, ""))
        assert read.b_factors[1] == 1.5
        assert (
            read.backbone[:2, :, 0].tolist() == np.float32([[1, 1.1, 1.2], [2, 2.1, 2.2]]).tolist()
        )
        failed = lines(out / "failed.jsonl")
        assert [line["name"] for line in failed] == ["a", "c"]
        assert failed[1]["error"].endswith("c.pdb: empty file")
        assert failed[1]["error"].startswith("c: was not encoded: ")


def test_lines_are_gzipped_where_the_name_says_so(tokenizer, folder, tmp_path):
    for name in ("o.jsonl", "o.jsonl.gz"):
        encode([str(folder)], tmp_path / name, stream=io.StringIO())
    data = (tmp_path / "o.jsonl.gz").read_bytes()
    assert gzip.decompress(data) == (tmp_path / "o.jsonl").read_bytes()
    encode([str(folder)], tmp_path / "o.jsonl.gz", stream=io.StringIO())
    assert (tmp_path / "o.jsonl.gz").read_bytes() == data
    assert decode(tmp_path / "o.jsonl.gz", tmp_path / "d", stream=io.StringIO()).chains == 3


def test_what_is_read_is_not_written_over(tokenizer, tmp_path):
    """`encode *.pdb` without an OUT has the last file there; `decode d/x.jsonl d` its own input."""
    text = pdb_text([1, 2])
    for name in ("a.pdb", "b.pdb", "c.txt"):
        (tmp_path / name).write_text(text)
    a, b, c = (tmp_path / name for name in ("a.pdb", "b.pdb", "c.txt"))
    for sources, out in (([a], b), ([a], tmp_path / "new.cif.gz"), ([a, c], c)):
        with pytest.raises(BadInput, match="is or would be a structure file"):
            encode([str(source) for source in sources], out, stream=io.StringIO())
    with pytest.raises(BadInput, match=r"only \.gz are written"):
        encode([str(a)], tmp_path / "o.jsonl.zst", stream=io.StringIO())
    assert {path.read_text() for path in tmp_path.iterdir()} == {text}
    (tmp_path / "d").mkdir()
    encode([str(a)], tmp_path / "d/o.jsonl", stream=io.StringIO())
    with pytest.raises(BadInput, match=r"lies in .*/d, which would be replaced"):
        decode(tmp_path / "d/o.jsonl", tmp_path / "d", overwrite=True, stream=io.StringIO())
    assert len(lines(tmp_path / "d/o.jsonl")) == 1


def test_codes_alone_are_numbered_from_1(tokenizer, tmp_path):
    (tmp_path / "i.jsonl").write_text('\n{"name": "generated 1", "codes": [1, 2, -1, 4]}\n')
    decode(tmp_path / "i.jsonl", tmp_path / "o", stream=io.StringIO())
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["generated 1.pdb"]
    text = (tmp_path / "o/generated 1.pdb").read_text()
    atoms = [line for line in text.splitlines() if line.startswith("ATOM")]
    assert [int(line[22:26]) for line in atoms] == [1] * 3 + [2] * 3 + [4] * 3
    assert {line[17:20] for line in atoms} == {"UNK"}


def test_records_that_cannot_be_decoded_are_named_and_others_go_on(tokenizer, tmp_path):
    given = [
        '{"name": "ok", "codes": [1, 2]}',
        "not JSON",
        '{"name": "b", "codes": [9999]}',
        '{"name": "../up", "codes": [1]}',
        '{"name": ".hidden", "codes": [1]}',
        '{"name": "ok", "codes": [3, 4]}',
        '{"name": "\\ud800", "codes": [3, 4]}',
        '{"name": "long chain", "chain": "AB", "codes": [3, 4]}',
        '{"name": "%s", "codes": [3]}' % ("n" * 300),
    ]
    (tmp_path / "i.jsonl.gz").write_bytes(gzip.compress("\n".join(given).encode()))
    summary = decode(tmp_path / "i.jsonl.gz", tmp_path / "o", stream=io.StringIO())
    assert (summary.chains, summary.failed) == (1, 8)
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["failed.jsonl", "ok.pdb"]
    errors = [line["error"] for line in lines(tmp_path / "o/failed.jsonl")]
    for found, expected in zip(
        errors,
        [
            "line 2: not JSON",
            "b: code 9999 is not there",
            "../up: not fit for the name of a file",
            ".hidden: not fit",
            "ok: ok.pdb is there already",
            r"\ud800: not fit",
            "long chain, chain AB: the PDB format has one ASCII letter",
            "n" * 197 + "...: not fit",
        ],
        strict=True,
    ):
        assert found.startswith(expected)
    assert not (tmp_path / "up.pdb").exists()


def test_nothing_is_written_where_the_input_is_bad(tokenizer, tmp_path):
    (tmp_path / "x.pdb").write_text(pdb_text([1]))
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    (tmp_path / "l.jsonl").write_text('{"name": "x", "codes": [1]}')
    before = sorted(tmp_path.rglob("*"))
    for call, problem in (
        (lambda: encode([str(tmp_path / "none")], tmp_path / "o"), "no such file or folder"),
        (lambda: encode([f"{tmp_path}/*.cif"], tmp_path / "o"), "no structure file"),
        (lambda: encode([str(tmp_path / "x.pdb")], tmp_path / "full"), "full is a folder"),
        (lambda: decode(tmp_path / "none", tmp_path / "o"), "No such file"),
        (lambda: decode(tmp_path / "empty.jsonl", tmp_path / "o"), "there is no line in it"),
        (lambda: decode(tmp_path / "l.jsonl", tmp_path / "full"), "pass --overwrite"),
    ):
        with pytest.raises(BadInput, match=problem):
            call()
    assert sorted(tmp_path.rglob("*")) == before
    decode(tmp_path / "l.jsonl", tmp_path / "full", overwrite=True, stream=io.StringIO())
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["x.pdb"]


def test_an_error_in_the_middle_leaves_the_old_file(tokenizer, tmp_path, monkeypatch):
    (tmp_path / "x.pdb").write_text(pdb_text([1]))
    (tmp_path / "o").write_text("old")

    def stop(chains):
        raise KeyboardInterrupt

    monkeypatch.setattr(tokenizer, "encode_batch", stop)
    with pytest.raises(KeyboardInterrupt):
        encode([str(tmp_path / "x.pdb")], tmp_path / "o", stream=io.StringIO())
    assert (tmp_path / "o").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o", "x.pdb"]


def test_a_file_that_kills_its_worker_is_an_error_and_others_go_on(
    tokenizer, tmp_path, monkeypatch
):
    (tmp_path / "a.pdb").write_text(pdb_text([1, 2]))
    (tmp_path / "b.pdb").write_text(pdb_text([1, 2]))

    def in_order(work, paths, workers, batch):
        yield paths[0], WorkerDied("the process died")
        yield paths[1], work(paths[1:])[0]

    monkeypatch.setattr(commands, "in_order", in_order)
    encode([str(tmp_path)], tmp_path / "o", workers=2, stream=io.StringIO())
    first, second = lines(tmp_path / "o")
    assert first == {"name": "a", "error": f"{tmp_path}/a.pdb: the process died"}
    assert second["codes"] == [1, 39]


def run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["biomatrix", "protein", *map(str, arguments)])
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # of the tests' own process
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code or 0


def test_the_command_line(tokenizer, folder, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, "encode", folder / "a.pdb", folder, tmp_path / "o.jsonl") == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"5 chains in {tmp_path}/o.jsonl, 3 failed\n"
    assert run(monkeypatch, "encode", folder, tmp_path / "o.jsonl", "--json", "--workers", 1) == 0
    assert json.loads(capsys.readouterr().out) == {
        "chains": 3,
        "failed": 2,
        "first_error": "9XYZ, chain W: no protein residue",
        "out": f"{tmp_path}/o.jsonl",
    }
    assert run(monkeypatch, "decode", tmp_path / "o.jsonl", tmp_path / "d", "--format", "cif") == 0
    assert (tmp_path / "d/a_A.cif").exists()
    assert run(monkeypatch, "decode", tmp_path / "o.jsonl", tmp_path / "d") == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert run(monkeypatch, "decode", tmp_path / "o.jsonl", tmp_path / "d", "--overwrite") == 0
    assert (tmp_path / "d/a_A.pdb").exists()


def test_the_status_is_2_where_all_failed_and_the_lines_say_why(
    tokenizer, folder, tmp_path, monkeypatch, capsys
):
    assert run(monkeypatch, "encode", folder / "c.pdb", tmp_path / "o.jsonl") == 2
    why = f"{folder}/c.pdb: empty file"
    assert capsys.readouterr().err == (
        f"biomatrix: all of 1 failed, see {tmp_path}/o.jsonl; the first: {why}\n"
    )
    assert lines(tmp_path / "o.jsonl")[0]["error"] == why
    assert run(monkeypatch, "decode", tmp_path / "o.jsonl", tmp_path / "d") == 2
    assert run(monkeypatch, "encode", tmp_path / "o.jsonl") == 2  # no IN
    assert run(monkeypatch, "decode", "a", "b", "--format", "xyz") == 2


def test_the_default_tokenizer_is_loaded_by_its_name(tmp_path):
    (tmp_path / "x.pdb").write_text(pdb_text([1]))
    with pytest.raises(BadInput, match="nowhere"):
        encode([str(tmp_path / "x.pdb")], tmp_path / "o", weights=str(tmp_path / "nowhere"))
    assert not (tmp_path / "o").exists()


def test_a_real_tokenizer_from_files_to_files(tmp_path):
    tokenizer = untrained(max_length=64)
    tokenizer.save(tmp_path / "weights")
    sources = [str(PROTEINS / f"{entry}-backbone.pdb.gz") for entry in ("2beg", "1ejg")]
    encode(sources, tmp_path / "o.jsonl", str(tmp_path / "weights"), stream=io.StringIO())
    found = lines(tmp_path / "o.jsonl")
    for line, source in zip(found, sources, strict=True):
        [chain] = parse(Path(source)).chains
        read = read_chain(chain, Limits())
        assert line["codes"] == tokenizer.encode(read.backbone, read.sequence).tolist()
    decode(
        tmp_path / "o.jsonl", tmp_path / "d", str(tmp_path / "weights"), "cif", stream=io.StringIO()
    )
    [chain] = parse(tmp_path / "d/1ejg-backbone_A.cif").chains
    decoded = read_chain(chain, Limits(), ("N", "CA", "C"))
    expected = tokenizer.decode(np.array(found[1]["codes"]))
    np.testing.assert_array_equal(decoded.backbone, np.float32(expected.round(3)))
    assert decoded.sequence == found[1]["sequence"]
