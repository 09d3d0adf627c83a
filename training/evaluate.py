"""Judging labelled calls, from text or sound, and pairing the marks with people's answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from rapidfuzz import fuzz

from wellheard.models.act_tagger import ActTagger
from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline import acts
from wellheard.pipeline.records import Evidence, Mark, Scorecard
from wellheard.pipeline.score import score
from wellheard.pipeline.settings import Score
from wellheard.rubrics.house import HouseJudge
from wellheard.rubrics.language_model import LanguageModelJudge
from wellheard.rubrics.loader import Rubric
from wellheard.rubrics.text import plain
from wellheard.training import keywords
from wellheard.training.agreement import Judgement
from wellheard.training.labelled import LabelledCall

# From here on (of 100) a heard turn is the labelled one: a recogniser gets one word in five wrong.
SAME_TURN = 70.0


def from_text(
    calls: Iterable[LabelledCall],
    rubrics: Sequence[Rubric],
    tagger: ActTagger,
    encoder: SentenceEncoder,
    settings: Score,
    language_model: LanguageModelJudge | None,
    on_call: Callable[[int], None],
    house: HouseJudge | None = None,
) -> tuple[list[Judgement], dict[tuple[str, str], list[int]]]:
    """Judge the calls' text; also by call and criterion the turns that each mark shows."""
    judgements: list[Judgement] = []
    shown: dict[tuple[str, str], list[int]] = {}
    for number, call in enumerate(calls, 1):
        done = acts.tag(call.conversation, call.heard, call.info, tagger)
        card = score(
            call.conversation, call.heard, call.info, done, rubrics, encoder, settings, language_model, house
        )
        of_call, turns = of_text(call, card)
        judgements += of_call
        shown |= turns
        on_call(number)
    return judgements, shown


def of_text(call: LabelledCall, card: Scorecard) -> tuple[list[Judgement], dict[tuple[str, str], list[int]]]:
    """Pair the marks of a call judged from its text with the labels; also the turns that each shows."""
    judgements: list[Judgement] = []
    shown: dict[tuple[str, str], list[int]] = {}
    starts = {turn.start_s: number for number, turn in enumerate(call.conversation.turns)}
    for mark in _labelled(call, card.marks):
        turns = [starts[evidence.start_s] for evidence in mark.evidence]
        shown[call.call_id, _name(mark)] = turns
        found = bool(set(turns) & set(call.marks[_name(mark)].evidence))
        judgements.append(_judgement(call, mark, found))
    return judgements, shown


def from_sound(
    calls: Iterable[LabelledCall], marks: Iterable[Mapping[str, Any]]
) -> tuple[list[Judgement], dict[tuple[str, str], list[tuple[float, float]]]]:
    """Pair rows of the dataset `marks` with the labels; also the seconds that each mark shows.

    Calls without marks are left out. Evidence is found if what it quotes is, word for word or nearly, in a
    turn that people named.
    """
    given: dict[str, list[Mark]] = {}
    for row in marks:
        mark = msgspec.convert({name: row[name] for name in Mark.__struct_fields__}, Mark)
        given.setdefault(row["call_id"], []).append(mark)
    judgements: list[Judgement] = []
    shown: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for call in calls:
        for mark in _labelled(call, given.get(call.call_id, ())):
            shown[call.call_id, _name(mark)] = [(e.start_s, e.end_s) for e in mark.evidence]
            named = [call.conversation.turns[i].text for i in call.marks[_name(mark)].evidence]
            judgements.append(_judgement(call, mark, _quoted(mark.evidence, named)))
    return judgements, shown


def _labelled(call: LabelledCall, marks: Iterable[Mark]) -> Iterable[Mark]:
    return (mark for mark in marks if _name(mark) in call.marks)


def _name(mark: Mark) -> str:
    return f"{mark.rubric}.{mark.criterion}"


def _judgement(call: LabelledCall, mark: Mark, found: bool) -> Judgement:
    label = call.marks[_name(mark)]
    # Only a language model can be unsure without leaning anywhere.
    leaning = "na" if mark.leaning == "unsure" else mark.leaning
    return Judgement(
        call_id=call.call_id,
        criterion=_name(mark),
        label=label.answer,
        answer=mark.answer,
        leaning=leaning,
        confidence=mark.confidence,
        label_turns=label.evidence,
        found=found if label.evidence and mark.evidence else None,
        keyword=keywords.answer(_name(mark), call.conversation, call.info),
    )


def _quoted(evidence: Sequence[Evidence], named: Sequence[str]) -> bool:
    return any(
        fuzz.partial_ratio(plain(shown.quote), plain(text)) >= SAME_TURN
        for shown in evidence
        for text in named
    )
