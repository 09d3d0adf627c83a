"""A transcribed call: a dialogue to read, and JSON, RTTM and SRT for other programs."""

import json
import re
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from wellheard.pipeline.records import CallClarity, CallInfo, Conversation, Turn, Word, clock
from wellheard.views.screen import counted, percent, plain, visible

COLOURS = {"agent": "cyan", "customer": "green", "other": "magenta"}

# From when on a pause inside a turn is no speech (RTTM), and from when on a subtitle does not span it.
SPEECH_PAUSE_S = 0.5
SUBTITLE_PAUSE_S = 2.0
# A subtitle that can be read in time: two lines of 42 characters, seven seconds.
SUBTITLE_CHARACTERS = 84
SUBTITLE_S = 7.0


def show(console: Console, info: CallInfo, conversation: Conversation, clarity: CallClarity) -> None:
    """The dialogue, each turn with its time and speaker."""
    facts = [f"{clock(conversation.duration_s)} long", language_line(conversation)]
    if info.agent_id != "unknown":
        facts.insert(0, f"agent {info.agent_id}")
    console.print(plain(info.call_id, "bold"), plain(", ".join(facts), "dim"), sep="  ")
    for note in (*info.notes, *conversation.notes):
        console.print(plain(f"Note: {note}", "yellow"))
    console.print()
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for turn in conversation.turns:
        colour = COLOURS.get(turn.speaker, "")
        table.add_row(plain(clock(turn.start_s), "dim"), plain(turn.speaker, colour), plain(turn.text))
    console.print(table)
    console.print()
    console.print(plain(certainty_line(conversation), "dim"))
    heard = [(speaker, own.grade, own.faults) for speaker, own in clarity.speakers.items()]
    console.print(plain(f"To be heard: {clarity_line(heard)}", "dim"))


def language_line(conversation: Conversation) -> str:
    """The language, and how sure it is where it was not given."""
    sure = conversation.language_probability
    return f"language {conversation.language}" + (f" ({percent(sure)} sure)" if sure < 0.995 else "")


def certainty_line(conversation: Conversation) -> str:
    """How many turns, and how sure it is who is who."""
    turns = counted(len(conversation.turns), "turn")
    if conversation.role_confidence >= 1:
        return f"{turns}; agent and customer are known from the recording"
    sure = percent(conversation.role_confidence)
    return f"{turns}; agent and customer told apart by what they say, {sure} sure"


def clarity_line(of_speakers: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """How well each speaker was to be heard, and what was wrong: (speaker, grade, faults)."""
    return "; ".join(
        f"{speaker} {grade}" + (f" ({', '.join(faults)})" if faults else "")
        for speaker, grade, faults in sorted(of_speakers)
    )


def as_json(conversation: Conversation) -> str:
    """JSON: `language`, `duration_s`, `turns` (`speaker`, `start_s`, `end_s`, `text`, `words`)."""
    turns = [
        {
            "speaker": turn.speaker,
            "start_s": turn.start_s,
            "end_s": turn.end_s,
            "text": turn.text,
            "words": [
                {
                    "start_s": word.start_s,
                    "end_s": word.end_s,
                    "word": word.text,
                    "probability": word.probability,
                }
                for word in turn.words
            ],
        }
        for turn in conversation.turns
    ]
    page = {"language": conversation.language, "duration_s": conversation.duration_s, "turns": turns}
    return json.dumps(page, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def as_rttm(conversation: Conversation, name: str) -> str:
    """RTTM as NIST's RT-09 plan defines it: who speaks when; `name` becomes the file's, without blanks."""
    uri = re.sub(r"\s+", "_", visible(name)) or "call"
    end_ms = int(conversation.duration_s * 1000)
    lines = []
    for turn in conversation.turns:
        for words in _stretches(turn.words, SPEECH_PAUSE_S):
            start = min(_ms(words[0].start_s), end_ms)
            length = min(_ms(max(word.end_s for word in words)), end_ms) - start
            if length > 0:
                lines.append((start, length, turn.speaker))
    return "".join(
        f"SPEAKER {uri} 1 {start / 1000:.3f} {length / 1000:.3f} <NA> <NA> {speaker} <NA> <NA>\n"
        for start, length, speaker in sorted(lines)
    )


def as_srt(conversation: Conversation) -> str:
    """SubRip subtitles, each with its speaker; long turns in pieces that can be read in time."""
    pieces = sorted(
        ((piece, turn.speaker) for turn in conversation.turns for piece in _subtitles(turn)),
        key=lambda pair: pair[0][0].start_s,
    )
    blocks = []
    for number, (words, speaker) in enumerate(pieces, start=1):
        start = _ms(words[0].start_s)
        end = max(_ms(max(word.end_s for word in words)), start + 1)
        text = visible(" ".join(word.text for word in words)).replace("-->", "->")
        blocks.append(f"{number}\n{_srt_time(start)} --> {_srt_time(end)}\n{speaker.capitalize()}: {text}\n")
    return "\n".join(blocks)


def _stretches(words: Sequence[Word], pause_s: float) -> Iterable[list[Word]]:
    """The words of a turn, parted where it pauses."""
    stretch = [words[0]]
    end_s = words[0].end_s
    for word in words[1:]:
        if word.start_s - end_s > pause_s:
            yield stretch
            stretch = []
        stretch.append(word)
        end_s = max(end_s, word.end_s)
    yield stretch


def _subtitles(turn: Turn) -> Iterable[list[Word]]:
    for stretch in _stretches(turn.words, SUBTITLE_PAUSE_S):
        piece: list[Word] = []
        for word in stretch:
            text = " ".join(w.text for w in [*piece, word])
            if piece and (len(text) > SUBTITLE_CHARACTERS or word.end_s - piece[0].start_s > SUBTITLE_S):
                yield piece
                piece = []
            piece.append(word)
        yield piece


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _srt_time(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{ms:03}"
