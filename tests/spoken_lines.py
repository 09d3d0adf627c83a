"""Calls for tests, written as they are spoken.

`call("agent: hello", "[30 s]", "customer: hi")` has no acts; `tagged("agent: Hello. [greet, company 0.4]")`
has those that are given: an act without a number is as good as certain.
"""

import re
from typing import NamedTuple

from wellheard.pipeline.listen import listen
from wellheard.pipeline.records import Acts, Conversation, Heard, Turn, Word
from wellheard.pipeline.settings import Listen

SURE = 0.95

_ACTS = re.compile(r"(.+?)\s*\[([\w ,.]*)\]")


class Tagged(NamedTuple):
    """A call, what is heard in it, and what is done in it."""

    conversation: Conversation
    heard: Heard
    acts: Acts


def call(*lines: str, language: str = "en", word_probability: float = 0.9) -> tuple[Conversation, Heard]:
    """A call and what is heard in it; a line is a turn or, in square brackets, a silence in seconds."""
    turns: list[Turn] = []
    now = 0.0
    for line in lines:
        silence = re.fullmatch(r"\[(\d+) s\]", line)
        if silence:
            now += float(silence[1])
            continue
        speaker, text = line.split(": ", 1)
        words = text.split()
        turns.append(
            Turn(
                speaker=speaker,
                words=tuple(
                    Word(
                        start_s=now + i * 0.4,
                        end_s=now + i * 0.4 + 0.4,
                        text=word,
                        probability=word_probability,
                    )
                    for i, word in enumerate(words)
                ),
            )
        )
        now += len(words) * 0.4 + 0.4
    conversation = Conversation(
        language=language,
        language_probability=1.0,
        duration_s=now,
        turns=tuple(turns),
        role_confidence=1.0,
    )
    return conversation, listen(conversation, Listen())


def tagged(*lines: str, language: str = "en") -> Tagged:
    """A call as `call` writes it, with the acts of each turn in square brackets behind it."""
    spoken, acts = [], []
    for line in lines:
        done = _ACTS.fullmatch(line)
        spoken.append(done[1] if done else line)
        if ": " in line:
            acts.append(acts_of(done[2]) if done else {})
    conversation, heard = call(*spoken, language=language)
    return Tagged(conversation, heard, Acts(turns=tuple(acts), answers={}))


def acts_of(text: str) -> dict[str, float]:
    """The acts of "greet, company 0.4", with their probabilities."""
    named = (part.split() for part in text.split(",") if part.strip())
    return {name: float(*probability) if probability else SURE for name, *probability in named}
