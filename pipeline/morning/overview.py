"""A period in figures: by rubric, criterion, day and group, against the period before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wellheard.pipeline.datasets import UNKNOWN
from wellheard.pipeline.morning.period import (
    GROUP_COLUMNS,
    Column,
    Flat,
    Material,
    criteria_of,
    distinct,
    flat,
    reals,
    texts,
    values_of,
)
from wellheard.pipeline.morning.summary import (
    Change,
    Estimate,
    Figures,
    Numbers,
    Spread,
    Sums,
    against,
    beyond_chance,
    change,
    level,
    own_level,
    spread,
)

AGENT = "agent_id"


@dataclass(frozen=True)
class Measure:
    """A mean now and before; `changed` where the difference is more than chance."""

    now: Estimate | None
    before: Estimate | None
    change: Change | None
    changed: bool = False


@dataclass(frozen=True)
class RubricFigures:
    """One rubric: its score, the scores of single calls, numbers of marks that counted and were unsure.

    People have `reviewed` so many of its marks, and changed the answer of those `corrected`.
    """

    rubric: str
    score: Measure
    scores: Figures
    counted: int
    unsure: int
    reviewed: int
    corrected: int


@dataclass(frozen=True)
class CriterionFigures:
    """One criterion: the share of yes of yes and no, the numbers of answers, how sure those are on average.

    `confidence` is None where not all marks were read. What is not `trusted` counts in no score.
    """

    rubric: str
    criterion: str
    share: Measure
    yes: int
    no: int
    na: int
    unsure: int
    confidence: float | None
    critical: bool
    trusted: bool

    @property
    def unsure_share(self) -> float | None:
        """Of the marks that had occasion, those too unsure to count."""
        asked = self.yes + self.no + self.unsure
        return self.unsure / asked if asked else None


@dataclass(frozen=True)
class Group:
    """Calls that have something in common; `apart` is how far from the rest, where more than chance.

    Of so many of their marks people have `corrected` the answer.
    """

    name: str
    label: str | None
    calls: int
    corrected: int
    scores: Mapping[str, Measure]
    apart: Mapping[str, Change]


@dataclass(frozen=True)
class Grouping:
    """All groups of a column, by name; `without` are calls of which the column says nothing."""

    column: str
    groups: tuple[Group, ...]
    without: int


@dataclass(frozen=True)
class DayFigures:
    """One day: how many calls, how many failed, the score of each rubric."""

    day: str
    calls: int
    failures: int
    scores: Mapping[str, Estimate | None]


@dataclass(frozen=True)
class Overview:
    """The figures of a period."""

    calls: int
    seconds: float
    agents: int
    calls_before: int
    rubrics: tuple[RubricFigures, ...]
    criteria: tuple[CriterionFigures, ...]
    days: tuple[DayFigures, ...]
    groupings: tuple[Grouping, ...]
    confidence: float | None
    agents_gone: tuple[str, ...]
    agents_failed: tuple[str, ...]


class _Agents:
    """Numbers for agents, the same now and before."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = pa.array(sorted(set(ids)), pa.string())

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self, column: Column) -> Numbers:
        return reals(pc.index_in(column, value_set=self.ids), -1).astype(np.int64)


@dataclass(frozen=True)
class _Scores:
    """Single scores: whose, in which rubric, and in which row of the table they come from."""

    agent: Numbers
    rubric: npt.NDArray[np.object_]
    score: Figures
    row: Numbers

    def sums(self, which: npt.NDArray[np.bool_], agents: int) -> Sums:
        return Sums.of_scores(self.agent[which], self.score[which], agents)


