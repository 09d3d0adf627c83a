"""The labelled calls as the stages would hand them on: their text, with times made from its length."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wellheard.pipeline.listen import listen
from wellheard.pipeline.records import CallInfo, Conversation, Heard, Turn, Word
from wellheard.pipeline.settings import Listen

FOLDER = Path(__file__).parent.parent / "data" / "labelled"
CHARACTERS_A_SECOND = 14
USUAL_PAUSE_S = 0.4
SPEAKERS = {"agent": "agent", "agent2": "agent", "customer": "customer", "system": "other"}

# Thresholds and weights are tuned on these writers only …
TUNED_ON = ("en_b", "en_c", "ru_b", "pl_a", "ro_a")
# … and measured on these, whose calls nothing was tuned on.
HELD_OUT = ("en_a", "ru_a")


@dataclass(frozen=True)
class LabelledCall:
    """A call with the answers and acts that people gave it."""

    writer: str
    conversation: Conversation
    heard: Heard
    info: CallInfo
    marks: dict[str, dict[str, Any]]
    acts: list[list[str]]


def read(name: str, folder: Path = FOLDER) -> Iterator[LabelledCall]:
    """The calls of one writer's file, with the acts of the file of that name in `acts/`."""
    tagged = {line["call_id"]: line["acts"] for line in _lines(folder / "acts" / f"{name}.jsonl")}
    for call in _lines(folder / f"{name}.jsonl"):
        conversation = _conversation(call)
        yield LabelledCall(
            writer=name,
            conversation=conversation,
            heard=listen(conversation, Listen()),
            info=CallInfo(
                call_id=call["call_id"],
                agent_name=call["agent_name"] or None,
                company=call["company"] or None,
                direction=call["direction"],
                language=call["language"],
            ),
            marks=call["marks"],
            acts=tagged[call["call_id"]],
        )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    return map(json.loads, path.read_text("utf-8").splitlines())


def _conversation(call: dict[str, Any]) -> Conversation:
    turns: list[Turn] = []
    now = 0.0
    for turn in call["turns"]:
        start = max(0.0, now + turn.get("pause_before_s", USUAL_PAUSE_S) - turn.get("overlap_s", 0.0))
        words = turn["text"].split() or ["…"]
        step = max(0.3, len(turn["text"]) / CHARACTERS_A_SECOND) / len(words)
        turns.append(
            Turn(
                speaker=SPEAKERS[turn["speaker"]],
                words=tuple(
                    Word(start_s=start + i * step, end_s=start + (i + 1) * step, text=word, probability=1.0)
                    for i, word in enumerate(words)
                ),
            )
        )
        now = start + step * len(words)
    return Conversation(
        language=call["language"],
        language_probability=1.0,
        duration_s=now,
        turns=tuple(turns),
        role_confidence=1.0,
    )
