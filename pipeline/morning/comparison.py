"""Whether rates of yes differ by more than chance: of an agent against a team, of now against before.

A cell is one agent's answers to one criterion: `yes` of `asked`. It is held against a reference rate, which
is itself not known exactly. How much cells differ from their references is learned from all cells together
(empirical Bayes): a share of them not at all, the rest below or above by a little or a lot, each of these a
beta distribution about the reference, cut at it. So answers are beta-binomial, and a rate is drawn towards
its reference the more, the fewer the calls and the more alike the cells. The way is Stephens' (2017,
Biostatistics 18:275), for counts.

The probability that a cell is not below its reference is the local false sign rate. The cells listed as low
are those surest ones whose mean rate of error is at most `ERRORS` (Efron's Bayesian false discovery rate),
and none that is more than `DOUBT` likely to be chance.

Arrays are float, of shape (cells,) where nothing else is said; reference rates are (cells, `NODES`), equally
likely values.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc, betaincinv, betaln

ERRORS = 0.05
"""Of the cells listed as low (or high), at most this share is chance."""
DOUBT = 0.2
"""No cell is listed that is more than this likely to be chance."""
FEWEST_CALLS = 5
"""No cell is listed that has been asked less often."""
CONFIDENCE = 0.95
NODES = 5

GAP = 0.25

Array: TypeAlias = npt.NDArray[np.float64]

# Standard deviations about the reference m, as a share of sqrt(m (1 - m)). The first is so near to none that
# its two halves are not told apart: whoever is 2 points off is as often above as below.
_SPREADS = (0.1, 0.2, 0.3, 0.5)
_NEAR = slice(1, 3)
# As if so many cells more had been seen that do not differ; where there are few cells, that is caution.
_ALIKE_BEFOREHAND = 1.0
_ROUNDS = 200
_LEARNT_FROM = 6000
_TINY = 1e-300
_RATES = np.linspace(0, 1, 501)
_DIFFERENCES = np.linspace(-1, 1, 1001)


@dataclass(frozen=True)
class Cells:
    """Answers, and what they are held against."""

    yes: Array
    asked: Array
    reference: Array

    def __getitem__(self, chosen: npt.NDArray[np.int64]) -> "Cells":
        """The cells at these places."""
        return Cells(self.yes[chosen], self.asked[chosen], self.reference[chosen])


@dataclass(frozen=True)
class Prior:
    """How cells differ from their references, before their own answers are looked at.

    `weights` are shares: no difference, then for each spread below and above. `low` and `high` are the
    greatest probabilities of chance with which a cell is still listed.
    """

    weights: Array
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """What is known of each cell: its rate and its difference from the reference, with credible intervals.

    `chance_low` is the probability that it is not below the reference, `chance_high` that it is not above.
    Without `enough` calls, a difference of `GAP` may still be there and not show.
    """

    rate: Array
    rate_low: Array
    rate_high: Array
    difference: Array
    difference_low: Array
    difference_high: Array
    chance_low: Array
    chance_high: Array
    is_low: npt.NDArray[np.bool_]
    is_high: npt.NDArray[np.bool_]
    enough: npt.NDArray[np.bool_]


def observed(yes: Array, asked: Array) -> Array:
    """The reference rate that such answers speak for (Jeffreys' posterior)."""
    return _nodes(yes + 0.5, asked - yes + 0.5)


def expected(cells: Cells, prior: Prior) -> Array:
    """The cells' own rates, drawn towards their references: what to hold later answers against.

    Against the bare rates, whoever was picked for being low would nearly always seem to have improved.
    """
    parts = _parts(cells)
    weights = _weights(parts, prior.weights)
    mean = _total(weights, parts.mean)
    variance = np.maximum(_total(weights, parts.square) - mean**2, 1e-6)
    mean = np.clip(mean, 1e-3, 1 - 1e-3)
    size = np.maximum(mean * (1 - mean) / variance - 1, 1.0)
    return _nodes(mean * size, (1 - mean) * size)


def enough_to_learn(cells: int) -> npt.NDArray[np.int64]:
    """Places of as many cells, evenly spread, as `fit` has use for."""
    return np.linspace(0, cells - 1, min(cells, _LEARNT_FROM)).astype(np.int64)


def fit(cells: Cells) -> Prior:
    """Learn from all cells how much they differ, and how sure one must be to be listed."""
    some = cells[enough_to_learn(cells.asked.size)]
    parts = _parts(some)
    likely = _likelihood(parts).mean(axis=2)
    weights = np.full(likely.shape[1], 1 / likely.shape[1])
    for _ in range(_ROUNDS):
        seen = likely * weights
        seen /= seen.sum(axis=1, keepdims=True)
        weights = seen.sum(axis=0)
        weights[0] += _ALIKE_BEFOREHAND
        weights[_NEAR] = weights[_NEAR].mean()
        weights /= weights.sum()
    low, high = _chances(_weights(parts, weights))
    often = some.asked >= FEWEST_CALLS
    return Prior(weights, _still_listed(low[often]), _still_listed(high[often]))


def listed(cells: Cells, prior: Prior) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which cells are listed as low, and which as high."""
    return _listed(cells, prior, *_chances(_weights(_parts(cells), prior.weights)))


def _listed(
    cells: Cells, prior: Prior, chance_low: Array, chance_high: Array
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    often = cells.asked >= FEWEST_CALLS
    return often & (chance_low <= prior.low), often & (chance_high <= prior.high)


def compare(cells: Cells, prior: Prior) -> Compared:
    """All that is known of these cells."""
    parts = _parts(cells)
    weights = _weights(parts, prior.weights)
    chance_low, chance_high = _chances(weights)
    is_low, is_high = _listed(cells, prior, chance_low, chance_high)
    rates = _distribution(cells, weights, _RATES[None, None, :])
    differences = _distribution(cells, weights, cells.reference[:, :, None] + _DIFFERENCES)
    edge = (1 - CONFIDENCE) / 2
    mean = _total(weights, parts.mean)
    return Compared(
        rate=mean,
        rate_low=_quantile(rates, _RATES, edge),
        rate_high=_quantile(rates, _RATES, 1 - edge),
        difference=mean - _total(weights, np.broadcast_to(cells.reference[:, None, :], weights.shape)),
        difference_low=_quantile(differences, _DIFFERENCES, edge),
        difference_high=_quantile(differences, _DIFFERENCES, 1 - edge),
        chance_low=chance_low,
        chance_high=chance_high,
        is_low=is_low,
        is_high=is_high,
        enough=_enough(cells),
    )


def at_least(yes: float, asked: float, target: float) -> float:
    """The probability that the rate is `target` or more, from its own answers alone (Jeffreys)."""
    return float(1 - betainc(yes + 0.5, asked - yes + 0.5, target))


@dataclass(frozen=True)
class _Parts:
    """For each cell, part of the prior and reference: how well it explains the answers, and the rate then."""

    log_likelihood: Array
    mean: Array
    square: Array


def _parts(cells: Cells) -> _Parts:
    yes, no, at = cells.yes[:, None], (cells.asked - cells.yes)[:, None], cells.reference
    log_likelihood = [yes * np.log(at) + no * np.log1p(-at)]
    mean, square = [at], [at**2]
    for spread in _SPREADS:
        a, b = _beta(at, spread)
        both = betaln(a + yes, b + no) - betaln(a, b)
        first = (a + yes) / (a + b + yes + no)
        second = first * (a + yes + 1) / (a + b + yes + no + 1)
        below = betainc(a + yes, b + no, at)
        below_1, below_2 = betainc(a + yes + 1, b + no, at), betainc(a + yes + 2, b + no, at)
        before = betainc(a, b, at)
        for part, part_1, part_2, part_before in (
            (below, below_1, below_2, before),
            (1 - below, 1 - below_1, 1 - below_2, 1 - before),
        ):
            share = np.maximum(part, _TINY)
            log_likelihood.append(both + np.log(share) - np.log(part_before))
            mean.append(np.where(part > _TINY, first * part_1 / share, at))
            square.append(np.where(part > _TINY, second * part_2 / share, at**2))
    return _Parts(*(np.stack(values, axis=1) for values in (log_likelihood, mean, square)))


def _likelihood(parts: _Parts) -> Array:
    highest = parts.log_likelihood.max(axis=(1, 2), keepdims=True)
    likelihood: Array = np.exp(parts.log_likelihood - highest)
    return likelihood


def _weights(parts: _Parts, prior: Array) -> Array:
    """How likely each part of the prior and each reference is, given the answers: (cells, parts, nodes)."""
    weights = _likelihood(parts) * prior[None, :, None]
    normal: Array = weights / weights.sum(axis=(1, 2), keepdims=True)
    return normal


def _chances(weights: Array) -> tuple[Array, Array]:
    """The probabilities of not being below, and of not being above."""
    of_part = weights.sum(axis=2)
    return 1 - of_part[:, 1::2].sum(axis=1), 1 - of_part[:, 2::2].sum(axis=1)


def _total(weights: Array, values: Array) -> Array:
    total: Array = (weights * values).sum(axis=(1, 2))
    return total


def _still_listed(chances: Array) -> float:
    """A list of one may be `ERRORS` likely to be chance; a longer one, on the mean."""
    surest = np.sort(chances)
    good = np.flatnonzero(np.cumsum(surest) <= ERRORS * np.arange(1, surest.size + 1))
    return min(DOUBT, max(ERRORS, float(surest[good[-1]]) if good.size else 0.0))


def _distribution(cells: Cells, weights: Array, points: Array) -> Array:
    """The probability that the rate is at most `points`, (cells, nodes, points): (cells, points)."""
    points = np.clip(points, 0, 1)
    yes, no = cells.yes[:, None, None], (cells.asked - cells.yes)[:, None, None]
    at = cells.reference[:, :, None]
    found: Array = ((points >= at - 1e-12) * weights[:, 0, :, None]).sum(axis=1)
    for place, spread in enumerate(_SPREADS):
        a, b = _beta(at, spread)
        up_to = betainc(a + yes, b + no, points)
        middle = betainc(a + yes, b + no, at)
        below = np.minimum(up_to / np.maximum(middle, _TINY), 1)
        above = np.clip((up_to - middle) / np.maximum(1 - middle, _TINY), 0, 1)
        found += (below * weights[:, 1 + 2 * place, :, None]).sum(axis=1)
        found += (above * weights[:, 2 + 2 * place, :, None]).sum(axis=1)
    return found


def _quantile(distribution: Array, points: Array, share: float) -> Array:
    places = [min(int(np.searchsorted(row, share)), points.size - 1) for row in distribution]
    return points[np.array(places, np.int64)]


def _enough(cells: Cells) -> npt.NDArray[np.bool_]:
    """Whether the answers alone rule out a difference of `GAP`, down and up (Jeffreys)."""
    a, b = (cells.yes + 0.5)[:, None], (cells.asked - cells.yes + 0.5)[:, None]
    low = betainc(a, b, np.clip(cells.reference - GAP, 0, 1)).mean(axis=1)
    high = betaincc(a, b, np.clip(cells.reference + GAP, 0, 1)).mean(axis=1)
    enough: npt.NDArray[np.bool_] = np.maximum(low, high) <= ERRORS
    return enough


def _beta(mean: Array, spread: float) -> tuple[Array, Array]:
    size = 1 / spread**2 - 1
    return mean * size, (1 - mean) * size


def _nodes(a: Array, b: Array) -> Array:
    middles = (np.arange(NODES) + 0.5) / NODES
    return np.clip(betaincinv(a[:, None], b[:, None], middles), 1e-4, 1 - 1e-4)
