"""Transcribe: a recording to the words of each channel, with their times.

Each channel is heard by itself. Its speech, found by a voice activity detector, is packed into windows
that fit Whisper's thirty seconds: no cut goes through a word, nothing is invented in silence, and no
window stretches over what the other party says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wellheard.pipeline.echo import without_echo
from wellheard.pipeline.errors import NoSpeech, UnknownLanguage
from wellheard.pipeline.records import SAMPLE_RATE, Recording, Span, Transcript, Word
from wellheard.pipeline.settings import House, Transcribe

VERSION = "2"
WINDOW_S = 28.0
# How many windows are heard to tell the language, and when it is taken for one that the house does not speak.
LANGUAGE_WINDOWS = 3
FOREIGN_BELOW = 0.1
FOREIGN_SPEECH_S = 8.0

Samples = npt.NDArray[np.int16]


class Recogniser(Protocol):
    """What transcribing needs of a speech recogniser; `wellheard.models.whisper` has one."""

    def knows(self, language: str) -> bool:
        """Whether it can write this language."""

    def languages(self, window: Samples) -> dict[str, float]:
        """The probability of each language."""

    def words(self, windows: Sequence[Samples], language: str, beam_size: int) -> list[list[Word]]:
        """The words of each window of speech, with times counted from the window's start."""


class SpeechFinder(Protocol):
    """Finds the stretches of one channel in which somebody speaks."""

    def __call__(self, samples: Samples, /) -> list[Span]:
        """The stretches, in order, not overlapping, none longer than a window."""


def transcribe(
    recording: Recording,
    language: str | None,
    house: House,
    settings: Transcribe,
    find_speech: SpeechFinder,
    recogniser: Recogniser,
) -> Transcript:
    """Recognise the words of each channel; the language is detected among the house's unless given.

    Raises:
        NoSpeech: nobody says a word.
        UnknownLanguage: the call is, by all signs, in a language that the house does not speak, or was
            given one that the recogniser does not know.
    """
    if language is not None and not recogniser.knows(language):
        raise UnknownLanguage(
            f"the model {settings.model} cannot write the language {language!r} given for it",
            "Correct the language in the manifest, or leave it empty to have it detected.",
        )
    samples = without_echo(recording.samples) if len(recording.samples) == 2 else recording.samples
    recording = replace(recording, samples=samples)
    channels = [
        [] if i in recording.empty_channels else list(windows(find_speech(channel), WINDOW_S))
        for i, channel in enumerate(recording.samples)
    ]
    if not any(channels):
        raise _no_speech(recording)
    if language is None:
        language, probability = _detect_language(recording, channels, house, recogniser)
    else:
        probability = 1.0
    words = tuple(
        tuple(_channel_words(samples, channel_windows, language, settings, recogniser))
        for samples, channel_windows in zip(recording.samples, channels, strict=True)
    )
    if not any(words):
        raise _no_speech(recording)
    return Transcript(language=language, language_probability=probability, channels=words)


def windows(spans: Sequence[Span], longest_s: float) -> Iterator[list[Span]]:
    """Pack stretches of speech, in order, into windows of at most `longest_s` seconds of speech."""
    window: list[Span] = []
    filled_s = 0.0
    for span in spans:
        if window and filled_s + span.duration_s > longest_s:
            yield window
            window, filled_s = [], 0.0
        window.append(span)
        filled_s += span.duration_s
    if window:
        yield window


def _cut(samples: Samples, window: Sequence[Span]) -> Samples:
    return np.concatenate(
        [samples[round(s.start_s * SAMPLE_RATE) : round(s.end_s * SAMPLE_RATE)] for s in window]
    )


def _channel_words(
    samples: Samples,
    channel_windows: list[list[Span]],
    language: str,
    settings: Transcribe,
    recogniser: Recogniser,
) -> Iterator[Word]:
    """The words of a channel with their times in the recording; each lies within one stretch of speech."""
    cuts = [_cut(samples, window) for window in channel_windows]
    for window, words in zip(
        channel_windows, recogniser.words(cuts, language, settings.beam_size), strict=True
    ):
        ends_s = np.cumsum([span.duration_s for span in window])
        for word in words:
            middle_s = (word.start_s + word.end_s) / 2
            i = min(int(np.searchsorted(ends_s, middle_s, side="right")), len(window) - 1)
            span = window[i]
            shift_s = span.end_s - float(ends_s[i])
            start_s = min(max(word.start_s + shift_s, span.start_s), span.end_s)
            end_s = min(max(word.end_s + shift_s, start_s), span.end_s)
            yield Word(
                start_s=round(start_s, 3),
                end_s=round(end_s, 3),
                text=word.text,
                probability=round(word.probability, 3),
            )


def _detect_language(
    recording: Recording, channels: Sequence[list[list[Span]]], house: House, recogniser: Recogniser
) -> tuple[str, float]:
    heard = [
        (samples, window)
        for samples, channel_windows in zip(recording.samples, channels, strict=True)
        for window in channel_windows[:LANGUAGE_WINDOWS]
    ]
    totals: dict[str, float] = {}
    for samples, window in heard:
        for language, probability in recogniser.languages(_cut(samples, window)).items():
            totals[language] = totals.get(language, 0.0) + probability / len(heard)
    spoken = {language: totals.get(language, 0.0) for language in house.languages}
    likeliest = max(totals, key=lambda language: totals[language])
    speech_s = sum(span.duration_s for _, window in heard for span in window)
    if sum(spoken.values()) < FOREIGN_BELOW and speech_s > FOREIGN_SPEECH_S:
        raise UnknownLanguage(
            f"the call seems to be in {likeliest!r}, which is none of the house's languages "
            f"({', '.join(house.languages)})",
            "If that is wrong, give the language in the manifest; if it is right, leave such calls out.",
        )
    language = max(spoken, key=lambda language: spoken[language])
    return language, round(spoken[language] / max(sum(spoken.values()), 1e-9), 3)


def _no_speech(recording: Recording) -> NoSpeech:
    return NoSpeech(
        f"nobody says a word in {recording.duration_s:.0f} s of sound",
        "Listen to it: ringing, music or an unanswered call is rightly left out.",
    )
