"""Extending a base: what stays to the bit, and what each new row is, computed once more here."""

import dataclasses
import functools
import json
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer

from biomatrix_jax.config import ModelConfig
from biomatrix_jax.convert import new_rows
from biomatrix_jax.convert.extend import extend
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import Vocabulary, base_tokenizer_path, families
from biomatrix_jax.tokens.descriptions import describe
from tests.convert import fake_hub, hf
from tests.model import cases

BASE_TOKENS = 2307  # of the shipped tokenizer
D = 48
TIED = ModelConfig(BASE_TOKENS, D, 2, 4, 2, 8, 40, 1e6, 1e-6, True, 40_960)
UNTIED = dataclasses.replace(TIED, tied_embeddings=False)
NEW = {
    "selfies": ["[C]", "[=C]", "[Branch1]", "[Ring1]", "[O-1]"],
    "molecule_tokens": ["[C 42]", "[=C 7]", "[H 3]", "[Branch1 -1]", "[C 0]"],
    "protein_codes": 300,
}
TOKENS = BASE_TOKENS + 10 + 26 + 5 + 300 + 5
ROWS = 2688  # the next multiple of 64
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
GENERATION = b'{"eos_token_id":  [2306, 2304]}'


def make_base(directory, config=TIED, dtype="bfloat16", shards=1, form=5, **tables):
    """A base on the shipped tokenizer; odd values stand in its body, tables may be given."""
    tensors = cases.hf_weights(config) | tables
    tensors = {name: array.astype(hf.numpy_dtype(dtype)) for name, array in tensors.items()}
    tensors["model.layers.1.mlp.up_proj.weight"][1, :3] = [np.nan, -np.inf, -0.0]
    hf.write(directory, config, tensors, form=form, dtype=dtype, shards=shards)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(base_tokenizer_path() / name, directory / name)
    (directory / "generation_config.json").write_bytes(GENERATION)
    return tensors


def resized(config, rows):
    return dataclasses.replace(config, vocab_size=rows)


def bits(array):
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


@functools.cache
def tokenizer_of(directory):
    return Tokenizer.from_file(str(directory / "tokenizer.json"))


def pieces_of(directory, text):
    return tokenizer_of(directory).encode(text).ids


def expected_means(directory, table, spellings):
    table = table.astype(np.float64)
    return np.stack([table[pieces_of(directory, describe(s))].mean(axis=0) for s in spellings])


def spellings_of(directory):
    """The new tokens by id, as the tokenizer library gives them."""
    tokenizer = tokenizer_of(directory)
    return [tokenizer.id_to_token(i) for i in range(BASE_TOKENS, tokenizer.get_vocab_size())]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float16"])
@pytest.mark.parametrize(
    ("config", "shards"), [(TIED, 1), (UNTIED, 1), (UNTIED, 3), (resized(TIED, 2400), 2)]
)
def test_whatever_the_base_has_stays_to_the_bit(tmp_path, config, shards, dtype):
    before = make_base(tmp_path / "base", config, dtype, shards)
    extend(tmp_path / "base", tmp_path / "out", **NEW)
    after = hf.read_weights(tmp_path / "out")
    assert after.keys() == before.keys()
    for name in {EMBEDDING, HEAD} & before.keys():
        assert after[name].shape == (ROWS, D)
        assert after[name].dtype == before[name].dtype
        after[name] = after[name][:BASE_TOKENS]
        before[name] = before[name][:BASE_TOKENS]
    hf.assert_same_bits(before, after)


