"""Stored calls: rows of the results made records again, to score a call anew without its sound.

The opposite of `datasets.py`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from wellheard.pipeline.records import Acts, CallInfo, Conversation, Heard, Mark, Record, Span, Turn
from wellheard.pipeline.store import Results

# So many calls are in memory at once.
_READ_AT_ONCE = 500


class StoredCall(Record):
    """A call as it was scored, and its marks and score in one rubric.

    Notes of the manifest and of the recording are stored together and come back under `conversation`. `acts`
    is None if an early version of wellheard has stored the call, which knew none.
    """

    date: str
    info: CallInfo
    conversation: Conversation
    heard: Heard
    acts: Acts | None
    marks: tuple[Mark, ...]
    score: float | None


class StoredCalls:
    """Calls of a results folder, agent by agent, with their marks in one rubric. Only reads."""

    def __init__(self, results: Results, rubric: str, only: Collection[str] | None = None) -> None:
        """Look up which calls there are; `only` are those wanted, by id, else all.

        Raises:
            NoResults: no run has ever stored into this folder.
        """
        self._results = results
        self._rubric = rubric
        wanted = None if only is None else pc.field("call_id").isin(pa.array(sorted(only), pa.string()))
        calls = results.table("calls", ["agent_id", "date", "call_id"], wanted).to_pylist()
        self._calls = sorted((call["agent_id"], call["date"], call["call_id"]) for call in calls)

    def __len__(self) -> int:
        """How many calls there are."""
        return len(self._calls)

    def __iter__(self) -> Iterator[StoredCall]:
        """The calls; one that a run is moving meanwhile may be missing."""
        for start in range(0, len(self._calls), _READ_AT_ONCE):
            yield from self._read(self._calls[start : start + _READ_AT_ONCE])

    def _read(self, some: list[tuple[str, str, str]]) -> Iterator[StoredCall]:
        agents, dates, ids = (sorted(set(column)) for column in zip(*some, strict=True))
        only = (
            pc.field("agent_id").isin(agents) & pc.field("date").isin(dates) & pc.field("call_id").isin(ids)
        )
        calls = self._results.table("calls", filter=only).to_pylist()
        turns = _by_call(self._results.table("turns", filter=only).to_pylist())
        acts = _by_call(self._results.table("acts", filter=only).to_pylist())
        of_rubric = only & (pc.field("rubric") == self._rubric)
        marks = _by_call(self._results.table("marks", filter=of_rubric).to_pylist())
        for row in sorted(calls, key=lambda row: (row["agent_id"], row["date"], row["call_id"])):
            name = row["call_id"]
            if name in turns:
                yield _call(row, turns[name], acts.get(name, []), marks.get(name, []), self._rubric)


def _by_call(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["call_id"], []).append(row)
    return found


def _call(
    row: Mapping[str, Any],
    turns: list[dict[str, Any]],
    acts: list[dict[str, Any]],
    marks: list[dict[str, Any]],
    rubric: str,
) -> StoredCall:
    turns.sort(key=lambda turn: turn["turn"])
    known = row["answers"] is not None
    return StoredCall(
        date=row["date"],
        info=_info(row),
        conversation=Conversation(
            language=row["language"],
            language_probability=row["language_probability"],
            duration_s=row["duration_s"],
            turns=tuple(_record(turn, Turn) for turn in turns),
            role_confidence=row["role_confidence"],
            unheard=tuple(row["unheard"]),
            not_understood=tuple(_record(span, Span) for span in row["not_understood"] or ()),
            notes=tuple(row["notes"]),
        ),
        heard=_record({**row, "sounds": row["sounds"] or ()}, Heard),
        acts=_acts(row, acts, len(turns)) if known else None,
        marks=tuple(_record(mark, Mark) for mark in marks) if known else (),
        score=next((entry["score"] for entry in row["scores"] if entry["rubric"] == rubric), None),
    )


def _info(row: Mapping[str, Any]) -> CallInfo:
    names = ("call_id", "agent_id", "agent_name", "team", "region", "customer_segment", "direction")
    local = row["started_local"]
    return CallInfo(
        **{name: row[name] for name in names},
        started_at=datetime.fromisoformat(local) if local else None,
        language=row["language_given"],
        agent_channel=row["agent_channel"],
        company=row["company"],
        extra=dict(row["extra"]),
    )


def _acts(row: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], turns: int) -> Acts:
    found: tuple[dict[str, float], ...] = tuple({} for _ in range(turns))
    for act in rows:
        found[act["turn"]][act["act"]] = act["probability"]
    return Acts(
        turns=found,
        answers={of["criterion"]: (of["yes"], of["no"], of["na"]) for of in row["answers"]},
    )


def _record(row: Mapping[str, Any], kind: type[Any]) -> Any:
    return msgspec.convert({name: row[name] for name in kind.__struct_fields__}, kind)
