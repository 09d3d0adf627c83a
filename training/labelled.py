"""Labelled calls as the stages would hand them on: their text, with times made from its length."""

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from wellheard.pipeline.errors import BadLabels
from wellheard.pipeline.listen import listen
from wellheard.pipeline.records import CallInfo, Conversation, Heard, Record, Sound, Speaker, Turn, Word
from wellheard.pipeline.settings import Listen
from wellheard.rubrics.yamlfile import did_you_mean

CHARACTERS_A_SECOND = 14
SHORTEST_TURN_S = 0.3
USUAL_PAUSE_S = 0.4
ANSWERS = ("yes", "no", "na")
SPEAKERS: dict[str, Speaker] = {
    "agent": "agent",
    "agent2": "agent",
    "customer": "customer",
    "system": "other",
}
# A turn without words still has its place, so that turn indexes stay those of the script.
WORDLESS = "…"

PersonsAnswer = Literal["yes", "no", "na"]


class Label(Record):
    """What people answered, and the turns (indexes from 0) that they named for it."""

    answer: PersonsAnswer
    evidence: tuple[int, ...] = ()


class LabelledCall(Record):
    """A call with the answers that people gave it, by "rubric.criterion", and the acts of each turn.

    `acts` (None where no file of acts was given) and `sounds` (what is heard behind the speaker) have one
    entry a turn. `info` holds neither the customer's name nor the agent's id: no judge may know them.
    """

    call_id: str
    writer: str
    conversation: Conversation
    heard: Heard
    info: CallInfo
    marks: dict[str, Label]
    acts: tuple[frozenset[str], ...] | None
    sounds: tuple[str | None, ...]


class _Turn(msgspec.Struct):
    speaker: str
    text: str
    pause_before_s: float | None = None
    overlap_s: float = 0.0
    sound: str | None = None


class _Mark(msgspec.Struct):
    answer: str
    evidence: tuple[int, ...] = ()


class _Call(msgspec.Struct):
    call_id: str
    language: str
    turns: tuple[_Turn, ...] = ()
    marks: dict[str, _Mark] = {}
    writer: str | None = None
    company: str | None = None
    direction: str | None = None
    agent_name: str | None = None


class _Tagged(msgspec.Struct):
    call_id: str
    acts: tuple[frozenset[str], ...]


Line = TypeVar("Line", _Call, _Tagged)


def read(path: Path, criteria: Collection[str], acts: Path | None = None) -> tuple[LabelledCall, ...]:
    """The calls of a file of labels, one JSON object a line, with the acts of a second file of that kind.

    `criteria` are the known "rubric.criterion", in the order that the marks are to have; a call may have
    labels for some of them, or for none. A call without `writer` has the file's name as its writer.

    Raises:
        BadLabels: a file cannot be read, or a line is wrong; the reason names file and line.
    """
    tagged = {} if acts is None else dict(_lines(acts, _Tagged))
    calls = []
    for where, call in _lines(path, _Call).values():
        conversation = _conversation(call, where)
        calls.append(
            LabelledCall(
                call_id=call.call_id,
                writer=call.writer or path.stem,
                conversation=conversation,
                heard=_heard(conversation, call),
                info=CallInfo(
                    call_id=call.call_id,
                    agent_name=call.agent_name or None,
                    company=call.company or None,
                    direction=call.direction or None,
                    language=call.language,
                ),
                marks=_labels(call, where, criteria),
                acts=None if acts is None else _acts(call, tagged, acts),
                sounds=tuple(turn.sound or None for turn in call.turns),
            )
        )
    if not calls:
        raise BadLabels(f"{path} holds no call", "Write one call a line, as JSON.")
    return tuple(calls)


