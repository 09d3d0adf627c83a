"""What is stored of a night or a longer period, and of the time before it: read once, for a report."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wellheard.pipeline.agents import SUMMED_UP, summarise
from wellheard.pipeline.datasets import SCHEMAS, UNKNOWN
from wellheard.pipeline.errors import NoResults, WellheardError
from wellheard.pipeline.store import Results

# Of a period that is larger, calls are read only where the agents' sums say that one should look.
MOST_FILES = 6_000
MOST_CALLS = 50_000

CALL_COLUMNS = (
    "call_id",
    "agent_id",
    "date",
    "agent_name",
    "team",
    "region",
    "customer_segment",
    "company",
    "direction",
    "started_local",
    "extra",
    "paths",
    "channels",
    "duration_s",
    "expected_s",
    "language",
    "language_probability",
    "language_given",
    "role_confidence",
    "grade",
    "unheard",
    "scores",
    "notes",
)
BEFORE_COLUMNS = ("agent_id", "customer_segment", "company", "direction", "language", "extra", "scores")
MARK_COLUMNS = (
    "call_id",
    "rubric",
    "rubric_version",
    "criterion",
    "answer",
    "confidence",
    "weight",
    "critical",
)
PROOF_COLUMNS = (*MARK_COLUMNS, "reason", "evidence", "absence")
GROUP_COLUMNS = ("customer_segment", "company", "direction", "language")
"""Columns of `calls` to group by, beside agent, team, region and what is in `extra`."""


Column: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"


class NoPeriod(WellheardError):
    """The days that were asked for are no period."""


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last`, both in it; both are `unknown` for calls without a day."""

    first: str
    last: str

    @property
    def dated(self) -> bool:
        """Whether the days are known."""
        return self.first != UNKNOWN

    @property
    def days(self) -> list[str]:
        """All days, whether or not there were calls."""
        if not self.dated:
            return [UNKNOWN]
        start = date.fromisoformat(self.first)
        length = (date.fromisoformat(self.last) - start).days + 1
        return [(start + timedelta(days=number)).isoformat() for number in range(length)]

    @property
    def before(self) -> "Period | None":
        """The period of the same length that ends on the day before."""
        if not self.dated:
            return None
        start, length = date.fromisoformat(self.first), timedelta(days=len(self.days))
        return Period((start - length).isoformat(), (start - timedelta(days=1)).isoformat())

    @property
    def only(self) -> pc.Expression:
        """What picks its rows."""
        return (pc.field("date") >= self.first) & (pc.field("date") <= self.last)


@dataclass(frozen=True)
class Gap:
    """Something that is missing or odd, by its name, with the figures that tell of it."""

    kind: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """The stored rows of a period.

    `days` and `days_before` are rows of `agents`. `calls` has `CALL_COLUMNS`, `marks` has `MARK_COLUMNS`
    (`PROOF_COLUMNS` where not all were read); they are all of the period only if `all_calls` and `all_marks`
    say so. `calls_before` has `BEFORE_COLUMNS`: none, or all. `untrusted` are the criteria (rubric and name)
    that count in no score.
    """

    period: Period
    by: tuple[str, ...]
    days: pa.Table
    days_before: pa.Table
    failures: pa.Table
    calls: pa.Table
    calls_before: pa.Table
    marks: pa.Table
    all_calls: bool
    all_marks: bool
    gaps: tuple[Gap, ...]
    untrusted: frozenset[tuple[str, str]] = frozenset()


def choose(stored: Iterable[str], first: date | None, last: date | None) -> Period:
    """The period that is meant: without days the last that is stored, with one of them all from or up to it.

    Raises:
        NoPeriod: it would end before it begins.
    """
    known = sorted(day for day in stored if day != UNKNOWN)
    if first is None and last is None:
        return Period(known[-1], known[-1]) if known else Period(UNKNOWN, UNKNOWN)
    begin = first.isoformat() if first else min([*known[:1], str(last)])
    end = last.isoformat() if last else max([*known[-1:], begin])
    if begin > end:
        raise NoPeriod(f"{begin} is after {end}", "Give --from the first day and --to the last.")
    return Period(begin, end)


