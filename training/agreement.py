"""How well a judge agrees with people, in figures: kappa, accuracy, evidence, triage, confidence."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import ceil, inf

import numpy as np
import numpy.typing as npt

from wellheard.pipeline.morning.kappa import kappas
from wellheard.pipeline.records import Answer, Record
from wellheard.training.labelled import PersonsAnswer

ANSWERS: tuple[Answer, ...] = ("yes", "no", "na", "unsure")
# With fewer calls an interval says nothing.
FEWEST_CALLS = 5
INTERVAL_PERCENT = (2.5, 97.5)
CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Counts = npt.NDArray[np.int64]
Figures = npt.NDArray[np.float64]


class Judgement(Record):
    """One criterion of one call: what people answered and what the machine did.

    `leaning` is what it would have answered had it not been unsure, and `confidence` (0 to 1) is meant for
    that. `found` says whether its evidence overlaps the turns that people named; it is None where either
    has none. `keyword` is the answer of the keyword lists, None where there is no list.
    """

    call_id: str
    criterion: str
    label: PersonsAnswer
    answer: Answer
    leaning: PersonsAnswer
    confidence: float
    label_turns: tuple[int, ...]
    found: bool | None
    keyword: PersonsAnswer | None


class CriterionAgreement(Record):
    """The figures of one criterion; shares are from 0 to 1, and None where nothing was to be counted.

    `n` labels, of them `yes`, `no` and `na`. `accuracy` and `kappa` count an unsure as wrong. `interval` is
    the 95 % interval of the kappa, None with fewer than five calls. `commonest` is the answer that people
    gave most often, and what always giving it reaches. `evidence_hit_rate` is over `evidence_n` marks, those
    in which both people and machine named something. `sure_kappa` is over the `sure_n` marks not unsure.
    """

    n: int
    yes: int
    no: int
    na: int
    accuracy: float
    kappa: float
    interval: tuple[float, float] | None
    commonest: PersonsAnswer
    commonest_accuracy: float
    commonest_kappa: float
    keywords_accuracy: float | None
    keywords_kappa: float | None
    evidence_n: int
    evidence_hit_rate: float | None
    unsure: float
    sure_n: int
    sure_kappa: float | None


class Confidences(Record):
    """Marks whose confidence is from `low` to below `high` (1 belongs to the last bin).

    `right` is the share whose leaning is what people answered; it is to be near `confidence`, their mean.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    right: float | None


class Agreement(Record):
    """All figures: by criterion, over criteria (means of kappas) and over all marks (the other shares).

    `triage` is what the function of that name gives; a perfect judge reaches `triage_reachable`, which is
    below 1 where people gave several calls the score at the border. `calibration_error` is the expected
    calibration error: how far confidence and share right lie apart in the bins of `reliability`, weighted by
    marks.
    """

    calls: int
    marks: int
    mean_kappa: float | None
    mean_kappa_interval: tuple[float, float] | None
    mean_commonest_kappa: float | None
    mean_keywords_kappa: float | None
    mean_sure_kappa: float | None
    accuracy: float | None
    commonest_accuracy: float | None
    keywords_accuracy: float | None
    evidence_hit_rate: float | None
    unsure: float | None
    triage: float | None
    triage_reachable: float | None
    calibration_error: float | None
    criteria: dict[str, CriterionAgreement]
    reliability: tuple[Confidences, ...]


