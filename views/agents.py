"""One line an agent: how many calls, the score of each rubric with its interval, how much was unsure.

The interval of a mean score is Student's, 95 %, with the spread of calls within agents pooled over all
agents shown, since one agent's few calls alone say little about how much calls vary.
"""

from collections.abc import Iterable, Sequence
from math import fsum, sqrt
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from scipy.special import stdtrit

from wellheard.views.footing import footing_line, untrusted_lines
from wellheard.views.screen import percent, plain

CONFIDENCE = 0.95
# Below so many columns, teams are left to the other formats.
WIDE = 100
COLUMNS = ("agent_id", "date", "agent_name", "team", "calls", "seconds", "rubrics")
"""What `agents` needs of the dataset `agents`."""


def agents(days: pa.Table) -> pa.Table:
    """One row an agent, by `agent_id`, of the agents' days given (`COLUMNS`).

    Columns: `agent_id, agent_name, team, calls, hours, unsure` (share of the marks with occasion),
    `reviewed` and `corrected` (marks that people have heard, and whose answer they have changed), and for
    each rubric R: `R` (mean score, 0 to 1), `R_low`, `R_high`, `R_calls` (those that have a score). Calls
    without a score are left out of the mean; where nothing can be said, there is null.
    """
    of_agent: dict[str, list[dict[str, Any]]] = {}
    for day in days.select(list(COLUMNS)).sort_by("date").to_pylist():
        of_agent.setdefault(day["agent_id"], []).append(day)
    rubrics = sorted(
        {entry["rubric"] for own in of_agent.values() for day in own for entry in day["rubrics"]}
    )
    scores = {
        rubric: {agent_id: list(_scores(own, rubric)) for agent_id, own in of_agent.items()}
        for rubric in rubrics
    }
    spread = {rubric: _spread_within(list(scores[rubric].values())) for rubric in rubrics}
    rows = []
    for agent_id, own in sorted(of_agent.items()):
        counted = sum(entry["counted"] for day in own for entry in day["rubrics"])
        unsure = sum(entry["unsure"] for day in own for entry in day["rubrics"])
        row: dict[str, Any] = {
            "agent_id": agent_id,
            "agent_name": _last_told(own, "agent_name"),
            "team": _last_told(own, "team"),
            "calls": sum(day["calls"] for day in own),
            "hours": fsum(day["seconds"] for day in own) / 3600,
            "unsure": unsure / (counted + unsure) if counted + unsure else None,
            **{
                name: sum(entry.get(name, 0) for day in own for entry in day["rubrics"])
                for name in ("reviewed", "corrected")
            },
        }
        for rubric in rubrics:
            mean, low, high = _mean(scores[rubric][agent_id], spread[rubric])
            row |= {
                rubric: mean,
                f"{rubric}_low": low,
                f"{rubric}_high": high,
                f"{rubric}_calls": len(scores[rubric][agent_id]),
            }
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=_schema(rubrics))


def rubrics_of(rows: pa.Table) -> list[str]:
    """The rubrics that rows of `agents` hold."""
    return [name.removesuffix("_calls") for name in rows.column_names if name.endswith("_calls")]


def lowest(rows: pa.Table, most: int) -> pa.Table:
    """Of the rows at most so many: the agents with the lowest scores, by `agent_id`."""
    rubrics = rubrics_of(rows)
    worst_first = sorted(rows.to_pylist(), key=lambda row: _overall(row, rubrics))
    return pa.Table.from_pylist(
        sorted(worst_first[:most], key=lambda row: str(row["agent_id"])), schema=rows.schema
    )