def overview(material: Material) -> Overview:
    """Work out all figures."""
    days, before = material.days, material.days_before
    agents = _Agents(distinct(days[AGENT]) | distinct(before[AGENT]))
    now, then = _day_scores(days, agents), _day_scores(before, agents)
    names = sorted(set(now.rubric) | set(then.rubric))
    spreads = {name: spread(now.sums(now.rubric == name, len(agents))) for name in names}
    here, there = distinct(days[AGENT]), distinct(before[AGENT])
    failed = distinct(material.failures[AGENT]) - {"", UNKNOWN}
    rated = pc.is_in(material.marks["answer"], value_set=pa.array(["yes", "no"]))
    sure = pc.mean(material.marks["confidence"].filter(rated)).as_py() if material.all_marks else None
    return Overview(
        calls=_sum(days["calls"]),
        seconds=float(pc.sum(days["seconds"]).as_py() or 0),
        agents=len(here),
        calls_before=_sum(before["calls"]),
        rubrics=_rubrics(days, now, then, spreads, len(agents)),
        criteria=_criteria(material, agents),
        days=_days(material, now, spreads, len(agents)),
        groupings=tuple(_groupings(material, agents, now, then, spreads)),
        confidence=sure,
        agents_gone=tuple(sorted(there - here)),
        agents_failed=tuple(sorted(failed - here)),
    )


def _sum(column: Column) -> int:
    return round(float(reals(column, 0).sum()))


def _day_scores(days: pa.Table, agents: _Agents) -> _Scores:
    """The single scores of the agents' days."""
    entries = flat(days, "rubrics")
    lists = entries.columns["scores"]
    entry = np.asarray(pc.list_parent_indices(lists), np.int64)
    rubric = texts(entries.columns["rubric"])[entry]
    score = reals(pc.list_flatten(lists), 0)
    row = entries.row[entry]
    return _Scores(agents.numbers(days[AGENT])[row], rubric, score, row)


def _call_scores(calls: pa.Table, agents: _Agents) -> _Scores:
    entries = flat(calls, "scores")
    score = reals(entries.columns["score"], np.nan)
    has = ~np.isnan(score)
    row = entries.row[has]
    rubric = texts(entries.columns["rubric"])[has]
    return _Scores(agents.numbers(calls[AGENT])[row], rubric, score[has], row)


def _rubrics(
    days: pa.Table, now: _Scores, then: _Scores, spreads: Mapping[str, Spread], agents: int
) -> tuple[RubricFigures, ...]:
    entries = flat(days, "rubrics")
    of = texts(entries.columns["rubric"])
    counts = {name: _whole(entries, name) for name in ("counted", "unsure", "reviewed", "corrected")}
    names = [name for name in spreads if (of == name).any()]
    found = []
    for name in names:
        own, earlier = (scores.sums(scores.rubric == name, agents) for scores in (now, then))
        found.append(_measure(own, earlier, spreads[name]))
    return tuple(
        RubricFigures(
            rubric=name,
            score=score,
            scores=now.score[now.rubric == name],
            **{count: int(numbers[of == name].sum()) for count, numbers in counts.items()},
        )
        for name, score in zip(names, _with_verdicts(found), strict=True)
    )


def _whole(entries: Flat, name: str) -> Numbers:
    """Numbers; those of corrections are 0 where results are read as the machine left them."""
    if name not in entries.columns:
        return np.zeros(len(entries.row), np.int64)
    return reals(entries.columns[name], 0).astype(np.int64)


def _measure(now: Sums, before: Sums, house: Spread, *, own: bool = False) -> Measure:
    of = own_level if own else level
    return Measure(of(now, house), of(before, house), change(now, before))


def _with_verdicts(measures: Sequence[Measure]) -> list[Measure]:
    """Say of each whether it changed by more than chance, all of these taken together."""
    found = beyond_chance([measure.change for measure in measures])
    return [
        Measure(measure.now, measure.before, measure.change, changed)
        for measure, changed in zip(measures, found, strict=True)
    ]