def agreement(judgements: Sequence[Judgement], resamples: int = 1000, seed: int = 0) -> Agreement:
    """Measure the judgements, at most one for each criterion of a call.

    Kappa is Cohen's, unweighted, over yes, no, na and unsure. Where people and machine gave one and the same
    answer throughout, it is 1; where people gave one answer only and the machine others too, it is 0.
    Intervals are percentile bootstrap intervals: whole calls are drawn with replacement, `resamples` times.

    Raises:
        ValueError: a criterion of a call is judged twice.
    """
    if len({(judgement.call_id, judgement.criterion) for judgement in judgements}) < len(judgements):
        raise ValueError("a criterion of a call is judged twice")
    calls = {name: i for i, name in enumerate(dict.fromkeys(j.call_id for j in judgements))}
    grouped: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        grouped.setdefault(judgement.criterion, []).append(judgement)
    drawn = _drawn_kappas(grouped.values(), calls, resamples, seed)
    criteria = {
        name: _criterion(own, _interval(drawn[:, i], len(own)))
        for i, (name, own) in enumerate(grouped.items())
    }
    figures = criteria.values()
    human = [_share_of_yes(own, lambda j: j.label) for own in _by_call(judgements)]
    machine = [_share_of_yes(own, lambda j: j.answer) for own in _by_call(judgements)]
    reliability = _reliability(judgements)
    return Agreement(
        calls=len(calls),
        marks=len(judgements),
        mean_kappa=_mean(own.kappa for own in figures),
        mean_kappa_interval=_mean_interval(drawn, len(calls)),
        mean_commonest_kappa=_mean(own.commonest_kappa for own in figures),
        mean_keywords_kappa=_mean(own.keywords_kappa for own in figures),
        mean_sure_kappa=_mean(own.sure_kappa for own in figures),
        accuracy=_mean(j.answer == j.label for j in judgements),
        commonest_accuracy=_mean(j.label == criteria[j.criterion].commonest for j in judgements),
        keywords_accuracy=_mean(None if j.keyword is None else j.keyword == j.label for j in judgements),
        evidence_hit_rate=_mean(j.found for j in judgements),
        unsure=_mean(j.answer == "unsure" for j in judgements),
        triage=triage(human, machine),
        triage_reachable=triage(human, _without_ties(human)),
        calibration_error=_calibration_error(reliability),
        criteria=criteria,
        reliability=reliability,
    )


def triage(human: Sequence[float], machine: Sequence[float]) -> float | None:
    """Of the fifth of calls with the worst human scores, the share in the machine's worst fifth.

    A fifth is rounded up to whole calls. Where several calls have the score at the border, each may be in
    the fifth or out of it, and the figure is the mean over all ways to choose: a tied call counts with the
    share of places left for those tied, in the human fifth and likewise in the machine's. None without calls.
    """
    if not human:
        return None
    return float(_in_worst_fifth(human) @ _in_worst_fifth(machine) / ceil(len(human) / 5))


def _in_worst_fifth(scores: Sequence[float]) -> Figures:
    """How likely each call is in the fifth with the lowest scores if ties are broken by chance."""
    values = np.asarray(scores, dtype=float)
    places = ceil(len(values) / 5)
    border = np.sort(values)[places - 1]
    likely: Figures = (values < border).astype(float)
    tied = values == border
    likely[tied] = (places - likely.sum()) / tied.sum()
    return likely


def _without_ties(scores: Sequence[float]) -> list[float]:
    """The scores of a judge who puts calls in the order that people do, but ties nothing."""
    place = {call: i for i, call in enumerate(sorted(range(len(scores)), key=scores.__getitem__))}
    return [float(place[call]) for call in range(len(scores))]


def _by_call(judgements: Iterable[Judgement]) -> list[list[Judgement]]:
    grouped: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        grouped.setdefault(judgement.call_id, []).append(judgement)
    return list(grouped.values())


def _share_of_yes(own: Iterable[Judgement], answer: Callable[[Judgement], Answer]) -> float:
    """Yes over yes and no; a call in which nothing counts comes after all others."""
    counts = Counter(map(answer, own))
    counted = counts["yes"] + counts["no"]
    return counts["yes"] / counted if counted else inf


