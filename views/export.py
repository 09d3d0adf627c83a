"""Results for people who work in Excel: a workbook with a sheet for calls, agents, marks and failures.

Texts are texts, whatever they begin with: no cell is a formula or a link. Rows are written as they are read,
a day at a time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import xlsxwriter
from rich.console import Console

from wellheard.pipeline.datasets import SCHEMAS, UNKNOWN
from wellheard.pipeline.errors import NoResults, WellheardError
from wellheard.pipeline.morning.corrected import ADDED, Corrected
from wellheard.pipeline.morning.period import choose, stored_days
from wellheard.pipeline.store import Results
from wellheard.views import agents as agents_view
from wellheard.views.files import write_text, write_whole
from wellheard.views.screen import counted, plain, visible
from wellheard.views.tables import as_csv
from wellheard.views.workbook import Columns, Kind, Rows, Sheet


class UnknownEnding(WellheardError):
    """The file's name says neither .xlsx nor .csv."""


_TYPES: dict[Kind, pa.DataType] = {
    Kind.DAY: pa.date32(),
    Kind.LENGTH: pa.float64(),
    Kind.SHARE: pa.float64(),
    Kind.NUMBER: pa.float64(),
    Kind.WHOLE: pa.int64(),
}
# Excel shows these as hours, minutes and seconds; elsewhere the name says what the number is.
_IN_SECONDS = {"duration": "duration_s"}
_FAILURES: Columns = {
    "date": Kind.DAY,
    "call_id": Kind.TEXT,
    "agent_id": Kind.TEXT,
    "path": Kind.LONG,
    "stage": Kind.TEXT,
    "reason": Kind.LONG,
    "advice": Kind.LONG,
}
_MARKS: Columns = {
    "call_id": Kind.TEXT,
    "date": Kind.DAY,
    "agent_id": Kind.TEXT,
    "rubric": Kind.TEXT,
    "rubric_version": Kind.TEXT,
    "criterion": Kind.TEXT,
    "answer": Kind.ANSWER,
    "machine_answer": Kind.ANSWER,
    "review": Kind.TEXT,
    "leaning": Kind.ANSWER,
    "confidence": Kind.SHARE,
    "weight": Kind.NUMBER,
    "critical": Kind.ANSWER,
    "reason": Kind.LONG,
    "at": Kind.LENGTH,
    "who": Kind.TEXT,
    "quote": Kind.LONG,
    "belonged_from": Kind.LENGTH,
    "belonged_to": Kind.LENGTH,
    "nearest": Kind.LONG,
    "judge": Kind.TEXT,
}
_OF_A_CALL: Columns = {
    "call_id": Kind.TEXT,
    "date": Kind.DAY,
    "started": Kind.MOMENT,
    "agent_id": Kind.TEXT,
    "agent_name": Kind.TEXT,
    "team": Kind.TEXT,
    "region": Kind.TEXT,
    "customer_segment": Kind.TEXT,
    "company": Kind.TEXT,
    "direction": Kind.TEXT,
    "duration": Kind.LENGTH,
    "language": Kind.TEXT,
    "role_confidence": Kind.SHARE,
}
_SCORE: Columns = {
    "score": Kind.SHARE,
    "counted": Kind.WHOLE,
    "unsure": Kind.WHOLE,
    "corrected": Kind.WHOLE,
}
_CALLS_READ = (
    *(name for name in _OF_A_CALL if name in SCHEMAS["calls"].names),
    *("started_local", "duration_s", "scores", "extra", "paths", "notes"),
)
_MARKS_READ = (
    *(name for name in _MARKS if name in SCHEMAS["marks"].names or name in ADDED),
    *("evidence", "absence"),
)


@dataclass(frozen=True)
class Exported:
    """What was written: rows a sheet, and what there was no room for."""

    rows: Mapping[str, int]
    left_out: Sequence[str] = ()


