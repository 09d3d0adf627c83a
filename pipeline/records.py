"""What the stages hand to one another: one frozen, typed record for each seam.

Times are seconds from the start of the recording. All records but `Recording` (which holds sound) are
`msgspec` structs, so that they go to JSON and back, checked, without pickling.

    ingest → Source, Recording → transcribe → Transcript → diarize → Conversation (parties)
    → roles → Conversation (speakers) → listen → Heard → score → Scorecard → store (CallResult, Failure)
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast, dataclass_transform

import msgspec
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000

Answer = Literal["yes", "no", "na", "unsure"]
Speaker = Literal["agent", "customer", "other"]
Grade = Literal["good", "fair", "poor"]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record with named fields."""


class CallInfo(Record):
    """What the telephone system knows of a call; `extra` holds the manifest's further columns."""

    call_id: str
    agent_id: str = "unknown"
    agent_name: str | None = None
    team: str | None = None
    region: str | None = None
    customer_segment: str | None = None
    started_at: datetime | None = None
    direction: str | None = None
    language: str | None = None
    agent_channel: int | None = None
    company: str | None = None
    extra: dict[str, str] = {}
    notes: tuple[str, ...] = ()


class Source(Record):
    """One call to be scored: its file, or its two files (agent's first), and what is known of it.

    `info.call_id` is empty where nothing but the sound can name the call; `decode` then names it.
    """

    paths: tuple[str, ...]
    info: CallInfo


@dataclass(frozen=True)
class Recording:
    """The sound of one call.

    `samples` is int16 of shape (channels, n) at `SAMPLE_RATE`; two channels mean one party a channel.
    `audio_id` is the hash of the decoded sound, whatever the file is called. `agent_channel` is set where
    it is known (from the manifest, or since the call is a pair of files). `empty_channels` are those on
    which nothing was recorded. `expected_s` is set where the file promises more than could be heard.
    """

    samples: npt.NDArray[np.int16]
    audio_id: str
    agent_channel: int | None = None
    empty_channels: tuple[int, ...] = ()
    expected_s: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds, counted from the decoded sound."""
        return float(self.samples.shape[1] / SAMPLE_RATE)

    @property
    def incomplete(self) -> bool:
        """Whether the file promises more sound than could be heard."""
        return self.expected_s is not None


class Word(Record):
    """A word as heard; `probability` is the recogniser's, between 0 and 1."""

    start_s: float
    end_s: float
    text: str
    probability: float


class Span(Record):
    """A stretch of the call."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


class Reading(Record):
    """What the recogniser makes of one window of speech, and how sure it is of it.

    `log_probability` is the mean over what it wrote, `no_speech` the probability that there is no speech at
    all, `compression` how much shorter its text becomes when packed (a text that repeats itself: over 2.4).
    """

    words: tuple[Word, ...]
    log_probability: float
    no_speech: float
    compression: float


class Passage(Span):
    """A stretch of one channel whose speech was recognised as one; the measures are a `Reading`'s."""

    log_probability: float
    no_speech: float
    compression: float


class Transcript(Record):
    """The words of each channel, in order of time, and the passages they were recognised in.

    `not_understood` is where, on any channel, somebody speaks and no word could be recognised.
    """

    language: str
    language_probability: float
    channels: tuple[tuple[Word, ...], ...]
    passages: tuple[tuple[Passage, ...], ...] = ()
    not_understood: tuple[Span, ...] = ()


class Turn(Record):
    """What one party says until the other speaks.

    `speaker` is a party ("A", "B", …) as diarize leaves it, and a `Speaker` once roles has judged.
    """

    speaker: str
    words: tuple[Word, ...]

    @property
    def start_s(self) -> float:
        """When the first word starts."""
        return self.words[0].start_s

    @property
    def end_s(self) -> float:
        """When the last word to end has ended."""
        return max(word.end_s for word in self.words)

    @property
    def text(self) -> str:
        """The words, joined by blanks."""
        return " ".join(word.text for word in self.words)


class Conversation(Record):
    """The call as a dialogue.

    `role_confidence` is 1 where the telephone system says who the agent is, else the probability that
    agent and customer are not the wrong way round. `unheard` names speakers who were not recorded.
    `not_understood` is where somebody speaks and no word could be recognised: it is no silence.
    """

    language: str
    language_probability: float
    duration_s: float
    turns: tuple[Turn, ...]
    role_confidence: float = 0.0
    unheard: tuple[Speaker, ...] = ()
    not_understood: tuple[Span, ...] = ()
    notes: tuple[str, ...] = ()