def test_each_new_row_is_the_mean_of_its_descriptions_pieces(tmp_path):
    rng = np.random.default_rng(5)
    tables = {name: rng.normal(size=(BASE_TOKENS, D)) for name in (EMBEDDING, HEAD)}
    before = make_base(tmp_path / "base", UNTIED, "float32", **tables)
    extend(tmp_path / "base", tmp_path / "out", **NEW, noise=0)
    vocabulary = Vocabulary.from_pretrained(tmp_path / "out")
    after = hf.read_weights(tmp_path / "out")
    by_hand = {
        "<|mol_smi_start|>": "begins a molecule SMILES string",
        "<|prot_3d_end|>": "ends a protein 3D structure",
        "<A M>": "methionine",
        "<A B>": "aspartic acid or asparagine",
        "<A X>": "any amino acid",
        "[=C]": "[=C]",
        "[Branch1 -1]": "[Branch1 -1]",
        "[C 42]": "[C 42]",
        "<S 0>": "<S 0>",
        "<S 299>": "<S 299>",
    }
    for name in (EMBEDDING, HEAD):
        for token, description in by_hand.items():
            row = before[name][pieces_of(tmp_path / "base", description)].mean(axis=0)
            np.testing.assert_allclose(after[name][vocabulary.id(token)], row, atol=1e-6)
        for family in families.FAMILIES:
            ids = vocabulary.tokens_of(family)
            assert len(ids) == {"control": 10, "residues": 26, "protein_codes": 300}.get(family, 5)
            tokens = [vocabulary.token(i) for i in ids]
            means = expected_means(tmp_path / "base", before[name], tokens)
            np.testing.assert_allclose(after[name][ids], means, atol=1e-6)
        mean = before[name].astype(np.float64).mean(axis=0)
        padding = after[name][TOKENS:]
        assert len(padding) == ROWS - TOKENS == 35
        np.testing.assert_allclose(padding, np.tile(mean, (35, 1)), atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_noise_has_the_stated_spread_and_is_each_tokens_own(tmp_path, dtype):
    before = make_base(tmp_path / "base", UNTIED, dtype)
    extend(tmp_path / "base", tmp_path / "out", **NEW, seed=3)
    after = hf.read_weights(tmp_path / "out")
    residuals = {}
    for name in (EMBEDDING, HEAD):
        means = expected_means(tmp_path / "base", before[name], spellings_of(tmp_path / "out"))
        padding = np.tile(before[name].astype(np.float64).mean(axis=0), (ROWS - TOKENS, 1))
        residual = after[name][BASE_TOKENS:].astype(np.float64) - np.concatenate([means, padding])
        unit = residual * np.sqrt(D)
        count = unit.size
        # Bounds of five standard errors; rounding to bfloat16 adds a thousandth at most.
        assert abs(unit.mean()) < 5 / np.sqrt(count)
        assert abs(unit.std() - 1) < 5 / np.sqrt(2 * count) + 1e-3
        assert abs((unit**4).mean() - 3) < 5 * np.sqrt(96 / count) + 1e-2  # as of a Gaussian
        assert abs(unit).max() < 6
        between = np.corrcoef(unit) - np.eye(len(unit))
        assert abs(between).max() < 0.8  # a shared row of noise would be 1
        residuals[name] = unit
    together = np.corrcoef(residuals[EMBEDDING].ravel(), residuals[HEAD].ravel())[0, 1]
    assert abs(together) < 5 / np.sqrt(residuals[HEAD].size)


def test_the_seed_decides_every_byte(tmp_path, monkeypatch):
    make_base(tmp_path / "base", UNTIED)
    for out, seed in (("a", 0), ("b", 0), ("c", 1), ("d", 2**64 - 1)):
        extend(tmp_path / "base", tmp_path / out, **NEW, seed=seed)
    # Not where the blocks end, though.
    monkeypatch.setattr(new_rows, "BLOCK_ROWS", 7)
    extend(tmp_path / "base", tmp_path / "e", **NEW)
    a, b, c, d, e = (hf.snapshot(tmp_path / out) for out in "abcde")
    for one, other in ((a, b), (a, e)):
        assert [path.name for path in one] == [path.name for path in other]
        assert list(one.values()) == list(other.values())
    tables = [hf.read_weights(tmp_path / out)[EMBEDDING][BASE_TOKENS:] for out in "acd"]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        same = bits(tables[one]) == bits(tables[other])
        assert same.mean() < 0.05
    assert c != a
    assert d != a


def test_noise_is_what_the_record_says(tmp_path):
    """Anyone can draw it again."""
    before = make_base(tmp_path / "base", TIED, "float32")
    extend(tmp_path / "base", tmp_path / "out", **NEW, seed=11, noise=0.5, untie=True)
    after = hf.read_weights(tmp_path / "out")
    means = expected_means(tmp_path / "base", before[EMBEDDING], spellings_of(tmp_path / "out"))
    for name, stream in ((EMBEDDING, 0), (HEAD, 1)):
        generator = np.random.Generator(np.random.Philox(key=[11, stream]))
        noise = 0.5 * generator.standard_normal((ROWS - BASE_TOKENS, D), np.float32)
        np.testing.assert_allclose(
            after[name][BASE_TOKENS:TOKENS], means + noise[: len(means)], atol=1e-5
        )


def test_untying_copies_the_old_rows_and_draws_the_new(tmp_path):
    before = make_base(tmp_path / "base", TIED)
    extend(tmp_path / "base", tmp_path / "tied", **NEW)
    notes = extend(tmp_path / "base", tmp_path / "untied", **NEW, untie=True)
    assert "output head is its own" in notes[-1]
    tied, untied = (hf.read_weights(tmp_path / out) for out in ("tied", "untied"))
    assert untied.keys() - tied.keys() == {HEAD}
    head = untied.pop(HEAD)
    hf.assert_same_bits(tied, untied)
    assert (bits(head[:BASE_TOKENS]) == bits(before[EMBEDDING])).all()
    assert (bits(head[BASE_TOKENS:]) == bits(tied[EMBEDDING][BASE_TOKENS:])).mean() < 0.05
    configs = [
        json.loads((tmp_path / out / "config.json").read_text()) for out in ("tied", "untied")
    ]
    assert configs[1] == configs[0] | {"tie_word_embeddings": False}


def test_rows_beyond_the_bases_tokens_are_taken_by_id(tmp_path):
    before = make_base(tmp_path / "base", resized(TIED, 2331), "float32")
    extend(tmp_path / "base", tmp_path / "out", **NEW, noise=0)
    after = hf.read_weights(tmp_path / "out")[EMBEDDING]
    means = expected_means(tmp_path / "base", before[EMBEDDING], spellings_of(tmp_path / "out"))
    np.testing.assert_allclose(after[BASE_TOKENS:TOKENS], means, atol=1e-6)
    # The old padding is no token, so that the mean of all tokens leaves it out.
    mean = before[EMBEDDING][:BASE_TOKENS].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(after[TOKENS:], np.tile(mean, (ROWS - TOKENS, 1)), atol=1e-6)


@pytest.mark.parametrize("rows", [ROWS, 2701, 3000])
def test_a_table_that_is_large_enough_keeps_its_size(tmp_path, rows):
    before = make_base(tmp_path / "base", resized(TIED, rows))
    extend(tmp_path / "base", tmp_path / "out", **NEW)
    after = hf.read_weights(tmp_path / "out")[EMBEDDING]
    assert after.shape == (rows, D)
    changed = (bits(after) != bits(before[EMBEDDING])).any(axis=1)
    assert np.flatnonzero(changed).tolist() == list(range(BASE_TOKENS, TOKENS))
    configs = [(tmp_path / path / "config.json").read_bytes() for path in ("base", "out")]
    assert configs[0] == configs[1]


def test_padding_of_the_base_stays_where_the_table_grows_behind_it(tmp_path):
    before = make_base(tmp_path / "base", resized(TIED, TOKENS + 8), "float32")
    extend(tmp_path / "base", tmp_path / "out", **NEW, noise=0)
    after = hf.read_weights(tmp_path / "out")[EMBEDDING]
    assert (after[TOKENS : TOKENS + 8] == before[EMBEDDING][TOKENS:]).all()
    assert len(after) == ROWS
    mean = before[EMBEDDING][:BASE_TOKENS].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(after[TOKENS + 8 :], np.tile(mean, (27, 1)), atol=1e-6)


@pytest.mark.parametrize(("pad_to", "rows"), [(1, 2653), (10, 2660), (128, 2688), (1000, 3000)])
def test_the_table_grows_to_a_multiple(tmp_path, pad_to, rows):
    make_base(tmp_path / "base", UNTIED)
    extend(tmp_path / "base", tmp_path / "out", **NEW, pad_to=pad_to)
    assert hf.read_weights(tmp_path / "out")[HEAD].shape == (rows, D)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"] == rows


@pytest.mark.parametrize("form", [4, 5])
def test_everything_else_comes_along(tmp_path, form):
    make_base(tmp_path / "base", form=form)
    (tmp_path / "base" / "LICENSE").write_text("free")
    notes = extend(tmp_path / "base", tmp_path / "out", **NEW)
    assert any("not carried along: LICENSE" in note for note in notes)
    assert any("NaN or infinite values in model.layers.1.mlp.up_proj.weight" in n for n in notes)
    for name in ("generation_config.json", "chat_template.jinja"):
        same = [(tmp_path / directory / name).read_bytes() for directory in ("base", "out")]
        assert same[0] == same[1]
    before, after = (
        json.loads((tmp_path / directory / "config.json").read_text())
        for directory in ("base", "out")
    )
    assert after == before | {"vocab_size": ROWS}
    assert list(after) == list(before)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab_extension.json",
    ]


