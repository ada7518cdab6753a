"""Numbers and bounds as tables write them."""

import pytest

from data_pipeline.records import Property
from data_pipeline.sources.columns import Column
from data_pipeline.sources.measurements import properties

KI = Column("Ki (nM)", "Ki", "nM")


@pytest.mark.parametrize(
    ("value", "relation", "number"),
    [
        ("10", "=", 10),
        (" 10.0 ", "=", 10.0),
        ("-.5", "=", -0.5),
        ("1.", "=", 1.0),
        ("6.02E+23", "=", 6.02e23),
        ("> 10000", ">", 10000),
        (">=3", ">", 3),
        ("<=3", "<", 3),
        ("~0.1", "~", 0.1),
        ("=7", "=", 7),
        (0.25, "=", 0.25),
        (1e-07, "=", 1e-07),
        (278, "=", 278),
    ],
)
def test_a_number_keeps_its_relation_and_its_kind(value, relation, number):
    [found], lost = properties({"Ki (nM)": value}, [KI])
    assert found == Property("Ki", number, "nM", relation)
    assert type(found.value) is type(number)
    assert not lost


@pytest.mark.parametrize("value", ["", "  ", None, float("nan"), "nan"])
def test_nothing_is_given_by_an_empty_field(value):
    assert properties({"Ki (nM)": value}, [KI]) == ((), [])


@pytest.mark.parametrize(
    "value", ["n/a", "1,5", "1_000", "10 nM", ">>5", "<", "inf", float("inf"), "1e400", "3 - 5"]
)
def test_what_is_no_number_is_lost_by_the_name_of_its_column(value):
    row = {"pH": "7", "Ki (nM)": value}
    assert properties(row, [Column("pH", "pH"), KI]) == (
        (Property("pH", 7),),
        ["Ki (nM): not a number"],
    )
