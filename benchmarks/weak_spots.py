"""How often a named weak spot is chance, and how often a real one is found, on simulated nights.

    python benchmarks/weak_spots.py [NIGHTS]

Every agent has 40 calls a criterion, 24 criteria. True rates are known, so each weak spot that is named can
be checked: it is chance if the agent's true rate is not below the mean of all others. A gap is exactly 25
points below that mean. Prints, for each kind of night, the share of named weak spots that is chance, the
share of gaps that is found, and what the best possible test would find: one that knows how common gaps are,
how large, and everybody's true rates.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wellheard.pipeline.morning.comparison import ERRORS, GAP, Array, Cells, fit, listed, observed

CALLS, CRITERIA = 40, 24


@dataclass(frozen=True)
class Night:
    """True rates and which of them are gaps, (agents, criteria)."""

    rates: Array
    gaps: np.ndarray


def alike(random: np.random.Generator, agents: int, share: float, spread: float = 0.0) -> Night:
    """All agents alike, give or take `spread`, but for gaps in this share of cells."""
    team = np.tile(random.uniform(0.4, 0.95, CRITERIA), (agents, 1))
    rates = np.clip(team + random.normal(0, 1, team.shape) * spread, 0.01, 0.99)
    gaps = random.random(team.shape) < share
    for _ in range(30):  # a gap is measured from the others, whose mean it is part of
        rates = np.where(gaps, np.clip(others(rates) - GAP, 0, 1), rates)
    return Night(rates, gaps)


def people(random: np.random.Generator, agents: int) -> Night:
    """Everybody differs: standard deviation 0.2 of the greatest possible, 6 to 10 points; no gaps made."""
    team = random.uniform(0.4, 0.95, CRITERIA)
    size = 1 / 0.2**2 - 1
    rates = random.beta(team * size, (1 - team) * size, (agents, CRITERIA))
    below = others(rates) - rates
    return Night(rates, (below > GAP - 0.05) & (below < GAP + 0.05))


def others(values: Array) -> Array:
    """For each agent the mean of all others."""
    mean: Array = (values.sum(axis=0) - values) / (len(values) - 1)
    return mean


def best_possible(random: np.random.Generator, night: Night) -> float:
    """The share of gaps found by the likelihood ratio, its limit set by the truth to `ERRORS` of chance."""
    yes = random.binomial(CALLS, night.rates)
    team = np.clip(others(night.rates), 0.01, 0.99)
    low = np.clip(team - GAP, 0.005, 1)
    ratio = (yes * np.log(low / team) + (CALLS - yes) * np.log((1 - low) / (1 - team))).ravel()
    order = np.argsort(-ratio)
    chance = ~(night.rates < others(night.rates) - 1e-9).ravel()[order]
    good = np.flatnonzero(np.cumsum(chance) <= ERRORS * np.arange(1, order.size + 1))
    named = order[: good[-1] + 1] if good.size else order[:0]
    return float(night.gaps.ravel()[named].sum() / max(night.gaps.sum(), 1))


def judge(random: np.random.Generator, night: Night) -> np.ndarray:
    """Which cells are named weak spots."""
    asked = np.full(night.rates.shape, float(CALLS))
    yes = random.binomial(CALLS, night.rates).astype(float)
    total = asked.sum(axis=0) - asked
    cells = Cells(yes.ravel(), asked.ravel(), observed((yes.sum(axis=0) - yes).ravel(), total.ravel()))
    prior = fit(cells)
    return listed(cells, prior)[0].reshape(yes.shape)


def measure(name: str, nights: int, make: Callable[[np.random.Generator], Night]) -> None:
    """Print one line for this kind of night."""
    random = np.random.default_rng(2025)
    named = chance = found = gaps = any_chance = 0
    best = []
    for _ in range(nights):
        night = make(random)
        weak = judge(random, night)
        wrong = weak & ~(night.rates < others(night.rates) - 1e-9)
        named += int(weak.sum())
        chance += int(wrong.sum())
        any_chance += int(wrong.any())
        found += int((weak & night.gaps).sum())
        gaps += int(night.gaps.sum())
        best.append(best_possible(random, night))
    print(
        f"{name:55}{named / nights:7.1f} {chance / max(named, 1):7.1%} {any_chance / nights:7.0%} "
        + (f"{found / gaps:7.1%} {np.mean(best):7.1%}" if gaps else "      –       –")
    )


def main(nights: int) -> None:
    """All kinds of nights."""
    start = time.perf_counter()
    print(f"{nights} nights each, {CALLS} calls, {CRITERIA} criteria. Weak spots named in a night; of all")
    print("named, those that are chance; nights with any such; gaps of 25 points found; found by the best")
    print("possible test.\n")
    print(f"{'':55}{'named':>7} {'chance':>7} {'nights':>7} {'found':>7} {'best':>7}")
    measure("50 agents, nobody differs", nights, lambda random: alike(random, 50, 0))
    for share in (0.02, 0.05, 0.1, 0.2):
        measure(
            f"50 agents, exactly alike but for {share:.0%} gaps",
            nights,
            lambda random, share=share: alike(random, 50, share),  # type: ignore[misc]
        )
    for share in (0.05, 0.1, 0.2):
        measure(
            f"50 agents, a little apart (5 points), {share:.0%} gaps",
            nights,
            lambda random, share=share: alike(random, 50, share, 0.05),  # type: ignore[misc]
        )
    measure("50 agents who differ as people do", nights, lambda random: people(random, 50))
    measure("6 agents, exactly alike but for 10% gaps", 5 * nights, lambda random: alike(random, 6, 0.1))
    measure("6 agents who differ as people do", 5 * nights, lambda random: people(random, 6))
    print(f"\n{time.perf_counter() - start:.0f} seconds")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