def test_the_record_tells_what_defines_the_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_base(tmp_path / "base")
    extend("base", tmp_path / "out", **NEW, seed=7, untie=True)
    record = json.loads((tmp_path / "out" / "vocab_extension.json").read_text())
    record.pop("made_by")
    digest = record["base"].pop("tokenizer_sha256")
    assert (len(digest), digest) == (64, digest.lower())
    assert "Philox(key=[seed, table])" in record["noise"].pop("generator")
    assert record == {
        "base": {
            "path": "base",
            "revision": None,
            "tokens": BASE_TOKENS,
            "rows": BASE_TOKENS,
            "tied": True,
        },
        "tokens": TOKENS,
        "rows": ROWS,
        "pad_to": 64,
        "padding_rows": ROWS - TOKENS,
        "tied": False,
        "families": {
            "control": {"count": 10, "first_id": 2307},
            "selfies": {"count": 5, "first_id": 2317},
            "residues": {"count": 26, "first_id": 2322},
            "protein_codes": {"count": 300, "first_id": 2348},
            "molecule_tokens": {"count": 5, "first_id": 2648},
        },
        "noise": {"seed": 7, "standard_deviation": 1 / np.sqrt(D)},
    }


def test_a_base_as_others_save_it(tmp_path):
    """A tied base with a copy of its embedding, and a body without its prefix."""
    before = make_base(tmp_path / "base")
    saved = {name.removeprefix("model."): array for name, array in before.items()}
    hf.write_weights(tmp_path / "base", saved | {HEAD: before[EMBEDDING].copy()})
    notes = extend(tmp_path / "base", tmp_path / "out", **NEW)
    assert any("is a copy of" in note for note in notes)
    assert any("lack the prefix" in note for note in notes)
    after = hf.read_weights(tmp_path / "out")
    assert after.keys() == before.keys()
    after[EMBEDDING] = after[EMBEDDING][:BASE_TOKENS]
    hf.assert_same_bits(after, before)


