"""`biomatrix molecule`: lines out and molecules back, whatever is in the files."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import rdMolAlign

from biomatrix_jax import cli
from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import MoleculeTokenizer, commands, refinement, vqvae
from biomatrix_jax.structure.molecule.commands import Summary, decode, encode, import_weights
from biomatrix_jax.structure.molecule.errors import MoleculeError
from biomatrix_jax.structure.pool import WorkerDied
from tests.structure.molecule.conftest import embed


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A tokenizer whose codes are lengths and angles as molecules have them."""
    random = np.random.default_rng(0)
    config = vqvae.VQVAEConfig(codes=64)
    tree = vqvae.init(config, random)
    rows = random.uniform([0.9, 0.3, 0.3, -1], [1.8, 2.8, 2.8, 1], (config.codes, 4))
    latents, _ = vqvae.perceptron(tree["encoder"], vqvae.features(rows))
    tree["codebook"] = np.asarray(latents)
    for name, middle in (("length", np.log(2.3)), ("angle", 0.6), ("torsion", 0.6)):
        tree["heads"][name]["linear_2"]["bias"][:] = middle
    path = tmp_path_factory.mktemp("weights") / "tokenizer"
    MoleculeTokenizer(config, tree).save(path)
    return path


@pytest.fixture(scope="module")
def sdf(mols, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("files") / "mols.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for mol in mols:
            writer.write(mol)
    return path


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def quietly(command, *arguments, **options):
    return command(*arguments, **options, stream=io.StringIO())


def test_lines_are_what_the_tokenizer_says(mols, sdf, weights, tmp_path):
    summary = quietly(encode, [str(sdf)], tmp_path / "out.jsonl", str(weights))
    assert summary == Summary(molecules=len(mols), failed=0)
    tokenizer = MoleculeTokenizer.from_pretrained(weights)
    for line, mol in zip(
        lines_of(tmp_path / "out.jsonl"), Chem.SDMolSupplier(str(sdf), removeHs=False), strict=True
    ):
        encoding = tokenizer.encode(mol)
        assert line["name"] == mol.GetProp("_Name")
        assert line["codes"] == encoding.codes.tolist()
        assert line["struct_selfies"] == encoding.struct_selfies
        assert line["smiles"] == Chem.MolToSmiles(Chem.RemoveHs(mol))
        assert list(line) == ["name", "smiles", "codes", "struct_selfies"]


@pytest.fixture
def mixed(sdf, tmp_path) -> Path:
    """A folder: sound molecules between others."""
    folder = tmp_path / "in"
    folder.mkdir()
    entries = sdf.read_text().split("$$$$\n")
    entries[2] = "broken\n\n\nnonsense\nM  END\n"
    salt = Chem.MolToMolBlock(Chem.CombineMols(embed("CCO"), embed("CO")))
    entries.insert(4, "salt\n" + salt.split("\n", 1)[1])
    (folder / "a.sdf.gz").write_bytes(gzip.compress("$$$$\n".join(entries).encode()))
    (folder / "b.csv").write_text("smiles,name\nCCO,ethanol\nC1CC,ring\n")
    (folder / "c.sdf").write_text("")
    (folder / "readme.txt").write_text("not a molecule")
    return folder


def test_failures_are_lines_in_their_place_whatever_the_processes(mixed, weights, tmp_path, mols):
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    summary = quietly(encode, [str(mixed)], one, str(weights))
    assert quietly(encode, [str(mixed)], two, str(weights), workers=2) == summary
    assert one.read_bytes() == two.read_bytes()
    lines = lines_of(one)
    failed = {i: line["name"] for i, line in enumerate(lines) if "error" in line}
    count = len(mols) + 1  # in the first file
    assert failed == {2: "broken", 4: "salt", count + 1: "ring", count + 2: "c.sdf"}
    assert lines[4]["error"] == "has 2 fragments: encode them one at a time"
    assert lines[count]["name"] == "ethanol"
    assert summary == Summary(len(lines) - 4, 4, f"broken: {lines[2]['error']}")


def test_molecules_come_back_in_order(mols, sdf, weights, tmp_path):
    quietly(encode, [str(sdf)], tmp_path / "lines.jsonl", str(weights))
    for out in (tmp_path / "a.sdf", tmp_path / "b.sdf.gz"):
        summary = quietly(decode, tmp_path / "lines.jsonl", out, str(weights))
        assert summary.molecules + summary.failed == len(mols)
        assert summary.molecules > 8
    text = (tmp_path / "a.sdf").read_bytes()
    assert gzip.decompress((tmp_path / "b.sdf.gz").read_bytes()) == text
    quietly(decode, tmp_path / "lines.jsonl", tmp_path / "c.sdf", str(weights), workers=2)
    assert (tmp_path / "c.sdf").read_bytes() == text
    tokenizer = MoleculeTokenizer.from_pretrained(weights)
    strings = {line["name"]: line["struct_selfies"] for line in lines_of(tmp_path / "lines.jsonl")}
    names = []
    for mol in Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False):
        names.append(mol.GetProp("_Name"))
        expected = tokenizer.decode(strings[names[-1]])
        atoms = [(i, i) for i in range(mol.GetNumAtoms())]
        assert rdMolAlign.AlignMol(mol, expected, atomMap=atoms) < 1e-3
    assert names == [name for name in strings if name in names]


