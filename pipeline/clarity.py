"""Clarity: how well each turn was to be heard, by what the recogniser says of itself and by the sound."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import cast

import numpy as np
import numpy.typing as npt

from wellheard.pipeline.records import (
    SAMPLE_RATE,
    CallClarity,
    Clarity,
    Conversation,
    Grade,
    Passage,
    Recording,
    Speaker,
    Transcript,
    Word,
)

VERSION = "1"
# Of words less sure than this on average, many are not what was said.
INTELLIGIBLE = 0.5
SURE = 0.7
QUIET_DB = -45.0
NOISY_DB = 10.0
CLIPPED = 0.01
MUFFLED_HZ = 2000.0
# Whisper's own thresholds.
IMPROBABLE = -1.0
NO_SPEECH = 0.6
REPEATS = 2.4

FRAME = SAMPLE_RATE // 50
_BLOCK = 3000 * FRAME
_FULL_SCALE = 32768.0
_CLIPPING = 0.99 * _FULL_SCALE
_SILENCE_DB = -96.0
_MOST_SNR_DB = 60.0
# The noise is what the quieter part (percent) of the pauses holds; where there is less pause than half a
# second, the quietest frames of all must tell it.
_PAUSE_FRAMES = 25
_QUIETER = 20
_QUIETEST = 5
# So many pieces of a turn tell how wide its band is: where 99 % of the sound lies, its fall made up for.
_SPECTRA = 300
_SPECTRUM = 512
_FALL = 0.97
_BAND_SHARE = 0.99

Samples = npt.NDArray[np.int16]
Frames = npt.NDArray[np.intp]


def measure(conversation: Conversation, recording: Recording, transcript: Transcript) -> CallClarity:
    """The clarity of each turn, each speaker and the call; `transcript` is what the turns were made of."""
    channels = [
        _Channel(*of_channel)
        for of_channel in zip(recording.samples, transcript.channels, transcript.passages, strict=True)
    ]
    heard_on = {word: channels[number] for number, words in enumerate(transcript.channels) for word in words}
    by_speaker: dict[Speaker, list[Word]] = {}
    for turn in conversation.turns:
        by_speaker.setdefault(cast(Speaker, turn.speaker), []).extend(turn.words)
    speakers = {speaker: heard_on[words[0]].clarity(words) for speaker, words in by_speaker.items()}
    people = [speakers[speaker].grade for speaker in ("agent", "customer") if speaker in speakers]
    return CallClarity(
        grade=max(people, key=_GRADES.index, default="poor"),
        speakers=speakers,
        turns=tuple(heard_on[turn.words[0]].clarity(turn.words) for turn in conversation.turns),
    )


_GRADES: tuple[Grade, ...] = ("good", "fair", "poor")


class _Channel:
    """One channel's sound in frames of 20 ms, and the passages in which its words were read."""

    def __init__(self, samples: Samples, words: Sequence[Word], passages: Sequence[Passage]) -> None:
        self._samples = samples
        self._passages = passages
        self._power, self._clipped = _frames_of(samples)
        self._noise = self._noise_beside(words)

    def clarity(self, words: Sequence[Word]) -> Clarity:
        """Of these words of the channel."""
        frames = self._under(words)
        power = float(self._power[frames].mean()) if len(frames) else 0.0
        above_noise_db = _decibels(max(power - self._noise, 0.0)) - _decibels(self._noise)
        read = [passage for word in words for passage in self._around(word)]
        probability = fmean(word.probability for word in words)
        log_probability = _mean(passage.log_probability for passage in read)
        no_speech = _mean(passage.no_speech for passage in read)
        compression = _mean(passage.compression for passage in read)
        level_db = _decibels(power)
        clipped = float(self._clipped[frames].mean()) if len(frames) else 0.0
        bandwidth_hz = self._bandwidth_hz(frames)
        wrong = {
            "unsure words": probability < SURE,
            "improbable": log_probability is not None and log_probability < IMPROBABLE,
            "perhaps no speech": no_speech is not None and no_speech > NO_SPEECH,
            "repeats itself": compression is not None and compression > REPEATS,
            "quiet": level_db < QUIET_DB,
            "noisy": above_noise_db < NOISY_DB,
            "clipped": clipped > CLIPPED,
            "muffled": bandwidth_hz < MUFFLED_HZ,
        }
        faults = tuple(fault for fault, there in wrong.items() if there)
        return Clarity(
            grade="poor" if probability < INTELLIGIBLE else "fair" if faults else "good",
            faults=faults,
            probability=round(probability, 3),
            log_probability=log_probability,
            no_speech=no_speech,
            compression=compression,
            level_db=round(level_db, 1),
            snr_db=round(min(above_noise_db, _MOST_SNR_DB), 1),
            clipped=round(clipped, 4),
            bandwidth_hz=round(bandwidth_hz, 1),
        )

    def _noise_beside(self, words: Sequence[Word]) -> float:
        """The power of what is there when nobody speaks; a line that is switched off then tells nothing."""
        pause = np.ones(len(self._power), bool)
        pause[self._under(words)] = False
        sounding = self._power > 1.0
        enough = int((pause & sounding).sum()) >= _PAUSE_FRAMES
        beside = self._power[pause & sounding if enough else sounding]
        return float(np.percentile(beside, _QUIETER if enough else _QUIETEST)) if len(beside) else 0.0

    def _under(self, words: Iterable[Word]) -> Frames:
        """The frames that the words cover, each once."""
        per_s = SAMPLE_RATE / FRAME
        covered = [np.arange(int(word.start_s * per_s), int(word.end_s * per_s) + 1) for word in words]
        every = np.unique(np.concatenate(covered)) if covered else np.zeros(0, np.intp)
        return every[every < len(self._power)]

    def _around(self, word: Word) -> list[Passage]:
        """The passage in which a word was read: the shortest around it."""
        middle_s = (word.start_s + word.end_s) / 2
        around = [p for p in self._passages if p.start_s <= middle_s <= p.end_s]
        return [min(around, key=lambda passage: passage.duration_s)] if around else []

    def _bandwidth_hz(self, frames: Frames) -> float:
        starts = frames[frames * FRAME + _SPECTRUM <= len(self._samples)] * FRAME
        if not len(starts):
            return 0.0
        starts = starts[np.linspace(0, len(starts) - 1, min(len(starts), _SPECTRA)).astype(np.intp)]
        sound = self._samples[starts[:, None] + np.arange(_SPECTRUM)].astype(np.float64)
        sound = (sound[:, 1:] - _FALL * sound[:, :-1]) * np.hanning(_SPECTRUM - 1)
        spectrum = np.cumsum((np.abs(np.fft.rfft(sound, _SPECTRUM)) ** 2).sum(axis=0))
        return float(np.searchsorted(spectrum, _BAND_SHARE * spectrum[-1])) * SAMPLE_RATE / _SPECTRUM


def _frames_of(samples: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The power of each frame, and the share of its samples that are clipped."""
    samples = samples[: len(samples) // FRAME * FRAME]
    power, clipped = [np.zeros(0)], [np.zeros(0)]
    for start in range(0, len(samples), _BLOCK):
        frames = samples[start : start + _BLOCK].astype(np.float64).reshape(-1, FRAME)
        power.append((frames**2).mean(axis=1))
        clipped.append((np.abs(frames) >= _CLIPPING).mean(axis=1))
    return np.concatenate(power), np.concatenate(clipped)


def _decibels(power: float) -> float:
    """Under full scale."""
    return max(float(10 * np.log10(max(power, 1e-9) / _FULL_SCALE**2)), _SILENCE_DB)


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return round(fmean(listed), 3) if listed else None
