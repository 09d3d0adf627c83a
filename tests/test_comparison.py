"""Whether a rate differs by more than chance: what few calls cannot show, and what many must."""

import numpy as np
import pytest
from scipy.stats import beta

from wellheard.pipeline.morning import comparison
from wellheard.pipeline.morning.comparison import (
    Cells,
    Prior,
    at_least,
    compare,
    expected,
    fit,
    listed,
    observed,
)

AGENTS, CRITERIA = 50, 24


def cells(yes, asked, team_yes, team_asked) -> Cells:
    numbers = [np.atleast_1d(np.asarray(values, float)) for values in (yes, asked, team_yes, team_asked)]
    return Cells(numbers[0], numbers[1], observed(numbers[2], numbers[3]))


def night(rates: np.ndarray, calls: int, seed: int) -> Cells:
    """Every agent's answers to every criterion, against those of all others."""
    asked = np.full(rates.shape, float(calls))
    yes = np.random.default_rng(seed).binomial(calls, rates).astype(float)
    others_yes, others_asked = yes.sum(axis=0) - yes, asked.sum(axis=0) - asked
    return cells(yes.ravel(), asked.ravel(), others_yes.ravel(), others_asked.ravel())


def people(seed: int) -> np.ndarray:
    """Rates of agents who differ as people do, by 6 to 10 points."""
    random = np.random.default_rng(seed)
    team = random.uniform(0.4, 0.95, CRITERIA)
    return random.beta(24 * team, 24 * (1 - team), (AGENTS, CRITERIA))


def others(rates: np.ndarray) -> np.ndarray:
    return (rates.sum(axis=0) - rates) / (AGENTS - 1)


PEOPLE = fit(night(people(1), 40, 1))


def test_three_calls_prove_nothing():
    found = compare(cells([0, 0], [3, 40], [900, 900], [1000, 1000]), PEOPLE)
    assert found.is_low.tolist() == [False, True]
    assert not found.enough[0]
    assert found.rate_high[0] > 0.85


def test_the_fewer_the_calls_the_nearer_the_rate_is_taken_to_be_to_the_team():
    found = compare(cells([1, 2, 5, 20], [4, 8, 20, 80], [700] * 4, [1000] * 4), PEOPLE)
    assert (np.diff(found.rate) < 0).all()
    assert (found.rate > 0.25).all()
    assert (found.rate < 0.7).all()
    assert (np.diff(found.rate_high - found.rate_low) < 0).all()


def test_a_difference_and_its_interval_lie_where_the_rate_does():
    found = compare(cells([20], [80], [700], [1000]), PEOPLE)
    assert found.difference == pytest.approx(found.rate - 0.7, abs=0.01)
    assert found.difference_low < found.difference < found.difference_high < 0
    assert found.chance_low[0] < 0.001
    assert found.chance_high[0] > 0.999


def test_with_one_spread_alone_it_is_the_beta_binomial_of_the_textbooks():
    """A beta with standard deviation 0.3 sqrt(m (1 - m)), cut in two at m, weighted as the halves are."""
    one = Cells(np.array([12.0]), np.array([40.0]), np.full((1, comparison.NODES), 0.6))
    a, b = (share * (1 / 0.3**2 - 1) for share in (0.6, 0.4))
    below = beta(a, b).cdf(0.6)
    weights = np.array([0, 0, 0, 0, 0, below, 1 - below, 0, 0])
    found = compare(one, Prior(weights, 0.05, 0.05))
    textbook = beta(a + 12, b + 28)
    assert found.rate[0] == pytest.approx(textbook.mean(), abs=1e-6)
    assert [found.rate_low[0], found.rate_high[0]] == pytest.approx(textbook.interval(0.95), abs=0.003)
    assert found.chance_low[0] == pytest.approx(1 - textbook.cdf(0.6), abs=1e-6)


def test_where_nobody_differs_nobody_is_listed():
    alike = np.tile(np.linspace(0.4, 0.95, CRITERIA), (AGENTS, 1))
    for seed in range(3):
        of_night = night(alike, 40, seed)
        low, high = listed(of_night, fit(of_night))
        assert low.sum() + high.sum() <= 1


def test_of_the_agents_listed_hardly_any_is_there_by_chance_and_gaps_of_25_points_are_found():
    named = wrong = gaps = found = 0
    for seed in range(4):
        rates = people(seed)
        of_night = night(rates, 40, seed)
        low = listed(of_night, fit(of_night))[0].reshape(rates.shape)
        below = others(rates) - rates
        gap = abs(below - 0.25) < 0.05
        named, wrong = named + low.sum(), wrong + (low & (below <= 0)).sum()
        gaps, found = gaps + gap.sum(), found + (low & gap).sum()
    assert wrong / named <= 0.05
    assert found / gaps >= 0.8


def test_the_intervals_hold_what_they_promise():
    rates = people(7)
    of_night = night(rates, 20, 7)
    some = np.arange(0, rates.size, 6)
    found = compare(of_night[some], fit(of_night))
    held = (found.rate_low <= rates.ravel()[some]) & (rates.ravel()[some] <= found.rate_high)
    assert 0.9 <= held.mean() <= 1


def test_a_team_of_few_calls_is_no_measure():
    found = compare(cells([2, 2], [40, 40], [3, 300], [3, 300]), PEOPLE)
    assert found.chance_low[0] > found.chance_low[1]
    assert not found.enough[0]


def test_enough_calls_are_those_that_would_show_25_points():
    found = compare(cells([7, 70, 700], [10, 100, 1000], [700] * 3, [1000] * 3), PEOPLE)
    assert found.enough.tolist() == [False, True, True]


def test_who_is_picked_for_being_low_is_expected_to_come_nearer_to_the_team():
    """Else the next calls would nearly always look like an improvement."""
    rates = people(3)
    first, second = night(rates, 20, 3), night(rates, 20, 4)
    lowest = np.argsort(first.yes / first.asked - first.reference.mean(axis=1))[:60]
    before = expected(first, fit(first)).mean(axis=1)[lowest].mean()
    bare = (first.yes / first.asked)[lowest].mean()
    after = (second.yes / second.asked)[lowest].mean()
    assert bare < after
    assert abs(before - after) < 0.3 * (after - bare)


def test_a_target_is_judged_by_its_own_calls():
    assert at_least(38, 40, 0.7) > 0.99
    assert at_least(20, 40, 0.7) < 0.01
    assert 0.3 < at_least(28, 40, 0.7) < 0.7