def test_lines_may_be_gzipped(sdf, weights, tmp_path):
    plain, packed = tmp_path / "lines.jsonl", tmp_path / "lines.jsonl.gz"
    for out in (plain, packed):
        quietly(encode, [str(sdf)], out, str(weights))
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert quietly(decode, packed, tmp_path / "a.sdf", str(weights)).molecules > 8


def test_mmff_moves_atoms(sdf, weights, tmp_path):
    quietly(encode, [str(sdf)], tmp_path / "lines.jsonl", str(weights))
    plain = quietly(decode, tmp_path / "lines.jsonl", tmp_path / "a.sdf", str(weights))
    relaxed = quietly(decode, tmp_path / "lines.jsonl", tmp_path / "b.sdf", str(weights), mmff=True)
    assert relaxed.molecules == plain.molecules
    first, second = (
        Chem.SDMolSupplier(str(tmp_path / name), removeHs=False)[0].GetConformer().GetPositions()
        for name in ("a.sdf", "b.sdf")
    )
    assert np.abs(first - second).max() > 0.05


def test_refinement_moves_atoms_or_says_why(sdf, weights, tmp_path, monkeypatch):
    def shift(molecules):
        small = [len(item.positions) < 4 for item in molecules]
        return [
            refinement.Refined(item.positions, "is small")
            if few
            else refinement.Refined(item.positions + 1)
            for item, few in zip(molecules, small, strict=True)
        ]

    monkeypatch.setattr(refinement, "refine", shift)  # the real one has tests of its own
    lines = tmp_path / "lines.jsonl"
    quietly(encode, [str(sdf)], lines, str(weights))
    with lines.open("a") as file:
        file.write('{"name": "two atoms", "struct_selfies": "[C 3][O 4]"}\n')
    plain = quietly(decode, lines, tmp_path / "a.sdf", str(weights))
    said = io.StringIO()
    refined = decode(lines, tmp_path / "b.sdf", str(weights), refine=True, stream=said)
    assert f"1 not refined: see their field refinement_problem in {tmp_path}" in said.getvalue()
    assert (refined.molecules, refined.unrefined) == (plain.molecules, 1)
    assert plain.unrefined == 0
    *pairs, (_, last) = zip(
        *(Chem.SDMolSupplier(str(tmp_path / name), removeHs=False) for name in ("a.sdf", "b.sdf")),
        strict=True,
    )
    assert last.GetPropsAsDict() == {"refinement_problem": "is small"}
    for one, two in pairs:
        assert not two.HasProp("refinement_problem")
        moved = two.GetConformer().GetPositions() - one.GetConformer().GetPositions()
        np.testing.assert_allclose(moved, 1, atol=1e-3)


