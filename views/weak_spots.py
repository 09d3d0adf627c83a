"""Where one agent does worse, or better, than the rest of the team, and the calls that show it.

An agent is weaker or stronger only where the numbers carry it: the interval of the difference between
the two rates leaves out zero. It is Newcombe's (1998, method 10), made of the Wilson intervals of both.
An agent is compared on some 24 criteria at once, so the intervals are 99 %: a verdict by mere chance
then befalls about one agent in nine, not every second one.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.records import clock
from wellheard.views.screen import percent, plain

CONFIDENCE = 0.99
# A difference of less than this either way is none that a QA lead would act on.
ALIKE = 0.1
CALLS_SHOWN = 2

OWN_COLUMNS = ("call_id", "rubric", "criterion", "answer", "confidence", "evidence")
TEAM_COLUMNS = ("rubric", "criterion", "answer")

WEAKER, STRONGER, AS_TEAM, TOO_FEW, ALONE = (
    "weaker than the team",
    "stronger than the team",
    "as the team",
    "not enough calls",
    "no team to compare with",
)

_text, _real, _whole = pa.string(), pa.float64(), pa.int64()
_fields: "list[pa.Field[Any]]" = [
    pa.field("agent_id", _text),
    pa.field("rubric", _text),
    pa.field("criterion", _text),
    pa.field("verdict", _text),
    pa.field("asked", _whole),
    pa.field("yes", _whole),
    pa.field("unsure", _whole),
    pa.field("rate", _real),
    pa.field("rate_low", _real),
    pa.field("rate_high", _real),
    pa.field("team_asked", _whole),
    pa.field("team_yes", _whole),
    pa.field("team_rate", _real),
    pa.field("difference", _real),
    pa.field("difference_low", _real),
    pa.field("difference_high", _real),
    pa.field("calls", pa.list_(pa.struct([("call_id", _text), ("answer", _text), ("at_s", _real)]))),
]
SCHEMA = pa.schema(_fields)


@dataclass(frozen=True)
class Rate:
    """How often the answer was yes, of the times it was yes or no; `low` and `high` bound it (Wilson)."""

    asked: int
    yes: int

    @property
    def share(self) -> float:
        """The rate itself, from 0 to 1."""
        return self.yes / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval."""
        found = binomtest(self.yes, self.asked).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)


def weak_spots(agent_id: str, own: pa.Table, team: pa.Table) -> pa.Table:
    """One row a criterion (`SCHEMA`) for one agent against all others: weak spots first, strengths last.

    `own` are the agent's marks (`OWN_COLUMNS`), `team` those of all others (`TEAM_COLUMNS`). A criterion
    that was never answered yes or no for the agent has no row.

    Raises:
        NoResults: there are no marks of this agent.
    """
    if not own.num_rows:
        raise NoResults(f"There are no marks of agent {agent_id}", "`wellheard agents` shows all agents.")
    others = _answers(team)
    rows: list[dict[str, Any]] = [
        _row(agent_id, criterion, answers, others.get(criterion, Counter()), own)
        for criterion, answers in _answers(own).items()
        if answers["yes"] + answers["no"]
    ]
    rows.sort(key=_weakest_first)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _answers(marks: pa.Table) -> dict[tuple[str, str], Counter[str]]:
    """How often each criterion got each answer."""
    counts = marks.group_by(["rubric", "criterion", "answer"]).aggregate([([], "count_all")])
    answers: dict[tuple[str, str], Counter[str]] = {}
    for row in counts.to_pylist():
        answers.setdefault((row["rubric"], row["criterion"]), Counter())[row["answer"]] = row["count_all"]
    return answers


def _row(
    agent_id: str, criterion: tuple[str, str], answers: Counter[str], others: Counter[str], own: pa.Table
) -> dict[str, Any]:
    mine = Rate(answers["yes"] + answers["no"], answers["yes"])
    low, high = mine.interval
    row: dict[str, Any] = {
        "agent_id": agent_id,
        "rubric": criterion[0],
        "criterion": criterion[1],
        "verdict": ALONE,
        "asked": mine.asked,
        "yes": mine.yes,
        "unsure": answers["unsure"],
        "rate": mine.share,
        "rate_low": low,
        "rate_high": high,
        "team_asked": 0,
        "team_yes": 0,
    }
    team = Rate(others["yes"] + others["no"], others["yes"])
    better = mine.share >= 0.5
    if team.asked:
        difference = mine.share - team.share
        lowest, highest = _difference_interval(mine, team)
        better = difference > 0 or (difference == 0 and better)
        row |= {
            "verdict": _verdict(lowest, highest),
            "team_asked": team.asked,
            "team_yes": team.yes,
            "team_rate": team.share,
            "difference": difference,
            "difference_low": lowest,
            "difference_high": highest,
        }
    row["calls"] = _calls_that_show(own, criterion, "yes" if better else "no")
    return row