def test_a_base_on_the_hub_is_recorded_with_its_commit(tmp_path, monkeypatch):
    make_base(tmp_path / "base")
    files = {path.name: content for path, content in hf.snapshot(tmp_path / "base").items()}
    with fake_hub.connected(monkeypatch, tmp_path / "cache") as server:
        repository = server.add("lab/base", files)
        commit = repository.refs["v1"] = repository.refs["main"]
        repository.commit({"config.json": b"{}"})
        extend("lab/base", tmp_path / "out", **NEW, revision="v1")
    extend(tmp_path / "base", tmp_path / "same", **NEW)
    record = json.loads((tmp_path / "out" / "vocab_extension.json").read_text())
    assert (record["base"]["path"], record["base"]["revision"]) == ("lab/base", commit)
    hf.assert_same_bits(hf.read_weights(tmp_path / "out"), hf.read_weights(tmp_path / "same"))


def test_absent_families(tmp_path):
    make_base(tmp_path / "base")
    extend(tmp_path / "base", tmp_path / "out", selfies=[], molecule_tokens=[], protein_codes=0)
    record = json.loads((tmp_path / "out" / "vocab_extension.json").read_text())
    assert record["families"].keys() == {"control", "residues"}
    assert (record["tokens"], record["rows"]) == (2343, 2368)


