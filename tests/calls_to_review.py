"""A small night with a real recording, for the tests of the review page."""

import wave
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from msgspec.structs import replace
from stub_calls import result, source

from wellheard.pipeline import audio
from wellheard.pipeline.records import SAMPLE_RATE, CallInfo, CallResult, Evidence, Mark, Source
from wellheard.pipeline.store import Results

LENGTH_S = 30
EMPATHY = "Shows empathy"


def record(path: Path, tone_hz: float = 300.0) -> Path:
    """A recording of `LENGTH_S` seconds: a tone that comes and goes."""
    seconds = np.arange(LENGTH_S * SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * tone_hz * seconds) * (seconds % 3 < 2) * 8000
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(tone.astype("<i2").tobytes())
    return path


def recorded(call: CallResult, path: Path) -> CallResult:
    """The call, with this as its recording."""
    sound = audio.decode(Source(paths=(str(path),), info=CallInfo(call_id="x")))
    return replace(
        call, paths=(str(path),), audio_id=sound.audio_id, duration_s=sound.duration_s, channels=1, notes=()
    )


def marked(pattern: Mark, criterion: str, answer: str, **change: Any) -> Mark:
    return replace(pattern, criterion=criterion, answer=answer, leaning=answer, **change)


def call(number: int, agent_id: str = "A1", **info: Any) -> CallResult:
    """Four marks: empathy yes (said at 0:06), verified no (critical), closing na, offer unsure."""
    made = result(source(number, agent_id, **info))
    yes, no = made.scorecard.marks[0], result(source(number), "no").scorecard.marks[0]
    proof = Evidence(start_s=6.0, end_s=6.8, speaker="agent", quote="I am sorry to hear that")
    again = Evidence(start_s=12.0, end_s=12.8, speaker="agent", quote="that must be hard")
    marks = (
        marked(yes, "empathy", "yes", rubric_version="2.0", evidence=(proof, again)),
        marked(no, "verified", "no", critical=True),
        marked(yes, "closing", "na", evidence=()),
        replace(marked(yes, "offer", "no", evidence=()), answer="unsure", confidence=0.4),
    )
    return replace(made, scorecard=replace(made.scorecard, marks=marks, scores={"pec": 0.5}))


def store(folder: Path, *calls: CallResult) -> Results:
    with Results(folder).writer(ZoneInfo("Europe/Warsaw"), print) as writer:
        for one in calls:
            writer.add(one)
    return Results(folder)
