"""Calls without sound, and scorers that need no models: what the tests of store and batch are made of."""

import hashlib
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from wellheard.pipeline.errors import ModelMissing, NoSpeech
from wellheard.pipeline.records import (
    Absence,
    Acts,
    Answer,
    CallClarity,
    CallInfo,
    CallResult,
    Clarity,
    Conversation,
    Evidence,
    Heard,
    Interruption,
    Mark,
    Party,
    Scorecard,
    Source,
    Span,
    Turn,
    Word,
)

CLEAR = Clarity(
    grade="good",
    faults=(),
    probability=0.9,
    log_probability=-0.25,
    no_speech=0.05,
    compression=1.5,
    level_db=-24.0,
    snr_db=30.0,
    clipped=0.0,
    bandwidth_hz=3400.0,
)


def source(number: int, agent_id: str = "A1", day: str = "2025-02-19", **info: object) -> Source:
    started_at = datetime.fromisoformat(f"{day}T06:00:00+01:00").replace(minute=number % 60)
    known = {"call_id": f"c{number:05}", "agent_id": agent_id, "started_at": started_at} | info
    return Source(paths=(f"/calls/{number:05}.wav",), info=CallInfo(**known))


def result(of: Source, answer: Answer = "yes", score: float | None = 0.5, turns: int = 4) -> CallResult:
    """The same for the same source, whoever makes it."""
    call_id = of.info.call_id or hashlib.sha256(of.paths[0].rpartition("-")[0].encode()).hexdigest()[:16]
    info = msgspec.structs.replace(of.info, call_id=call_id)
    spoken = tuple(
        Turn(
            speaker=("agent", "customer")[place % 2],
            words=tuple(
                Word(start_s=place * 3 + i * 0.3, end_s=place * 3 + i * 0.3 + 0.2, text=text, probability=0.9)
                for i, text in enumerate((f"turn{place}", "of", call_id))
            ),
        )
        for place in range(turns)
    )
    proof = Evidence(start_s=0.0, end_s=0.8, speaker="agent", quote="thank you for calling")
    near = Evidence(start_s=6.0, end_s=6.8, speaker="agent", quote="how may I help you")
    missed = Absence(start_s=0.0, end_s=6.8, nearest=(near,), intelligible=0.9)
    marks = tuple(
        Mark(
            rubric="pec",
            rubric_version="1.10",
            criterion=criterion,
            answer=answer,
            leaning="no" if answer == "unsure" else answer,
            confidence=0.9,
            weight=2.0,
            critical=False,
            reason="said in the greeting",
            evidence=(proof,) if answer == "yes" else (),
            absence=missed if answer == "no" else None,
            judge="rules",
            judge_version="2",
        )
        for criterion in ("greets", "thanks")
    )
    return CallResult(
        info=info,
        paths=of.paths,
        audio_id=f"sound of {call_id}",
        duration_s=60.1,
        expected_s=None,
        channels=2,
        notes=("one party was not recorded",),
        conversation=Conversation(
            language="en", language_probability=0.98, duration_s=60.1, turns=spoken, role_confidence=1.0
        ),
        clarity=CallClarity(
            grade="good", speakers={"agent": CLEAR, "customer": CLEAR}, turns=(CLEAR,) * turns
        ),
        heard=Heard(
            waiting_s=1.5,
            parties=(Party(speaker="agent", talk_s=30.0, talk_share=0.5, words_per_minute=140.0),),
            silences=(Span(start_s=10.0, end_s=14.0),),
            holds=(),
            interruptions=(Interruption(at_s=9.0, by="agent"),),
            overlap_s=0.4,
        ),
        acts=Acts(
            turns=tuple({"greet": 0.98, "company": 0.25} if place == 0 else {} for place in range(turns)),
            answers={"pec.empathy": (0.125, 0.25, 0.625)},
        ),
        scorecard=Scorecard(marks=marks, scores={"pec": score}),
    )


class Stub:
    """A scorer that does what the call's `extra` tells it to; takes `pause_s` for each call."""

    def __init__(self, pause_s: float = 0.0, turns: int = 4) -> None:
        self._pause_s = pause_s
        self._turns = turns

    def __call__(self, of: Source, on_length: Callable[[float], None]) -> CallResult:
        if of.info.extra.get("does") == "hangs in reading":
            time.sleep(10_000)
        on_length(60.1)
        time.sleep(self._pause_s)
        match of.info.extra.get("does"):
            case "sleeps for ever":
                time.sleep(10_000)
            case "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            case "is silent":
                raise NoSpeech("Nobody says a word in this recording", "Leave it out.")
            case "stumbles":
                Path(f"/nowhere/{of.info.call_id}, my card number is 4111").read_bytes()
            case "lacks a model":
                raise ModelMissing("whisper-base is not on this machine", "Run: wellheard models pull")
        return result(of, turns=self._turns)


class Starts:
    """What cannot even start."""

    def __init__(self) -> None:
        os._exit(7)
