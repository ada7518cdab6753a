import pickle

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule.errors import MoleculeError, SeveralFragments


def test_errors_are_bad_input_and_keep_their_parts():
    error = SeveralFragments("salt", "has 2 fragments")
    assert isinstance(error, BadInput)
    assert (error.molecule, error.problem) == ("salt", "has 2 fragments")
    assert str(error) == "salt: has 2 fragments"


def test_errors_survive_pickling():
    again = pickle.loads(pickle.dumps(SeveralFragments("salt", "has 2 fragments")))
    assert type(again) is SeveralFragments
    assert (str(again), again.molecule) == ("salt: has 2 fragments", "salt")


@pytest.mark.parametrize("name", ["line\nbreak", "C" * 1000])
def test_errors_are_one_line_of_bounded_length(name):
    message = str(MoleculeError(name, "is bad"))
    assert "\n" not in message
    assert len(message) < 150
    assert message.endswith(": is bad")