def test_lines_that_do_not_decode_are_told_of(weights, tmp_path):
    lines = tmp_path / "lines.jsonl"
    out = tmp_path / "out.sdf"
    bad = [
        "{",
        '["list"]',
        '{"name": "a"}',
        '{"name": "b", "struct_selfies": 3}',
        '{"name": "c", "error": "has 2 fragments"}',
        '{"name": "d", "struct_selfies": "[C 99]"}',
        '{"struct_selfies": "[C]"}',
        '{"name": "e", "name": "f"}',
        '{"name": "half \\ud800", "struct_selfies": ""}',
        '{"name": "$$$$ 5", "struct_selfies": "[C 3]"}',
    ]
    lines.write_bytes(
        "\n\n".join(bad).encode() + b'\n\xff\n{"name": "ok", "struct_selfies": "[C 3]"}'
    )
    summary = quietly(decode, lines, out, str(weights))
    assert (summary.molecules, summary.failed) == (1, 11)
    told = lines_of(tmp_path / "out.failed.jsonl")
    assert [line["name"] for line in told] == [
        *(
            "line 1",
            "line 3",
            "a",
            "b",
            "c",
            "d",
            "line 13",
            "line 15",
            "half ?",
            "$$$$ 5",
            "line 20",
        ),
    ]
    assert told[4]["error"] == "was not encoded: has 2 fragments"
    assert told[5]["error"] == "code 99 is not among the 64 codes"
    assert out.read_text().startswith("ok\n")
    # A second time without them, what told of them goes.
    lines.write_text('{"struct_selfies": "[C 3]"}')
    assert quietly(decode, lines, out, str(weights)).failed == 0
    assert not (tmp_path / "out.failed.jsonl").exists()


def test_a_molecule_that_kills_its_process_is_a_line(sdf, weights, tmp_path, monkeypatch):
    def killing_the_second(work, items, workers, batch):
        for i, item in enumerate(items):
            yield item, WorkerDied("it died") if i == 1 else work([item])[0]

    monkeypatch.setattr(commands, "in_order", killing_the_second)
    lines, out = tmp_path / "lines.jsonl", tmp_path / "out.sdf"
    quietly(encode, [str(sdf)], lines, str(weights), workers=2)
    assert lines_of(lines)[1] == {"name": "c1ccccc1C(=O)NC", "error": "it died"}
    quietly(decode, lines, out, str(weights), workers=2)
    told = lines_of(tmp_path / "out.failed.jsonl")
    assert {"name": "line 2", "error": "it died"} in told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": ["absent.sdf"]}, "absent.sdf: no such file"),
        ({"weights": "absent"}, "absent: no config.json here"),
        ({"out": Path(".")}, "is a folder"),
        ({"out": Path("out.jsonl.zst")}, "of compressed files only .gz are written"),
        ({"out": Path("last.sdf")}, "last.sdf is named as a file of molecules"),
        ({"seed": -1}, "the seed must be from 0"),
        ({"seed": 2**31}, "the seed must be from 0"),
    ],
)
def test_bad_arguments_write_nothing(sdf, weights, tmp_path, monkeypatch, change, words):
    monkeypatch.chdir(tmp_path)
    arguments = {"sources": [str(sdf)], "out": Path("out.jsonl"), "weights": str(weights)}
    with pytest.raises(BadInput, match=words):
        quietly(encode, **(arguments | change))
    assert list(tmp_path.iterdir()) == []


