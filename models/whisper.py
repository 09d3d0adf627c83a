"""Whisper (MIT) through faster-whisper, and the voice activity detector Silero (MIT) that it carries."""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from threading import RLock

import msgspec
import numpy as np
import numpy.typing as npt
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import Segment
from faster_whisper.transcribe import Word as WordPart
from faster_whisper.vad import VadOptions, get_speech_timestamps
from tqdm import tqdm

from wellheard.models import store
from wellheard.models.invented import without_invented
from wellheard.pipeline.records import SAMPLE_RATE, Reading, Span, Word

# faster-whisper's progress bar, shown or not, would take a lock between processes, which a worker that is
# ended leaves behind, with a warning at the end of the night.
tqdm.set_lock(RLock())

# Silero runs over whole blocks at once; ten minutes keep a four-hour call's copies small.
VAD_BLOCK = 600 * SAMPLE_RATE
LONGEST_SPAN_S = 28.0
# Telephone speech is quiet and narrow: at the usual threshold of 0.5, whole phrases are not found.
VAD = VadOptions(
    threshold=0.35,
    min_speech_duration_ms=100,
    max_speech_duration_s=LONGEST_SPAN_S,
    min_silence_duration_ms=1000,
    speech_pad_ms=400,
)

BATCH = 8
# Whisper's own thresholds, past which its text is not believed: it repeats itself, it is improbable, it may
# not be speech at all.
REPEATS = 2.4
IMPROBABLE = -1.0
NO_SPEECH = 0.6
# Nobody says so many characters a second, nor half their words in no time.
FASTEST = 40.0
INSTANT_S = 0.02

Samples = npt.NDArray[np.int16]


def to_float(samples: Samples) -> npt.NDArray[np.float32]:
    """Int16 samples as float32 between -1 and 1."""
    return samples.astype(np.float32) / 32768.0


@cache
def _check_detector() -> None:
    """Silero's weights come with faster-whisper; they too are what was published, or are not loaded."""
    store.locate("silero-vad")


def speech_spans(samples: Samples) -> list[Span]:
    """Where somebody speaks in one channel of 16 kHz, with up to 0.4 s before and after.

    The stretches do not overlap; one longer than `LONGEST_SPAN_S` is cut at its last short pause.
    """
    _check_detector()
    spans: list[Span] = []
    offset = 0
    while offset < len(samples):
        block = samples[offset : offset + VAD_BLOCK]
        end = offset + len(block)
        found = [
            (offset + s["start"], offset + s["end"]) for s in get_speech_timestamps(to_float(block), VAD)
        ]
        if end < len(samples) and len(found) > 1 and found[-1][1] == end:
            end, _ = found.pop()  # speech that runs on is heard whole, with the next block
        spans.extend(Span(start_s=a / SAMPLE_RATE, end_s=b / SAMPLE_RATE) for a, b in found)
        offset = end
    return spans


