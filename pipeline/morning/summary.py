"""How high something is on average, how sure that is, and whether it changed: figures from sums by agent.

Calls of one agent run together: an agent is good or bad at a thing in many calls. So a hundred calls of two
agents tell less than a hundred calls of fifty. All intervals are 95 % and take agents as clusters. How much
agents differ (`Spread`) is pooled over all agents of the house, since one team alone says too little about
it. docs/report.md names the methods and their sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit
from scipy.stats import false_discovery_control

CONFIDENCE = 0.95
# So many standard errors either way hold the truth that often, where the error is known.
Z = 1.959964
# Of fewer calls nothing is said.
FEWEST_CALLS = 5
_MANY = 1e9

Figures = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sums:
    """For each agent the number of values, their sum and the sum of their squares; shape (agents,) each.

    `shares` says that the values are yes and no (1 and 0), so that they cannot spread more than that lets.
    """

    numbers: Figures
    totals: Figures
    squares: Figures
    shares: bool = False

    @classmethod
    def of_scores(cls, agent: Numbers, scores: Figures, agents: int) -> "Sums":
        """From one score a call; `agent` is who took it, below `agents`."""
        return cls(
            np.bincount(agent, minlength=agents).astype(float),
            np.bincount(agent, scores, agents).astype(float),
            np.bincount(agent, scores**2, agents).astype(float),
        )

    @classmethod
    def of_answers(cls, agent: Numbers, yes: Figures, no: Figures, agents: int) -> "Sums":
        """From numbers of yes and no, each line for the agent of that line."""
        totals = np.bincount(agent, yes, agents).astype(float)
        return cls(np.bincount(agent, yes + no, agents).astype(float), totals, totals, shares=True)

    @property
    def number(self) -> int:
        """How many values there are."""
        return round(float(self.numbers.sum()))

    @property
    def agents(self) -> int:
        """How many agents have one."""
        return int((self.numbers > 0).sum())

    def of(self, agent: int) -> "Sums":
        """One agent's."""
        only = slice(agent, agent + 1)
        return Sums(self.numbers[only], self.totals[only], self.squares[only], self.shares)


@dataclass(frozen=True)
class Spread:
    """Variances of single calls within agents, and of agents' true means; with their degrees of freedom."""

    within: float
    between: float
    calls: int
    agents: int


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval, and what it is made of."""

    value: float
    low: float
    high: float
    calls: int
    agents: int

    @property
    def enough(self) -> bool:
        """Whether there are enough calls to say anything."""
        return self.calls >= FEWEST_CALLS


@dataclass(frozen=True)
class Change:
    """Now less before, with its interval; `chance` is how often chance alone would make as much of it."""

    difference: float
    low: float
    high: float
    chance: float


def spread(sums: Sums) -> Spread:
    """How far calls and agents differ: ANOVA estimator, groups of unequal size (Searle et al. 1992)."""
    has = sums.numbers > 0
    numbers, totals, squares = sums.numbers[has], sums.totals[has], sums.squares[has]
    calls, agents = float(numbers.sum()), len(numbers)
    if calls < 2:
        return Spread(0.0, 0.0, 0, 0)
    mean = totals.sum() / calls
    inside = max(float((squares - totals**2 / numbers).sum()), 0.0)
    if agents == 1 or calls == agents:  # nothing tells agents' differences from those of calls
        all_of_it = max(float(squares.sum()) - calls * mean**2, 0.0) / (calls - 1)
        return Spread(all_of_it, 0.0, round(calls) - 1, 0)
    within = inside / (calls - agents)
    among = float((numbers * (totals / numbers - mean) ** 2).sum()) / (agents - 1)
    size = (calls - float((numbers**2).sum()) / calls) / (agents - 1)
    return Spread(within, max((among - within) / size, 0.0), round(calls) - agents, agents - 1)


def level(sums: Sums, house: Spread) -> Estimate | None:
    """The mean of a group of agents, who stand for others like them; None without a value."""
    return _estimate(sums, house, house.between)


def own_level(sums: Sums, house: Spread) -> Estimate | None:
    """The mean of one agent, who stands for nobody else; None without a value."""
    return _estimate(sums, house, 0.0)


def _estimate(sums: Sums, house: Spread, between: float) -> Estimate | None:
    calls = sums.number
    if not calls:
        return None
    value = min(max(float(sums.totals.sum()) / calls, 0.0), 1.0)
    of_calls = house.within / calls
    of_agents = between * float((sums.numbers**2).sum()) / calls**2
    variance = of_calls + of_agents
    freedom = _freedom(of_calls, of_agents, house)
    times = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    one_call = house.within + between
    if sums.shares or not variance:
        # Kish's design effect: so many independent calls would tell as much.
        low, high = wilson(value, one_call / variance if variance else calls, times)
    else:
        half = times * sqrt(variance)
        low, high = max(value - half, 0.0), min(value + half, 1.0)
    return Estimate(value, low, high, calls, sums.agents)


def _freedom(of_calls: float, of_agents: float, house: Spread) -> float:
    """Satterthwaite's degrees of freedom of a variance that is the sum of these two."""
    parts = [
        part**2 / freedom
        for part, freedom in ((of_calls, house.calls), (of_agents, house.agents))
        if freedom and part
    ]
    return min((of_calls + of_agents) ** 2 / sum(parts), _MANY) if parts else _MANY


