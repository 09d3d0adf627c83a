"""Small calls for tests, written as lines: `dialogue("agent 0.0-2.5 hello there", "customer 3-4 hi")`."""

from wellheard.pipeline.records import Conversation, Turn, Word


def turn(line: str) -> Turn:
    """One turn from "speaker start-end words"; the words share the time equally."""
    speaker, times, text = line.split(" ", 2)
    start_s, end_s = (float(t) for t in times.split("-"))
    words = text.split()
    step_s = (end_s - start_s) / len(words)
    return Turn(
        speaker=speaker,
        words=tuple(
            Word(
                start_s=round(start_s + i * step_s, 3),
                end_s=round(start_s + (i + 1) * step_s, 3),
                text=word,
                probability=0.9,
            )
            for i, word in enumerate(words)
        ),
    )


def dialogue(*lines: str, language: str = "en", duration_s: float | None = None) -> Conversation:
    """A call whose speakers are known."""
    turns = tuple(turn(line) for line in lines)
    return Conversation(
        language=language,
        language_probability=1.0,
        duration_s=duration_s if duration_s is not None else max(t.end_s for t in turns) + 1.0,
        turns=turns,
        role_confidence=1.0,
    )
