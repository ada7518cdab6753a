"""The decoding loop against a loop without a cache, on small random models in float32."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import biomatrix_jax as bm
from biomatrix_jax.config import ComputeConfig, MeshConfig, ModelConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.generate import sampler
from biomatrix_jax.generate.sampler import sample
from biomatrix_jax.model import Decoder
from biomatrix_jax.sharding.mesh import make_mesh
from tests.convert import hf
from tests.model import cases

CONFIG = ModelConfig(
    vocab_size=67,
    embed_dim=24,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=8,
    ffn_dim=40,
    max_positions=128,
)
TOKENIZER_SIZE = 60  # 7 rows of the embedding table are padding
COMPUTE = ComputeConfig(dtype="float32", remat="none")
PROMPTS = [[5], [7, 8, 9, 10, 11], list(range(12, 50)), [3, 3]]
NO_STOP = [[]] * len(PROMPTS)


@pytest.fixture(scope="module")
def model():
    model = Decoder(CONFIG, COMPUTE, rngs=nnx.Rngs(0))
    # Initial weights give nearly flat logits; larger ones make choices differ by context.
    graphdef, state = nnx.split(model)
    return nnx.merge(graphdef, jax.tree.map(lambda x: x * 4 if x.ndim > 1 else x, state))


@nnx.jit
def forward(model, tokens):
    return model(tokens)


def recomputed(model, prompt, count, size=TOKENIZER_SIZE):
    """Greedy decoding that runs the whole row again for every token."""
    row = np.zeros((1, CONFIG.max_positions), np.int32)  # one shape; what comes later is not seen
    row[0, : len(prompt)] = prompt
    for end in range(len(prompt), len(prompt) + count):
        row[0, end] = np.argmax(forward(model, row)[0, end - 1, :size])
    return row[0, len(prompt) : len(prompt) + count].tolist()


def tokens(results):
    return [result.tokens.tolist() for result in results]


def test_greedy_equals_recomputation_without_a_cache(model):
    results = sample(
        model, PROMPTS, stop=NO_STOP, max_new_tokens=20, temperature=0, vocab_size=TOKENIZER_SIZE
    )
    assert tokens(results) == [recomputed(model, prompt, 20) for prompt in PROMPTS]
    assert not any(result.stopped for result in results)
    assert len({tuple(row) for row in tokens(results)}) == len(PROMPTS)  # the model is not constant


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_depends_on_nothing_beside_it(model, temperature):
    settings = {"max_new_tokens": 12, "temperature": temperature, "top_p": 0.9, "seed": 3}
    together = sample(model, PROMPTS, stop=NO_STOP, **settings)
    alone = sample(model, PROMPTS[:1], stop=[[]], **settings)
    beside_others = sample(model, [PROMPTS[0], [1] * 90], stop=[[]] * 2, **settings)
    assert tokens(alone)[0] == tokens(together)[0] == tokens(beside_others)[0]
    uneven = sample(model, PROMPTS, stop=NO_STOP, **settings, batch_rows=3)
    assert tokens(uneven) == tokens(together)


def test_equal_prompts_draw_differently_and_again_the_same(model):
    settings = {"stop": [[]] * 8, "max_new_tokens": 10, "temperature": 1.0}
    first = tokens(sample(model, [[5]] * 8, **settings, seed=1))
    assert len({tuple(row) for row in first}) == 8
    assert first == tokens(sample(model, [[5]] * 8, **settings, seed=1))
    assert first != tokens(sample(model, [[5]] * 8, **settings, seed=2))


def test_the_draws_follow_the_models_own_distribution(model):
    count = 4000
    drawn = sample(model, [[5, 6]] * count, stop=[[]] * count, max_new_tokens=1, batch_rows=count)
    expected = jax.nn.softmax(model(jnp.array([[5, 6]]))[0, -1])
    seen = np.bincount(np.concatenate(tokens(drawn)), minlength=CONFIG.vocab_size) / count
    assert np.abs(seen - np.asarray(expected)).max() < 0.04


def test_rows_stop_each_at_its_own_tokens(model):
    free = [recomputed(model, prompt, 20) for prompt in PROMPTS]
    stop = [[row[4], row[9]] for row in free]
    stop[1] = []  # this one goes on
    results = sample(
        model, PROMPTS, stop=stop, max_new_tokens=20, temperature=0, vocab_size=TOKENIZER_SIZE
    )
    for row, stops, result in zip(free, stop, results, strict=True):
        ends = [i for i, token in enumerate(row) if token in stops]
        assert result.tokens.tolist() == (row[: ends[0] + 1] if ends else row)
        assert result.stopped == bool(ends)


def test_stopping_with_the_last_allowed_token_counts_as_stopped(model):
    row = recomputed(model, [5], 3)
    settings = {"temperature": 0, "vocab_size": TOKENIZER_SIZE}
    [result] = sample(model, [[5]], stop=[[row[2]]], max_new_tokens=3, **settings)
    assert result.stopped == (row.index(row[2]) == 2 or len(result.tokens) < 3)
    [result] = sample(model, [[5]], stop=[[row[0]]], max_new_tokens=1, **settings)
    assert (result.tokens.tolist(), result.stopped) == ([row[0]], True)


def test_padding_rows_of_the_table_are_never_chosen(model):
    graphdef, state = nnx.split(model)
    padded = nnx.merge(graphdef, state)
    table = padded.head.table[...]
    padded.head.table[...] = table.at[TOKENIZER_SIZE:].set(50 * jnp.abs(table[:1]))
    rows = {"stop": [[]] * 64, "max_new_tokens": 8, "vocab_size": TOKENIZER_SIZE, "batch_rows": 64}
    for temperature in (0.0, 5.0):
        drawn = np.concatenate(tokens(sample(padded, [[5]] * 64, temperature=temperature, **rows)))
        assert drawn.max() < TOKENIZER_SIZE


def test_other_settings_and_lengths_compile_nothing_new(model):
    settings = {"vocab_size": TOKENIZER_SIZE, "batch_rows": 2}
    sample(model, PROMPTS[:2], stop=NO_STOP[:2], max_new_tokens=9, **settings)
    compiled = sampler._decode._cache_size()
    sample(model, PROMPTS[:2], stop=NO_STOP[:2], max_new_tokens=17, temperature=0, **settings)
    sample(model, PROMPTS[1:], stop=NO_STOP[1:], max_new_tokens=5, top_p=0.5, seed=9, **settings)
    assert sampler._decode._cache_size() == compiled + 1  # the third prompt is longer: one more


@pytest.fixture(scope="module")
def hf_directory(tmp_path_factory):
    config = dataclasses.replace(CONFIG, vocab_size=68)
    path = tmp_path_factory.mktemp("model") / "hf"
    weights = cases.hf_weights(config)
    hf.write(path, config, {name: 4 * w for name, w in weights.items()}, dtype="float32")
    return path


SETTINGS = [{"stop": NO_STOP, "max_new_tokens": 6, "temperature": t} for t in (0.0, 1.0)]


@pytest.fixture(scope="module")
def on_one_device(hf_directory):
    model = bm.load(hf_directory)
    return [tokens(sample(model, PROMPTS, **settings)) for settings in SETTINGS]


@pytest.fixture
def program(monkeypatch):
    """The one program that sampling compiles, once it has run."""
    programs = []

    def decode(graphdef, *args, **static):
        if not programs:
            programs.append(jitted.lower(graphdef, *args, **static).compile())
        return programs[0](*args)

    jitted = sampler._decode
    monkeypatch.setattr(sampler, "_decode", decode)
    return programs


@pytest.mark.parametrize(
    ("sizes", "rules", "shard"),
    [
        # Of [2 layers, 8 rows, slots, 2 heads, 8]; padding fills a batch up to the 8 devices.
        ({"fsdp": 4, "tensor": 2}, {}, (2, 2, 96, 1, 8)),
        pytest.param(
            {"slice": 2, "fsdp": 2, "context": 2}, {}, (2, 2, 96, 2, 8), marks=pytest.mark.slow
        ),
        pytest.param(
            {"data": 2, "fsdp": 1, "tensor": 4},
            {"kv_heads": (), "act_kv_heads": ()},
            (2, 4, 96, 2, 8),
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_a_model_on_a_mesh_gives_the_same_from_a_cache_in_pieces(
    hf_directory, on_one_device, program, sizes, rules, shard
):
    mesh = make_mesh(MeshConfig(**sizes))
    model = bm.load(hf_directory, mesh=mesh, rules=ShardingRules(**rules))
    assert len(model.layers.ffn.gate[...].sharding.device_set) == 8
    assert [tokens(sample(model, PROMPTS, **s)) for s in SETTINGS] == on_one_device
    # By the compiler's own account, a device has nothing of the cache but its piece.
    caches = set(re.findall(r"f32\[(2,\d+,96,\d+,8)\]", program[0].as_text()))
    assert caches == {",".join(map(str, shard))}


def test_progress_counts_prompts_not_padding(model):
    finished = []
    sample(model, PROMPTS, stop=NO_STOP, max_new_tokens=2, batch_rows=3, on_rows=finished.append)
    assert finished == [3, 1]


def test_the_whole_length_of_the_model_can_be_used(model):
    prompt = [4] * (CONFIG.max_positions - 2)
    [result] = sample(
        model, [prompt], stop=[[]], max_new_tokens=2, temperature=0, vocab_size=TOKENIZER_SIZE
    )
    assert result.tokens.tolist() == recomputed(model, prompt, 2)


def test_a_model_whose_logits_are_no_numbers_is_refused(model):
    graphdef, state = nnx.split(model)
    broken = nnx.merge(graphdef, state)
    broken.final_norm.scale[...] = broken.final_norm.scale[...].at[0].set(jnp.nan)
    with pytest.raises(FloatingPointError, match="not finite"):
        sample(broken, [[5]], stop=[[]], max_new_tokens=4)


def test_no_prompts_no_results(model):
    assert sample(model, [], stop=[], max_new_tokens=4) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, not 0"),
        ({"temperature": -0.1}, "temperature must be 0 .* not -0.1"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, not 0.0"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 2**32}, "seed"),
        ({"batch_rows": 0}, "batch_rows must be at least 1, not 0"),
        ({"vocab_size": 68}, "the tokenizer has 68 ids, the model only 67"),
        ({"prompts": [[]]}, "prompt 0 is empty"),
        ({"prompts": [[5, 67]]}, "prompt 0 has the token id 67, outside the vocabulary of 67"),
        ({"prompts": [[5, 60]], "vocab_size": 60}, "token id 60, outside the vocabulary of 60"),
        ({"prompts": [[-1]]}, "token id -1"),
        ({"stop": [[99]]}, "stop token set 0 has the token id 99"),
        ({"stop": []}, "1 prompts but stop tokens for 0"),
        ({"prompts": [[5] * 120], "max_new_tokens": 9}, "prompt 0 has 120 tokens; 9 more .* 128"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(model, change, message):
    arguments = {"prompts": [[5]], "stop": [[]], "max_new_tokens": 4} | change
    with pytest.raises(BadInput, match=message) as caught:
        sample(model, **arguments)
    assert "\n" not in str(caught.value)