def _lines(path: Path, kind: type[Line]) -> dict[str, tuple[str, Line]]:
    """By call, where it stands ("FILE, line 3") and what stands there, in the order of the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadLabels(f"{path} cannot be read ({error.strerror})", "Check the path.") from None
    found: dict[str, tuple[str, Line]] = {}
    for where, line in _numbered(path, data):
        try:
            entry = msgspec.json.decode(line.decode(), type=kind)
        except UnicodeDecodeError:
            raise BadLabels(f"{where} is not in UTF-8", "Save the file as UTF-8.") from None
        except msgspec.ValidationError as error:
            # These messages name types and places, never a value.
            raise BadLabels(f"{where}: {error}", "Mend this line.") from None
        except msgspec.DecodeError:
            raise BadLabels(f"{where} is no JSON", "Write one JSON object a line, whole.") from None
        if not entry.call_id:
            raise BadLabels(f"{where} has an empty call_id", "Give each call an id of its own.")
        if entry.call_id in found:
            raise BadLabels(
                f"{where} is a second call {entry.call_id}; the first is {found[entry.call_id][0]}",
                "Leave one of them, or give it another call_id.",
            )
        found[entry.call_id] = where, entry
    return found


def _numbered(path: Path, data: bytes) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if line.strip():
            yield f"{path}, line {number}", line


def _labels(call: _Call, where: str, criteria: Collection[str]) -> dict[str, Label]:
    for name, mark in call.marks.items():
        if name not in criteria:
            raise BadLabels(
                f"{where} has a label for {name!r}, which is no criterion of these rubrics",
                did_you_mean(name, criteria),
            )
        if mark.answer not in ANSWERS:
            raise BadLabels(f"{where}: the answer to {name} is unknown", "Write yes, no or na.")
        if not all(0 <= turn < len(call.turns) for turn in mark.evidence):
            raise BadLabels(
                f"{where}: the evidence of {name} names a turn that is not there",
                f"The call has {len(call.turns)} turns; they are counted from 0.",
            )
    return {
        name: msgspec.convert(call.marks[name], Label, from_attributes=True)
        for name in criteria
        if name in call.marks
    }


def _acts(call: _Call, tagged: Mapping[str, tuple[str, _Tagged]], path: Path) -> tuple[frozenset[str], ...]:
    if call.call_id not in tagged:
        raise BadLabels(f"{path} has no acts for the call {call.call_id}", "Add them, or leave the file out.")
    where, own = tagged[call.call_id]
    if len(own.acts) != len(call.turns):
        raise BadLabels(
            f"{where} has acts for {len(own.acts)} turns, but the call has {len(call.turns)}",
            "Write one list a turn, an empty one where nothing is done.",
        )
    return own.acts


def _heard(conversation: Conversation, call: _Call) -> Heard:
    return msgspec.structs.replace(
        listen(conversation, Listen()),
        sounds=tuple(
            Sound(start_s=turn.start_s, end_s=turn.end_s, kind=labelled.sound)
            for turn, labelled in zip(conversation.turns, call.turns, strict=True)
            if labelled.sound
        ),
    )


def _conversation(call: _Call, where: str) -> Conversation:
    if not call.turns:
        raise BadLabels(f"{where}: the call has no turns", "Add `turns`, a list of what is said by whom.")
    turns: list[Turn] = []
    now = 0.0
    for number, turn in enumerate(call.turns):
        if turn.speaker not in SPEAKERS:
            raise BadLabels(
                f"{where}: the speaker of turn {number} is unknown", f"Write one of {', '.join(SPEAKERS)}."
            )
        usual = 0.0 if turn.overlap_s else USUAL_PAUSE_S
        pause = usual if turn.pause_before_s is None else turn.pause_before_s
        if not all(math.isfinite(seconds) and seconds >= 0 for seconds in (pause, turn.overlap_s)):
            raise BadLabels(
                f"{where}: the pause or the overlap of turn {number} is no length of time",
                "Write seconds, 0 or more.",
            )
        start = max(0.0, now + pause - turn.overlap_s)
        words = turn.text.split() or [WORDLESS]
        step = max(SHORTEST_TURN_S, len(turn.text) / CHARACTERS_A_SECOND) / len(words)
        turns.append(
            Turn(
                speaker=SPEAKERS[turn.speaker],
                words=tuple(
                    Word(start_s=start + i * step, end_s=start + (i + 1) * step, text=word, probability=1.0)
                    for i, word in enumerate(words)
                ),
            )
        )
        now = max(now, turns[-1].end_s)
    return Conversation(
        language=call.language,
        language_probability=1.0,
        duration_s=now,
        turns=tuple(turns),
        role_confidence=1.0,
    )