def export(
    results: Results,
    out: Path,
    first: date | None = None,
    last: date | None = None,
    on_day: Callable[[int, int], None] = lambda _done, _total: None,
) -> Exported:
    """Write the results from `first` to `last`, or all, into a workbook; to .csv the sheet of calls alone.

    Scores and answers are as they count (`corrected.py`), with how many marks were corrected.
    `on_day` is told how many of the days are read.

    Raises:
        UnknownEnding: the file's name ends neither in .xlsx nor in .csv.
        NoResults: nothing is stored of these days.
        NoPeriod: `first` is after `last`.
        CannotWrite: the file cannot be written.
    """
    ending = out.suffix.lower()
    if ending not in (".xlsx", ".csv"):
        raise UnknownEnding(
            f"{out.name} is neither .xlsx nor .csv", "Give --out a name that ends in one of them."
        )
    days = _days(results, first, last)
    results = Corrected(results.folder, results.untrusted)
    if ending == ".csv":
        columns, rows = _calls(results, days, on_day, marks=None)
        columns = {_IN_SECONDS.get(name, name): kind for name, kind in columns.items()}
        schema = pa.schema({name: _TYPES.get(kind, pa.string()) for name, kind in columns.items()})
        write_text(out, "\ufeff" + as_csv(pa.Table.from_pylist([*map(_in_csv, rows)], schema)))
        return Exported({"calls": len(rows)})
    sheets: dict[str, Sheet] = {}
    write_whole(out, lambda stream: sheets.update(_write_workbook(stream, results, days, on_day)))
    left_out = [line for sheet in sheets.values() for line in sheet.left_out]
    return Exported({name: sheet.rows for name, sheet in sheets.items()}, left_out)


def _days(results: Results, first: date | None, last: date | None) -> list[str]:
    stored = stored_days(results)
    if first is None and last is None:
        days = stored
    else:
        period = choose(stored, first, last)
        days = [day for day in stored if day != UNKNOWN and period.first <= day <= period.last]
    if not days:
        known = [day for day in stored if day != UNKNOWN]
        raise NoResults(
            "Nothing is stored of these days",
            f"Stored are {known[0]} to {known[-1]}." if known else "Leave out --from and --to.",
        )
    return days


def _write_workbook(
    stream: BinaryIO,
    results: Results,
    days: Sequence[str],
    on_day: Callable[[int, int], None],
) -> dict[str, Sheet]:
    of_days = pc.field("date").isin(list(days))
    # Of rows that are already written only a line at a time is in memory.
    with xlsxwriter.Workbook(stream, {"constant_memory": True}) as book:
        sheets = {name: Sheet(book, name) for name in ("calls", "agents", "marks", "failures")}
        sheets["marks"].begin(_MARKS)
        columns, rows = _calls(results, days, on_day, sheets["marks"])
        sheets["calls"].begin(columns)
        sheets["calls"].add(rows)
        columns, rows = _agents(results.table("agents", agents_view.COLUMNS, of_days))
        sheets["agents"].begin(columns)
        sheets["agents"].add(rows)
        sheets["failures"].begin(_FAILURES)
        sheets["failures"].add(
            {**row, "date": _day(row["date"])}
            for row in results.table("failures", list(_FAILURES), of_days).to_pylist()
        )
        for sheet in sheets.values():
            sheet.end()
    return sheets


def _calls(
    results: Results,
    days: Sequence[str],
    on_day: Callable[[int, int], None],
    marks: Sheet | None,
) -> tuple[Columns, list[dict[str, Any]]]:
    """Columns and rows of calls; the marks, which are read on the way, go into their sheet."""
    rows: list[dict[str, Any]] = []
    extras: set[str] = set()
    rubrics: set[str] = set()
    criteria: set[str] = set()
    for number, day in enumerate(days):
        on_day(number, len(days))
        only = pc.field("date") == day
        answers: dict[str, dict[str, str]] = {}
        wanted = _MARKS_READ if marks else ("call_id", "rubric", "criterion", "answer")
        for mark in _by_row(results.table("marks", wanted, only)):
            name = f"{mark['rubric']}.{mark['criterion']}"
            answers.setdefault(mark["call_id"], {})[name] = mark["answer"]
            if marks:
                marks.add([_mark(mark)])
        for call in _by_row(results.table("calls", _CALLS_READ, only)):
            extra = {f"extra: {name}": value for name, value in call["extra"] or ()}
            of_call = answers.get(call["call_id"], {})
            rows.append({**_call(call), **extra, **of_call})
            extras.update(extra)
            criteria.update(of_call)
            rubrics.update(score["rubric"] for score in call["scores"] or ())
    on_day(len(days), len(days))
    columns: Columns = {
        **_OF_A_CALL,
        **dict.fromkeys(sorted(extras), Kind.TEXT),
        **{f"{rubric} {what}": kind for rubric in sorted(rubrics) for what, kind in _SCORE.items()},
        **dict.fromkeys(sorted(criteria), Kind.ANSWER),
        "notes": Kind.LONG,
        "recording": Kind.LONG,
    }
    return columns, rows