def wilson(share: float, number: float, times: float) -> tuple[float, float]:
    """Wilson's score interval of `times` standard errors, which also holds where all or none said yes."""
    middle = share + times**2 / (2 * number)
    half = times * sqrt(share * (1 - share) / number + times**2 / (4 * number**2))
    whole = 1 + times**2 / number
    return max((middle - half) / whole, 0.0), min((middle + half) / whole, 1.0)


def change(now: Sums, before: Sums) -> Change | None:
    """The mean now less the mean before, of the same house's agents; None if either has too few calls.

    The variance is that of the linearised difference with agents as clusters, so an agent who is there both
    times is compared with himself. It is never less than if calls of an agent had nothing in common.
    """
    if min(now.number, before.number) < FEWEST_CALLS:
        return None
    there = (now.numbers > 0) | (before.numbers > 0)
    means, pulls, least = [], np.zeros(int(there.sum())), 0.0
    for sums, sign in ((now, 1), (before, -1)):
        numbers, totals = sums.numbers[there], sums.totals[there]
        calls = numbers.sum()
        mean = float(totals.sum() / calls)
        means.append(mean)
        pulls += sign * (totals - numbers * mean) / calls
        least += _variance_of_calls(sums) / float(calls)
    agents = len(pulls)
    among = float((pulls**2).sum()) * agents / (agents - 1) if agents > 1 else 0.0
    variance = max(among, least)
    freedom = agents - 1 if among >= least else max(now.number + before.number - 2 * agents, agents - 1, 1)
    difference = means[0] - means[1]
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * sqrt(variance)
    chance = float(2 * stdtr(freedom, -abs(difference) / sqrt(variance))) if variance else 1.0
    return Change(difference, max(difference - half, -1.0), min(difference + half, 1.0), chance)


def _variance_of_calls(sums: Sums) -> float:
    """The variance of single calls within agents; never none, as if one further call had been otherwise."""
    within = spread(sums).within
    if sums.shares or not within:
        return max(within, (sums.number + 1) / (sums.number + 2) ** 2)
    return within


def against(group: Sums, rest: Sums, house: Spread, *, alone: bool) -> Change | None:
    """The mean of a group less that of the rest of the house; None if either has too few calls.

    With `alone`, the group is one agent, and the question is how this agent does beside these others.
    """
    if min(group.number, rest.number) < FEWEST_CALLS:
        return None
    means, of_calls, of_agents = [], 0.0, 0.0
    within = max(house.within, _variance_of_calls(rest)) if rest.shares else house.within
    for sums in (group, rest):
        calls = float(sums.numbers.sum())
        means.append(float(sums.totals.sum()) / calls)
        of_calls += within / calls
        of_agents += 0.0 if alone else house.between * float((sums.numbers**2).sum()) / calls**2
    difference, error = means[0] - means[1], sqrt(of_calls + of_agents)
    freedom = _freedom(of_calls, of_agents, house)
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    chance = float(2 * stdtr(freedom, -abs(difference) / error)) if error else 1.0
    return Change(difference, max(difference - half, -1.0), min(difference + half, 1.0), chance)


def beyond_chance(changes: Sequence[Change | None]) -> list[bool]:
    """Which of these changes are more than chance, all of them together (Benjamini and Hochberg 1995).

    Of the changes so named, one in twenty is expected to be chance.
    """
    known = [number for number, one in enumerate(changes) if one is not None]
    found = [False] * len(changes)
    if known:
        chances = [one.chance for one in changes if one is not None]
        for number, chance in zip(known, false_discovery_control(chances), strict=True):
            found[number] = bool(chance < 1 - CONFIDENCE)
    return found