def show(console: Console, rows: pa.Table) -> None:
    """The rows for people."""
    rubrics = rubrics_of(rows)
    shown = rows.to_pylist()
    teams = console.width >= WIDE and any(row["team"] for row in shown)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(plain("agent"), min_width=16)
    if teams:
        table.add_column(plain("team"))
    table.add_column(plain("calls"), justify="right", no_wrap=True)
    for rubric in rubrics:
        table.add_column(plain(rubric), no_wrap=True)
    table.add_column(plain("unsure"), justify="right", no_wrap=True)
    corrected = any(row["reviewed"] for row in shown)
    if corrected:
        table.add_column(plain("corrected"), justify="right", no_wrap=True)
    for row in shown:
        name = row["agent_id"] + (f" {row['agent_name']}" if row["agent_name"] else "")
        cells = [plain(name), *([plain(row["team"] or "")] if teams else []), plain(row["calls"])]
        cells += [plain(_score(row, rubric)) for rubric in rubrics]
        cells.append(plain(percent(row["unsure"])))
        if corrected:
            cells.append(plain(row["corrected"] or "–"))
        table.add_row(*cells)
    console.print(table)
    if any("*" in _score(row, rubric) for row in shown for rubric in rubrics):
        console.print(plain("*: not all of the agent's calls have a score there", "dim"))


def show_footing(console: Console, rows: pa.Table, untrusted: Iterable[tuple[str, str]]) -> None:
    """Whether the scores stand on machine marks only, and what does not count in them."""
    reviewed, corrected = (sum(row[name] for row in rows.to_pylist()) for name in ("reviewed", "corrected"))
    console.print(plain(footing_line(reviewed, corrected), "dim"))
    for line in untrusted_lines(untrusted):
        console.print(plain(line, "dim"))


def _score(row: dict[str, Any], rubric: str) -> str:
    """`67 % (51-83)`, with a star where not all of the agent's calls have a score."""
    text = percent(row[rubric])
    if row[f"{rubric}_low"] is not None:
        text += f" ({row[f'{rubric}_low'] * 100:.0f}-{row[f'{rubric}_high'] * 100:.0f})"
    return text if row[f"{rubric}_calls"] == row["calls"] else f"{text}*"


def _overall(row: dict[str, Any], rubrics: Sequence[str]) -> float:
    known = [row[rubric] for rubric in rubrics if row[rubric] is not None]
    return fsum(known) / len(known) if known else 2.0


def _scores(days: Iterable[dict[str, Any]], rubric: str) -> Iterable[float]:
    for day in days:
        for entry in day["rubrics"]:
            if entry["rubric"] == rubric:
                yield from entry["scores"]


def _spread_within(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """The pooled standard deviation within groups, and its degrees of freedom."""
    means = [fsum(group) / len(group) if group else 0.0 for group in groups]
    squares = fsum((value - mean) ** 2 for group, mean in zip(groups, means, strict=True) for value in group)
    freedom = sum(len(group) - 1 for group in groups if group)
    return (sqrt(squares / freedom) if freedom else 0.0), freedom


def _mean(
    scores: Sequence[float], spread: tuple[float, int]
) -> tuple[float | None, float | None, float | None]:
    if not scores:
        return None, None, None
    mean = fsum(scores) / len(scores)
    deviation, freedom = spread
    if not freedom or not deviation:  # calls all alike say nothing about how much calls vary
        return mean, None, None
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * deviation / sqrt(len(scores))
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)


def _last_told(days: Sequence[dict[str, Any]], column: str) -> str | None:
    return next((day[column] for day in reversed(days) if day[column] is not None), None)


def _schema(rubrics: Iterable[str]) -> pa.Schema:
    text, real, whole = pa.string(), pa.float64(), pa.int64()
    fields: list[pa.Field[Any]] = [
        pa.field("agent_id", text),
        pa.field("agent_name", text),
        pa.field("team", text),
        pa.field("calls", whole),
        pa.field("hours", real),
        pa.field("unsure", real),
        pa.field("reviewed", whole),
        pa.field("corrected", whole),
    ]
    for rubric in rubrics:
        fields += [pa.field(name, real) for name in (rubric, f"{rubric}_low", f"{rubric}_high")]
        fields.append(pa.field(f"{rubric}_calls", whole))
    return pa.schema(fields)
