"""Reviews: what people answered after hearing a call. They lie beside the marks and never change them.

Every answer is a row of its own (dataset `reviews`), so nothing that anybody answered is ever lost: who
changes their mind adds a row. `corrected.py` says what the marks come to with them, `audit.py` draws the
random samples that tell how far the marks can be trusted.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias
from uuid import uuid4

import msgspec

from wellheard.pipeline.morning import by_hand
from wellheard.pipeline.records import Answer, Record
from wellheard.pipeline.store import Results

Settled = Literal["yes", "no", "na"]
ReviewAnswer = Literal["yes", "no", "na", "cannot_tell"]
Reviewed: TypeAlias = tuple[str, str, str]
"""A mark by its call, rubric and criterion."""


class Review(Record):
    """One answer of one person to one criterion of one call.

    What begins with `machine` is the mark as it stood then. `blind`: the answer was given before the
    machine's, or anybody's, could be seen. `sample` is the audit sample in which it was asked, if any.
    """

    review_id: str
    call_id: str
    agent_id: str
    rubric: str
    rubric_version: str
    criterion: str
    machine_answer: Answer
    machine_confidence: float
    answer: ReviewAnswer
    comment: str
    reviewer: str
    reviewed_at: datetime
    blind: bool = False
    sample: str = ""

    @property
    def mark(self) -> Reviewed:
        """Which mark it is about."""
        return self.call_id, self.rubric, self.criterion


def new_id() -> str:
    """An id that no other review has."""
    return uuid4().hex


def add(results: Path, review: Review) -> None:
    """Store a review beside all others; one with the same id is there already and is left as it is.

    Raises:
        ValueError: `reviewed_at` has no time zone.
        NoResults: no run has ever stored into this folder.
        CannotWrite: no right to, or no space left, or somebody else is writing for long.
    """
    if review.reviewed_at.tzinfo is None:
        raise ValueError("reviewed_at has no time zone")
    day = review.reviewed_at.date().isoformat()

    def with_it(rows: by_hand.Rows) -> by_hand.Rows:
        known = any(row["review_id"] == review.review_id for row in rows)
        return rows if known else [*rows, msgspec.structs.asdict(review)]

    by_hand.change(Results(results), "reviews", day, with_it)


def read(results: Path) -> list[Review]:
    """All reviews, oldest first.

    Raises:
        NoResults: no run has ever stored into this folder.
    """
    names = Review.__struct_fields__
    found = msgspec.convert(Results(results).table("reviews", names).to_pylist(), list[Review])
    return sorted(found, key=lambda review: (review.reviewed_at, review.review_id))


def answers(of_reviewers: Mapping[str, Review]) -> list[Settled]:
    """The different answers of those who could tell: one where all agree, none where nobody could."""
    return sorted({one.answer for one in of_reviewers.values() if one.answer != "cannot_tell"})


def latest(reviews: Iterable[Review]) -> dict[Reviewed, dict[str, Review]]:
    """For each mark the last answer of each reviewer; `reviews` come oldest first."""
    found: dict[Reviewed, dict[str, Review]] = {}
    for review in reviews:
        found.setdefault(review.mark, {})[review.reviewer] = review
    return found
