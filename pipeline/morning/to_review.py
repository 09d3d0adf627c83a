"""What there is to review: the calls of a period, those to hear first on top; and one call with its marks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wellheard.pipeline.morning import hear_first, period
from wellheard.pipeline.morning.audit import Sample
from wellheard.pipeline.morning.hear_first import Reason
from wellheard.pipeline.morning.period import Gap, Period
from wellheard.pipeline.store import Results

_CALL_COLUMNS = (
    "call_id",
    "agent_id",
    "date",
    "agent_name",
    "team",
    "customer_segment",
    "started_local",
    "duration_s",
    "language",
    "scores",
)
_MARK_COLUMNS = ("call_id", "rubric", "criterion", "answer", "critical")


@dataclass(frozen=True)
class Waiting:
    """A call of the queue: its row of `calls`, why it should be heard, and how its marks stand.

    `score` is the share of yes of all marks that counted; None if none did. `failed` are the critical
    criteria that were answered no.
    """

    call: Mapping[str, Any]
    reasons: tuple[Reason, ...]
    marks: int
    unsure: int
    failed: tuple[tuple[str, str], ...]
    score: float | None

    @property
    def call_id(self) -> str:
        """The call's id."""
        return str(self.call["call_id"])


@dataclass(frozen=True)
class Queue:
    """The calls to review by their id: those to hear first, then the others, the worst first.

    `everything` says whether all calls of the period are in it: of a large one only those are that the sums
    of its agents point to. `sampled` are the calls of the samples with the name of their sample, in the order
    to hear them.
    """

    period: Period
    gaps: tuple[Gap, ...]
    calls: dict[str, Waiting]
    everything: bool
    sampled: dict[str, str]

    def after(self, call_id: str, sample: str) -> str | None:
        """The call that comes next, in the sample if one is named; None after the last."""
        order = [one for one, of in self.sampled.items() if of == sample] if sample else list(self.calls)
        place = order.index(call_id) + 1 if call_id in order else len(order)
        return order[place] if place < len(order) else None


@dataclass(frozen=True)
class OpenCall:
    """A call to review: its row of `calls`, its turns in order, and its marks as the machine gave them."""

    call: Mapping[str, Any]
    turns: Sequence[Mapping[str, Any]]
    marks: Sequence[Mapping[str, Any]]


def read(
    results: Results,
    first: date | None,
    last: date | None,
    samples: Iterable[Sample] = (),
) -> Queue:
    """The queue of a period, and the calls of samples, whenever they were.

    Raises:
        NoResults: no run has ever stored into this folder.
        NoPeriod: the period would end before it begins.
    """
    days = period.stored_days(results)
    wanted = period.choose(days, first, last)
    material = period.read(results, wanted, days, (), hear_first.where_to_look)
    picked = hear_first.pick(material)
    of_period = list(_waiting(material.calls.select(list(_CALL_COLUMNS)), material.marks, picked.reasons))
    hear = [of_period[row] for row in picked.reasons]
    others = [call for row, call in enumerate(of_period) if row not in picked.reasons]
    others.sort(key=lambda one: (one.score is None, one.score, one.call_id))
    calls = {one.call_id: one for one in (*hear, *others)}
    drawn = {call: sample.sample for sample in samples for call in sample.calls}
    for one in _of_samples(results, [call for call in drawn if call[0] not in calls]):
        calls[one.call_id] = one
    return Queue(
        period=wanted,
        gaps=material.gaps,
        calls=calls,
        everything=material.all_calls,
        sampled={call_id: sample for (call_id, _), sample in drawn.items() if call_id in calls},
    )


def open_call(results: Results, waiting: Waiting) -> OpenCall | None:
    """The call as it is stored now; None if a run has moved it away."""
    call = waiting.call
    only = (
        (pc.field("agent_id") == call["agent_id"])
        & (pc.field("date") == call["date"])
        & (pc.field("call_id") == call["call_id"])
    )
    found = results.table("calls", filter=only).to_pylist()
    if not found:
        return None
    turns = results.table("turns", ("turn", "speaker", "start_s", "end_s", "text"), only).to_pylist()
    marks = results.table("marks", filter=only).to_pylist()
    return OpenCall(found[0], sorted(turns, key=lambda turn: int(turn["turn"])), marks)


def _of_samples(results: Results, wanted: Sequence[tuple[str, str]]) -> Iterator[Waiting]:
    """Calls that are not of the period."""
    if not wanted:
        return
    ids, agents = (pa.array(sorted(set(column)), pa.string()) for column in zip(*wanted, strict=True))
    only = pc.field("agent_id").isin(agents) & pc.field("call_id").isin(ids)
    calls = results.table("calls", _CALL_COLUMNS, only)
    yield from _waiting(calls, results.table("marks", _MARK_COLUMNS, only), {})


def _waiting(calls: pa.Table, marks: pa.Table, reasons: Mapping[int, list[Reason]]) -> Iterator[Waiting]:
    """Each row of `calls`."""
    numbers = dict(
        zip(*(column.to_pylist() for column in pc.value_counts(marks["call_id"]).flatten()), strict=True)
    )
    failed: dict[str, list[tuple[str, str]]] = {}
    critical = marks.filter(pc.field("critical") & (pc.field("answer") == "no"))
    for mark in critical.select(["call_id", "rubric", "criterion"]).to_pylist():
        failed.setdefault(mark["call_id"], []).append((mark["rubric"], mark["criterion"]))
    for row, call in enumerate(calls.to_pylist()):
        scores = [entry for entry in call["scores"] or () if entry["score"] is not None]
        counted = sum(entry["counted"] or 0 for entry in scores)
        yield Waiting(
            call=call,
            reasons=tuple(reasons.get(row, ())),
            marks=numbers.get(call["call_id"], 0),
            unsure=sum(entry["unsure"] or 0 for entry in call["scores"] or ()),
            failed=tuple(failed.get(call["call_id"], ())),
            score=sum(entry["score"] * (entry["counted"] or 0) for entry in scores) / counted
            if counted
            else None,
        )
