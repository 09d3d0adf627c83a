"""Listen: what is heard besides words: who talks how much, silences, holds, interruptions, pace, sounds."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt

from wellheard.pipeline.records import (
    SAMPLE_RATE,
    Conversation,
    Heard,
    Interruption,
    Party,
    Recording,
    Sound,
    Span,
    Speaker,
    Turn,
)
from wellheard.pipeline.settings import Listen

if TYPE_CHECKING:
    from wellheard.models.sounds import SoundDetector

VERSION = "4"
# Fewer words than this over the other's speech are a sign of listening ("yes", "mm-hm"), no interruption.
INTERRUPTION_WORDS = 3
# How far beside its sound a word may be placed; and how far speech stands out from silence, and reaches down.
MISPLACED_S = 0.5
FRAME_S = 0.02
STANDS_OUT_DB, FAINTEST_DB = 10.0, 25.0


def listen(
    conversation: Conversation,
    settings: Listen,
    recording: Recording | None = None,
    sounds: Sequence[Sound] = (),
) -> Heard:
    """Measure the call from its word times; speakers must have been judged.

    With a recording, silences are as long as nothing is to be heard; `sounds` are what
    `sounds_behind_customer` found in it.
    """
    turns = conversation.turns
    words = union(Span(start_s=w.start_s, end_s=w.end_s) for turn in turns for w in turn.words)
    speech = union([*words, *conversation.not_understood])
    silences = tuple(
        silence
        for before, after in pairwise(speech)
        if (silence := _silence(before, after, recording)).duration_s >= settings.silence_s
    )
    return Heard(
        waiting_s=speech[0].start_s if speech else conversation.duration_s,
        parties=tuple(_party(speaker, conversation) for speaker in get_args(Speaker)),
        silences=silences,
        holds=tuple(silence for silence in silences if silence.duration_s >= settings.hold_s),
        interruptions=tuple(_interruptions(turns, settings.interruption_s)),
        overlap_s=round(_overlap_s(turns, words), 3),
        sounds=tuple(sounds),
    )


def sounds_behind_customer(
    conversation: Conversation, recording: Recording, detector: "SoundDetector"
) -> tuple[Sound, ...]:
    """What is heard on the customer's channel, or in the whole call where there is only one."""
    channel = _customer_channel(conversation, recording)
    if channel in recording.empty_channels:
        return ()
    return tuple(
        Sound(start_s=found.start_s, end_s=min(found.end_s, recording.duration_s), kind=found.kind)
        for found in detector(recording.samples[channel])
    )


def _customer_channel(conversation: Conversation, recording: Recording) -> int:
    """The channel on which the customer's words are loudest against the agent's."""
    if len(recording.samples) == 1:
        return 0
    if recording.agent_channel is not None:
        return 1 - recording.agent_channel
    customer, agent = (_power(conversation, recording, speaker) for speaker in ("customer", "agent"))
    return int(np.argmax(customer / agent))


def _power(conversation: Conversation, recording: Recording, speaker: str) -> npt.NDArray[np.float64]:
    """Each channel's mean power while a speaker speaks, and a little more so that none is zero."""
    total, count = np.ones(len(recording.samples)), 1
    for turn in conversation.turns:
        if turn.speaker == speaker:
            for word in turn.words:
                start, end = round(word.start_s * SAMPLE_RATE), round(word.end_s * SAMPLE_RATE)
                spoken = recording.samples[:, start:end].astype(np.float64)
                total += np.square(spoken).sum(axis=1)
                count += spoken.shape[1]
    return total / count


def union(spans: Iterable[Span]) -> list[Span]:
    """The stretches that any of `spans` covers, in order, not overlapping."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start_s):
        if merged and span.start_s <= merged[-1].end_s:
            merged[-1] = Span(start_s=merged[-1].start_s, end_s=max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return merged


def _silence(before: Span, after: Span, recording: Recording | None) -> Span:
    """From one speech to the next; words begin and end up to half a second beside what is to be heard."""
    start_s, end_s = before.end_s, after.start_s
    if recording is None or end_s - start_s < MISPLACED_S:
        return Span(start_s=start_s, end_s=end_s)
    last, first = (int(min(MISPLACED_S, speech.duration_s) / FRAME_S) for speech in (before, after))
    from_s = start_s - last * FRAME_S
    levels = _levels(recording, from_s, end_s + first * FRAME_S)
    still = float(np.quantile(levels[last : len(levels) - first], 0.9))
    heard_before = _above(levels[:last], still)
    heard_after = _above(levels[len(levels) - first :], still)
    if len(heard_before):
        start_s = from_s + (int(heard_before[-1]) + 1) * FRAME_S
    if len(heard_after):
        end_s += int(heard_after[0]) * FRAME_S
    return Span(start_s=round(start_s, 3), end_s=round(end_s, 3))


def _levels(recording: Recording, start_s: float, end_s: float) -> npt.NDArray[np.float64]:
    """How loud each frame is, in decibels, all channels together."""
    size = round(FRAME_S * SAMPLE_RATE)
    samples = recording.samples[:, round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]
    frames = samples[:, : samples.shape[1] // size * size].reshape(len(samples), -1, size)
    power = np.square(frames, dtype=np.float64).mean(axis=2).sum(axis=0)
    return np.asarray(10 * np.log10(power + 1), np.float64)


def _above(levels: npt.NDArray[np.float64], still: float) -> npt.NDArray[np.intp]:
    """The frames of speech that stand out from the silence beside it; none where they hardly do."""
    loudest = levels.max(initial=0.0)
    if loudest - still < STANDS_OUT_DB:
        return np.zeros(0, np.intp)
    return np.flatnonzero(levels >= max((loudest + still) / 2, loudest - FAINTEST_DB))


def _party(speaker: Speaker, conversation: Conversation) -> Party:
    turns = [turn for turn in conversation.turns if turn.speaker == speaker]
    talk_s = sum(span.duration_s for span in _talk(turns))
    words = sum(len(turn.words) for turn in turns)
    return Party(
        speaker=speaker,
        talk_s=round(talk_s, 3),
        talk_share=round(talk_s / conversation.duration_s, 4),
        words_per_minute=round(60 * words / talk_s, 1) if talk_s > 1 else None,
    )


def _talk(turns: Iterable[Turn]) -> list[Span]:
    return union(Span(start_s=w.start_s, end_s=w.end_s) for turn in turns for w in turn.words)


def _overlap_s(turns: Sequence[Turn], speech: Sequence[Span]) -> float:
    of_speakers = sum(
        span.duration_s
        for speaker in get_args(Speaker)
        for span in _talk(turn for turn in turns if turn.speaker == speaker)
    )
    return float(of_speakers - sum(span.duration_s for span in speech))


def _interruptions(turns: Sequence[Turn], overlap_s: float) -> Iterable[Interruption]:
    """Turns that begin while the other still speaks for `overlap_s` more, and go on after that."""
    for before, after in pairwise(turns):
        cut_into = before.speaker != after.speaker and before.end_s - after.start_s >= overlap_s
        if cut_into and after.end_s > before.end_s and len(after.words) >= INTERRUPTION_WORDS:
            by: Speaker = after.speaker  # type: ignore[assignment]
            yield Interruption(at_s=after.start_s, by=by)
