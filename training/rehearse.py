"""Labelled calls judged with two versions of a rubric: what is no longer right, and what now is."""

from collections.abc import Callable, Sequence

from wellheard.models.act_tagger import ActTagger, Tagged
from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline.records import Answer, Record, TurnInput
from wellheard.pipeline.settings import Score
from wellheard.rubrics.house import HouseJudge
from wellheard.rubrics.language_model import LanguageModelJudge
from wellheard.rubrics.loader import Rubric
from wellheard.training.evaluate import from_text
from wellheard.training.labelled import LabelledCall, PersonsAnswer


class LabelledPair(Record):
    """What people answered, and what the old and the new rubric do; unsure is never right."""

    call_id: str
    criterion: str
    label: PersonsAnswer
    old: Answer
    new: Answer
    old_confidence: float
    new_confidence: float

    @property
    def breaks(self) -> bool:
        """Right before, wrong now."""
        return self.old == self.label != self.new

    @property
    def mends(self) -> bool:
        """Wrong before, right now."""
        return self.new == self.label != self.old


def rehearse(
    calls: Sequence[LabelledCall],
    old: Rubric,
    new: Rubric,
    tagger: ActTagger,
    encoder: SentenceEncoder,
    settings: Score,
    language_model: LanguageModelJudge | None,
    on_call: Callable[[int], None],
    house: HouseJudge | None = None,
) -> tuple[LabelledPair, ...]:
    """Judge the calls' text with both, as far as both are for its language; labels of other criteria wait."""
    tagger = _Remembering(tagger)
    pairs: list[LabelledPair] = []
    for number, call in enumerate(calls, 1):
        if call.conversation.language in {*old.languages} & {*new.languages}:
            before, after = (
                {
                    judgement.criterion: judgement
                    for judgement in from_text(
                        [call], [rubric], tagger, encoder, settings, language_model, lambda _: None, house
                    )[0]
                }
                for rubric in (old, new)
            )
            pairs += [
                LabelledPair(
                    call_id=call.call_id,
                    criterion=name.partition(".")[2],
                    label=before[name].label,
                    old=before[name].answer,
                    new=after[name].answer,
                    old_confidence=before[name].confidence,
                    new_confidence=after[name].confidence,
                )
                for name in before
                if name in after
            ]
        on_call(number)
    return tuple(pairs)


class _Remembering(ActTagger):
    """Tags a call once for both rubrics: that is what takes the time."""

    def __init__(self, tagger: ActTagger) -> None:
        self.names = tagger.names
        self._tagger = tagger
        self._last: tuple[list[TurnInput], Tagged] | None = None

    def __call__(self, turns: Sequence[TurnInput]) -> Tagged:
        if self._last is None or self._last[0] != list(turns):
            self._last = list(turns), self._tagger(turns)
        return self._last[1]