def _by_row(table: pa.Table) -> Rows:
    for batch in table.to_batches(max_chunksize=1000):
        yield from batch.to_pylist()


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    started = call["started_local"]
    row = {name: call[name] for name in _OF_A_CALL if name in call}
    for score in call["scores"] or ():
        for what in _SCORE:
            row[f"{score['rubric']} {what}"] = score[what]
    return row | {
        "date": _day(call["date"]),
        "started": datetime.fromisoformat(started).replace(tzinfo=None) if started else None,
        "duration": call["duration_s"],
        "notes": "; ".join(call["notes"] or ()),
        "recording": " | ".join(call["paths"] or ()),
    }


def _mark(mark: Mapping[str, Any]) -> dict[str, Any]:
    proof: Mapping[str, Any] = next(iter(mark["evidence"] or ()), {})
    absence = mark["absence"] or {}
    nearest: Mapping[str, Any] = next(iter(absence.get("nearest") or ()), {})
    return {
        **mark,
        "date": _day(mark["date"]),
        "at": proof.get("start_s"),
        "who": proof.get("speaker"),
        "quote": proof.get("quote"),
        "belonged_from": absence.get("start_s"),
        "belonged_to": absence.get("end_s"),
        "nearest": nearest.get("quote"),
    }


def _agents(days: pa.Table) -> tuple[Columns, list[dict[str, Any]]]:
    table = agents_view.agents(days)
    columns: Columns = {
        "agent_id": Kind.TEXT,
        "agent_name": Kind.TEXT,
        "team": Kind.TEXT,
        "calls": Kind.WHOLE,
        "hours": Kind.NUMBER,
        "unsure": Kind.SHARE,
        "corrected": Kind.WHOLE,
    }
    names = {name: name for name in columns}
    for rubric in agents_view.rubrics_of(table):
        for ending, what, kind in (
            ("", "score", Kind.SHARE),
            ("_low", "from (95 %)", Kind.SHARE),
            ("_high", "to (95 %)", Kind.SHARE),
            ("_calls", "calls", Kind.WHOLE),
        ):
            columns[f"{rubric} {what}"] = kind
            names[f"{rubric} {what}"] = f"{rubric}{ending}"
    return columns, [{name: row[key] for name, key in names.items()} for row in table.to_pylist()]


def _day(text: str) -> date | str:
    return text if text == UNKNOWN else date.fromisoformat(text)


def _in_csv(row: Mapping[str, Any]) -> dict[str, Any]:
    """Dates as dates or nothing; moments and whatever else is no number as text."""
    day, started = row["date"], row["started"]
    return {
        **row,
        **{in_seconds: row[name] for name, in_seconds in _IN_SECONDS.items()},
        "date": day if isinstance(day, date) else None,
        "started": started and started.isoformat(sep=" ", timespec="minutes"),
    }


def show(console: Console, out: Path, exported: Exported) -> None:
    """What was written, and what was left out."""
    words = {"calls": "call", "agents": "agent", "marks": "mark", "failures": "failure"}
    parts = [counted(number, words[name]) for name, number in exported.rows.items()]
    console.print(plain(f"{visible(str(out))}: {', '.join(parts)}"), soft_wrap=True)
    for line in exported.left_out:
        console.print(plain(f"Note: {line}. Take fewer days with --from and --to.", "yellow"), soft_wrap=True)
