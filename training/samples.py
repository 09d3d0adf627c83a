"""What the act tagger learns from: labelled calls and bank snippets, as the tagger will see calls."""

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wellheard.pipeline import acts as acts_stage
from wellheard.pipeline.listen import listen
from wellheard.pipeline.records import CallInfo, Conversation, Speaker, Turn, TurnInput, Word
from wellheard.pipeline.settings import Listen
from wellheard.rubrics.facts import NAME_UNKNOWN, OPENING_TURNS
from wellheard.training import bank, labelled

FOLDER = Path(__file__).parent.parent / "data" / "labelled"
# A snippet's words are as long as words usually are; nothing depends on it.
WORD_S, PAUSE_S = 0.3, 0.4
# So often a turn is shown as a recogniser writes it, without some of its words, or with names nobody told.
PLAIN, LOSSY, LOST_WORDS, NAMELESS = 0.4, 0.3, 0.08, 0.3

_NO_WORD = re.compile(r"[^\w\s'’@-]")
_NAMES = ("says_agent_name", "says_company")


@dataclass(frozen=True)
class Sample:
    """Turns with the acts of each and, for a whole call, people's answers by criterion."""

    writer: str
    turns: tuple[TurnInput, ...]
    acts: tuple[frozenset[str], ...]
    answers: dict[str, str]
    whole: bool


def of_calls(calls: Iterable[labelled.LabelledCall]) -> Iterator[Sample]:
    """Labelled calls as samples; they must have acts."""
    for call in calls:
        assert call.acts is not None
        yield Sample(
            writer=call.writer,
            turns=tuple(acts_stage.turn_inputs(call.conversation, call.heard, call.info)),
            acts=call.acts,
            answers={name: label.answer for name, label in call.marks.items()},
            whole=True,
        )


def of_bank(folder: Path = bank.FOLDER) -> Iterator[Sample]:
    """All snippets of the bank as samples."""
    for path in sorted(folder.glob("*.txt")):
        for snippet in bank.read(path):
            conversation = _conversation(snippet)
            turns = acts_stage.turn_inputs(
                conversation, listen(conversation, Listen()), CallInfo(call_id=path.stem)
            )
            yield Sample(
                writer=f"bank {path.stem}",
                turns=tuple(_forget_doubts(turn) for turn in turns),
                acts=snippet.acts,
                answers={},
                whole=False,
            )


def varied(sample: Sample, chance: random.Random) -> list[TurnInput]:
    """The turns as they might have come too: unpunctuated, with words lost, without known names."""
    nameless = sample.whole and chance.random() < NAMELESS
    own = [number for number, turn in enumerate(sample.turns) if turn.speaker == "agent"]
    opening = own[:OPENING_TURNS]
    return [
        msgspec.structs.replace(
            turn,
            text=_varied(turn.text, chance),
            facts=_nameless(turn.facts, number in opening) if nameless else turn.facts,
        )
        for number, turn in enumerate(sample.turns)
    ]


def _varied(text: str, chance: random.Random) -> str:
    if chance.random() < PLAIN:
        text = _NO_WORD.sub("", text).lower()
    if chance.random() < LOSSY:
        words = text.split()
        text = " ".join([word for word in words if chance.random() > LOST_WORDS] or words)
    return text


def _nameless(facts: dict[str, float], opening: bool) -> dict[str, float]:
    kept = {name: sure for name, sure in facts.items() if name not in _NAMES}
    return kept | dict.fromkeys(_NAMES, NAME_UNKNOWN) if opening else kept


def _forget_doubts(turn: TurnInput) -> TurnInput:
    """A snippet does not begin a call, so its first turns are no opening in which a name may be missing."""
    facts = {name: sure for name, sure in turn.facts.items() if sure != NAME_UNKNOWN}
    return msgspec.structs.replace(turn, facts=facts)


def _conversation(snippet: bank.Snippet) -> Conversation:
    turns: list[Turn] = []
    now = 0.0
    for speaker, text in snippet.turns:
        turns.append(_turn(speaker, text.split(), now))
        now = turns[-1].end_s + PAUSE_S
    return Conversation(
        language=snippet.language,
        language_probability=1.0,
        duration_s=now,
        turns=tuple(turns),
        role_confidence=1.0,
    )


def _turn(speaker: Speaker, words: list[str], start_s: float) -> Turn:
    return Turn(
        speaker=speaker,
        words=tuple(
            Word(start_s=start_s + i * WORD_S, end_s=start_s + (i + 1) * WORD_S, text=word, probability=1.0)
            for i, word in enumerate(words)
        ),
    )
