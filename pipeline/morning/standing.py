"""Where an agent stands: each criterion's rate of yes against the team, and against the agent's own past.

Only the dataset `agents` is needed, so many nights of many agents are read at once. The statistics are
`comparison.py`'s. The team are the colleagues whom the manifest puts into the agent's team, where there are
at least `FEWEST_COLLEAGUES` of them, else all other agents.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wellheard.pipeline.datasets import UNKNOWN
from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.morning import comparison
from wellheard.pipeline.morning.comparison import Array, Cells, Compared
from wellheard.pipeline.store import Results

COLUMNS = ("agent_id", "date", "agent_name", "team", "calls", "criteria")
"""What is needed of the dataset `agents`."""

LOOKED_AT_DAYS = 30
FEWEST_COLLEAGUES = 3
# A difference of less than this either way is none that anybody would act on.
LEAST = 0.05
SURE = 0.95

WEAKER, STRONGER, ALIKE, TOO_FEW, ALONE, UNTRUSTED = (
    "weaker than the team",
    "stronger than the team",
    "no clear difference",
    "not enough calls",
    "no team to compare with",
    "marks not trusted",
)
BETTER, WORSE, UNCHANGED, NO_PAST = (
    "better than before",
    "worse than before",
    "no clear change",
    "no earlier calls",
)
REACHED, SEEMS_REACHED, SEEMS_MISSED, MISSED, NO_CALLS = (
    "reached",
    "reached, not sure yet",
    "not reached, not sure yet",
    "not reached",
    "no calls yet",
)

Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Numbers of calls in some period, (agents, criteria): answered yes, answered yes or no, unsure."""

    yes: Array
    asked: Array
    unsure: Array


