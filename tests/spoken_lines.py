"""Calls for tests, written as they are spoken: `call("agent: hello", "[30 s]", "customer: hi")`."""

import re

from wellheard.pipeline.listen import listen
from wellheard.pipeline.records import Conversation, Heard, Turn, Word
from wellheard.pipeline.settings import Listen


def call(*lines: str, language: str = "en") -> tuple[Conversation, Heard]:
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
                    Word(start_s=now + i * 0.4, end_s=now + i * 0.4 + 0.4, text=word, probability=0.9)
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
