from collections import Counter

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.counting import by_frequency, count_joint_tokens, count_symbols, covering

COUNTS = Counter({"[C]": 50, "[O]": 30, "[N]": 10, "[B]": 5, "[A]": 5})


def test_ties_are_broken_by_spelling():
    assert by_frequency(COUNTS) == ["[C]", "[O]", "[N]", "[A]", "[B]"]


@pytest.mark.parametrize(
    ("coverage", "kept"),
    [(0.49, 1), (0.5, 2), (0.79, 2), (0.8, 3), (0.9, 4), (0.95, 5), (0.99, 5), (1.0, 5)],
)
def test_the_shortest_prefix_covers_more_than_asked(coverage, kept):
    assert covering(COUNTS, coverage) == by_frequency(COUNTS)[:kept]


@pytest.mark.parametrize("coverage", [0, -1, 1.01])
def test_coverage_out_of_range_is_refused(coverage):
    with pytest.raises(BadInput, match="coverage must be"):
        covering(COUNTS, coverage)


def test_symbols_are_counted_one_by_one():
    assert count_symbols(["[C][=C].[C]", "[C]"]) == {"[C]": 3, "[=C]": 1}
    assert count_joint_tokens(["[C 1][C 2][Branch1 -1][C 1]"]) == {
        "[C 1]": 2,
        "[C 2]": 1,
        "[Branch1 -1]": 1,
    }