class Team:
    """All agents' answers, day by day.

    `agents` and `criteria` (rubric and criterion) are the rows and columns of what `between` gives.
    """

    def __init__(self, days: pa.Table, untrusted: Collection[tuple[str, str]] = ()) -> None:
        """From rows of the dataset `agents` (`COLUMNS`); `untrusted` criteria get no verdict."""
        self.untrusted = untrusted
        days = days.select(list(COLUMNS)).sort_by([("date", "ascending"), ("agent_id", "ascending")])
        days = days.combine_chunks()
        self._days = days.select(["agent_id", "date", "agent_name", "team", "calls"]).to_pylist()
        self.agents = sorted({day["agent_id"] for day in self._days})
        self._place = {agent_id: place for place, agent_id in enumerate(self.agents)}
        self._team = {day["agent_id"]: day["team"] for day in self._days if day["team"]}
        self._name = {day["agent_id"]: day["agent_name"] for day in self._days if day["agent_name"]}
        self._members = Counter(self._team.values())
        self._flatten(days)

    def _flatten(self, days: pa.Table) -> None:
        lists = pa.chunked_array(days["criteria"].chunks, days["criteria"].type).combine_chunks()
        entries = pc.list_flatten(lists)
        day = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
        rubrics = pc.struct_field(entries, "rubric").dictionary_encode()
        criteria = pc.struct_field(entries, "criterion").dictionary_encode()
        names = rubrics.dictionary.to_pylist(), criteria.dictionary.to_pylist()
        codes = _codes(rubrics) * max(len(names[1]), 1) + _codes(criteria)
        found, of_entry = np.unique(codes, return_inverse=True)
        named = [(names[0][code // len(names[1])], names[1][code % len(names[1])]) for code in found]
        self.criteria: list[tuple[str, str]] = sorted(named)
        column = {name: place for place, name in enumerate(self.criteria)}
        self._criterion: Counts = np.array([column[name] for name in named], np.int64)[of_entry]
        row_of_day = np.array([self._place[row["agent_id"]] for row in self._days], np.int64)
        date_of_day = np.array([row["date"] for row in self._days], np.str_)
        self._agent: Counts = row_of_day[day] if len(day) else np.empty(0, np.int64)
        self._date = date_of_day[day] if len(day) else np.empty(0, np.str_)
        self._numbers = {
            name: pc.struct_field(entries, name).to_numpy(zero_copy_only=False).astype(np.float64)
            for name in ("yes", "no", "unsure")
        }

    def between(self, first: str | None, last: str | None = None) -> Answers:
        """What was answered from the day `first` to the day `last`.

        Calls of an unknown day count to a period without an end.
        """
        chosen = np.ones(self._date.shape, np.bool_)
        if first is not None:
            chosen &= (self._date >= first) | (self._date == UNKNOWN)
        if last is not None:
            chosen &= (self._date <= last) & (self._date != UNKNOWN)
        found = {}
        for name, numbers in self._numbers.items():
            found[name] = np.zeros((len(self.agents), len(self.criteria)))
            np.add.at(found[name], (self._agent[chosen], self._criterion[chosen]), numbers[chosen])
        return Answers(found["yes"], found["yes"] + found["no"], found["unsure"])

    def place(self, agent_id: str) -> int:
        """The agent's row."""
        return self._place[agent_id]

    def name(self, agent_id: str) -> str | None:
        """The agent's name, as told last."""
        return self._name.get(agent_id)

    def days_of(self, agent_id: str) -> list[tuple[str, int]]:
        """The agent's days, oldest first, with the number of calls."""
        return [(day["date"], day["calls"]) for day in self._days if day["agent_id"] == agent_id]

    def team_of(self, agent_id: str) -> str | None:
        """The team that the agent is compared with; None if these are all other agents."""
        team = self._team.get(agent_id)
        return team if team is not None and self._members[team] > FEWEST_COLLEAGUES else None

    def colleagues(self, agent_id: str) -> list[str]:
        """Whom the agent is compared with."""
        team = self.team_of(agent_id)
        return [
            other
            for other in self.agents
            if other != agent_id and (team is None or self._team.get(other) == team)
        ]

    def of_others(self, answers: Answers) -> tuple[Array, Array]:
        """For each agent the answers of all whom this agent is compared with: yes, and asked."""
        teams = [self.team_of(agent_id) for agent_id in self.agents]
        found = []
        for values in (answers.yes, answers.asked):
            others = values.sum(axis=0) - values
            for team in {team for team in teams if team is not None}:
                own = [self._place[agent_id] for agent_id in self.agents if self._team.get(agent_id) == team]
                others[own] = values[own].sum(axis=0) - values[own]
            found.append(others)
        return found[0], found[1]


def _codes(values: Any) -> Counts:
    codes: Counts = values.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def read(results: Results, agent_id: str) -> Team:
    """All agents' answers, of a folder that has scored calls of this agent.

    Raises:
        NoResults: no run has ever stored into this folder, or there are no scored calls of the agent.
    """
    team = Team(results.table("agents", COLUMNS), results.untrusted)
    if agent_id not in team.agents:
        failed = results.table("failures", ["agent_id"], pc.field("agent_id") == agent_id).num_rows
        raise NoResults(
            f"There are no scored calls of agent {agent_id}"
            + (f"; {failed} could not be scored" if failed else ""),
            "`wellheard agents` shows all agents.",
        )
    return team


@dataclass(frozen=True)
class Period:
    """What is looked at: an agent's calls from `since` on, or all of them; `past` are those before."""

    since: str | None
    until: str | None
    calls: int
    past_calls: int
    undated: int


def period(team: Team, agent_id: str, since: str | None = None) -> Period:
    """The period to look at: from `since` on, else the 30 days up to the agent's last call.

    Raises:
        NoResults: there are no calls of this agent in that period.
    """
    days = team.days_of(agent_id)
    dated = [(day, calls) for day, calls in days if day != UNKNOWN]
    undated = sum(calls for day, calls in days if day == UNKNOWN)
    last = dated[-1][0] if dated else None
    if since is None and last is not None:
        since = (date.fromisoformat(last) - timedelta(LOOKED_AT_DAYS - 1)).isoformat()
    calls = undated + sum(calls for day, calls in dated if since is None or day >= since)
    if not calls:
        raise NoResults(
            f"There are no calls of agent {agent_id} since {since}; the last is of {last}",
            "Give an earlier day with --since.",
        )
    past = sum(calls for day, calls in dated if since is not None and day < since)
    return Period(since, last, calls, past, undated)


def standing(team: Team, agent_id: str, of: Period) -> list[dict[str, Any]]:
    """One row for each criterion that was answered yes or no in this period, in the order of the criteria.

    `rate` is the bare share of yes; `likely` what it is likely to be, drawn towards the team, with its 95 %
    credible interval; `difference` is that less the team's. `chance` is the probability that there is no
    difference to this side. `change` and what begins with `past` compare with the agent's earlier calls.
    """
    place = team.place(agent_id)
    now = team.between(of.since)
    others_yes, others_asked = team.of_others(now)
    known = (now.asked > 0) & (others_asked > 0)
    past = team.between(None, _day_before(of.since)) if of.since else None
    against_team = _of_agent(known, place, _against(now, others_yes, others_asked, known))
    against_past = _of_agent(*_moves(team, past, now, place)) if past is not None else {}
    rows = []
    for column in map(int, np.flatnonzero(now.asked[place] > 0)):
        rubric, criterion = team.criteria[column]
        asked, yes = int(now.asked[place, column]), int(now.yes[place, column])
        row: dict[str, Any] = {
            "agent_id": agent_id,
            "rubric": rubric,
            "criterion": criterion,
            "verdict": ALONE,
            "asked": asked,
            "yes": yes,
            "unsure": int(now.unsure[place, column]),
            "rate": yes / asked,
            "team_asked": int(others_asked[place, column]),
            "team_yes": int(others_yes[place, column]),
            "past_asked": int(past.asked[place, column]) if past else 0,
            "past_yes": int(past.yes[place, column]) if past else 0,
            "change_verdict": NO_PAST,
        }
        if column in against_team:
            row |= _against_team(row, *against_team[column])
        if row["past_asked"]:
            row["past_rate"] = row["past_yes"] / row["past_asked"]
        if column in against_past:
            row |= _against_past(*against_past[column])
        if (rubric, criterion) in team.untrusted:
            row |= {"verdict": UNTRUSTED, "change_verdict": UNTRUSTED}
        rows.append(row)
    return rows


def _against_team(row: dict[str, Any], found: Compared, at: int) -> dict[str, Any]:
    difference = float(found.difference[at])
    verdict = ALIKE if found.enough[at] else TOO_FEW
    if found.is_low[at] or found.is_high[at]:
        verdict = ALIKE if abs(difference) < LEAST else WEAKER if found.is_low[at] else STRONGER
    return {
        "verdict": verdict,
        "likely": float(found.rate[at]),
        "likely_low": float(found.rate_low[at]),
        "likely_high": float(found.rate_high[at]),
        "team_rate": row["team_yes"] / row["team_asked"],
        "difference": difference,
        "difference_low": float(found.difference_low[at]),
        "difference_high": float(found.difference_high[at]),
        "chance": float((found.chance_low if difference < 0 else found.chance_high)[at]),
    }


def _against_past(found: Compared, at: int) -> dict[str, Any]:
    return {
        "change": float(found.difference[at]),
        "change_low": float(found.difference_low[at]),
        "change_high": float(found.difference_high[at]),
        "change_verdict": _moved(found, at),
    }


def _moved(found: Compared, at: int) -> str:
    if found.is_low[at] or found.is_high[at]:
        small = abs(float(found.difference[at])) < LEAST
        return UNCHANGED if small else WORSE if found.is_low[at] else BETTER
    return UNCHANGED if found.enough[at] else TOO_FEW


def _against(answers: Answers, others_yes: Array, others_asked: Array, known: npt.NDArray[np.bool_]) -> Cells:
    return Cells(
        answers.yes[known],
        answers.asked[known],
        comparison.observed(others_yes[known], others_asked[known]),
    )


def _of_agent(known: npt.NDArray[np.bool_], place: int, cells: Cells) -> dict[int, tuple[Compared, int]]:
    """For each criterion of one agent: what is known, and where in it; learnt from all agents' cells."""
    rows, columns = np.nonzero(known)
    own = np.flatnonzero(rows == place)
    if not own.size:
        return {}
    found = comparison.compare(cells[own], comparison.fit(cells))
    return {int(column): (found, at) for at, column in enumerate(columns[own])}


def _moves(
    team: Team, before: Answers, after: Answers, place: int
) -> tuple[npt.NDArray[np.bool_], int, Cells]:
    """Later answers against earlier ones of the same agent, which are drawn towards the team first.

    As many cells of other agents as there is something to learn from, and all of the agent's own.
    """
    known = (before.asked > 0) & (after.asked > 0)
    others_yes, others_asked = team.of_others(before)
    earlier = _against(before, others_yes, others_asked, known)
    if not earlier.asked.size:
        return known, place, earlier
    rows, columns = np.nonzero(known)
    chosen = np.union1d(comparison.enough_to_learn(rows.size), np.flatnonzero(rows == place))
    used = np.zeros(known.shape, np.bool_)
    used[rows[chosen], columns[chosen]] = True
    expected = comparison.expected(earlier[chosen], comparison.fit(earlier))
    return used, place, Cells(after.yes[used], after.asked[used], expected)


@dataclass(frozen=True)
class Goal:
    """A rate of yes that was agreed upon on a day; `until` is the day on which it was agreed anew."""

    day: str
    rubric: str
    criterion: str
    target: float
    until: str | None = None


def progress(team: Team, agent_id: str, goals: Sequence[Goal]) -> list[dict[str, Any]]:
    """What has become of each goal: the agent's rate in the 30 days up to that day, and after it.

    `moved` says whether it moved by more than chance, `state` whether the target is reached. The team's rate
    over the same days says what moved for everybody.
    """
    place = team.place(agent_id)
    found: dict[tuple[str, str | None], tuple[Answers, Answers, dict[int, tuple[Compared, int]]]] = {}
    rows = []
    for goal in goals:
        dates = (goal.day, goal.until)
        if dates not in found:
            earlier = [day for day, _ in team.days_of(agent_id) if day != UNKNOWN and day <= goal.day]
            first = date.fromisoformat(earlier[-1] if earlier else goal.day)
            before = team.between((first - timedelta(LOOKED_AT_DAYS - 1)).isoformat(), goal.day)
            after = team.between(_day_after(goal.day), goal.until or _LAST_DAY)
            found[dates] = before, after, _of_agent(*_moves(team, before, after, place))
        rows.append({"date": goal.day, "target": goal.target} | _became(team, place, goal, *found[dates]))
    return rows


_LAST_DAY = "9999-12-31"


def _became(
    team: Team,
    place: int,
    goal: Goal,
    before: Answers,
    after: Answers,
    moves: dict[int, tuple[Compared, int]],
) -> dict[str, Any]:
    row: dict[str, Any] = {"rubric": goal.rubric, "criterion": goal.criterion, "moved": NO_CALLS}
    row |= {"state": NO_CALLS, "before_asked": 0, "before_yes": 0, "asked": 0, "yes": 0}
    if (goal.rubric, goal.criterion) not in team.criteria:
        return row
    column = team.criteria.index((goal.rubric, goal.criterion))
    for name, answers in (("before_", before), ("", after)):
        yes, asked = float(answers.yes[place, column]), float(answers.asked[place, column])
        others_yes, others_asked = (float(values[place, column]) for values in team.of_others(answers))
        row |= {
            f"{name}asked": int(asked),
            f"{name}yes": int(yes),
            f"{name}rate": yes / asked if asked else None,
            f"{name}team_rate": others_yes / others_asked if others_asked else None,
        }
    if not row["asked"]:
        return row
    row["state"] = _state(row["yes"], row["asked"], goal.target)
    row["moved"] = NO_PAST
    if column in moves:
        compared, at = moves[column]
        row |= {
            "moved": _moved(compared, at),
            "change": float(compared.difference[at]),
            "change_low": float(compared.difference_low[at]),
            "change_high": float(compared.difference_high[at]),
        }
    return row


def _state(yes: int, asked: int, target: float) -> str:
    sure = comparison.at_least(yes, asked, target)
    if yes / asked >= target:
        return REACHED if sure >= SURE else SEEMS_REACHED
    return MISSED if sure <= 1 - SURE else SEEMS_MISSED


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(1)).isoformat()


def _day_after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(1)).isoformat()
