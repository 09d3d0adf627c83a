"""How far the machine's marks can be trusted on this house's calls: from audit samples, heard blind.

Only calls drawn at random speak for all calls, and only answers given before the machine's could be seen
speak freely; so reviews of other calls, and answers given with the machine's in sight, are left out. The
machine's marks are those that are stored now. A mark whose judge has learnt from reviews of that very call
(`rubrics/house.py`) is left out as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.morning import reviews
from wellheard.pipeline.morning.audit import Sample
from wellheard.pipeline.morning.kappa import Agreed, agreed
from wellheard.pipeline.morning.reviews import Review
from wellheard.pipeline.store import Results
from wellheard.rubrics.house import HouseJudge, is_adapted

FEWEST_REVIEWS = 20
"""Of fewer marks a criterion is not judged."""
TOO_FEW, BELOW, TRUSTED, NO_THRESHOLD = (
    "not enough reviews to tell",
    "below the threshold, not counted",
    "trusted",
    "no threshold set",
)
_MARK_COLUMNS = ("call_id", "rubric", "rubric_version", "criterion", "answer", "judge_version")


@dataclass(frozen=True)
class CriterionTrust:
    """One criterion in the audit samples.

    `machine` compares the machine's marks with people's answers, over marks that are not unsure; `unsure` is
    how many more are. `people` compares people with one another, where several heard the same mark.
    """

    rubric: str
    criterion: str
    machine: Agreed | None
    unsure: int
    people: Agreed | None
    verdict: str


@dataclass(frozen=True)
class Trust:
    """All criteria, and what they rest on.

    Calls that were `drawn` and `heard` (of which somebody has answered something blind), answers left out
    since they were given `in_sight` of the machine's, and marks left out since their judge has `learnt` from
    that call.
    """

    drawn: int
    heard: int
    reviewers: tuple[str, ...]
    in_sight: int
    learnt: int
    criteria: tuple[CriterionTrust, ...]

    @property
    def untrusted(self) -> frozenset[tuple[str, str]]:
        """The criteria below the threshold, rubric and name."""
        return frozenset((one.rubric, one.criterion) for one in self.criteria if one.verdict == BELOW)


def trust(
    results: Results, samples: Sequence[Sample], least: float | None, house: HouseJudge | None
) -> Trust:
    """Compare the machine's marks of the sampled calls with what reviewers answered.

    `least` is the agreement (0 to 1) below which a criterion is not counted. `house` is the adapted judge
    that the settings name; without it, nobody knows what an adapted judge has learnt from.
    """
    drawn = {call_id for sample in samples for call_id, _ in sample.calls}
    of_sample = [review for review in reviews.read(results.folder) if review.call_id in drawn]
    blind = [review for review in of_sample if review.blind]
    answers: dict[tuple[str, ...], dict[str, Review]] = {}
    for review in blind:
        answers.setdefault((*review.mark, review.rubric_version), {})[review.reviewer] = review
    compared: dict[tuple[str, str], _Compared] = {}
    learnt = 0
    for mark in _marks(results, drawn):
        if is_adapted(mark["judge_version"]) and (house is None or mark["call_id"] in house.learnt_from):
            learnt += 1
            continue
        own = compared.setdefault((mark["rubric"], mark["criterion"]), _Compared([], [], []))
        of_mark = answers.get(
            tuple(mark[name] for name in ("call_id", "rubric", "criterion", "rubric_version"))
        )
        own.add(
            mark["answer"], [one.answer for one in (of_mark or {}).values() if one.answer != "cannot_tell"]
        )
    return Trust(
        drawn=len(drawn),
        heard=len({review.call_id for review in blind}),
        reviewers=tuple(sorted({review.reviewer for review in blind})),
        in_sight=len(of_sample) - len(blind),
        learnt=learnt,
        criteria=tuple(_criterion(*name, own, least) for name, own in sorted(compared.items())),
    )


@dataclass
class _Compared:
    """Pairs of answers, mark by mark: machine and person, person and person; and marks that are unsure."""

    machine: list[list[tuple[str, str]]]
    people: list[list[tuple[str, str]]]
    unsure: list[str]

    def add(self, machine: str, people: Sequence[str]) -> None:
        if not people:
            return
        if machine == "unsure":
            self.unsure.append(machine)
        else:
            self.machine.append([(person, machine) for person in people])
        # Nobody is first or second, so each pair counts both ways.
        pairs = [pair for one, other in combinations(people, 2) for pair in ((one, other), (other, one))]
        if pairs:
            self.people.append(pairs)


def _criterion(rubric: str, criterion: str, own: _Compared, least: float | None) -> CriterionTrust:
    machine = agreed(own.machine)
    if machine is None or machine.n < FEWEST_REVIEWS:
        verdict = TOO_FEW
    elif least is None:
        verdict = NO_THRESHOLD
    else:
        verdict = BELOW if machine.share < least else TRUSTED
    return CriterionTrust(rubric, criterion, machine, len(own.unsure), agreed(own.people), verdict)


def _marks(results: Results, drawn: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The machine's own marks of these calls."""
    there = results.partitions(sorted(drawn))
    agents, dates = (sorted(set(values)) for values in zip(*there, strict=True)) if there else ([], [])
    only = pc.field("agent_id").isin(pa.array(agents, pa.string()))
    only &= pc.field("date").isin(pa.array(dates, pa.string()))
    only &= pc.field("call_id").isin(pa.array(sorted(drawn), pa.string()))
    yield from Results(results.folder).table("marks", _MARK_COLUMNS, only).to_pylist()


def chosen(samples: Sequence[Sample], name: str | None) -> list[Sample]:
    """The sample of this name, or all of them.

    Raises:
        NoResults: there is none.
    """
    found = [sample for sample in samples if name in (None, sample.sample)]
    if not found:
        names = ", ".join(sample.sample for sample in samples)
        raise NoResults(
            f"There is no audit sample {name}" if name else "No audit sample was drawn yet",
            f"There are: {names}." if names else "Draw one and hear it: wellheard review --sample 30",
        )
    return found
