"""An agent's day, summed up from the calls and marks of that day."""

from collections import defaultdict
from math import fsum
from typing import Any

import pyarrow as pa

SUMMED_UP = (
    "agent_id",
    "date",
    "call_id",
    "started_at",
    "agent_name",
    "team",
    "region",
    "duration_s",
    "scores",
)
"""What is needed of the dataset `calls`."""


def summarise(calls: pa.Table, marks: pa.Table) -> list[dict[str, Any]]:
    """One row of the dataset `agents` for each agent and date in `calls`, in their order.

    `score` is the mean of `scores`, those of the `calls` that have one in this rubric, None where none has;
    `counted` and `unsure` are marks, and so are `reviewed` and `corrected` of calls that say so
    (`corrected.py`). Name, team and region are those of the day's last call that tells them. The order of the
    rows given, and how they are cut into pieces, changes nothing.
    """
    of_day: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for call in calls.select(list(SUMMED_UP)).to_pylist():
        of_day[call["agent_id"], call["date"]].append(call)
    answers = _count_answers(marks)
    return [_day(*key, of_day[key], answers[key]) for key in sorted(of_day)]


def _day(
    agent_id: str, date: str, calls: list[dict[str, Any]], answers: dict[tuple[str, str], dict[str, int]]
) -> dict[str, Any]:
    calls.sort(key=lambda call: (call["started_at"] is not None, call["started_at"], call["call_id"]))
    of_rubric: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in calls:
        for entry in call["scores"]:
            of_rubric[entry["rubric"]].append(entry)
    return {
        "agent_id": agent_id,
        "date": date,
        **{column: _last_told(calls, column) for column in ("agent_name", "team", "region")},
        "calls": len(calls),
        "seconds": fsum(call["duration_s"] for call in calls),
        "rubrics": [_rubric(rubric, entries) for rubric, entries in sorted(of_rubric.items())],
        "criteria": [
            {"rubric": rubric, "criterion": criterion, **counts}
            for (rubric, criterion), counts in sorted(answers.items())
        ],
    }


def _rubric(rubric: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    scores = [entry["score"] for entry in entries if entry["score"] is not None]
    return {
        "rubric": rubric,
        "score": fsum(scores) / len(scores) if scores else None,
        "calls": len(scores),
        "scores": scores,
        "counted": sum(entry["counted"] for entry in entries),
        "unsure": sum(entry["unsure"] for entry in entries),
        "reviewed": sum(entry.get("reviewed", 0) for entry in entries),
        "corrected": sum(entry.get("corrected", 0) for entry in entries),
    }


def _last_told(calls: list[dict[str, Any]], column: str) -> str | None:
    return next((call[column] for call in reversed(calls) if call[column] is not None), None)


def _count_answers(marks: pa.Table) -> defaultdict[tuple[str, str], dict[tuple[str, str], dict[str, int]]]:
    keys = ["agent_id", "date", "rubric", "criterion", "answer"]
    counted: defaultdict[tuple[str, str], dict[tuple[str, str], dict[str, int]]] = defaultdict(dict)
    for row in (
        marks.select(keys).group_by(keys, use_threads=False).aggregate([([], "count_all")]).to_pylist()
    ):
        counts = counted[row["agent_id"], row["date"]].setdefault(
            (row["rubric"], row["criterion"]), {"yes": 0, "no": 0, "na": 0, "unsure": 0}
        )
        counts[row["answer"]] = row["count_all"]
    return counted