def _difference_interval(mine: Rate, team: Rate) -> tuple[float, float]:
    """Newcombe's hybrid score interval for the difference of two independent rates."""
    difference = mine.share - team.share
    (my_low, my_high), (team_low, team_high) = mine.interval, team.interval
    low = difference - sqrt((mine.share - my_low) ** 2 + (team_high - team.share) ** 2)
    high = difference + sqrt((my_high - mine.share) ** 2 + (team.share - team_low) ** 2)
    return low, high


def _verdict(low: float, high: float) -> str:
    if high < 0:
        return WEAKER
    if low > 0:
        return STRONGER
    return AS_TEAM if max(-low, high) <= ALIKE else TOO_FEW


def _calls_that_show(own: pa.Table, criterion: tuple[str, str], answer: str) -> list[dict[str, Any]]:
    """The calls with this answer that one should hear: those with evidence first, then the surest."""
    rubric, name = criterion
    fits = (pc.field("rubric") == rubric) & (pc.field("criterion") == name) & (pc.field("answer") == answer)
    found = own.filter(fits).select(["call_id", "confidence", "evidence"]).to_pylist()
    found.sort(key=lambda mark: (not mark["evidence"], -mark["confidence"], mark["call_id"]))
    return [
        {
            "call_id": mark["call_id"],
            "answer": answer,
            "at_s": mark["evidence"][0]["start_s"] if mark["evidence"] else None,
        }
        for mark in found[:CALLS_SHOWN]
    ]


def _weakest_first(row: dict[str, Any]) -> tuple[float, ...]:
    place = {WEAKER: 0, STRONGER: 2}.get(row["verdict"], 1)
    return place, row.get("difference", row["rate"] - 1), row["rate"], -row["asked"]


def show(console: Console, spots: pa.Table) -> None:
    """The rows of `weak_spots` for people: what to work on, what cannot be told yet, strengths."""
    rows = spots.to_pylist()
    agent = rows[0]["agent_id"] if rows else ""
    console.print(plain(f"Agent {agent}", "bold"), plain("against the rest of the team", "dim"))
    sections = (
        ("Weak spots", WEAKER, "red"),
        ("Not enough calls to tell", TOO_FEW, ""),
        ("No team to compare with", ALONE, ""),
        ("As the team", AS_TEAM, ""),
        ("Strengths", STRONGER, "green"),
    )
    for title, verdict, colour in sections:
        chosen = [row for row in rows if row["verdict"] == verdict]
        if chosen or verdict in (WEAKER, STRONGER):
            console.print()
            console.print(plain(title, f"bold {colour}".strip()))
            console.print(_table(chosen) if chosen else plain("none", "dim"))
    console.print()
    console.print(
        plain("calls: those that gave occasion; yes: the share done, with its 99 % interval", "dim")
    )


def _table(rows: Iterable[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("criterion", "calls", "yes", "team", "hear"):
        right, narrow = name in ("calls", "team"), name in ("calls", "yes", "team")
        table.add_column(
            plain(name),
            justify="right" if right else "left",
            no_wrap=narrow,
            min_width=20 if not narrow else None,
        )
    for row in rows:
        hear = ", ".join(
            call["call_id"] + ("" if call["at_s"] is None else f" {clock(call['at_s'])}")
            for call in row["calls"]
        )
        if row["calls"]:
            hear = f"{row['calls'][0]['answer']}: {hear}"
        table.add_row(
            plain(f"{row['rubric']}.{row['criterion']}"),
            plain(row["asked"]),
            plain(f"{percent(row['rate'])} ({row['rate_low'] * 100:.0f}-{row['rate_high'] * 100:.0f})"),
            plain(percent(row["team_rate"])),
            plain(hear),
        )
    return table
