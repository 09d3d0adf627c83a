"""Audit samples: calls drawn at random, to be heard and marked blind. What is true of them is true of all.

Calls that people pick to hear are the odd ones, and say nothing of the rest. Drawn calls are kept as the
dataset `samples`.
"""

import secrets
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.morning import by_hand
from wellheard.pipeline.records import Record
from wellheard.pipeline.store import Results


class Sample(Record):
    """Calls drawn together, as (call, agent), out of `of` that there were to draw from."""

    sample: str
    drawn_at: datetime
    calls: tuple[tuple[str, str], ...]
    of: int


def draw(
    results: Path,
    number: int,
    drawn_at: datetime,
    first: str | None = None,
    last: str | None = None,
    seed: int | None = None,
) -> Sample:
    """Draw so many scored calls of the days from `first` to `last` at random, and keep which they are.

    Each is as likely as any other. A call that was drawn before is not drawn again, so samples of one period
    are one larger sample. Of fewer calls, all are drawn. `drawn_at` has a time zone; the same `seed` draws
    the same.

    Raises:
        NoResults: there is no call left to draw.
        CannotWrite: no right to, or no space left, or somebody else is writing for long.
    """
    stored = Results(results)
    known = {call_id for sample in samples(results) for call_id, _ in sample.calls}
    of_days = pc.scalar(True)
    if first is not None:
        of_days &= pc.field("date") >= first
    if last is not None:
        of_days &= pc.field("date") <= last
    scored = stored.table("calls", ["call_id", "agent_id"], of_days).to_pylist()
    calls = sorted((call["call_id"], call["agent_id"]) for call in scored)
    left = [call for call in calls if call[0] not in known]
    if not left:
        raise NoResults(
            f"There are no calls to draw: {len(calls)} are stored, all were drawn before"
            if calls
            else "There are no calls to draw from",
            "Give other days with --from and --to.",
        )
    order = np.random.default_rng(seed).permutation(len(left))[:number]
    chosen = [left[place] for place in order]
    day = drawn_at.date().isoformat()
    sample = Sample(
        sample=f"{day}-{secrets.token_hex(3)}", drawn_at=drawn_at, calls=tuple(chosen), of=len(calls)
    )
    rows = [
        {
            "sample": sample.sample,
            "place": place,
            "call_id": call_id,
            "agent_id": agent_id,
            "drawn_at": drawn_at,
            "of": sample.of,
        }
        for place, (call_id, agent_id) in enumerate(sample.calls)
    ]
    by_hand.change(stored, "samples", day, lambda before: [*before, *rows])
    return sample


def samples(results: Path) -> list[Sample]:
    """All samples that were drawn, oldest first, their calls in the order in which they were drawn.

    Raises:
        NoResults: no run has ever stored into this folder.
    """
    rows = Results(results).table("samples").to_pylist()
    rows.sort(key=lambda row: (row["drawn_at"], row["sample"], row["place"]))
    of_sample: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        of_sample.setdefault(row["sample"], []).append(row)
    return [
        Sample(
            sample=name,
            drawn_at=own[0]["drawn_at"],  # type: ignore[arg-type]
            calls=tuple((str(row["call_id"]), str(row["agent_id"])) for row in own),
            of=own[0]["of"],  # type: ignore[arg-type]
        )
        for name, own in of_sample.items()
    ]
