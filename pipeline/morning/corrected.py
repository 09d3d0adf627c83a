"""The results as they count: the machine's marks with people's reviews, without criteria nobody can trust.

Nothing of this is stored: it is worked out whenever results are read, so the machine's marks stay as they
were given, and a review that is changed is changed everywhere. What counts for a mark:

- nobody has reviewed it, or nobody could tell: the machine's answer;
- the last answers of all reviewers who could tell agree: theirs, as certain;
- they differ: the mark is disputed, and counts as unsure.

A review is of the version of the rubric that it was made with: where a call was scored anew with another, the
question may have become another too, and the review no longer counts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wellheard.pipeline.agents import SUMMED_UP, summarise
from wellheard.pipeline.datasets import SCHEMAS
from wellheard.pipeline.morning import reviews
from wellheard.pipeline.morning.period import flat, one_of, reals, texts
from wellheard.pipeline.morning.reviews import Review
from wellheard.pipeline.store import Results

ADDED: dict[str, pa.DataType] = {
    "machine_answer": pa.string(),
    "review": pa.string(),
    "reviewers": pa.list_(pa.string()),
    "counts": pa.bool_(),
}
"""Further columns of `marks`: the machine's own answer; confirmed, corrected, disputed, cannot tell or
nothing; who answered; whether the criterion is trusted."""
_KEY = ("call_id", "rubric", "criterion", "rubric_version")
_COUNTS = ("reviewed", "corrected")
_DAYS_AT_ONCE = 5_000
"""So many days of agents are summed up anew in memory."""

Settled = dict[tuple[str, ...], dict[str, Review]]


@dataclass(frozen=True)
class Footing:
    """What figures stand on: so many marks, of which people have reviewed some, and changed some of these."""

    marks: int
    reviewed: int
    corrected: int


class Corrected(Results):
    """A folder of results, read as it counts.

    `calls` and `agents` say in `scores` and `rubrics` how many marks were `reviewed`, and of how many the
    answer was `corrected` (or became unsure, since reviewers differ). `marks` has the columns `ADDED`.
    """

    def __init__(self, folder: Path, untrusted: Collection[tuple[str, str]] = ()) -> None:
        super().__init__(folder)
        self.untrusted = frozenset(untrusted)

    def table(
        self, dataset: str, columns: Sequence[str] | None = None, filter: pc.Expression | None = None
    ) -> pa.Table:
        """As `Results.table`, as it counts."""
        match dataset:
            case "marks":
                return self._marks(columns, filter)
            case "calls" if columns is None or "scores" in columns:
                return self._calls(columns or SCHEMAS["calls"].names, filter)
            case "agents" if columns is None or {"rubrics", "criteria"} & set(columns):
                return self._agents(columns or SCHEMAS["agents"].names, filter)
        return super().table(dataset, columns, filter)

    @cached_property
    def _settled(self) -> Settled:
        """The last answers of all reviewers, by mark and version of its rubric."""
        found: Settled = {}
        for review in reviews.read(self.folder):
            found.setdefault((*review.mark, review.rubric_version), {})[review.reviewer] = review
        return found

    @cached_property
    def _reviewed_calls(self) -> "pa.Array[Any]":
        return pa.array(sorted({key[0] for key in self._settled}), pa.string())

    def _marks(self, columns: Sequence[str] | None, filter: pc.Expression | None) -> pa.Table:
        wanted = list(columns or (*SCHEMAS["marks"].names, *ADDED))
        needed = dict.fromkeys((*(name for name in wanted if name not in ADDED), *_KEY, "answer"))
        found = super().table("marks", list(needed), filter).combine_chunks()
        counts = pc.invert(pc.is_in(_criteria(found), value_set=self._untrusted))
        if "weight" in wanted:
            weight = pc.if_else(counts, found["weight"], 0.0)
            found = found.set_column(found.column_names.index("weight"), "weight", weight)
        empty = {
            "machine_answer": found["answer"],
            "review": pa.repeat("", len(found)),
            "reviewers": pa.array([None] * len(found), ADDED["reviewers"]),
            "counts": counts,
        }
        for name, values in empty.items():
            found = found.append_column(name, values)
        return self._settled_in(found).select(wanted)

    def _settled_in(self, marks: pa.Table) -> pa.Table:
        of_calls = reals(pc.is_in(marks["call_id"], value_set=self._reviewed_calls).cast(pa.int8()), 0)
        some = np.flatnonzero(of_calls)
        keys = zip(*(marks[name].take(some).to_pylist() for name in _KEY), strict=True)
        answers = [self._settled.get(key) for key in keys]
        rows = some[[place for place, own in enumerate(answers) if own]]
        if not len(rows):
            return marks
        settled = map(settle, marks.take(rows).to_pylist(), filter(None, answers))
        order = np.arange(len(marks))
        order[rows] = len(marks) + np.arange(len(rows))
        return pa.concat_tables([marks, pa.Table.from_pylist(list(settled), marks.schema)]).take(order)

    @cached_property
    def _untrusted(self) -> "pa.Array[Any]":
        return pa.array(["\0".join(one) for one in sorted(self.untrusted)], pa.string())

    def _calls(self, columns: Sequence[str], filter: pc.Expression | None) -> pa.Table:
        needed = dict.fromkeys((*columns, "call_id", "agent_id", "date"))
        found = super().table("calls", list(needed), filter).combine_chunks()
        other = found
        if not self.untrusted:
            other = found.filter(pc.is_in(found["call_id"], value_set=self._reviewed_calls))
        scores = _with_counts(found["scores"].combine_chunks())
        if len(other):
            scores = _scored_anew(found, self._sums(other))
        place = found.column_names.index("scores")
        return found.set_column(place, "scores", scores).select(list(columns))

    def _sums(self, calls: pa.Table) -> pa.Table:
        """What the marks of these calls come to, by call and rubric."""
        names = ("call_id", "rubric", "answer", "weight", "review", "counts")
        marks = self._marks(names, one_of(_days(calls)))
        marks = marks.filter(pc.is_in(marks["call_id"], value_set=calls["call_id"].combine_chunks()))
        yes, rated, unsure = (pc.is_in(marks["answer"], value_set=pa.array(some)) for some in _ANSWERS)
        counts: dict[str, Any] = {
            "yes": pc.multiply(marks["weight"], yes.cast(pa.float64())),
            "weight": pc.multiply(marks["weight"], rated.cast(pa.float64())),
            "counted": pc.and_(rated, marks["counts"]).cast(pa.int32()),
            "unsure": pc.and_(unsure, marks["counts"]).cast(pa.int32()),
            "reviewed": pc.is_in(marks["review"], value_set=_REVIEWED).cast(pa.int32()),
            "corrected": pc.is_in(marks["review"], value_set=_CORRECTED).cast(pa.int32()),
        }
        table = pa.table({"call_id": marks["call_id"], "rubric": marks["rubric"], **counts})
        return table.group_by(["call_id", "rubric"]).aggregate([(name, "sum") for name in counts])

    def _agents(self, columns: Sequence[str], filter: pc.Expression | None) -> pa.Table:
        needed = dict.fromkeys((*columns, "agent_id", "date"))
        found = super().table("agents", list(needed), filter).combine_chunks()
        if "rubrics" in columns:
            place = found.column_names.index("rubrics")
            found = found.set_column(place, "rubrics", _with_counts(found["rubrics"].combine_chunks()))
        there = _days(found)
        anew: set[tuple[str, str]] = set(there)
        if not self.untrusted or "rubrics" not in columns:
            anew &= self.partitions({key[0] for key in self._settled}) if self._settled else set()
        if not anew:
            return found.select(list(columns))
        rows: list[dict[str, Any]] = []
        days = sorted(anew)
        for start in range(0, len(days), _DAYS_AT_ONCE):
            some = days[start : start + _DAYS_AT_ONCE]
            calls = self._calls(SUMMED_UP, one_of(some))
            marks = self._marks(("agent_id", "date", "rubric", "criterion", "answer"), one_of(some))
            rows += summarise(calls, marks)
        new = {(row["agent_id"], row["date"]): number for number, row in enumerate(rows, len(found))}
        order = [new.get(day, number) for number, day in enumerate(there)]
        both = pa.concat_tables([found, pa.Table.from_pylist(rows, found.schema)])
        return both.take(pa.array(order, pa.int64())).select(list(columns))


def footing(results: Results, agent_id: str, since: str | None) -> Footing:
    """What the figures of an agent's calls from this day on, or of all, stand on."""
    if not isinstance(results, Corrected):
        return Footing(0, 0, 0)
    only = pc.field("agent_id") == agent_id
    if since is not None:
        only &= pc.field("date") >= since  # so is "unknown"
    review = results.table("marks", ["review"], only)["review"]
    reviewed, corrected = (pc.is_in(review, value_set=some).to_pylist() for some in (_REVIEWED, _CORRECTED))
    return Footing(len(review), reviewed.count(True), corrected.count(True))