def _criteria(material: Material, agents: _Agents) -> tuple[CriterionFigures, ...]:
    tables = []
    for days in (material.days, material.days_before):
        entries = flat(days, "criteria")
        named = criteria_of(entries)
        counts = {answer: _whole(entries, answer) for answer in ("yes", "no", "na", "unsure")}
        agent = agents.numbers(days[AGENT])[entries.row]
        tables.append((named, counts, agent))
    (named, counts, agent), (named_then, counts_then, agent_then) = tables
    marks = material.marks
    confidences, critical = _of_marks(marks)
    names = sorted(set(named))
    measures, totals = [], []
    for name in names:
        here, there = named == name, named_then == name
        now = Sums.of_answers(agent[here], counts["yes"][here], counts["no"][here], len(agents))
        then = Sums.of_answers(
            agent_then[there], counts_then["yes"][there], counts_then["no"][there], len(agents)
        )
        measures.append(_measure(now, then, spread(now)))
        totals.append({answer: int(column[here].sum()) for answer, column in counts.items()})
    return tuple(
        CriterionFigures(
            rubric=name.split("\0")[0],
            criterion=name.split("\0")[1],
            share=share if trusted else Measure(share.now, share.before, share.change),
            trusted=trusted,
            **total,
            confidence=confidences.get(name) if material.all_marks else None,
            critical=name in critical,
        )
        for name, share, total in zip(names, _with_verdicts(measures), totals, strict=True)
        for trusted in [tuple(name.split("\0")) not in material.untrusted]
    )


def _of_marks(marks: pa.Table) -> tuple[dict[str, float], set[str]]:
    """The mean confidence of marks that counted, and which criteria are critical; by rubric and criterion."""
    grouped = marks.filter(pc.is_in(marks["answer"], value_set=pa.array(["yes", "no"])))
    rows = (
        grouped.group_by(["rubric", "criterion"])
        .aggregate([("confidence", "mean"), ("critical", "max")])
        .to_pylist()
    )
    named = {f"{row['rubric']}\0{row['criterion']}": row for row in rows}
    return (
        {name: row["confidence_mean"] for name, row in named.items()},
        {name for name, row in named.items() if row["critical_max"]},
    )


def _days(
    material: Material, now: _Scores, spreads: Mapping[str, Spread], agents: int
) -> tuple[DayFigures, ...]:
    days = material.days
    dates, failed = texts(days["date"]), texts(material.failures["date"])
    calls = reals(days["calls"], 0)
    found = []
    for day in material.period.days:
        on = dates[now.row] == day if len(now.row) else np.zeros(0, bool)
        scores = {
            name: level(now.sums(on & (now.rubric == name), agents), house) for name, house in spreads.items()
        }
        found.append(DayFigures(day, int(calls[dates == day].sum()), int((failed == day).sum()), scores))
    return tuple(found)


def _groupings(
    material: Material, agents: _Agents, now: _Scores, then: _Scores, spreads: Mapping[str, Spread]
) -> Iterable[Grouping]:
    days, before = material.days, material.days_before
    labels = _last_names(days)
    for column in ("team", "region", AGENT):
        values = days[column].combine_chunks(), before[column].combine_chunks()
        sizes = reals(days["calls"], 0), _corrected(days, "rubrics")
        found = _grouping(column, values, sizes, (now, then), spreads, len(agents), labels)
        if found.groups and (column != AGENT or len(found.groups) > 1 or column in material.by):
            yield found
    if not material.all_calls:
        return
    of_calls = _call_scores(material.calls, agents), _call_scores(material.calls_before, agents)
    usual = ("customer_segment", "language")
    for column in (*usual, *(column for column in material.by if column not in usual)):
        if column in ("team", "region", AGENT):
            continue
        values = values_of(material.calls, column), values_of(material.calls_before, column)
        sizes = np.ones(material.calls.num_rows), _corrected(material.calls, "scores")
        found = _grouping(column, values, sizes, of_calls, spreads, len(agents), {})
        if column in material.by or len(found.groups) > 1 or (found.groups and column not in GROUP_COLUMNS):
            yield found


def _corrected(table: pa.Table, column: str) -> Figures:
    """In each row the number of marks whose answer people have changed."""
    entries = flat(table, column)
    return np.bincount(entries.row, _whole(entries, "corrected"), len(table)).astype(float)


def _last_names(days: pa.Table) -> dict[str, str]:
    named = days.select([AGENT, "date", "agent_name"]).sort_by("date").to_pylist()
    return {row[AGENT]: row["agent_name"] for row in named if row["agent_name"]}


