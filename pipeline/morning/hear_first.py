"""The calls to hear first: critical failures, the worst, the most unsure, the surprising for their agent.

A score made of few marks proves little, and so does a doubt in few: both are drawn towards what is usual, as
by `USUAL_MARKS` further marks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wellheard.pipeline.morning.overview import AGENT
from wellheard.pipeline.morning.period import Material, criteria_of, flat, reals, texts
from wellheard.pipeline.morning.summary import (
    FEWEST_CALLS,
    Estimate,
    Figures,
    Numbers,
    Sums,
    own_level,
    spread,
)

MOST_CRITICAL, MOST_WORST, MOST_UNSURE, MOST_SURPRISING = 10, 10, 5, 5
USUAL_MARKS = 3.0
# By so many standard deviations a call is off what its agent's other calls let expect.
SURPRISE = 2.0
# A call is very unsure from this share of its marks on.
DOUBT = 0.2
MOMENTS = 4  # for each reason
_DAYS_EACH = 60


@dataclass(frozen=True)
class Critical:
    """Critical criteria were answered no."""

    criteria: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Worst:
    """The score over all rubrics is among the lowest."""

    score: float
    counted: int


@dataclass(frozen=True)
class Unsure:
    """Much is unsure: marks, and who is who or the language where that had to be told by ear."""

    unsure: int
    asked: int
    roles: float
    language: float
    poor: bool


@dataclass(frozen=True)
class Surprising:
    """In this rubric the call is far from its agent's other calls."""

    rubric: str
    score: float
    others: Estimate


Reason = Critical | Worst | Unsure | Surprising


@dataclass(frozen=True)
class CallScore:
    """A call's score in a rubric, and between what it would lie if marks as unsure as these were wrong.

    Of so many of its marks people have `corrected` the answer.
    """

    rubric: str
    score: float | None
    low: float | None
    high: float | None
    counted: int
    unsure: int
    corrected: int


@dataclass(frozen=True)
class Moment:
    """A mark to look at: how it is marked, and where that is to be heard.

    What was said there is `quote`, from `quote_s` on. With `missing`, something belonged between `start_s`
    and `end_s` that was not said, and the quote is what came nearest to it. None: nothing is known.
    """

    rubric: str
    criterion: str
    answer: str
    critical: bool
    confidence: float
    reason: str
    start_s: float | None
    end_s: float | None
    missing: bool
    quote_s: float | None
    speaker: str | None
    quote: str | None


@dataclass(frozen=True)
class ToHear:
    """A call to hear: its row of `calls`, why, its scores, and the moments that show it."""

    call: Mapping[str, Any]
    reasons: tuple[Reason, ...]
    scores: tuple[CallScore, ...]
    moments: tuple[Moment, ...]


@dataclass(frozen=True)
class Picked:
    """The reasons of each call picked, most urgent first, by its row; and how many had a critical failure."""

    reasons: dict[int, list[Reason]]
    critical: int


def where_to_look(days: pa.Table, before: pa.Table) -> set[tuple[str, str]]:
    """Of a large period the agents and days whose sums point to calls worth hearing.

    For each rubric those with the lowest single score, the most unsure marks, and the score furthest from
    what the agent's others let expect; and for each criterion and day one where it was answered no, so that
    it is known which are critical.
    """
    found: set[tuple[str, str]] = set()
    names, dates = texts(days[AGENT]), texts(days["date"])
    baseline = _Baseline(days, before)
    entries = flat(days, "rubrics")
    rubric = texts(entries.columns["rubric"])
    counted, unsure = (reals(entries.columns[name], 0) for name in ("counted", "unsure"))
    lists = entries.columns["scores"]
    entry = np.asarray(pc.list_parent_indices(lists), np.int64)
    score = reals(pc.list_flatten(lists), 0)
    doubt = unsure / np.maximum(counted + unsure, 1)
    rows: set[int] = set()
    for name in set(rubric):
        of = rubric == name
        rows.update(entries.row[of][np.argsort(-doubt[of], kind="stable")[:_DAYS_EACH]].tolist())
        single = of[entry]
        row, own = entries.row[entry][single], score[single]
        rows.update(row[np.argsort(own, kind="stable")[:_DAYS_EACH]].tolist())
        off = baseline.surprise([names[number] for number in row], [name] * len(row), own)
        rows.update(row[np.argsort(-np.abs(off), kind="stable")[:_DAYS_EACH]].tolist())
    criteria = flat(days, "criteria")
    no = reals(criteria.columns["no"], 0)
    which = criteria_of(criteria)
    for name in set(which):
        of = np.flatnonzero((which == name) & (no > 0))
        _, first = np.unique(dates[criteria.row[of]], return_index=True)
        rows.update(criteria.row[of[first]].tolist())
    found.update((names[number], dates[number]) for number in rows)
    return found