class Whisper:
    """A Whisper model in CTranslate2's format, in int8 on the processor."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._model = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
        )
        self._batched = BatchedInferencePipeline(self._model)

    def knows(self, language: str) -> bool:
        """Whether the model can write this language."""
        return language in self._model.supported_languages

    def languages(self, window: Samples) -> dict[str, float]:
        """The probability of each language, judged on up to 30 s of speech."""
        _, _, every = self._model.detect_language(audio=to_float(window))
        return dict(every or ())

    def read(
        self, windows: Sequence[Samples], language: str, beam_size: int, hot_words: Sequence[str]
    ) -> list[Reading]:
        """What is said in each window of speech (at most 30 s), with times counted from the window's start.

        `hot_words` are names that may be said; of a long list, what goes beyond 223 tokens is not used.
        Windows are decoded in batches. One whose text cannot be right (by Whisper's own measures, by its
        pace, or since it recites its hot words) is decoded again by itself, without hot words and with
        Whisper's fallback to higher temperatures; if that cannot be right either, it has no words.
        """
        heard: list[Reading] = []
        for i in range(0, len(windows), BATCH):
            heard.extend(self._batch(windows[i : i + BATCH], language, beam_size, hot_words))
        return heard

    def _batch(
        self, windows: Sequence[Samples], language: str, beam_size: int, hot_words: Sequence[str]
    ) -> Iterator[Reading]:
        edges_s = [0.0, *(np.cumsum([len(window) for window in windows]) / SAMPLE_RATE).tolist()]
        found, _ = self._batched.transcribe(
            to_float(np.concatenate(windows)),
            language=language,
            beam_size=beam_size,
            word_timestamps=True,
            clip_timestamps=[{"start": a, "end": b} for a, b in pairwise(edges_s)],
            batch_size=BATCH,
            hotwords=", ".join(hot_words) or None,
        )
        segments = list(found)
        for window, (start_s, end_s) in zip(windows, pairwise(edges_s), strict=True):
            own = [segment for segment in segments if start_s <= (segment.start + segment.end) / 2 < end_s]
            reading = _reading(own, start_s, end_s)
            improbable = reading.log_probability < IMPROBABLE
            if improbable or not _can_be(reading, end_s - start_s) or _recites(reading, hot_words):
                reading = self._again(window, language, beam_size)
            yield reading

    def _again(self, window: Samples, language: str, beam_size: int) -> Reading:
        segments, _ = self._model.transcribe(
            to_float(window),
            language=language,
            beam_size=beam_size,
            word_timestamps=True,
            condition_on_previous_text=False,
        )
        length_s = len(window) / SAMPLE_RATE
        reading = _reading(list(segments), 0.0, length_s)
        return reading if _can_be(reading, length_s) else msgspec.structs.replace(reading, words=())


def _reading(segments: Sequence[Segment], start_s: float, end_s: float) -> Reading:
    """The segments of one window as one; without any, there is no speech in it."""
    lengths = [max(len(segment.tokens), 1) for segment in segments]
    text = "".join(segment.text for segment in segments).strip().encode()
    return Reading(
        words=tuple(without_invented(list(_whole_words(segments, start_s, end_s)))),
        log_probability=float(np.average([s.avg_logprob for s in segments], weights=lengths))
        if segments
        else 0.0,
        no_speech=max((float(segment.no_speech_prob) for segment in segments), default=1.0),
        compression=len(text) / len(zlib.compress(text)),
    )


def _can_be(reading: Reading, length_s: float) -> bool:
    """Whether somebody can have said this in so many seconds."""
    words = reading.words
    characters = sum(len(word.text) + 1 for word in words)
    instant = sum(word.end_s - word.start_s < INSTANT_S for word in words)
    return not (
        reading.compression > REPEATS
        or (reading.no_speech > NO_SPEECH and reading.log_probability < IMPROBABLE)
        or characters > FASTEST * max(length_s, 1.0)
        or instant > max(len(words) / 2, 2)
    )


def _recites(reading: Reading, hot_words: Sequence[str]) -> bool:
    """Whether the hot words may speak by themselves: nothing else is said, or three in the list's order."""
    said = [part for word in reading.words for part in _parts(word.text)]
    terms = [_parts(term) for term in hot_words]
    if said and {part for term in terms for part in term}.issuperset(said):
        return True
    text = f" {' '.join(said)} "
    in_a_row = (" ".join(part for term in terms[i : i + 3] for part in term) for i in range(len(terms) - 2))
    return any(f" {row} " in text for row in in_a_row)


def _parts(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _whole_words(segments: Iterable[Segment], start_s: float, end_s: float) -> Iterator[Word]:
    """Words as written, timed from `start_s`.

    Whisper cuts "8 a.m." and "in-house" at the mark and starts the rest without a blank.
    """
    for segment in segments:
        parts: list[list[WordPart]] = []
        for part in segment.words or ():
            if parts and not part.word.startswith(" "):
                parts[-1].append(part)
            else:
                parts.append([part])
        for word in parts:
            text = "".join(part.word for part in word).strip()
            if any(character.isalnum() for character in text):
                first_s = min(max(float(word[0].start), start_s), end_s)
                yield Word(
                    start_s=first_s - start_s,
                    end_s=min(max(float(word[-1].end), first_s), end_s) - start_s,
                    text=text,
                    probability=float(sum(part.probability for part in word)) / len(word),
                )
