"""Chains: gap rules, limits, numbers and B-factors, and agreement with the reference's parsing."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from Bio.PDB.PDBParser import PDBParser
from hypothesis import given, settings
from hypothesis import strategies as st

import biomatrix_jax
from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import chains, files
from biomatrix_jax.structure.protein.chains import Limits
from biomatrix_jax.structure.protein.errors import (
    MissingRun,
    NoProtein,
    TooLong,
    TooManyMissing,
)
from tests.structure.protein.structures import atom_line, residue_lines

PROTEINS = Path(biomatrix_jax.__file__).parent / "assets/proteins"


def chain_of(text: str, name: str = "A"):
    return PDBParser(QUIET=True).get_structure("test", io.StringIO(text))[0][name]


def read(numbers: Iterable[int], xs: Iterable[float] = (), limits: Limits | None = None):
    numbers = list(numbers)
    xs = list(xs) or [3.8 * n for n in numbers]
    text = "".join(residue_lines(n, x) for n, x in zip(numbers, xs, strict=True))
    return chains.read_chain(chain_of(text), limits or Limits(max_missing=1))


def test_backbone_holds_n_ca_c_o_of_every_residue():
    text = residue_lines(1, 1.0, residue="MET") + residue_lines(2, 5.0, residue="TRP")
    chain = chains.read_chain(chain_of(text), Limits())
    assert (chain.id, chain.sequence) == ("A", "MW")
    assert chain.backbone.dtype == chain.b_factors.dtype == np.float32
    expected = np.zeros((2, 4, 3), np.float32)
    expected[..., 0] = [[1.0, 1.1, 1.2, 1.3], [5.0, 5.1, 5.2, 5.3]]
    np.testing.assert_array_equal(chain.backbone, expected)


@pytest.mark.parametrize(
    ("after", "distance", "inserted"),
    [
        (2, 3.8, 0),
        (3, 7.6, 1),
        (7, 3.8, 5),  # believed although five residues do not fit
        (8, 3.8, 0),  # floor(1.2) - 1
        (8, 12.0, 2),  # floor(1.2 * 12 / 3.8) - 1 = 2
        (8, 100.0, 6),  # never more than the numbering says
        (1001, 30.0, 8),
        (-5, 3.8, 0),
    ],
)
def test_gaps_in_the_numbering_become_unknown_residues(after, distance, inserted):
    chain = read([1, after], [0, distance])
    assert chain.sequence == "A" + "X" * inserted + "A"
    assert np.isnan(chain.backbone[1:-1]).all()
    assert not np.isnan(chain.backbone[[0, -1]]).any()
    assert chain.numbers == ((1, ""), *[None] * inserted, (after, ""))


def test_a_wide_gap_beside_a_residue_without_ca_is_five():
    text = residue_lines(1, atoms=("N", "C", "O")) + residue_lines(50, 90.0)
    chain = chains.read_chain(chain_of(text), Limits(max_missing=1))
    assert chain.sequence == "AXXXXXA"
    assert np.isnan(chain.backbone[:6]).all()


def test_a_wide_gap_beside_a_ca_that_is_no_number_is_five():
    text = residue_lines(1) + residue_lines(50, 90.0).replace("  90.100", "     nan")
    chain = chains.read_chain(chain_of(text), Limits(max_missing=1))
    assert chain.sequence == "AXXXXXA"
    assert np.isnan(chain.backbone[-1]).all()


def test_b_factors_are_those_of_the_ca_and_numbers_those_of_the_file():
    text = residue_lines(7, 0, b_factor=12.5) + residue_lines(9, 7, code="B", b_factor=70)
    text += residue_lines(10, 10.8, atoms=("N", "C", "O"), b_factor=3)
    chain = chains.read_chain(chain_of(text), Limits(max_missing=1))
    np.testing.assert_array_equal(chain.b_factors, np.float32([12.5, np.nan, 70, np.nan]))
    assert chain.numbers == ((7, ""), None, (9, "B"), (10, ""))


def test_insertion_codes_and_negative_numbers_are_no_gaps():
    text = "".join(
        residue_lines(number, x, code=code, residue=residue)
        for number, code, x, residue in [
            (-1, " ", 0, "GLY"),
            (0, " ", 4, "ALA"),
            (1, " ", 8, "SER"),
            (1, "A", 12, "CYS"),
            (2, " ", 16, "VAL"),
        ]
    )
    chain = chains.read_chain(chain_of(text), Limits())
    assert chain.sequence == "GASCV"
    assert chain.numbers == ((-1, ""), (0, ""), (1, ""), (1, "A"), (2, ""))


def test_hetero_groups_are_gaps_and_unknown_names_are_x():
    text = (
        residue_lines(1, 0.0)
        + residue_lines(2, 3.8, residue="MSE", hetero=True)
        + residue_lines(3, 7.6, residue="UNK")
        + residue_lines(4, 11.4, atoms=("N", "CA", "C"))
        + residue_lines(101, 0.0, residue="HOH", hetero=True)
    )
    chain = chains.read_chain(chain_of(text), Limits(max_missing=0.5))
    assert chain.sequence == "AXXA"
    assert np.isnan(chain.backbone).all(axis=(1, 2)).tolist() == [False, True, False, True]
    assert np.isnan(chain.backbone[3]).all()  # one atom is missing, so the residue is


def test_a_chain_without_any_o_is_made_of_three_atoms():
    text = "".join(residue_lines(n, 3.8 * n, atoms=("N", "CA", "C")) for n in range(1, 5))
    chain = chain_of(text)
    assert chains.atoms_of(chain) == ("N", "CA", "C")
    assert chains.atoms_of(chain_of(text + residue_lines(5))) == chains.BACKBONE
    with pytest.raises(TooManyMissing):
        chains.read_chain(chain, Limits())
    read = chains.read_chain(chain, Limits(), chains.atoms_of(chain))
    assert read.backbone.shape == (4, 3, 3)
    np.testing.assert_array_equal(read.backbone[2, :, 0], np.float32([11.4, 11.5, 11.6]))


@pytest.mark.parametrize(
    ("numbers", "limits", "error", "why"),
    [
        (range(1, 12), Limits(max_residues=10), TooLong, "longer than 10 residues"),
        ([1, 3], Limits(max_missing=0.2), TooManyMissing, "more than 20% of the residues"),
        ([1, 5, *range(6, 40)], Limits(max_missing_run=2), MissingRun, "more than 2 residues"),
    ],
)
def test_limits_are_what_they_say(numbers, limits, error, why):
    with pytest.raises(error, match=f"test, chain A: {why}"):
        read(numbers, limits=limits)


def test_limits_are_inclusive():
    assert read(range(1, 11), limits=Limits(max_residues=10)).sequence == "A" * 10
    assert read([1, 3, 4, 5, 6], limits=Limits(max_missing=1 / 6)).sequence == "AXAAAA"
    numbers = [1, 4, *range(5, 40)]
    assert "XX" in read(numbers, limits=Limits(max_missing_run=2)).sequence


def test_a_chain_of_alpha_carbons_only_has_nothing_usable():
    text = "".join(atom_line(n, "CA", 3.8 * n) for n in range(1, 30))
    with pytest.raises(TooManyMissing):
        chains.read_chain(chain_of(text), Limits())


def test_nucleic_acids_and_water_are_no_protein():
    dna = "".join(atom_line(n, "P", residue="DA") for n in range(1, 5))
    water = residue_lines(1, residue="HOH", hetero=True)
    for text in (dna, water):
        with pytest.raises(NoProtein, match="no protein residue"):
            chains.read_chain(chain_of(text), Limits())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0, 40)), min_size=1, max_size=12))
def test_every_residue_of_the_file_is_there_once_and_gaps_only_add_x(steps):
    numbers = np.cumsum([step for step, _ in steps]).tolist()
    chain = read(
        numbers, np.cumsum([step for _, step in steps]), Limits(max_missing=1, max_missing_run=99)
    )
    assert chain.sequence.replace("X", "") == "A" * len(numbers)
    assert chain.backbone.shape == (len(chain.sequence), 4, 3)
    missing = np.isnan(chain.backbone[:, 1, 0])
    assert missing.tolist() == [letter == "X" for letter in chain.sequence]
    assert missing.tolist() == [number is None for number in chain.numbers]
    assert [number[0] for number in chain.numbers if number] == numbers
    assert missing.sum() <= sum(step - 1 for step, _ in steps[1:])


@pytest.mark.parametrize(
    "wrong",
    [{"max_residues": 0}, {"max_missing": -1}, {"max_missing": 1.5}, {"max_missing_run": -1}],
)
def test_limits_out_of_range_are_refused(wrong):
    with pytest.raises(BadInput, match="max_residues must be at least 1"):
        Limits(**wrong)


@pytest.mark.parametrize(
    ("entry", "name", "file", "array"),
    [
        ("1a8o", "A", "1a8o_A.npz", "coords_raw"),
        ("4cup", "A", "4cup_A.npz", "coords_raw"),
        ("1gbt", "A", "gap_filling.npz", "1gbt_A_raw"),
        ("2xhe", "B", "gap_filling.npz", "2xhe_B_raw"),
        ("7cfn", "A", "gap_filling.npz", "7cfn_A_raw"),
    ],
)
def test_parsing_equals_the_reference(shared_reference, entry, name, file, array):
    """The published wrapper's own parsing of five chains, three of them with gaps."""
    parsed = files.parse(PROTEINS / f"{entry}-backbone.pdb.gz")
    [chain] = [chain for chain in parsed.chains if chain.id == name]
    read = chains.read_chain(chain, Limits())
    with np.load(shared_reference / "gcp_vqvae" / file) as arrays:
        np.testing.assert_array_equal(read.backbone, arrays[array])
        if "seq_index" in arrays:
            letters = ["ABCDEFGHIJKLMNPQRSTVWXY"[i] for i in arrays["seq_index"]]
            assert read.sequence == "".join(letters)