class _Baseline:
    """What an agent's calls are like, rubric by rubric: of the period and the one before."""

    def __init__(self, days: pa.Table, before: pa.Table) -> None:
        self._sums: dict[tuple[str, str], list[float]] = {}
        self._house = {}
        of_rubric: dict[str, list[tuple[str, list[float]]]] = {}
        for table in (days, before):
            entries = flat(table, "rubrics")
            rubrics, agents = texts(entries.columns["rubric"]), texts(table[AGENT])[entries.row]
            of_day = entries.columns["scores"].to_pylist()
            for agent, rubric, scores in zip(agents, rubrics, of_day, strict=True):
                if scores:
                    of_rubric.setdefault(rubric, []).append((agent, scores))
        for rubric, lists in of_rubric.items():
            for agent, scores in lists:
                sums = self._sums.setdefault((agent, rubric), [0.0, 0.0, 0.0])
                sums[0] += len(scores)
                sums[1] += fsum(scores)
                sums[2] += fsum(score**2 for score in scores)
            columns = np.array([sums for (_, name), sums in self._sums.items() if name == rubric]).T
            self._house[rubric] = spread(Sums(*columns))

    def surprise(self, agents: Sequence[str], rubrics: Sequence[str], scores: Figures) -> Figures:
        """By how many standard deviations each score is off its agent's others; 0 where these are too few."""
        sums = np.array(
            [self._sums.get(key, (0.0, 0.0, 0.0)) for key in zip(agents, rubrics, strict=True)]
        ).reshape(-1, 3)
        others = sums[:, 0] - 1
        within = np.array(
            [self._house[name].within if name in self._house else 0.0 for name in rubrics], float
        )
        known = (others >= FEWEST_CALLS) & (within > 0)
        others = np.where(known, others, 1)
        error = np.sqrt(np.where(known, within, 1) * (1 + 1 / others))
        return np.where(known, (scores - (sums[:, 1] - scores) / others) / error, 0.0)

    def others(self, agent: str, rubric: str, score: float) -> Estimate | None:
        """The mean of the agent's other calls."""
        number, total, squares = self._sums[agent, rubric]
        rest = Sums(np.array([number - 1]), np.array([total - score]), np.array([squares - score**2]))
        return own_level(rest, self._house[rubric])


def pick(material: Material) -> Picked:
    """Which of the calls given to hear first, and why."""
    calls, marks = material.calls, material.marks
    if not calls.num_rows:
        return Picked({}, 0)
    entries = flat(calls, "scores")
    rubric = texts(entries.columns["rubric"])
    score = reals(entries.columns["score"], np.nan)
    counted, unsure = (reals(entries.columns[name], 0) for name in ("counted", "unsure"))
    size = calls.num_rows
    known = ~np.isnan(score)
    points = np.bincount(entries.row[known], (score * counted)[known], size).astype(float)
    marks_counted = np.bincount(entries.row, counted, size).astype(float)
    marks_unsure = np.bincount(entries.row, unsure, size).astype(float)
    reasons: dict[int, list[Reason]] = {}
    critical = _critical(calls, marks)
    for row, criteria in critical[:MOST_CRITICAL]:
        reasons.setdefault(row, []).append(Critical(tuple(criteria)))
    for row in _lowest(points, marks_counted)[:MOST_WORST]:
        worst = Worst(float(points[row] / marks_counted[row]), int(marks_counted[row]))
        reasons.setdefault(row, []).append(worst)
    for row, one in _surprising(material, entries.row[known], rubric[known], score[known])[:MOST_SURPRISING]:
        reasons.setdefault(row, []).append(one)
    roles, language = _told_by_ear(calls)
    poor = texts(calls["grade"]) == "poor"
    for row in _most_unsure(marks_unsure, marks_counted, roles * language)[:MOST_UNSURE]:
        asked = int(marks_unsure[row] + marks_counted[row])
        doubt = Unsure(
            int(marks_unsure[row]), asked, float(roles[row]), float(language[row]), bool(poor[row])
        )
        reasons.setdefault(row, []).append(doubt)
    return Picked(reasons, len(critical))


