"""Where one agent does worse, or better, than the team, what has changed, and the calls that show it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from wellheard.pipeline.morning.corrected import Footing
from wellheard.pipeline.morning.examples import Wanted, pick
from wellheard.pipeline.morning.standing import (
    ALIKE,
    ALONE,
    BETTER,
    LEAST,
    STRONGER,
    TOO_FEW,
    UNTRUSTED,
    WEAKER,
    WORSE,
    Period,
    Team,
)
from wellheard.pipeline.records import clock
from wellheard.views.footing import footing_line
from wellheard.views.screen import counted, percent, plain

CALLS_SHOWN = 2

_text, _real, _whole = pa.string(), pa.float64(), pa.int64()
FIELDS: "list[pa.Field[Any]]" = [
    pa.field("agent_id", _text),
    pa.field("rubric", _text),
    pa.field("criterion", _text),
    pa.field("verdict", _text),
    pa.field("asked", _whole),
    pa.field("yes", _whole),
    pa.field("unsure", _whole),
    pa.field("rate", _real),
    pa.field("likely", _real),
    pa.field("likely_low", _real),
    pa.field("likely_high", _real),
    pa.field("team_asked", _whole),
    pa.field("team_yes", _whole),
    pa.field("team_rate", _real),
    pa.field("difference", _real),
    pa.field("difference_low", _real),
    pa.field("difference_high", _real),
    pa.field("chance", _real),
    pa.field("past_asked", _whole),
    pa.field("past_yes", _whole),
    pa.field("past_rate", _real),
    pa.field("change", _real),
    pa.field("change_low", _real),
    pa.field("change_high", _real),
    pa.field("change_verdict", _text),
    pa.field("calls", pa.list_(pa.struct([("call_id", _text), ("answer", _text), ("at_s", _real)]))),
]
SCHEMA = pa.schema(FIELDS)


def weak_spots(standing: Iterable[Mapping[str, Any]], marks: Sequence[dict[str, Any]]) -> pa.Table:
    """The rows of an agent's standing (`SCHEMA`), weak spots first and strengths last.

    `marks` are the agent's own, from which come the calls that show it.
    """
    rows = [{**row, "calls": list(_calls(row, marks))} for row in standing]
    rows.sort(key=weakest_first)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def weakest_first(row: Mapping[str, Any]) -> tuple[float, ...]:
    """The order of rows: weak spots, then what is neither, then strengths; the lowest first."""
    place = {WEAKER: 0, STRONGER: 2}.get(row["verdict"], 1)
    return place, row.get("difference", row["rate"] - 1), row["rate"], -row["asked"]


def _calls(row: Mapping[str, Any], marks: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    difference = row.get("difference", row["rate"] - 0.5)
    answer = "yes" if row["yes"] and (difference >= 0 or row["yes"] == row["asked"]) else "no"
    for mark in pick(marks, Wanted(row["rubric"], row["criterion"], answer, CALLS_SHOWN)):
        absence = mark["absence"]
        place = (mark["evidence"] or (absence and (absence["nearest"] or [absence])) or [None])[0]
        yield {"call_id": mark["call_id"], "answer": answer, "at_s": place and place["start_s"]}


def heading(team: Team, agent_id: str, period: Period, footing: Footing) -> list[str]:
    """Who is compared with whom, over which calls, and what the figures stand on."""
    name = team.name(agent_id)
    colleagues, own_team = len(team.colleagues(agent_id)), team.team_of(agent_id)
    who = f"Agent {agent_id}" + (f" {name}" if name else "")
    if own_team is not None:
        against = f"against {counted(colleagues, 'colleague')} of team {own_team}"
    elif colleagues:
        against = f"against {counted(colleagues, 'other agent')}"
    else:
        against = "there is nobody to compare with"
    calls = counted(period.calls, "call")
    if period.since is not None:
        calls += f" from {period.since} on"
    calls += f", {counted(period.past_calls, 'earlier one')}"
    if period.undated:
        calls += f"; {counted(period.undated, 'call')} of an unknown day counted in"
    calls += f"; {footing_line(footing.reviewed, footing.corrected, footing.marks)}"
    return [who, against, calls]


def show(console: Console, about: Sequence[str], spots: pa.Table) -> None:
    """The rows of `weak_spots` for people: what to work on, what cannot be told yet, strengths."""
    who, against, calls = about
    console.print(plain(who, "bold"), plain(against, "dim"))
    console.print(plain(calls, "dim"))
    rows = spots.to_pylist()
    if not rows:
        console.print()
        console.print(plain("No criterion was answered yes or no in these calls."))
        return
    sections = (
        ("Weak spots", WEAKER, "red"),
        ("Not enough calls to tell", TOO_FEW, ""),
        ("No team to compare with", ALONE, ""),
        ("No clear difference", ALIKE, ""),
        ("Marks not trusted, not counted", UNTRUSTED, ""),
        ("Strengths", STRONGER, "green"),
    )
    for title, verdict, colour in sections:
        chosen = [row for row in rows if row["verdict"] == verdict]
        if chosen or verdict in (WEAKER, STRONGER):
            console.print()
            console.print(plain(title, f"bold {colour}".strip()))
            console.print(_table(chosen, verdict) if chosen else plain("none", "dim"))
            if verdict in (WEAKER, STRONGER, ALONE) and any(row["calls"] for row in chosen):
                console.print(_to_hear(chosen))
    console.print()
    for line in LEGEND:
        console.print(plain(line, "dim"))


LEGEND = (
    "yes: of the calls that gave occasion; likely: that rate with its 95 % interval, drawn towards the team "
    "where calls are few",
    "chance: how likely there is nothing to it. Of all that is named in a team, at most 5 % are chance",
    f"before: the agent's earlier calls; better or worse: by more than chance and {LEAST * 100:.0f} points",
)


def _table(rows: Iterable[dict[str, Any]], verdict: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    sure = verdict in (WEAKER, STRONGER)
    table.add_column(plain("criterion"), min_width=26)
    for name in ("yes", "likely", "team", *(["chance"] if sure else []), "before"):
        table.add_column(plain(name), no_wrap=True, justify="right" if name in ("team", "chance") else "left")
    for row in rows:
        cells = [
            f"{row['rubric']}.{row['criterion']}",
            f"{row['yes']} of {row['asked']}",
            interval(row["likely"], row["likely_low"], row["likely_high"]),
            percent(row["team_rate"]),
            *([chance(row["chance"])] if sure else []),
            before(row),
        ]
        table.add_row(*map(plain, cells))
    return table


def _to_hear(rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(plain("hear"), min_width=26)
    table.add_column()
    for row in rows:
        calls = ", ".join(
            call["call_id"] + ("" if call["at_s"] is None else f" {clock(call['at_s'])}")
            for call in row["calls"]
        )
        if calls:
            name = f"{row['rubric']}.{row['criterion']}"
            table.add_row(plain(name), plain(f"{row['calls'][0]['answer']}: {calls}"))
    return table


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """`26 % (15-38)`."""
    if value is None or low is None or high is None:
        return percent(value)
    return f"{percent(value)} ({low * 100:.0f}-{high * 100:.0f})"


def chance(share: float) -> str:
    """`4 %`; what rounds to nothing is not nothing."""
    return "< 1 %" if share < 0.01 else percent(share)


def before(row: Mapping[str, Any]) -> str:
    """The earlier rate, with a word if it has moved."""
    if not row["past_asked"]:
        return "–"
    word = {BETTER: " better", WORSE: " worse"}.get(row["change_verdict"], "")
    return percent(row["past_rate"]) + word
