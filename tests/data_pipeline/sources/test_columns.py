import pytest

from data_pipeline.records import Property
from data_pipeline.sources.columns import Column, numbers, whole
from data_pipeline.sources.tally import Tally

GAP = Column("gap", "HOMO-LUMO gap", "eV")
ATOMS = Column("atoms", "Heavy atoms", kind=int)


def test_numbers_come_in_the_order_of_the_columns_with_their_units():
    tally = Tally()
    found = numbers({"gap": " -4.0e0 ", "atoms": "13", "other": "?"}, (ATOMS, GAP), tally, "x")
    assert found == (Property("Heavy atoms", 13), Property("HOMO-LUMO gap", -4.0, "eV"))
    assert [type(value.value) for value in found] == [int, float]
    assert not tally.lost


@pytest.mark.parametrize("nothing", [{}, {"gap": ""}, {"gap": None}, {"gap": "nan"}])
def test_a_value_that_is_not_given_is_no_loss(nothing):
    tally = Tally()
    assert numbers(nothing, (GAP,), tally, "x") == ()
    assert not tally.lost


@pytest.mark.parametrize(
    "wrong", ["n/a", "1,5", "inf", [1.0], "1_000", "\u0663", True, "1e999", 10**400]
)
def test_what_is_no_number_is_lost_and_the_rest_stays(wrong):
    tally = Tally()
    found = numbers({"gap": wrong, "atoms": 3}, (GAP, ATOMS), tally, "x:1")
    assert found == (Property("Heavy atoms", 3),)
    assert tally.lost == {"gap: not a number": 1}
    assert tally.first == {"gap: not a number": "x:1"}


def test_half_an_atom_is_lost():
    tally = Tally()
    assert numbers({"atoms": "2.5"}, (ATOMS,), tally, "x:1") == ()
    assert tally.lost == {"atoms: not a number": 1}


@pytest.mark.parametrize("text", ["", "-1", "1.0", " 1", "1_0", "\u00b2", "\u0663", "9" * 5000])
def test_what_is_no_whole_number_is_none(text):
    assert whole(text) is None
    assert whole("0070") == 70