def test_the_result_loads_here(tmp_path):
    import biomatrix_jax as bm

    make_base(tmp_path / "base", UNTIED)
    tensors = hf.read_weights(tmp_path / "base")
    tensors["model.layers.1.mlp.up_proj.weight"][1, :3] = 0
    hf.write_weights(tmp_path / "base", tensors)
    extend(tmp_path / "base", tmp_path / "out", **NEW)
    vocabulary = bm.Vocabulary.from_pretrained(tmp_path / "out")
    ids = vocabulary.encode([bm.ProteinSequence("MKX"), bm.Protein3D((0, 299)), bm.Selfies("[C]")])
    logits = np.asarray(bm.load(tmp_path / "out", dtype="float32")(ids[None]))
    assert logits.shape == (1, len(ids), ROWS)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pad_to": 0}, "pad_to must be a whole number, 1 or more, not 0"),
        ({"pad_to": 64.0}, "pad_to must be"),
        ({"seed": -1}, "seed must be a whole number, 0 or more, not -1"),
        ({"seed": 2**64}, "seed must be"),
        ({"noise": -0.1}, "noise is a standard deviation"),
        ({"noise": float("nan")}, "noise is a standard deviation"),
        ({"noise": float("inf")}, "noise is a standard deviation"),
        ({"selfies": ["[C]", "[C]"]}, "given 2 times"),
        ({"molecule_tokens": ["[C]"]}, "not spelled like"),
        ({"protein_codes": -1}, "0 or more"),
        ({"revision": "main"}, "revision"),
    ],
)
def test_bad_requests_are_refused_and_nothing_is_written(tmp_path, change, says):
    make_base(tmp_path / "base")
    with pytest.raises(BadInput, match=says):
        extend(tmp_path / "base", tmp_path / "out", **NEW | change)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_base_without_tokenizer_is_refused(tmp_path):
    make_base(tmp_path / "base")
    (tmp_path / "base" / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match=r"tokenizer\.json does not exist"):
        extend(tmp_path / "base", tmp_path / "out", **NEW)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    make_base(tmp_path / "base", resized(TIED, BASE_TOKENS - 1))
    with pytest.raises(BadInput, match="has token id 2306, but the model's vocab_size is 2306"):
        extend(tmp_path / "base", tmp_path / "out", **NEW)


def test_an_extended_base_is_refused(tmp_path):
    make_base(tmp_path / "base")
    extend(tmp_path / "base", tmp_path / "once", **NEW)
    with pytest.raises(BadInput, match="has 346 of the new tokens already"):
        extend(tmp_path / "once", tmp_path / "twice", **NEW)
    assert not (tmp_path / "twice").exists()