_ANSWERS = (["yes"], ["yes", "no"], ["unsure"])
_REVIEWED = pa.array(["confirmed", "corrected", "disputed"])
_CORRECTED = pa.array(["corrected", "disputed"])


def settle(mark: dict[str, Any], of_reviewers: Mapping[str, Review]) -> dict[str, Any]:
    """The mark, with what reviewers answered: the last answer of each."""
    answers, machine = reviews.answers(of_reviewers), mark["answer"]
    told = [who for who, review in of_reviewers.items() if review.answer != "cannot_tell"]
    known: dict[str, Any] = {"reviewers": sorted(told or of_reviewers)}
    match answers:
        case []:
            known |= {"review": "cannot tell"}
        case [answer] if answer == machine:
            known |= {"review": "confirmed", "confidence": 1.0}
        case [answer]:
            known |= {
                "review": "corrected",
                "answer": answer,
                "leaning": answer,
                "confidence": 1.0,
                "reason": f"Whoever heard it answered {answer}; the machine had answered {machine}.",
                # What the machine took for a proof of something else proves nothing.
                "evidence": [],
                "absence": None,
            }
        case _:
            reason = f"Those who heard it differ: {' and '.join(answers)}."
            known |= {"review": "disputed", "answer": "unsure", "reason": reason}
    return mark | {name: value for name, value in known.items() if name in mark}


