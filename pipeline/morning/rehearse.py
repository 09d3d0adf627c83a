"""Rehearse: score stored calls with a new rubric and hold the marks against those that were stored."""

from collections.abc import Callable, Iterable

from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline.morning.stored import StoredCall
from wellheard.pipeline.records import Answer, Mark, Record
from wellheard.pipeline.score import score
from wellheard.pipeline.settings import Score
from wellheard.rubrics.house import HouseJudge
from wellheard.rubrics.language_model import LanguageModelJudge
from wellheard.rubrics.loader import Rubric


class Pair(Record):
    """A criterion's answer before and now; None where the rubric had, or has, no such criterion."""

    criterion: str
    old: Answer | None
    new: Answer | None
    old_confidence: float | None
    new_confidence: float | None

    @property
    def moved(self) -> bool:
        """Whether it was answered both times, and not alike."""
        return self.old is not None and self.new is not None and self.old != self.new


class RehearsedCall(Record):
    """A call scored anew.

    Scores are from 0 to 1, None where nothing counted; a call fails by a no to a critical criterion.
    """

    call_id: str
    agent_id: str
    date: str
    old_version: str
    pairs: tuple[Pair, ...]
    old_score: float | None
    new_score: float | None
    old_fails: bool
    new_fails: bool

    @property
    def moved(self) -> tuple[Pair, ...]:
        """The marks that move."""
        return tuple(pair for pair in self.pairs if pair.moved)


class Worth(Record):
    """What a criterion counts for."""

    weight: float
    critical: bool


class Rehearsal(Record):
    """What a rubric does to the calls that were scored with an earlier one of the same id.

    Left out, by id: calls `without_acts` (stored by an early version of wellheard), those of `other_language`
    than the rubric's, and those `never_scored` with such a rubric, which only tell how its marks fall.
    `before` is what each criterion counted for, as last stored.
    """

    rubric: Rubric
    calls: tuple[RehearsedCall, ...]
    never_scored: tuple[RehearsedCall, ...]
    without_acts: tuple[str, ...]
    other_language: tuple[str, ...]
    before: dict[str, Worth]

    @property
    def old_versions(self) -> tuple[str, ...]:
        """The versions that the stored marks were made with."""
        return tuple(sorted({call.old_version for call in self.calls}))


def rehearse(
    calls: Iterable[StoredCall],
    rubric: Rubric,
    encoder: SentenceEncoder,
    settings: Score,
    language_model: LanguageModelJudge | None,
    on_call: Callable[[int], None],
    house: HouseJudge | None = None,
) -> Rehearsal:
    """Score the calls with the rubric; `on_call` is told how many are done. Stores nothing."""
    scored: list[RehearsedCall] = []
    never_scored: list[RehearsedCall] = []
    without_acts: list[str] = []
    other_language: list[str] = []
    before: dict[str, tuple[str, Worth]] = {}
    for number, call in enumerate(calls, 1):
        if call.acts is None:
            without_acts.append(call.info.call_id)
        elif call.conversation.language not in rubric.languages:
            other_language.append(call.info.call_id)
        else:
            card = score(
                call.conversation,
                call.heard,
                call.info,
                call.acts,
                [rubric],
                encoder,
                settings,
                language_model,
                house,
            )
            (scored if call.marks else never_scored).append(
                _rehearsed(call, card.marks, card.scores[rubric.id])
            )
        for mark in call.marks:
            if mark.criterion not in before or before[mark.criterion][0] <= call.date:
                before[mark.criterion] = call.date, Worth(weight=mark.weight, critical=mark.critical)
        on_call(number)
    return Rehearsal(
        rubric=rubric,
        calls=tuple(scored),
        never_scored=tuple(never_scored),
        without_acts=tuple(without_acts),
        other_language=tuple(other_language),
        before={criterion: worth for criterion, (_, worth) in before.items()},
    )


def _rehearsed(call: StoredCall, marks: Iterable[Mark], new_score: float | None) -> RehearsedCall:
    old = {mark.criterion: mark for mark in call.marks}
    new = {mark.criterion: mark for mark in marks}
    return RehearsedCall(
        call_id=call.info.call_id,
        agent_id=call.info.agent_id,
        date=call.date,
        old_version=call.marks[0].rubric_version if call.marks else "",
        pairs=tuple(_pair(name, old.get(name), new.get(name)) for name in {**new, **old}),
        old_score=call.score,
        new_score=new_score,
        old_fails=_fails(old.values()),
        new_fails=_fails(new.values()),
    )


def _pair(criterion: str, old: Mark | None, new: Mark | None) -> Pair:
    return Pair(
        criterion=criterion,
        old=old.answer if old else None,
        new=new.answer if new else None,
        old_confidence=old.confidence if old else None,
        new_confidence=new.confidence if new else None,
    )


def _fails(marks: Iterable[Mark]) -> bool:
    return any(mark.critical and mark.answer == "no" for mark in marks)