def _grouping(
    column: str,
    values: tuple[Column, Column],
    sizes: tuple[Figures, Figures],
    scores: tuple[_Scores, _Scores],
    spreads: Mapping[str, Spread],
    agents: int,
    labels: Mapping[str, str],
) -> Grouping:
    """All groups of a column; `values` and `sizes` (calls, marks corrected) are of the scores' rows."""
    names = sorted(distinct(values[0]) - {""})
    ids = pa.array(names, pa.string())
    of_row = [reals(pc.index_in(one, value_set=ids), -1).astype(np.int64) for one in values]
    calls, corrected = (np.bincount(of_row[0] + 1, one, len(names) + 1).astype(int) for one in sizes)
    own = column == AGENT
    measures: dict[tuple[int, str], Measure] = {}
    apart: dict[tuple[int, str], Change | None] = {}
    for rubric, house in spreads.items():
        sums = []
        for one, group in zip(scores, of_row, strict=True):
            which = one.rubric == rubric
            sums.append(_by_group(group[one.row[which]], one.agent[which], one.score[which]))
        all_now = scores[0].sums(scores[0].rubric == rubric, agents)
        for number in range(len(names)):
            now, before = (_of_group(some, number, agents if not own else 1) for some in sums)
            measures[number, rubric] = _measure(now, before, house, own=own)
            rest = _without(all_now, sums[0], number)
            apart[number, rubric] = against(now, rest, house, alone=own)
    told = beyond_chance(list(apart.values()))
    differing = {key: one for (key, one), yes in zip(apart.items(), told, strict=True) if yes and one}
    verdicts = dict(zip(measures, _with_verdicts(list(measures.values())), strict=True))
    groups = tuple(
        Group(
            name=name,
            label=labels.get(name) if own else None,
            calls=int(calls[number + 1]),
            corrected=int(corrected[number + 1]),
            scores={rubric: verdicts[number, rubric] for rubric in spreads},
            apart={rubric: differing[number, rubric] for rubric in spreads if (number, rubric) in differing},
        )
        for number, name in enumerate(names)
    )
    return Grouping(column, groups, int(calls[0]))


_Members = dict[int, tuple[Numbers, Figures, Figures, Figures]]


def _by_group(group: Numbers, agent: Numbers, score: Figures) -> _Members:
    """For each group the agents in it, with their numbers of calls, sums and sums of squares."""
    has = group >= 0
    if not has.any():
        return {}
    both = np.stack([group[has], agent[has]], axis=1)
    pairs, place = np.unique(both, axis=0, return_inverse=True)
    place = place.reshape(-1)
    numbers = np.bincount(place, minlength=len(pairs)).astype(float)
    totals = np.bincount(place, score[has]).astype(float)
    squares = np.bincount(place, score[has] ** 2).astype(float)
    edges = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
    return {
        int(pairs[start, 0]): (
            pairs[start:end, 1],
            numbers[start:end],
            totals[start:end],
            squares[start:end],
        )
        for start, end in zip(edges, [*edges[1:], len(pairs)], strict=True)
    }


def _of_group(members: _Members, number: int, agents: int) -> Sums:
    """The group's sums laid out over all `agents`; with 1, the group is one agent."""
    found = Sums(np.zeros(agents), np.zeros(agents), np.zeros(agents))
    if number in members:
        who, numbers, totals, squares = members[number]
        where = who if agents > 1 else np.zeros(len(who), np.int64)
        found.numbers[where], found.totals[where], found.squares[where] = numbers, totals, squares
    return found


def _without(everyone: Sums, members: _Members, number: int) -> Sums:
    if number not in members:
        return everyone
    who, numbers, totals, squares = members[number]
    rest = Sums(everyone.numbers.copy(), everyone.totals.copy(), everyone.squares.copy())
    rest.numbers[who] -= numbers
    rest.totals[who] -= totals
    rest.squares[who] -= squares
    return rest