class Clarity(Record):
    """How well a stretch of speech was to be heard: the recogniser's own measures, and those of the sound.

    `probability` is the mean of its words', `log_probability`, `no_speech` and `compression` are those of the
    passages that they were read in. `level_db` is the loudness (RMS, 0 is full scale), `snr_db` how far
    that is above the channel's noise (at most 60), `clipped` the share of samples at full scale,
    `bandwidth_hz` the highest tones that are there. `faults` says what is wrong with it.
    """

    grade: Grade
    faults: tuple[str, ...]
    probability: float
    log_probability: float | None
    no_speech: float | None
    compression: float | None
    level_db: float
    snr_db: float
    clipped: float
    bandwidth_hz: float


class CallClarity(Record):
    """How well a call was to be heard: the worse of agent and customer, each speaker, each turn."""

    grade: Grade
    speakers: dict[Speaker, Clarity]
    turns: tuple[Clarity, ...]


class Interruption(Record):
    """Where `by` started to speak while the other party was still speaking, and went on."""

    at_s: float
    by: Speaker


class Sound(Span):
    """Something heard behind the customer: `kind` is dog, baby, child_laughter …"""

    kind: str


class Party(Record):
    """How much and how fast a speaker talks: share of the call (0 to 1), seconds, words a minute."""

    speaker: Speaker
    talk_s: float
    talk_share: float
    words_per_minute: float | None


class Heard(Record):
    """What is heard besides words.

    `silences` are all stretches between the first and the last speech in which nobody speaks for longer
    than the settings' `silence_s`; `holds` are those longer than `hold_s`. `waiting_s` is the time
    before the first speech.
    """

    waiting_s: float
    parties: tuple[Party, ...]
    silences: tuple[Span, ...]
    holds: tuple[Span, ...]
    interruptions: tuple[Interruption, ...]
    overlap_s: float
    sounds: tuple[Sound, ...] = ()


class TurnInput(Record):
    """A turn as the act tagger sees it: who speaks, the words, the silence before, what is known besides."""

    speaker: Speaker
    text: str
    pause_s: float
    overlap_s: float
    sound: str | None
    facts: dict[str, float]


class Acts(Record):
    """What is done: for each turn of the conversation the acts it shows, with a probability from 0 to 1.

    `answers` are what the same net makes of the whole call: per built-in criterion the probabilities of yes,
    no and na.
    """

    turns: tuple[dict[str, float], ...]
    answers: dict[str, tuple[float, float, float]]


class Evidence(Record):
    """The words, and the seconds, that prove a mark."""

    start_s: float
    end_s: float
    speaker: Speaker
    quote: str


class Absence(Record):
    """Where something belonged that was not said.

    `nearest` is what came nearest to it there; `intelligible` is the mean probability of the words of that
    stretch, as the recogniser heard them: below about 0.6 it may have been said and not understood.
    """

    start_s: float
    end_s: float
    nearest: tuple[Evidence, ...]
    intelligible: float


class Mark(Record):
    """The answer to one criterion of one call, with what proves it and who gave it.

    `leaning` is what an unsure judge would have answered, else the answer. `absence` stands with a no that
    rests on something not said.
    """

    rubric: str
    rubric_version: str
    criterion: str
    answer: Answer
    leaning: Answer
    confidence: float
    weight: float
    critical: bool
    reason: str
    evidence: tuple[Evidence, ...]
    absence: Absence | None
    judge: str
    judge_version: str


class Scorecard(Record):
    """All marks of a call, and per rubric the score: a share from 0 to 1, or None if nothing counted.

    `tokens` are what a language model has read and written for it, if one was asked; without `complete` it
    did not answer, and may answer when it is asked again.
    """

    marks: tuple[Mark, ...]
    scores: dict[str, float | None]
    tokens: int = 0
    complete: bool = True


class CallResult(Record):
    """All that is stored of one scored call."""

    info: CallInfo
    paths: tuple[str, ...]
    audio_id: str
    duration_s: float
    expected_s: float | None
    channels: int
    notes: tuple[str, ...]
    conversation: Conversation
    clarity: CallClarity
    heard: Heard
    acts: Acts
    scorecard: Scorecard


class Failure(Record):
    """A call that was not scored: where it stopped, why, and what to do. Holds nothing that was said."""

    call_id: str
    agent_id: str
    path: str
    stage: str
    reason: str
    advice: str
    started_at: datetime | None = None

    @classmethod
    def of(cls, source: Source, stage: str, reason: str, advice: str) -> "Failure":
        """What stopped this call; of a pair, the first recording names it."""
        info = source.info
        return cls(
            call_id=info.call_id,
            agent_id=info.agent_id,
            path=source.paths[0],
            stage=stage,
            reason=reason,
            advice=advice,
            started_at=info.started_at,
        )


def quote(turn: Turn) -> Evidence:
    """The turn as evidence; its speaker must have been judged."""
    return Evidence(
        start_s=turn.start_s, end_s=turn.end_s, speaker=cast(Speaker, turn.speaker), quote=turn.text
    )


def clock(seconds: float) -> str:
    """Seconds from the start as m:ss or h:mm:ss, rounded down so that one hears the beginning."""
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
