"""Adapting the trained combination to a house's own reviews, with a held-out check that may undo it.

The shipped weights are where it starts: what is learnt is by how much the house's answers ask to leave them,
held back the more, the fewer answers there are (a Gaussian prior about the shipped weights). Whether that
helps is asked of calls that it has not learnt from, agent by agent: only criteria whose answers there became
likelier by more than chance, and no less often right, keep it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import __version__ as scipy_version
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax, stdtr, stdtrit
from threadpoolctl import threadpool_limits

from wellheard.pipeline.morning import reviews
from wellheard.pipeline.morning.reviews import Review
from wellheard.pipeline.morning.stored import StoredCall
from wellheard.pipeline.morning.summary import Change, beyond_chance
from wellheard.pipeline.score import find
from wellheard.rubrics.combination import COMBINATION, Combination, Weights, features
from wellheard.rubrics.house import HouseJudge
from wellheard.rubrics.loader import Rubric

FEWEST_ANSWERS = 20
"""Of fewer a criterion is not adapted."""
FREEDOMS = (0.1, 0.4)
"""How far weights may leave the shipped ones (standard deviations, of log-odds for each number's own)."""
_FREEDOM_OF_BIAS = 1.0
_FOLDS = 5
ADAPTED, NO_HELP, TOO_FEW = "adapted", "no help, left as shipped", "too few answers, left as shipped"

Numbers = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lesson:
    """What people answered to a criterion (`pec.empathy`) of a call, and the numbers to tell it from."""

    criterion: str
    call_id: str
    agent_id: str
    answer: str
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Lessons:
    """All lessons; and reviewed marks that are none, by reason."""

    lessons: tuple[Lesson, ...]
    left_out: dict[str, int]

    @property
    def calls(self) -> set[str]:
        """The calls that they are of."""
        return {lesson.call_id for lesson in self.lessons}


@dataclass(frozen=True)
class Outcome:
    """What came of one criterion: shares right and log-losses, before and after, on calls not learnt from.

    `gain` is by how much the log-loss fell, with its 95 % interval; None with too few answers.
    """

    criterion: str
    verdict: str
    answers: int
    right_before: float | None = None
    right_after: float | None = None
    loss_before: float | None = None
    loss_after: float | None = None
    gain: Change | None = None


DISPUTED, CANNOT_TELL, OTHER_RUBRIC, PICKED, GONE = (
    "reviewers differ",
    "nobody could tell",
    "of another version of the checklist, or of a criterion that is not trained",
    "only what was wrong was answered",
    "the call is gone, or was stored by an early version",
)


def lessons(found: Iterable[Review], calls: Iterable[StoredCall], rubrics: Sequence[Rubric]) -> Lessons:
    """What can be learnt from these reviews, oldest first, of these calls.

    Who sees the machine's answers tends to answer only those that are wrong, and from these alone one would
    learn that it always is. So answers count that were given blind, that settle a mark left unsure, or that
    stand in a checklist answered from end to end.
    """
    trained = {
        (rubric.id, rubric.version, criterion.id): criterion.rule
        for rubric in rubrics
        for criterion in rubric.criteria
        if criterion.judge == "trained"
    }
    sizes = {(rubric.id, rubric.version): len(rubric.criteria) for rubric in rubrics}
    of_mark: dict[tuple[str, str, str, str], dict[str, Review]] = {}
    blindly: set[tuple[str, ...]] = set()
    for review in found:
        mark = (review.call_id, review.rubric, review.rubric_version, review.criterion)
        of_mark.setdefault(mark, {})[review.reviewer] = review
        if review.blind:
            blindly.add((*mark, review.reviewer))  # who was drawn into it so may think again later
    answered: dict[tuple[str, str, str], int] = {}
    for call_id, rubric, version, _ in of_mark:
        key = (call_id, rubric, version)
        answered[key] = answered.get(key, 0) + 1
    left_out: dict[str, int] = {}
    known: dict[str, list[tuple[tuple[str, str, str], str]]] = {}
    for (call_id, rubric, version, criterion), own in of_mark.items():
        whole = answered[call_id, rubric, version] == sizes.get((rubric, version))
        free = {
            who: one
            for who, one in own.items()
            if whole
            or one.machine_answer == "unsure"
            or (call_id, rubric, version, criterion, who) in blindly
        }
        answers = reviews.answers(free)
        if (rubric, version, criterion) not in trained:
            why = OTHER_RUBRIC
        elif not free:
            why = PICKED
        elif not answers:
            why = CANNOT_TELL
        elif len(answers) > 1:
            why = DISPUTED
        else:
            known.setdefault(call_id, []).append(((rubric, version, criterion), answers[0]))
            continue
        left_out[why] = left_out.get(why, 0) + 1
    learnt: list[Lesson] = []
    for call in calls:
        if call.acts is None or call.info.call_id not in known:
            continue
        findings = find(call.conversation, call.heard, call.info, call.acts)
        for what, answer in known.pop(call.info.call_id):
            name = f"{what[0]}.{what[2]}"
            numbers = tuple(features(name, trained[what], findings))
            learnt.append(Lesson(name, call.info.call_id, call.info.agent_id, answer, numbers))
    gone = sum(map(len, known.values()))
    return Lessons(tuple(learnt), left_out | ({GONE: gone} if gone else {}))


def adapt(
    learnt: Sequence[Lesson],
    about: Mapping[str, str],
    on_criterion: Callable[[int, int], None],
    shipped: Combination = COMBINATION,
) -> tuple[HouseJudge, tuple[Outcome, ...]]:
    """The house's judge, and what came of each criterion of which there are lessons.

    `about` is what the file is to say of itself; `on_criterion` is told how many are done, of how many.
    Where nothing helps, the judge is the shipped one.
    """
    of_criterion: dict[str, list[Lesson]] = {}
    for lesson in learnt:
        if lesson.answer in shipped.criteria[lesson.criterion].answers:
            of_criterion.setdefault(lesson.criterion, []).append(lesson)
    numbers = {name: len(own) for name, own in sorted(of_criterion.items())}
    known = {
        name: _Answered.of(of_criterion[name], shipped.criteria[name])
        for name, number in numbers.items()
        if number >= FEWEST_ANSWERS
    }
    checked: dict[str, _Checked] = {}
    with threadpool_limits(1):  # such small steps would wait for threads a hundred times as long
        for done, name in enumerate(known, 1):
            checked[name] = _check(known[name])
            on_criterion(done, len(known))
        surely = beyond_chance([one.gain for one in checked.values()])
        helps = {name for name, sure in zip(checked, surely, strict=True) if sure and checked[name].better}
        criteria = {name: _adapted(known[name]) for name in checked if name in helps}
    house = HouseJudge(
        about={**about, "scipy": scipy_version},
        shipped=shipped.fingerprint,
        learnt_from=tuple(sorted({lesson.call_id for lesson in learnt})),
        criteria=criteria,
    )
    outcomes = (_outcome(name, number, checked.get(name), name in helps) for name, number in numbers.items())
    return house, tuple(outcomes)


def _outcome(name: str, answers: int, found: "_Checked | None", helps: bool) -> Outcome:
    if found is None:
        return Outcome(name, TOO_FEW, answers)
    figures = (found.right_before, found.right_after, found.loss_before, found.loss_after, found.gain)
    return Outcome(name, ADAPTED if helps else NO_HELP, answers, *figures)


def written(house: HouseJudge) -> str:
    """The file, to be read by people too."""
    return msgspec.json.format(msgspec.json.encode(house, order="deterministic"), indent=1).decode() + "\n"


@dataclass(frozen=True)
class _Answered:
    """One criterion: for each call the numbers, the answer's place, the shipped log-odds, and the group.

    `numbers` are of the width that they have in this house's calls, with a 1 at the end for the bias.
    """

    shipped: Weights
    numbers: Numbers
    answer: Whole
    logits: Numbers
    group: Whole
    width: Numbers

    @classmethod
    def of(cls, lessons: Sequence[Lesson], shipped: Weights) -> "_Answered":
        raw = np.array([lesson.numbers for lesson in lessons])
        spread = raw.std(axis=0)
        width = np.where(spread > 0, spread, np.inf)
        agents = sorted({lesson.agent_id for lesson in lessons})
        by_agent = len(agents) >= _FOLDS
        place = {agent: number for number, agent in enumerate(agents)}
        return cls(
            shipped=shipped,
            numbers=np.hstack([raw / width, np.ones((len(raw), 1))]),
            answer=np.array([shipped.answers.index(lesson.answer) for lesson in lessons]),
            logits=raw @ np.array(shipped.weights).T + np.array(shipped.bias),
            group=np.array([place[lesson.agent_id] if by_agent else i for i, lesson in enumerate(lessons)]),
            width=width,
        )

    def some(self, which: npt.NDArray[np.bool_]) -> "_Answered":
        return _Answered(
            self.shipped,
            self.numbers[which],
            self.answer[which],
            self.logits[which],
            self.group[which],
            self.width,
        )

    def folds(self) -> list[npt.NDArray[np.bool_]]:
        """Which calls each fold leaves out: whole groups, the folds about as large as one another."""
        groups, sizes = np.unique(self.group, return_counts=True)
        order = np.random.default_rng(0).permutation(len(groups))
        order = order[np.argsort(-sizes[order], kind="stable")]
        filled = np.zeros(_FOLDS)
        fold = np.zeros(len(groups), np.int64)
        for place in order:
            fold[place] = np.argmin(filled)
            filled[fold[place]] += sizes[place]
        of_call = fold[np.searchsorted(groups, self.group)]
        return [of_call == number for number in range(_FOLDS) if (of_call == number).any()]

    def losses(self, moved: Numbers) -> Numbers:
        """How unlikely each answer is with weights so moved: the negative logarithm of its share."""
        shares = log_softmax(self.logits + self.numbers @ moved.T, axis=1)
        losses: Numbers = -shares[np.arange(len(self.answer)), self.answer]
        return losses

    def right(self, moved: Numbers) -> npt.NDArray[np.bool_]:
        likeliest: npt.NDArray[np.bool_] = (self.logits + self.numbers @ moved.T).argmax(1) == self.answer
        return likeliest

    @property
    def still(self) -> Numbers:
        """No move at all."""
        return np.zeros((self.logits.shape[1], self.numbers.shape[1]))


@dataclass(frozen=True)
class _Checked:
    right_before: float
    right_after: float
    loss_before: float
    loss_after: float
    gain: Change

    @property
    def better(self) -> bool:
        return self.gain.difference > 0 and self.right_after >= self.right_before


def _check(known: _Answered) -> _Checked:
    """What the whole way of learning, the choice of freedom too, is worth on calls that it has not seen."""
    before, after = known.losses(known.still), np.zeros(len(known.answer))
    right = np.zeros(len(known.answer))
    for left_out in known.folds():
        seen = known.some(~left_out)
        moved = _learn(seen, _freedom(seen))
        after[left_out] = known.some(left_out).losses(moved)
        right[left_out] = known.some(left_out).right(moved)
    return _Checked(
        right_before=float(known.right(known.still).mean()),
        right_after=float(right.mean()),
        loss_before=float(before.mean()),
        loss_after=float(after.mean()),
        gain=_gain(before - after, known.group),
    )


def _gain(gained: Numbers, group: Whole) -> Change:
    """The mean gain, with groups as clusters."""
    mean = float(gained.mean())
    pulls = np.bincount(group, gained - mean)
    groups = len(np.unique(group))
    error = sqrt(float((pulls**2).sum()) * groups / max(groups - 1, 1)) / len(gained)
    half = float(stdtrit(max(groups - 1, 1), 0.975)) * error
    chance = float(2 * stdtr(max(groups - 1, 1), -abs(mean) / error)) if error else 1.0
    return Change(mean, mean - half, mean + half, chance)


def _freedom(known: _Answered) -> float:
    """How freely the weights should move, as calls that are left out tell."""
    losses = dict.fromkeys(FREEDOMS, 0.0)
    for left_out in known.folds():
        seen = known.some(~left_out)
        for freedom in FREEDOMS:
            losses[freedom] += float(known.some(left_out).losses(_learn(seen, freedom)).sum())
    return min(losses, key=lambda freedom: losses[freedom])


def _learn(known: _Answered, freedom: float) -> Numbers:
    """By how much the weights should leave the shipped ones; a row for each answer."""
    answers, numbers = known.logits.shape[1], known.numbers.shape[1]
    held = np.full(numbers, 1 / freedom**2)
    held[-1] = 1 / _FREEDOM_OF_BIAS**2
    given = np.eye(answers)[known.answer]

    def cost(flat: Numbers) -> tuple[float, Numbers]:
        moved = flat.reshape(answers, numbers)
        slope = (softmax(known.logits + known.numbers @ moved.T, axis=1) - given).T @ known.numbers
        total = float(known.losses(moved).sum() + (moved**2 * held).sum() / 2)
        return total, (slope + moved * held).ravel()

    found = minimize(cost, np.zeros(answers * numbers), jac=True, method="L-BFGS-B")
    return np.asarray(found.x).reshape(answers, numbers)


def _adapted(known: _Answered) -> Weights:
    moved = _learn(known, _freedom(known))
    shipped = known.shipped
    weights = np.array(shipped.weights) + moved[:, :-1] / known.width
    bias = np.array(shipped.bias) + moved[:, -1]
    return Weights(
        rule=shipped.rule,
        answers=shipped.answers,
        weights=tuple(tuple(np.round(row, 6).tolist()) for row in weights),
        bias=tuple(np.round(bias, 6).tolist()),
    )
