"""How far reviewers agree with one another and with the machine, over all calls that they have heard.

Calls that people choose to hear are not like all calls; `trust.py` says from samples what holds for all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from wellheard.pipeline.morning import reviews
from wellheard.pipeline.morning.kappa import Agreed, agreed
from wellheard.pipeline.morning.reviews import Review


@dataclass(frozen=True)
class Reviewers:
    """One criterion, of which `reviewed` marks somebody has answered.

    `people` compares reviewers of the same mark with one another, `machine` reviewers with the mark as they
    found it. Left out are answers of those who could not tell (`cannot_tell`), and for `machine` marks that
    were `unsure`.
    """

    rubric: str
    criterion: str
    reviewed: int
    people: Agreed | None
    machine: Agreed | None
    unsure: int
    cannot_tell: int


def agreement(found: Iterable[Review], blind: bool) -> list[Reviewers]:
    """Compare the last answers of all reviewers; with `blind` only answers given without seeing any other.

    `found` comes oldest first.
    """
    of_criterion: dict[tuple[str, str], list[list[Review]]] = {}
    latest = reviews.latest(review for review in found if review.blind or not blind)
    for (_, rubric, criterion), people in latest.items():
        of_criterion.setdefault((rubric, criterion), []).append(list(people.values()))
    return [_compare(*name, marks) for name, marks in sorted(of_criterion.items())]


def _compare(rubric: str, criterion: str, marks: list[list[Review]]) -> Reviewers:
    told = [[one for one in people if one.answer != "cannot_tell"] for people in marks]
    sure = [[one for one in people if one.machine_answer != "unsure"] for people in told]
    # Nobody is first or second, so each pair counts both ways.
    pairs = [
        [pair for one, two in combinations(people, 2) for pair in ((one, two), (two, one))] for people in told
    ]
    return Reviewers(
        rubric=rubric,
        criterion=criterion,
        reviewed=len(marks),
        people=agreed([[(one.answer, two.answer) for one, two in of_mark] for of_mark in pairs if of_mark]),
        machine=agreed([[(one.answer, one.machine_answer) for one in people] for people in sure if people]),
        unsure=sum(one.machine_answer == "unsure" for people in told for one in people[:1]),
        cannot_tell=sum(len(people) for people in marks) - sum(map(len, told)),
    )