def _critical(calls: pa.Table, marks: pa.Table) -> list[tuple[int, list[tuple[str, str]]]]:
    """The calls with critical criteria that were answered no: the surest first."""
    failed = marks.filter(pc.field("critical") & (pc.field("answer") == "no"))
    failed = failed.select(["call_id", "rubric", "criterion", "confidence"])
    rows = pc.index_in(failed["call_id"], value_set=calls["call_id"].combine_chunks()).to_pylist()
    of_call: dict[int, list[dict[str, Any]]] = {}
    for row, mark in zip(rows, failed.to_pylist(), strict=True):
        if row is not None:
            of_call.setdefault(row, []).append(mark)
    for own in of_call.values():
        own.sort(key=lambda mark: -(mark["confidence"] or 0))
    surest = sorted(of_call.items(), key=lambda pair: -fsum(mark["confidence"] or 0 for mark in pair[1]))
    return [(row, [(mark["rubric"], mark["criterion"]) for mark in own]) for row, own in surest]


def _lowest(points: Figures, counted: Figures) -> list[int]:
    usual = points.sum() / counted.sum() if counted.sum() else 0.0
    drawn = (points + usual * USUAL_MARKS) / (counted + USUAL_MARKS)
    order = np.argsort(drawn, kind="stable")
    return [int(row) for row in order if counted[row] and drawn[row] < usual]


def _most_unsure(unsure: Figures, counted: Figures, told: Figures) -> list[int]:
    asked = unsure + counted
    usual = unsure.sum() / asked.sum() if asked.sum() else 0.0
    doubt = 1 - (1 - (unsure + usual * USUAL_MARKS) / (asked + USUAL_MARKS)) * told
    order = np.argsort(-doubt, kind="stable")
    return [int(row) for row in order if doubt[row] >= max(usual, DOUBT)]


def _told_by_ear(calls: pa.Table) -> tuple[Figures, Figures]:
    """How sure it is who is who and which language it is; 1 where that is known."""
    heard = reals(calls["language_probability"], 1.0)
    given = texts(pc.is_valid(calls["language_given"])).astype(bool)
    return reals(calls["role_confidence"], 1.0), np.where(given, 1.0, heard)


def _surprising(
    material: Material, row: Numbers, rubric: "npt.NDArray[np.object_]", score: Figures
) -> list[tuple[int, Surprising]]:
    baseline = _Baseline(material.days, material.days_before)
    names = material.calls[AGENT].to_pylist()
    agents = [names[number] for number in row]
    off = baseline.surprise(agents, list(rubric), score)
    found: dict[int, Surprising] = {}
    for number in np.argsort(-np.abs(off), kind="stable"):
        if abs(off[number]) < SURPRISE or len(found) >= MOST_SURPRISING:
            break
        own = float(score[number])
        others = baseline.others(agents[number], rubric[number], own)
        if others is not None:
            found.setdefault(int(row[number]), Surprising(rubric[number], own, others))
    return list(found.items())


def named(material: Material, picked: Picked) -> list[tuple[str, str, str]]:
    """The calls picked, each by its agent, date and id."""
    columns = (AGENT, "date", "call_id")
    calls = material.calls.select(list(columns)).take(pa.array(list(picked.reasons), pa.int64()))
    return [(call[AGENT], call["date"], call["call_id"]) for call in calls.to_pylist()]