def test_an_existing_target_needs_overwrite_and_is_never_the_base(tmp_path):
    make_base(tmp_path / "base")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    with pytest.raises(BadInput, match="--overwrite"):
        extend(tmp_path / "base", tmp_path / "out", **NEW)
    assert hf.snapshot(tmp_path / "out") == {tmp_path / "out" / "mine": b"precious"}
    before = hf.snapshot(tmp_path / "base")
    with pytest.raises(BadInput, match="is or contains the source"):
        extend(tmp_path / "base", tmp_path / "base", **NEW, overwrite=True)
    with pytest.raises(BadInput, match="is or contains the source"):
        extend(tmp_path / "base", tmp_path, **NEW, overwrite=True)
    assert hf.snapshot(tmp_path / "base") == before
    extend(tmp_path / "base", tmp_path / "out", **NEW, overwrite=True)
    assert not (tmp_path / "out" / "mine").exists()
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_no_numbers_have_no_mean(tmp_path, value):
    piece = pieces_of(base_tokenizer_path(), "methionine")[0]
    table = cases.hf_weights(UNTIED)[HEAD]
    table[piece, 3] = value
    make_base(tmp_path / "base", UNTIED, **{HEAD: table})
    with pytest.raises(
        BadInput, match=rf"lm_head\.weight: the row of token {piece}, .* NaN or inf"
    ):
        extend(tmp_path / "base", tmp_path / "out", **NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_row_that_only_padding_needs_is_refused_for_padding_only(tmp_path):
    table = cases.hf_weights(TIED)[EMBEDDING]
    table[2305, -1] = np.nan  # <|im_start|>, of which no description has a piece
    make_base(tmp_path / "base", **{EMBEDDING: table})
    with pytest.raises(BadInput, match=r"the row of token 2305, '<\|im_start\|>'"):
        extend(tmp_path / "base", tmp_path / "out", **NEW)
    extend(tmp_path / "base", tmp_path / "out", **NEW, pad_to=1)
    assert np.isnan(hf.read_weights(tmp_path / "out")[EMBEDDING][2305, -1])


def test_means_that_float16_cannot_hold_are_refused(tmp_path):
    make_base(tmp_path / "base", TIED, "float16")
    with pytest.raises(BadInput, match="too large for float16"):
        extend(tmp_path / "base", tmp_path / "out", **NEW, noise=1e6)


class TestCommandLine:
    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        from tests.test_cli import biomatrix

        monkeypatch.chdir(tmp_path)
        make_base(tmp_path / "base")
        (tmp_path / "counts.tsv").write_text("[C 7]\t990\n[O 1]\t9\n[Ring1 -1]\t1\n")
        (tmp_path / "selfies.txt").write_text("[N]\n[C]\n")
        return lambda *arguments: biomatrix("vocab", "extend", "base", "out", *arguments)

    def test_counts_and_symbols(self, run, tmp_path):
        result = run("--counts", "counts.tsv", "--selfies", "selfies.txt", "--seed", 5, "--untie")
        assert result.returncode == 0, result.stderr
        assert result.stdout == ""
        assert "2 of 3 joint molecule tokens kept, 99.900%" in result.stderr
        extend(
            "base",
            "same",
            selfies=["[N]", "[C]"],
            molecule_tokens=["[C 7]", "[O 1]"],
            seed=5,
            untie=True,
        )
        ours, theirs = (hf.snapshot(tmp_path / out) for out in ("same", "out"))
        assert list(ours.values()) == list(theirs.values())

    def test_options(self, run, tmp_path):
        options = ["--coverage", 0.5, "--protein-codes", 12, "--pad-to", 100]
        assert run("--counts", "counts.tsv", *options).returncode == 0
        vocabulary = Vocabulary.from_pretrained(tmp_path / "out")
        sizes = {family: len(ids) for family, ids in vocabulary.families.items()}
        assert sizes == {
            "control": 10, "selfies": 1, "residues": 26, "protein_codes": 12, "molecule_tokens": 1
        }  # fmt: skip
        assert hf.read_weights(tmp_path / "out")[EMBEDDING].shape == (2400, D)

    def test_nothing_given(self, run):
        result = run()
        assert result.returncode == 0
        assert result.stderr.count("the vocabulary gets none") == 2
        again = run()
        assert again.returncode == 2
        assert "out exists already" in again.stderr
        assert run("--overwrite").returncode == 0

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--counts", "selfies.txt"], "line 1"),
            (["--pad-to", "0"], "--pad-to"),
            (["--seed", "-1"], "seed must be"),
        ],
    )
    def test_bad_input_is_status_2(self, run, tmp_path, arguments, says):
        result = run(*arguments)
        assert result.returncode == 2
        assert says in result.stderr
        assert "Traceback" not in result.stderr
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("config", [TIED, UNTIED])
@pytest.mark.parametrize("untie", [False, True])
def test_transformers_loads_it_and_generates(tmp_path, config, untie):
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    transformers = pytest.importorskip("transformers", reason="the torch extra is not installed")
    make_base(tmp_path / "base", config)
    tensors = hf.read_weights(tmp_path / "base")
    tensors["model.layers.1.mlp.up_proj.weight"][1, :3] = 0
    hf.write_weights(tmp_path / "base", tensors)
    extend(tmp_path / "base", tmp_path / "out", **NEW, untie=untie)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", dtype="auto", output_loading_info=True
    )
    assert not info["unexpected_keys"]
    assert set(info["missing_keys"]) <= ({HEAD} if config is TIED and not untie else set())
    assert model.dtype == torch.bfloat16
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    vocabulary = Vocabulary.from_pretrained(tmp_path / "out")
    tables = {
        EMBEDDING: model.get_input_embeddings().weight,
        HEAD: model.get_output_embeddings().weight,
    }
    ours = hf.read_weights(tmp_path / "out")
    for family in families.FAMILIES:
        for token in map(vocabulary.token, vocabulary.tokens_of(family)):
            (token_id,) = tokenizer(token).input_ids
            assert token_id == vocabulary.id(token)
            for name, table in tables.items():
                row = table[token_id].detach().view(torch.uint16).numpy()
                assert (row == bits(ours.get(name, ours[EMBEDDING])[token_id])).all(), token
    prompt = tokenizer("The protein <|prot_aa_start|><A M><A K>", return_tensors="pt")
    made = model.generate(**prompt, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    assert made.shape[1] == prompt.input_ids.shape[1] + 5


@pytest.mark.slow
def test_the_published_vocabulary_has_the_published_size(tmp_path, shared_reference):
    from tests.tokens.conftest import published_joint, published_selfies

    config = ModelConfig(151_936, 64, 2, 2, 1, 32, 64, 1e6, 1e-6, True, 40_960)
    before = {k: v.astype(hf.numpy_dtype("bfloat16")) for k, v in cases.hf_weights(config).items()}
    hf.write(tmp_path / "base", config, before)
    (tmp_path / "base" / "generation_config.json").unlink()
    for path in (shared_reference / "qwen3").iterdir():
        shutil.copyfile(path, tmp_path / "base" / path.name)
    tokens = {"selfies": published_selfies(), "molecule_tokens": published_joint()}
    extend(tmp_path / "base", tmp_path / "out", **tokens, untie=True)
    after = hf.read_weights(tmp_path / "out")
    assert after[EMBEDDING].shape == after[HEAD].shape == (168_064, 64)
    record = json.loads((tmp_path / "out" / "vocab_extension.json").read_text())
    assert (record["tokens"], record["padding_rows"]) == (168_020, 44)
    assert {name: family["count"] for name, family in record["families"].items()} == (
        families.PUBLISHED_COUNTS
    )
    assert record["families"]["control"]["first_id"] == 151_669
    for name in (EMBEDDING, HEAD):
        same = (bits(after[name][:151_936]) == bits(before[EMBEDDING])).all(axis=1)
        assert same[:151_669].all()
        assert not same[151_669:].any()
    vocabulary = Vocabulary.from_pretrained(tmp_path / "out")
    ids = np.concatenate([vocabulary.tokens_of(family)[::97] for family in families.FAMILIES])
    tokens = [vocabulary.token(i) for i in ids]
    means = expected_means(tmp_path / "base", before[EMBEDDING], tokens)
    residual = (after[EMBEDDING][ids].astype(np.float64) - means) * np.sqrt(64)
    assert abs(residual.std() - 1) < 5 / np.sqrt(2 * residual.size) + 1e-3
    assert abs(residual.mean()) < 5 / np.sqrt(residual.size)
