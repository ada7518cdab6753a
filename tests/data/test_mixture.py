from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from biomatrix_jax.data.mixture import Mixture, Schedule

WEIGHTS = st.lists(
    st.sampled_from([1, 2, 3, 7, 100, 0.1, 0.3, 25.6, 79.7, 1 / 3]), min_size=1, max_size=9
)


@given(WEIGHTS, st.integers(0, 10**12))
def test_a_mixture_counts_each_source_without_gaps_and_close_to_its_weight(weights, start):
    mixture = Mixture(weights)
    drawn = [mixture[k] for k in range(start, start + 200)]
    for source, weight in enumerate(weights):
        places = [place for chosen, place in drawn if chosen == source]
        assert places == list(range(places[0], places[0] + len(places))) if places else True
        for place in places[-1:]:
            last = max(k for k in range(200) if drawn[k] == (source, place))
            share = (start + last + 1) * weight / sum(weights)
            assert abs(place + 1 - share) <= len(weights) + share * 1e-12


def test_a_mixture_starts_at_the_first_row_of_each_source():
    drawn = [Mixture([1, 2, 3])[k] for k in range(60)]
    assert sorted(drawn) == [(s, n) for s, times in enumerate((10, 20, 30)) for n in range(times)]


@given(
    st.lists(st.sampled_from([0, 0, 1, 2.5, 0.1]), min_size=1, max_size=6).filter(any),
    st.integers(0, 120),
)
def test_counts_are_those_of_the_draws_and_a_weight_of_0_draws_nothing(weights, draws):
    mixture = Mixture(weights)
    drawn = Counter(mixture[k][0] for k in range(draws))
    assert mixture.counts(draws) == [drawn[source] for source in range(len(weights))]
    assert all(weights[source] for source in drawn)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 40), st.lists(st.sampled_from([0, 1, 3, 0.7]), min_size=4, max_size=4)
        ).filter(lambda stage: any(stage[1])),
        min_size=1,
        max_size=5,
    )
)
def test_a_schedule_counts_on_through_its_stages(stages):
    """As one who remembers would: the k-th draw of a source in all stages is its k-th row."""
    starts = [sum(length for length, _ in stages[:i]) for i in range(len(stages))]
    weights = [weights for _, weights in stages]
    schedule = Schedule(list(zip(starts, weights, strict=True)))
    so_far = Counter()
    for stage, (length, weighted) in enumerate(stages):
        alone = Mixture(weighted)
        for k in range(length):
            source, place = schedule[starts[stage] + k]
            assert source == alone[k][0]
            assert place == so_far[source]
            so_far[source] += 1


def test_a_stage_far_away_is_reached_at_once():
    year = 10**12
    schedule = Schedule([(0, [1, 1]), (year, [1, 3])])
    assert sorted(schedule[year + k] for k in range(4)) == [
        (0, year // 2),
        *((1, year // 2 + k) for k in range(3)),
    ]
