"""Transcribe: a recording to the words of each channel, with their times.

Each channel is heard by itself. Its speech, found by a voice activity detector, is packed into windows
that fit Whisper's thirty seconds: no cut goes through a word, nothing is invented in silence, and no
window stretches over what the other party says. Speech of which no word could be recognised is named, not
left out: it is no silence.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wellheard.pipeline.echo import without_echo
from wellheard.pipeline.errors import NoSpeech, UnknownLanguage
from wellheard.pipeline.records import (
    SAMPLE_RATE,
    Passage,
    Reading,
    Recording,
    Span,
    Transcript,
    Word,
)
from wellheard.pipeline.settings import House, Transcribe

VERSION = "3"
WINDOW_S = 28.0
# How many windows are heard to tell the language, and when it is taken for one that the house does not speak.
LANGUAGE_WINDOWS = 3
FOREIGN_BELOW = 0.1
FOREIGN_SPEECH_S = 8.0
# A stretch of speech without a word is heard again by itself, unless it is hardly longer than the silence
# that a stretch has around it. What is then read is believed, and what is not read is speech, on these terms.
UNREAD_S = 1.3
NO_SPEECH = 0.6
BELIEVED = 0.5
SHORTEST_WORD_S = 0.02

Samples = npt.NDArray[np.int16]


class Recogniser(Protocol):
    """What transcribing needs of a speech recogniser; `wellheard.models.whisper` has one."""

    def knows(self, language: str) -> bool:
        """Whether it can write this language."""

    def languages(self, window: Samples) -> dict[str, float]:
        """The probability of each language."""

    def read(
        self, windows: Sequence[Samples], language: str, beam_size: int, hot_words: Sequence[str]
    ) -> list[Reading]:
        """What is said in each window of speech, with times counted from the window's start."""


class SpeechFinder(Protocol):
    """Finds the stretches of one channel in which somebody speaks."""

    def __call__(self, samples: Samples, /) -> list[Span]:
        """The stretches, in order, not overlapping, none longer than a window."""


def transcribe(
    recording: Recording,
    language: str | None,
    hot_words: Sequence[str],
    house: House,
    settings: Transcribe,
    find_speech: SpeechFinder,
    recogniser: Recogniser,
) -> Transcript:
    """Recognise the words of each channel; the language is detected among the house's unless given.

    `hot_words` are names that may be said in this call.

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
        raise _no_speech(recording, ())
    if language is None:
        language, probability = _detect_language(recording, channels, house, recogniser)
    else:
        probability = 1.0
    ears = [
        _Ear(samples, language, hot_words, settings.beam_size, recogniser) for samples in recording.samples
    ]
    for ear, channel_windows in zip(ears, channels, strict=True):
        ear.hear(channel_windows)
    if not any(ear.words for ear in ears):
        raise _no_speech(recording, [span for ear in ears for span in ear.not_understood])
    return Transcript(
        language=language,
        language_probability=probability,
        channels=tuple(tuple(ear.words) for ear in ears),
        passages=tuple(tuple(ear.passages) for ear in ears),
        not_understood=tuple(
            sorted((s for ear in ears for s in ear.not_understood), key=lambda s: s.start_s)
        ),
    )


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


class _Ear:
    """Hears one channel: its words, the passages they were read in, and where nothing could be understood."""

    def __init__(
        self,
        samples: Samples,
        language: str,
        hot_words: Sequence[str],
        beam_size: int,
        recogniser: Recogniser,
    ) -> None:
        self._samples = samples
        self._language = language
        self._hot_words = hot_words
        self._beam_size = beam_size
        self._recogniser = recogniser
        self.words: list[Word] = []
        self.passages: list[Passage] = []
        self.not_understood: list[Span] = []

    def hear(self, channel_windows: Sequence[Sequence[Span]]) -> None:
        """Read the windows; each word lies within one stretch of speech."""
        unread: list[Span] = []
        for window, reading in self._read(channel_windows, self._hot_words):
            words = list(_placed(reading.words, window))
            self._keep(window, reading, words)
            unread += [span for span in window if span.duration_s >= UNREAD_S and not _any_in(words, span)]
        for [span], reading in self._read([[span] for span in unread], ()):
            sure = reading.no_speech <= NO_SPEECH
            words = list(_placed(reading.words, [span]))
            if sure and words and fmean(word.probability for word in words) >= BELIEVED:
                self._keep([span], reading, words)
            elif sure:
                self.not_understood.append(span)
        self.words.sort(key=lambda word: word.start_s)
        self.passages.sort(key=lambda passage: passage.start_s)

    def _read(
        self, cut: Sequence[Sequence[Span]], hot_words: Sequence[str]
    ) -> Iterator[tuple[Sequence[Span], Reading]]:
        sounds = [_cut(self._samples, window) for window in cut]
        readings = self._recogniser.read(sounds, self._language, self._beam_size, hot_words)
        return zip(cut, readings, strict=True)

    def _keep(self, window: Sequence[Span], reading: Reading, words: list[Word]) -> None:
        if words:
            self.words += words
            self.passages.append(
                Passage(
                    start_s=window[0].start_s,
                    end_s=window[-1].end_s,
                    log_probability=round(reading.log_probability, 3),
                    no_speech=round(reading.no_speech, 3),
                    compression=round(reading.compression, 3),
                )
            )


def _placed(words: Sequence[Word], window: Sequence[Span]) -> Iterator[Word]:
    """The words of a window with their times in the recording."""
    ends_s = np.cumsum([span.duration_s for span in window])
    for word in words:
        middle_s = (word.start_s + word.end_s) / 2
        i = min(int(np.searchsorted(ends_s, middle_s, side="right")), len(window) - 1)
        span = window[i]
        shift_s = span.end_s - float(ends_s[i])
        start_s = min(max(word.start_s + shift_s, span.start_s), span.end_s - SHORTEST_WORD_S)
        end_s = min(max(word.end_s + shift_s, start_s + SHORTEST_WORD_S), span.end_s)
        yield Word(
            start_s=_to_ms(start_s),
            end_s=_to_ms(end_s),
            text=word.text,
            probability=round(word.probability, 3),
        )


def _to_ms(seconds: float) -> float:
    """Whole milliseconds, rounded down: no word ends after its recording."""
    return math.floor(seconds * 1000 + 1e-6) / 1000


def _any_in(words: Sequence[Word], span: Span) -> bool:
    return any(span.start_s <= (word.start_s + word.end_s) / 2 <= span.end_s for word in words)


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


def _no_speech(recording: Recording, not_understood: Sequence[Span]) -> NoSpeech:
    if not_understood:
        speech_s = sum(span.duration_s for span in not_understood)
        return NoSpeech(
            f"no word can be understood in {speech_s:.0f} s of what seems to be speech",
            "Listen to it: it may be too quiet, too noisy, or in another language.",
        )
    return NoSpeech(
        f"nobody says a word in {recording.duration_s:.0f} s of sound",
        "Listen to it: ringing, music or an unanswered call is rightly left out.",
    )