def test_no_lines_to_decode(weights, tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(BadInput, match="there is no line in it"):
        quietly(decode, tmp_path / "empty.jsonl", tmp_path / "out.sdf", str(weights))
    with pytest.raises(BadInput, match="absent"):
        quietly(decode, tmp_path / "absent.jsonl", tmp_path / "out.sdf", str(weights))


def test_decoding_never_replaces_what_it_reads(weights, tmp_path):
    text = '{"name": "ok", "struct_selfies": "[C 3]"}\n'
    for name in ("out.sdf", "out.failed.jsonl"):  # without failures, the latter would be removed
        (tmp_path / name).write_text(text)
        with pytest.raises(BadInput, match=f"{name} would be replaced"):
            quietly(decode, tmp_path / name, tmp_path / "out.sdf", str(weights))
        assert (tmp_path / name).read_text() == text


def test_it_says_which_weights(sdf, weights, tmp_path):
    stream = io.StringIO()
    encode([str(sdf)], tmp_path / "out.jsonl", str(weights), stream=stream)
    assert stream.getvalue() == f"weights: {weights}\n"


def test_imported_weights_are_the_published_ones(shared_reference, mols, tmp_path):
    published = shared_reference / "molstructok" / "molstructok_vqvae.bin"
    if not published.is_file():
        pytest.skip(f"{published} is absent")
    import_weights(published, tmp_path / "ours")
    one, two = (MoleculeTokenizer.from_pretrained(p) for p in (published, tmp_path / "ours"))
    for a, b in zip(one.encode_batch(mols), two.encode_batch(mols), strict=True):
        assert a.struct_selfies == b.struct_selfies
    with pytest.raises(BadInput, match="exists already"):
        import_weights(published, tmp_path / "ours")
    with pytest.raises(BadInput):
        import_weights(tmp_path / "ours", tmp_path / "other")
    with pytest.raises(BadInput):
        import_weights(tmp_path / "absent.bin", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def run(*arguments: str):
    return CliRunner().invoke(cli.biomatrix, ["molecule", *map(str, arguments)])


def test_command_line(sdf, weights, tmp_path):
    lines, out = tmp_path / "lines.jsonl", tmp_path / "out.sdf"
    result = run("encode", sdf, lines, "--weights", weights, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "molecules": 12, "failed": 0, "first_error": None, "out": str(lines)
    }  # fmt: skip
    result = run("decode", lines, out, "--weights", weights)
    assert result.exit_code == 0
    assert f"molecules in {out}, " in result.stderr
    (tmp_path / "bad.smi").write_text("C1CC ring\n")
    result = run("encode", tmp_path / "bad.smi", lines, "--weights", weights)
    assert isinstance(result.exception, BadInput)
    assert str(result.exception).startswith(f"all of 1 failed, see {lines}; the first: ring: ")


SYMBOLS = ["[C 1]", "[=C 2]", "[H 3]", "[O 4]", "[N 5]", "[#N 6]", "[F 7]", "[C -1]", "[O -1]"]
SYMBOLS += ["[Branch1 -1]", "[Ring1 -1]", "[=Branch1 -1]", "[Ring2 -1]", "[nop -1]", "[Fe+2 9]"]
PIECES = st.sampled_from(
    [*SYMBOLS, "[C 64]", "[C]", "[", "]", " ", "-1", "[Xx 1]", "[C 9999999999]"]
)


@given(
    st.lists(
        st.lists(st.sampled_from(SYMBOLS) | PIECES | st.text(max_size=3), max_size=24).map("".join),
        max_size=8,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_strings_decode_or_say_why(tokenizer, strings):
    for string, result in zip(strings, tokenizer.decode_batch(strings), strict=True):
        if isinstance(result, MoleculeError):
            assert "\n" not in str(result)
        else:
            assert np.isfinite(result.GetConformer().GetPositions()).all()
            assert result.GetNumAtoms() > 0
            assert string


@pytest.fixture(scope="module")
def tokenizer(weights) -> MoleculeTokenizer:
    return MoleculeTokenizer.from_pretrained(weights)