def _criterion(own: Sequence[Judgement], interval: tuple[float, float] | None) -> CriterionAgreement:
    labels = Counter(j.label for j in own)
    commonest = labels.most_common(1)[0][0]
    found = [j.found for j in own if j.found is not None]
    sure = [(j.label, j.answer) for j in own if j.answer != "unsure"]
    keywords = [(j.label, j.keyword) for j in own if j.keyword is not None]
    return CriterionAgreement(
        n=len(own),
        yes=labels["yes"],
        no=labels["no"],
        na=labels["na"],
        accuracy=sum(j.answer == j.label for j in own) / len(own),
        kappa=_kappa((j.label, j.answer) for j in own),
        interval=interval,
        commonest=commonest,
        commonest_accuracy=labels[commonest] / len(own),
        commonest_kappa=_kappa((j.label, commonest) for j in own),
        keywords_accuracy=_mean(label == answer for label, answer in keywords),
        keywords_kappa=_kappa(keywords) if keywords else None,
        evidence_n=len(found),
        evidence_hit_rate=_mean(found),
        unsure=1 - len(sure) / len(own),
        sure_n=len(sure),
        sure_kappa=_kappa(sure) if sure else None,
    )


def _kappa(pairs: Iterable[tuple[Answer, Answer]]) -> float:
    """Of (label, answer) pairs, of which there must be some."""
    table = np.zeros((len(ANSWERS), len(ANSWERS)), dtype=np.int64)
    for label, answer in pairs:
        table[ANSWERS.index(label), ANSWERS.index(answer)] += 1
    return float(kappas(table))


def _drawn_kappas(
    grouped: Iterable[Sequence[Judgement]], calls: dict[str, int], resamples: int, seed: int
) -> Figures:
    """Kappa of each resample and criterion, shape (resamples, criteria).

    A drawn set of calls is how often each call is in it, so that all tables of counts are one product.
    """
    if not calls:
        return np.empty((resamples, 0))
    random = np.random.default_rng(seed)
    times = random.multinomial(len(calls), np.full(len(calls), 1 / len(calls)), size=resamples)
    size = len(ANSWERS)
    drawn = []
    for own in grouped:
        cells = np.zeros((len(calls), size * size), dtype=np.int64)
        for j in own:
            cells[calls[j.call_id], size * ANSWERS.index(j.label) + ANSWERS.index(j.answer)] = 1
        drawn.append(kappas((times @ cells).reshape(resamples, size, size)))
    return np.stack(drawn, axis=1)


def _interval(drawn: Figures, calls: int) -> tuple[float, float] | None:
    """Of the resamples in which there was something to measure."""
    drawn = drawn[~np.isnan(drawn)]
    if calls < FEWEST_CALLS or not drawn.size:
        return None
    low, high = np.percentile(drawn, INTERVAL_PERCENT)
    return float(low), float(high)


def _mean_interval(drawn: Figures, calls: int) -> tuple[float, float] | None:
    """Of the mean over those criteria that a resample has."""
    there = ~np.isnan(drawn)
    return _interval(np.nansum(drawn, axis=1) / np.maximum(there.sum(axis=1), 1), calls)


def _reliability(judgements: Sequence[Judgement]) -> tuple[Confidences, ...]:
    bins: list[list[Judgement]] = [[] for _ in CONFIDENCES[1:]]
    for j in judgements:
        bins[int(np.searchsorted(CONFIDENCES[1:-1], j.confidence, side="right"))].append(j)
    return tuple(
        Confidences(
            low=low,
            high=high,
            n=len(own),
            confidence=_mean(j.confidence for j in own),
            right=_mean(j.leaning == j.label for j in own),
        )
        for (low, high), own in zip(pairwise(CONFIDENCES), bins, strict=True)
    )


def _calibration_error(reliability: Iterable[Confidences]) -> float | None:
    filled = [
        (own.n, abs(own.confidence - own.right))
        for own in reliability
        if own.confidence is not None and own.right is not None
    ]
    marks = sum(n for n, _ in filled)
    return sum(n * apart for n, apart in filled) / marks if marks else None


def _mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    there = [float(value) for value in values if value is not None]
    return sum(there) / len(there) if there else None
