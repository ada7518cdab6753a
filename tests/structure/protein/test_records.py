import json
from dataclasses import replace

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import records
from biomatrix_jax.structure.protein.chains import Chain
from biomatrix_jax.structure.protein.errors import NoProtein, ProteinError

CHAIN = Chain(
    id="B",
    sequence="MKXV",
    backbone=np.zeros((4, 4, 3), np.float32),
    numbers=((-1, ""), (52, "A"), None, (54, "")),
    b_factors=np.float32([20.88, 0, np.nan, 100]),
)
CODES = np.array([7, 0, -1, 4095], np.int32)
LINE = {
    "name": "1abc",
    "chain": "B",
    "sequence": "MKXV",
    "codes": [7, 0, -1, 4095],
    "numbers": [-1, "52A", None, 54],
    "b_factors": [20.88, 0.0, None, 100.0],
}


def test_a_line_has_the_fields_of_the_contract_and_what_the_file_said():
    line = records.line("1abc", CHAIN, CODES)
    assert json.loads(line) == LINE
    assert list(json.loads(line))[:4] == ["name", "chain", "sequence", "codes"]
    assert "\n" not in line


def test_a_line_is_read_as_it_was_written():
    found = records.read_line(records.line("1abc", CHAIN, CODES).encode(), "line 1")
    assert (found.name, found.id, found.sequence) == ("1abc", "B", "MKXV")
    assert found.numbers == CHAIN.numbers
    np.testing.assert_array_equal(found.codes, CODES)
    np.testing.assert_array_equal(found.b_factors, CHAIN.b_factors)
    backbone = np.ones((4, 3, 3), np.float32)
    chain = found.chain(backbone)
    assert (chain.id, chain.sequence, chain.numbers) == ("B", "MKXV", CHAIN.numbers)
    assert chain.backbone is backbone


def test_a_b_factor_beyond_all_numbers_is_none():
    chain = replace(CHAIN, b_factors=np.float32([np.inf, 2e6, 0, 0]))
    line = records.line("1abc", chain, CODES)
    assert json.loads(line)["b_factors"] == [None, 2e6, 0, 0]
    assert records.read_line(line.encode(), "line 1").b_factors[1] == 2e6


def test_a_name_and_codes_are_enough():
    found = records.read_line(b'{"name": "x", "codes": [1, -1]}', "line 1")
    assert (found.id, found.sequence, found.numbers) == ("", "XX", (None, None))
    assert np.isnan(found.b_factors).all()


def test_a_failure_has_a_name_and_an_error_alone():
    line = records.failure("1abc", NoProtein("1ABC", "C", "no protein residue"))
    assert json.loads(line) == {"name": "1abc", "error": "1ABC, chain C: no protein residue"}
    with pytest.raises(ProteinError, match="1abc: was not encoded: 1ABC, chain C: no") as error:
        records.read_line(line.encode(), "line 3")
    assert error.value.entry == "1abc"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": ""}, "line 3: 'name' is not what"),
        ({"name": 5}, "'name' is not what"),
        ({"codes": []}, "1abc: line 3: 'codes' is not what"),
        ({"codes": [1, 2.5, 3, 4]}, "'codes'"),
        ({"codes": [1, True, 3, 4]}, "'codes'"),
        ({"codes": [1, -2, 3, 4]}, "'codes'"),
        ({"codes": "1 2 3 4"}, "'codes'"),
        ({"sequence": "MK"}, "sequence has 2 residues and codes 4"),
        ({"sequence": None}, "'sequence'"),
        ({"chain": 1}, "'chain'"),
        ({"numbers": [1, 2, 3]}, "numbers has 3 residues and codes 4"),
        ({"numbers": [1, 2, 3, "A"]}, "'numbers'"),
        ({"numbers": [1, 2, 3, "4A1"]}, "'numbers'"),
        ({"numbers": [1, 2, 3, 10**12]}, "'numbers'"),
        ({"b_factors": [1, 2, 3, float("nan")]}, "'b_factors'"),
        ({"b_factors": [1, 2, 3, "4"]}, "'b_factors'"),
    ],
)
def test_what_does_not_fit_is_named(change, problem):
    with pytest.raises(BadInput, match=problem):
        records.read_line(json.dumps({**LINE, **change}).encode(), "line 3")


@pytest.mark.parametrize("line", [b"", b"[1]", b"{", b'{"codes": [1]}', b"\xff", b'{"name": "x"}'])
def test_what_is_no_record_is_named_by_its_line(line):
    with pytest.raises(BadInput, match="line 3"):
        records.read_line(line, "line 3")
