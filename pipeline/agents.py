"""An agent's day, summed up from the calls and marks of that day."""

from collections import defaultdict
from math import fsum
from typing import Any

import pyarrow as pa


def summarise(calls: pa.Table, marks: pa.Table) -> list[dict[str, Any]]:
    """One row of the dataset `agents` for each agent and date in `calls`, in their order.

    `score` is the mean over the `calls` that have a score in this rubric, None where none has. Name, team
    and region are those of the day's last call that tells them. The order of the rows given, and how they
    are cut into pieces, changes nothing.
    """
    of_day: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    needed = [
        "agent_id",
        "date",
        "call_id",
        "started_at",
        "agent_name",
        "team",
        "region",
        "duration_s",
        "scores",
    ]
    for call in calls.select(needed).to_pylist():
        of_day[call["agent_id"], call["date"]].append(call)
    answers = _count_answers(marks)
    return [_day(*key, of_day[key], answers[key]) for key in sorted(of_day)]


def _day(
    agent_id: str, date: str, calls: list[dict[str, Any]], answers: dict[tuple[str, str], dict[str, int]]
) -> dict[str, Any]:
    calls.sort(key=lambda call: (call["started_at"] is not None, call["started_at"], call["call_id"]))
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for call in calls:
        for entry in call["scores"]:
            counted = scores[entry["rubric"]]
            if entry["score"] is not None:
                counted.append(entry["score"])
    return {
        "agent_id": agent_id,
        "date": date,
        **{column: _last_told(calls, column) for column in ("agent_name", "team", "region")},
        "calls": len(calls),
        "seconds": fsum(call["duration_s"] for call in calls),
        "rubrics": [
            {"rubric": rubric, "score": fsum(of) / len(of) if of else None, "calls": len(of)}
            for rubric, of in sorted(scores.items())
        ],
        "criteria": [
            {"rubric": rubric, "criterion": criterion, **counts}
            for (rubric, criterion), counts in sorted(answers.items())
        ],
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