def stored_days(results: Results) -> list[str]:
    """The days of which anything is stored, in order.

    Raises:
        NoResults: no run has ever stored into this folder.
    """
    found: set[str] = set()
    for dataset in ("agents", "failures"):
        found.update(distinct(results.table(dataset, ["date"])["date"]))
    if not any((results.folder / "agents").glob("date=*")):
        found.update(distinct(results.table("calls", ["date"])["date"]))
    return sorted(found)


def read(
    results: Results,
    period: Period,
    stored: Sequence[str],
    by: Sequence[str],
    where_to_look: Callable[[pa.Table, pa.Table], Iterable[tuple[str, str]]],
) -> Material:
    """Read what a report on the period needs.

    `by` are columns to group by. `where_to_look` says, from the agents' days of a large period and those
    before, of which agents on which days calls should be read.

    Raises:
        NoResults: there is no such column to group by.
    """
    before = period.before
    gaps = list(_of_the_folder(results))
    days = results.table("agents", filter=period.only)
    days_before = results.table("agents", filter=before.only) if before else days.slice(0, 0)
    all_marks = days.num_rows <= MOST_FILES and (pc.sum(days["calls"]).as_py() or 0) <= MOST_CALLS
    all_calls = all_marks or bool(by)
    if all_marks:
        there = period.only
    else:
        there = one_of(where_to_look(days, days_before))
        gaps.append(Gap("large"))
    calls = results.table("calls", CALL_COLUMNS, period.only if all_calls else there)
    marks = results.table("marks", MARK_COLUMNS if all_marks else PROOF_COLUMNS, there)
    calls_before = calls.slice(0, 0).select(list(BEFORE_COLUMNS))
    if all_calls and before:
        calls_before = results.table("calls", BEFORE_COLUMNS, before.only)
    if calls.num_rows and not days.num_rows:
        gaps.append(Gap("no_agents"))
        days = _summed_up(results, period)
    if calls_before.num_rows and not days_before.num_rows and before:
        days_before = _summed_up(results, before)
    _check_columns(by, calls)
    if all_calls:
        gaps += _of_calls(days, calls, marks if all_marks else None)
    gaps += _of_days(period, stored, days, days_before)
    return Material(
        period=period,
        by=tuple(dict.fromkeys(by)),
        days=days,
        days_before=days_before,
        failures=results.table("failures", filter=period.only),
        calls=calls,
        calls_before=calls_before,
        marks=marks,
        all_calls=all_calls,
        all_marks=all_marks,
        gaps=tuple(gaps),
        untrusted=results.untrusted,
    )


def proofs(results: Results, material: Material, calls: Iterable[tuple[str, str, str]]) -> pa.Table:
    """The marks of these calls (agent, date, id) with what proves them (`PROOF_COLUMNS`)."""
    wanted = list(calls)
    ids = pc.field("call_id").isin(pa.array([call_id for *_, call_id in wanted], pa.string()))
    if not material.all_marks:
        return material.marks.filter(ids)
    there = one_of({(agent_id, day) for agent_id, day, _ in wanted})
    return results.table("marks", PROOF_COLUMNS, there & ids)


def values_of(calls: pa.Table, column: str) -> "pa.Array[Any]":
    """A column of `calls`, or what the manifest's further column of that name says; as text."""
    if column in GROUP_COLUMNS:
        return calls[column].combine_chunks()
    found: pa.Array[Any] = pc.map_lookup(calls["extra"].combine_chunks(), pa.scalar(column), "first")
    return found


def known_columns(calls: pa.Table) -> list[str]:
    """What calls can be grouped by."""
    keys = {key for pairs in calls["extra"].to_pylist() for key, _ in pairs or ()}
    return ["agent_id", "team", "region", *GROUP_COLUMNS, *sorted(keys)]


