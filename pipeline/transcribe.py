"""Transcribe: a recording to the words of each channel, with their times.

Each channel is heard by itself. Its speech, found by a voice activity detector, is packed into windows
that fit Whisper's thirty seconds: no cut goes through a word, nothing is invented in silence, and no
window stretches over what the other party says. What is hardly audible is raised first, or looked for again
where nobody else speaks. Speech of which no word could be recognised is named, not left out: it is no
silence.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from wellheard.pipeline import faint
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

VERSION = "4"
WINDOW_S = 28.0
# How many windows are heard to tell the language, and when it is taken for one that the house does not speak.
LANGUAGE_WINDOWS = 3
FOREIGN_BELOW = 0.1
FOREIGN_SPEECH_S = 8.0
# A stretch of speech without a word is heard again by itself, unless it is hardly longer than the silence
# that a stretch has around it. What is then read is believed, and what is not read is speech, on these terms.
UNREAD_S = 1.1
NO_SPEECH = 0.6
BELIEVED = 0.5
# A single word is read better with silence around it.
AROUND_S = 1.0
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
    sounds = [faint.raised(channel) for channel in samples]
    speech = [[] if i in recording.empty_channels else find_speech(sound) for i, sound in enumerate(sounds)]
    if not any(speech):
        raise _no_speech(recording, ())
    channels = [list(windows(spans, WINDOW_S)) for spans in speech]
    if language is None:
        language, probability = _detect_language(sounds, channels, house, recogniser)
    else:
        probability = 1.0
    ears = [_Ear(sound, language, hot_words, settings.beam_size, recogniser) for sound in sounds]
    anybody = [span for spans in speech for span in spans]
    for i, (ear, channel_windows) in enumerate(zip(ears, channels, strict=True)):
        ear.hear(channel_windows)
        if i not in recording.empty_channels:
            ear.hear_faintly(anybody, find_speech)
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
        sounds = [_cut(self._samples, window) for window in channel_windows]
        readings = self._recogniser.read(sounds, self._language, self._beam_size, self._hot_words)
        for window, reading in zip(channel_windows, readings, strict=True):
            words = list(_placed(reading.words, window))
            self._keep(window, reading, words)
            unread += [span for span in window if span.duration_s >= UNREAD_S and not _any_in(words, span)]
        self._hear_again(unread, [faint.raised(_cut(self._samples, [span])) for span in unread])

    def hear_faintly(self, anybody: Sequence[Span], find_speech: SpeechFinder) -> None:
        """Read what is faint and found only where it is raised, while nobody speaks aloud on any channel."""
        for offset_s, loud in faint.between(self._samples, anybody):
            found = find_speech(loud)
            placed = [Span(start_s=offset_s + s.start_s, end_s=offset_s + s.end_s) for s in found]
            self._hear_again(placed, [_cut(loud, [span]) for span in found])

    def _hear_again(self, spans: Sequence[Span], sounds: Sequence[Samples]) -> None:
        """Read stretches one by one; keep what is likely, else name the speech, if it is that."""
        around = np.zeros(round(AROUND_S * SAMPLE_RATE), np.int16)
        alone = [np.concatenate([around, sound, around]) for sound in sounds]
        readings = self._recogniser.read(alone, self._language, self._beam_size, ())
        for span, reading in zip(spans, readings, strict=True):
            words = list(_placed([_moved(word, -AROUND_S) for word in reading.words], [span]))
            if reading.no_speech > NO_SPEECH:
                continue
            if words and fmean(word.probability for word in words) >= BELIEVED:
                self._keep([span], reading, words)
            elif span.duration_s >= UNREAD_S:
                self.not_understood.append(span)
        self.words.sort(key=lambda word: word.start_s)
        self.passages.sort(key=lambda passage: passage.start_s)

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


def _moved(word: Word, by_s: float) -> Word:
    return msgspec.structs.replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s)


def _to_ms(seconds: float) -> float:
    """Whole milliseconds, rounded down: no word ends after its recording."""
    return math.floor(seconds * 1000 + 1e-6) / 1000


def _any_in(words: Sequence[Word], span: Span) -> bool:
    return any(span.start_s <= (word.start_s + word.end_s) / 2 <= span.end_s for word in words)


def _detect_language(
    sounds: Sequence[Samples],
    channels: Sequence[list[list[Span]]],
    house: House,
    recogniser: Recogniser,
) -> tuple[str, float]:
    """The likeliest of the house's languages, and how sure that is.

    With little speech, languages outside the house count as doubt.
    """
    heard = [
        (window, _cut(samples, window))
        for samples, channel_windows in zip(sounds, channels, strict=True)
        for window in channel_windows[:LANGUAGE_WINDOWS]
    ]
    totals: dict[str, float] = {}
    for _, sound in heard:
        for language, probability in recogniser.languages(sound).items():
            totals[language] = totals.get(language, 0.0) + probability / len(heard)
    spoken = {language: totals.get(language, 0.0) for language in house.languages}
    likeliest = max(totals, key=lambda language: totals[language])
    speech_s = sum(span.duration_s for window, _ in heard for span in window)
    if sum(spoken.values()) < FOREIGN_BELOW and speech_s > FOREIGN_SPEECH_S:
        raise UnknownLanguage(
            f"the call seems to be in {likeliest!r}, which is none of the house's languages "
            f"({', '.join(house.languages)})",
            "If that is wrong, give the language in the manifest; if it is right, leave such calls out.",
        )
    of_house = sum(spoken.values())
    language = max(spoken, key=lambda language: spoken[language])
    others = of_house if speech_s > FOREIGN_SPEECH_S else max(of_house, 1.0)
    return language, round(spoken[language] / max(others, 1e-9), 3)


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
