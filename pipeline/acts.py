"""Acts: what is done in each turn (greets, asks for an identifier, voices a feeling …).

`rubrics/acts.py` lists the acts. The tagger reads the words; facts of names, numbers and times, and what was
heard besides words, come to its help.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import exp
from typing import TYPE_CHECKING

from wellheard.pipeline.errors import UnknownLanguage
from wellheard.pipeline.records import Acts, CallInfo, Conversation, Heard, Turn, TurnInput
from wellheard.rubrics import facts
from wellheard.rubrics.acts import may_show

if TYPE_CHECKING:
    from wellheard.models.act_tagger import ActTagger, Names, Tagged

VERSION = "1"
# Fainter traces of an act than this are not worth keeping.
FAINTEST = 0.01


def tag(conversation: Conversation, heard: Heard, info: CallInfo, tagger: "ActTagger") -> Acts:
    """Tag every turn; speakers must have been judged.

    Raises:
        UnknownLanguage: facts cannot be found in the call's language.
    """
    turns = turn_inputs(conversation, heard, info)
    if not turns:
        return Acts(turns=(), answers={})
    return as_acts(turns, tagger(turns), tagger.names)


def as_acts(turns: Sequence[TurnInput], tagged: "Tagged", names: "Names") -> Acts:
    """What a tagger's calibrated log-odds say, as probabilities."""
    return Acts(
        turns=tuple(
            {
                act: sure
                for act, log_odds in zip(names.acts, of_turn, strict=True)
                if may_show(turn.speaker, act) and (sure := round(_share(log_odds), 4)) >= FAINTEST
            }
            for turn, of_turn in zip(turns, tagged.acts, strict=True)
        ),
        answers={
            criterion: _shares(of_criterion)
            for criterion, of_criterion in zip(names.criteria, tagged.answers, strict=True)
        },
    )


def turn_inputs(conversation: Conversation, heard: Heard, info: CallInfo) -> list[TurnInput]:
    """What the tagger is shown of each turn.

    Raises:
        UnknownLanguage: facts cannot be found in the call's language.
    """
    if conversation.language not in facts.languages():
        raise UnknownLanguage(
            f"Nobody has taught wellheard the language {conversation.language!r}",
            f"It knows: {', '.join(facts.languages())}. Give the call's right language in the manifest, "
            "or add it (docs/rubrics.md).",
        )
    turns = conversation.turns
    found = facts.find(turns, heard, info, facts.words_of(conversation.language))
    gaps = [0.0, *(after.start_s - before.end_s for before, after in pairwise(turns))]
    return [
        TurnInput(
            speaker=turn.speaker,  # type: ignore[arg-type]
            text=turn.text,
            pause_s=max(gap, 0.0),
            overlap_s=max(-gap, 0.0),
            sound=_sound(turn, heard),
            facts=of_turn,
        )
        for turn, gap, of_turn in zip(turns, gaps, found, strict=True)
    ]


def _sound(turn: Turn, heard: Heard) -> str | None:
    """What is heard behind a turn."""
    for sound in heard.sounds:
        if sound.start_s < turn.end_s and turn.start_s < sound.end_s:
            return sound.kind
    return None


def _share(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))


def _shares(logits: Sequence[float]) -> tuple[float, float, float]:
    most = max(logits)
    yes, no, na = (exp(logit - most) for logit in logits)
    total = yes + no + na
    return (round(yes / total, 4), round(no / total, 4), round(na / total, 4))