def _summed_up(results: Results, period: Period) -> pa.Table:
    """The agents' days, from their calls and marks."""
    calls = results.table("calls", SUMMED_UP, period.only)
    marks = results.table("marks", ("agent_id", "date", *MARK_COLUMNS), period.only)
    return pa.Table.from_pylist(summarise(calls, marks), schema=SCHEMAS["agents"])


def one_of(pairs: Iterable[tuple[str, str]]) -> pc.Expression:
    """What picks these agents on these days and opens no other file."""
    both = pc.binary_join_element_wise(pc.field("agent_id"), pc.field("date"), pc.scalar("\0"))
    return both.isin(pa.array(sorted(f"{agent_id}\0{day}" for agent_id, day in pairs), pa.string()))


def _check_columns(by: Iterable[str], calls: pa.Table) -> None:
    if not by or not calls.num_rows:
        return
    known = known_columns(calls)
    for column in by:
        if column not in known:
            raise NoResults(f"The calls have no column {column!r}", f"They have: {', '.join(known)}.")


def _of_the_folder(results: Results) -> Iterable[Gap]:
    private = results.folder / ".wellheard"
    if (private / "holder.json").exists() or (private / "half-done.json").exists():
        yield Gap("being_written")
    missing = [name for name in ("calls", "marks") if not (results.folder / name).is_dir()]
    if missing:
        yield Gap("no_datasets", {"names": ", ".join(missing)})


def _of_calls(days: pa.Table, calls: pa.Table, marks: pa.Table | None) -> Iterable[Gap]:
    summed = pc.sum(days["calls"]).as_py() or 0
    if summed != calls.num_rows:
        yield Gap("calls_missing", {"summed": summed, "stored": calls.num_rows})
    if marks is not None:
        without = len(distinct(calls["call_id"]) - distinct(marks["call_id"]))
        if without:
            yield Gap("marks_missing", {"calls": without})


def _of_days(period: Period, stored: Sequence[str], days: pa.Table, before: pa.Table) -> Iterable[Gap]:
    known = [day for day in stored if day != UNKNOWN]
    if not days.num_rows:
        yield Gap("no_calls", {"first": known[0], "last": known[-1]} if known else {})
    elif period.dated:
        there = distinct(days["date"])
        missing = [day for day in period.days if day not in there]
        if missing:
            yield Gap("days_missing", {"days": missing})
        if not before.num_rows and period.before is not None:
            yield Gap("no_before", {"first": period.before.first, "last": period.before.last})
    if period.dated and UNKNOWN in stored:
        yield Gap("undated")


@dataclass(frozen=True)
class Flat:
    """Values of nested rows laid out flat: `row` says which row of the table each is from."""

    row: npt.NDArray[np.int64]
    columns: "dict[str, pa.Array[Any]]"


def flat(table: pa.Table, column: str) -> Flat:
    """The structs of a column of lists, one after another."""
    lists = table[column].combine_chunks()
    rows = np.asarray(pc.list_parent_indices(lists), np.int64)
    structs = pc.list_flatten(lists)
    names = [lists.type.value_type.field(number).name for number in range(lists.type.value_type.num_fields)]
    return Flat(rows, {name: pc.struct_field(structs, name) for name in names})


def criteria_of(entries: Flat) -> npt.NDArray[np.object_]:
    """Rubric and criterion of each entry, as one text with NUL between them."""
    rubric, criterion = entries.columns["rubric"], entries.columns["criterion"]
    both: pa.Array[Any] = pc.binary_join_element_wise(rubric, criterion, "\0")  # type: ignore[call-overload]
    return texts(both)


def distinct(column: Column) -> set[str]:
    """The texts of a column, each once, without null."""
    return {text for text in pc.unique(column).to_pylist() if text is not None}


def texts(column: Column) -> npt.NDArray[np.object_]:
    """A column of texts."""
    return np.asarray(column.to_numpy(zero_copy_only=False), object)


def reals(column: Column, missing: float) -> npt.NDArray[np.float64]:
    """A column of numbers, `missing` in the place of null."""
    found = np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
    return np.where(np.isnan(found), missing, found)
