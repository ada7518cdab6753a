"""Prefixes: which are recognised, that there is one for all tensors, and what is said of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomatrix_jax.convert.names import BODIES, HEAD, TABLE, WRAPPERS, Prefixes, find_prefixes
from tests.convert import hf
from tests.model import cases

NAMES = list(cases.hf_shapes(hf.UNTIED))


def bare(name: str) -> str:
    return name.removeprefix("model.")


# What each library writes, spelled out by hand: (body's prefix, head's prefix, note).
WRITTEN = [
    ("model.", "", None),
    ("", "", "lack the prefix 'model.'; read with it"),
    (
        "language_model.model.",
        "language_model.",
        "have the prefix 'language_model.'; read without it",
    ),
    (
        "model.language_model.",
        "",
        "have the prefix 'model.language_model.' instead of 'model.'; read with that",
    ),
    ("module.model.", "module.", "have the prefix 'module.'; read without it"),
    ("_orig_mod.model.", "_orig_mod.", "have the prefix '_orig_mod.'; read without it"),
    (
        "module._orig_mod.model.",
        "module._orig_mod.",
        "have the prefix 'module._orig_mod.'; read without it",
    ),
    (
        "module.model.language_model.",
        "module.",
        "have the prefix 'module.'; read without it, and have the prefix 'model.language_model.' "
        "instead of 'model.'; read with that",
    ),
    (
        "language_model.",
        "language_model.",
        "have the prefix 'language_model.'; read without it, and lack the prefix 'model.'; "
        "read with it",
    ),
]


@pytest.mark.parametrize(("body", "head", "note"), WRITTEN)
def test_what_others_write(body, head, note):
    files = {name: head + name if name == HEAD else body + bare(name) for name in NAMES}
    prefixes = find_prefixes(files.values())
    assert {name: prefixes.file_name(name) for name in NAMES} == files
    assert prefixes.note() == (f"tensor names {note}" if note else None)


@given(
    st.lists(st.sampled_from(WRAPPERS), max_size=4).map("".join),
    st.sampled_from(BODIES),
    st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
)
def test_any_combination_is_found_from_any_tensor_of_the_body(wrapper, body, names):
    written = Prefixes(wrapper, body)
    found = find_prefixes(written.file_name(name) for name in names)
    assert found == (TABLE if names == [HEAD] else written)


def test_most_tensors_decide_and_the_order_does_not():
    names = [*map(bare, NAMES[:4]), *NAMES[4:7]]
    for order in (names, names[::-1]):
        assert find_prefixes(order) == Prefixes(body="")
    tie = ["norm.weight", "model.norm.weight", "module.model.norm.weight"]
    for order in (tie, tie[::-1]):
        assert find_prefixes(order) == TABLE


def test_other_parts_of_a_multimodal_model_do_not_count():
    vision = [f"model.visual.blocks.{i}.norm.weight" for i in range(90)] + ["visual.norm.weight"]
    body = Prefixes(body="model.language_model.")
    assert find_prefixes([*vision, *map(body.file_name, NAMES)]) == body
    assert find_prefixes(vision) == TABLE
    assert find_prefixes([]) == TABLE