def to_hear(material: Material, picked: Picked, proofs: pa.Table) -> tuple[ToHear, ...]:
    """The calls picked, with their scores and moments; `proofs` are their marks (`period.PROOF_COLUMNS`)."""
    of_call: dict[str, list[dict[str, Any]]] = {}
    for mark in proofs.to_pylist():
        of_call.setdefault(mark["call_id"], []).append(mark)
    rows = list(picked.reasons)
    calls = material.calls.take(pa.array(rows, pa.int64())).to_pylist()
    return tuple(
        ToHear(
            call=call,
            reasons=tuple(picked.reasons[row]),
            scores=tuple(_call_score(entry, of_call.get(call["call_id"], ())) for entry in call["scores"]),
            moments=tuple(_moments(picked.reasons[row], of_call.get(call["call_id"], ()))),
        )
        for row, call in zip(rows, calls, strict=True)
    )


def _call_score(entry: Mapping[str, Any], marks: Iterable[Mapping[str, Any]]) -> CallScore:
    """The score with its 95 % interval, if each mark is right as often as its confidence says."""
    own = [mark for mark in marks if mark["rubric"] == entry["rubric"] and mark["answer"] in ("yes", "no")]
    weight = fsum(mark["weight"] for mark in own)
    score, low, high = entry["score"], None, None
    if score is not None and weight:
        likely = [mark["confidence"] if mark["answer"] == "yes" else 1 - mark["confidence"] for mark in own]
        middle = fsum(mark["weight"] * p for mark, p in zip(own, likely, strict=True)) / weight
        error = sqrt(fsum(mark["weight"] ** 2 * p * (1 - p) for mark, p in zip(own, likely, strict=True)))
        low = max(min(middle - 1.96 * error / weight, score), 0.0)
        high = min(max(middle + 1.96 * error / weight, score), 1.0)
    counts = (entry.get(name) or 0 for name in ("counted", "unsure", "corrected"))
    return CallScore(entry["rubric"], score, low, high, *counts)


def _moments(reasons: Iterable[Reason], marks: Iterable[Mapping[str, Any]]) -> list[Moment]:
    """The marks that the reasons rest on, each once: critical ones first, the weightiest and surest next."""
    chosen: dict[tuple[str, str], Mapping[str, Any]] = {}
    surest = sorted(marks, key=lambda mark: -(mark["weight"] or 0) * (mark["confidence"] or 0))
    for reason in reasons:
        fitting = [mark for mark in surest if _shows(reason, mark)]
        for mark in fitting if isinstance(reason, Critical) else fitting[:MOMENTS]:
            chosen.setdefault((mark["rubric"], mark["criterion"]), mark)
    return [_moment(mark) for mark in chosen.values()]


def _shows(reason: Reason, mark: Mapping[str, Any]) -> bool:
    match reason:
        case Critical(criteria):
            return (mark["rubric"], mark["criterion"]) in criteria
        case Worst():
            return bool(mark["answer"] == "no")
        case Unsure():
            return bool(mark["answer"] == "unsure")
        case Surprising(rubric, score, others):
            answer = "yes" if score > others.value else "no"
            return bool(mark["rubric"] == rubric and mark["answer"] == answer)


def _moment(mark: Mapping[str, Any]) -> Moment:
    evidence, absence = mark["evidence"] or [], mark["absence"]
    missing = not evidence and bool(absence)
    where = absence if missing else next(iter(evidence), None)
    said = next(iter(absence["nearest"] or []), None) if missing else where
    return Moment(
        rubric=mark["rubric"],
        criterion=mark["criterion"],
        answer=mark["answer"],
        critical=bool(mark["critical"]),
        confidence=mark["confidence"],
        reason=mark["reason"] or "",
        start_s=where["start_s"] if where else None,
        end_s=where["end_s"] if where else None,
        missing=missing,
        quote_s=said["start_s"] if said else None,
        speaker=said["speaker"] if said else None,
        quote=said["quote"] if said else None,
    )
