import pickle

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import errors
from biomatrix_jax.structure.protein.errors import ProteinError

TYPES = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind is not BadInput]


@pytest.mark.parametrize("kind", TYPES)
def test_errors_survive_the_way_from_another_process(kind):
    error = pickle.loads(pickle.dumps(kind("1ABC", "B", "something is wrong\nhere")))
    assert type(error) is kind
    assert isinstance(error, ProteinError)
    assert (error.entry, error.chain) == ("1ABC", "B")
    assert str(error) == "1ABC, chain B: something is wrong here"
    assert error.problem == "something is wrong\nhere"


def test_an_error_about_a_file_names_no_chain():
    assert str(ProteinError("x/1abc.pdb", "", "empty file")) == "x/1abc.pdb: empty file"


def test_a_message_stays_short_whatever_a_file_calls_itself():
    error = ProteinError("x" * 10_000, "y" * 10_000, "empty file")
    assert str(error) == "x" * 197 + "...: empty file"
    assert error.entry == "x" * 10_000


def test_there_is_a_type_for_each_reason():
    assert len(TYPES) == 8