def _days(table: pa.Table) -> list[tuple[str, str]]:
    """Agent and date of each row."""
    return list(zip(texts(table["agent_id"]).tolist(), texts(table["date"]).tolist(), strict=True))


def _criteria(marks: pa.Table) -> Any:
    return pc.binary_join_element_wise(marks["rubric"], marks["criterion"], "\0")  # type: ignore[call-overload]


def _with_counts(lists: "pa.Array[Any]", counts: Mapping[str, Any] = {}) -> "pa.Array[Any]":
    """The structs of a column of lists with other values, and those of `_COUNTS`, 0 where not given."""
    structs = pc.list_flatten(lists)
    names = [lists.type.value_type.field(place).name for place in range(lists.type.value_type.num_fields)]
    fields = {name: pc.struct_field(structs, name) for name in names}
    fields |= dict.fromkeys(_COUNTS, pa.repeat(pa.scalar(0, pa.int32()), len(structs))) | dict(counts)
    new = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    lengths = reals(pc.list_value_length(lists), 0).astype(np.int32)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    laid: pa.Array[Any] = pa.ListArray.from_arrays(offsets, new)  # type: ignore[call-overload]
    return laid


def _scored_anew(calls: pa.Table, sums: pa.Table) -> "pa.Array[Any]":
    """The scores, with those that `sums` knows made of it."""
    entries = flat(calls, "scores")
    ids = calls["call_id"].take(pa.array(entries.row, pa.int64())).combine_chunks()
    of = pc.binary_join_element_wise(ids, entries.columns["rubric"], "\0")  # type: ignore[call-overload]
    known = pc.binary_join_element_wise(sums["call_id"], sums["rubric"], "\0")  # type: ignore[call-overload]
    found: pa.Int32Array = pc.index_in(of, value_set=known.combine_chunks())
    new = {name: sums[f"{name}_sum"].take(found).combine_chunks() for name in ("counted", "unsure", *_COUNTS)}
    yes, weight = (sums[f"{name}_sum"].take(found).combine_chunks() for name in ("yes", "weight"))
    score = pc.divide(yes, pc.if_else(pc.greater(weight, pa.scalar(0.0)), weight, None))
    is_new = pc.is_valid(found)
    values: dict[str, Any] = {"score": pc.if_else(is_new, score, entries.columns["score"])}
    for name, numbers in new.items():
        before = 0 if name in _COUNTS else entries.columns[name]
        values[name] = pc.if_else(is_new, numbers, before).cast(pa.int32())
    return _with_counts(calls["scores"].combine_chunks(), values)
