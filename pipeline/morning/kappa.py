"""How far two judges agree: shares and Cohen's kappa, each with a 95 % interval.

J. Cohen (1960), A coefficient of agreement for nominal scales. Intervals are Wilson's for shares; for kappa
the percentile bootstrap over calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wellheard.pipeline.morning.summary import Z, wilson

ANSWERS = ("yes", "no", "na")
# Of fewer marks an interval of kappa says nothing.
FEWEST = 5
RESAMPLES = 1000
_EDGES = (2.5, 97.5)

Figures = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Agreed:
    """Of `n` marks the share on which two judges agree, and kappa; no interval where it says nothing."""

    n: int
    share: float
    low: float
    high: float
    kappa: float
    kappa_interval: tuple[float, float] | None


def kappas(tables: npt.NDArray[np.int64] | Figures) -> Figures:
    """Cohen's kappa of each table of counts, shape (…, labels, answers); NaN for an empty table.

    Where both gave one and the same answer throughout, kappa is not defined and taken as 1.
    """
    total = tables.sum((-2, -1)).astype(float)
    agreed = np.trace(tables, axis1=-2, axis2=-1)
    by_chance = (tables.sum(-1) * tables.sum(-2)).sum(-1)
    with np.errstate(invalid="ignore"):
        found = (total * agreed - by_chance) / (total**2 - by_chance)
    return np.where((np.abs(agreed - total) < 1e-9) & (total > 0), 1.0, found)


def agreed(marks: Sequence[Sequence[tuple[str, str]]], seed: int = 0) -> Agreed | None:
    """How far two judges agree on marks of different calls; None without a mark.

    Each mark comes as the pairs of answers (yes, no, na) that were given to it, at least one. Several pairs,
    as of several reviewers with one machine, count as much as one.
    """
    if not marks:
        return None
    tables = np.zeros((len(marks), len(ANSWERS), len(ANSWERS)))
    for place, pairs in enumerate(marks):
        for first, second in pairs:
            tables[place, ANSWERS.index(first), ANSWERS.index(second)] += 1 / len(pairs)
    table = tables.sum(0)
    n, share = len(marks), float(np.trace(table) / table.sum())
    low, high = wilson(share, n, Z)
    return Agreed(n, share, low, high, float(kappas(table)), _interval(tables, seed))


def _interval(tables: Figures, seed: int) -> tuple[float, float] | None:
    n = len(tables)
    if n < FEWEST:
        return None
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    drawn = kappas(np.tensordot(times, tables, axes=1))
    low, high = np.percentile(drawn, _EDGES)
    return float(low), float(high)
