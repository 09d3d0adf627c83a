"""Minutes of telephone sound to train and test the sound detector on: speech, with sounds behind it, coded.

Everything random comes from one generator that is given, so the same seed makes the same minutes.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from scipy.signal import butter, fftconvolve, lfilter, resample_poly, sosfilt

from wellheard.models.sounds import HOP, KINDS, STEP
from wellheard.pipeline import media
from wellheard.pipeline.errors import NoInput
from wellheard.pipeline.records import SAMPLE_RATE

Sound = npt.NDArray[np.float32]
Chance = np.random.Generator

FOLDS = 4
DATA = Path(__file__).parent.parent / "data"
# One of the sample calls has a dog in it.
WITH_SOUNDS = "en_boots"

# What clips.csv calls a sound, and what wellheard calls it; what is not here is something else.
NAMES = {"dog": "dog", "baby": "baby", "laughter": "child_laughter"}
NOTHING, UNCLEAR = 0, 255

MIX_S = 64
TELEPHONE_HZ = 8_000
SPEECH_DB = -25.0
# A sound is as loud as the speech, or so many decibels below it.
BELOW_SPEECH_DB = (-6.0, 12.0)
# A clip sounds where it is at most so far below its loudest.
_ACTIVE_DB = 22.0
_FRAME = SAMPLE_RATE // 50


@dataclass(frozen=True)
class Clip:
    """A sound by itself; clips of one `fold` share no recording with those of another."""

    kind: str
    samples: Sound
    fold: int


@dataclass(frozen=True)
class Voices:
    """Part of a call, its speech at `SPEECH_DB`; an agent's calls are all in one `fold`."""

    agent: str
    call: str
    samples: Sound
    fold: int


@dataclass(frozen=True)
class Event:
    """Where in a mix a sound was put."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Mix:
    """`MIX_S` of sound as it comes out of a telephone line; `labels` one a step of the net.

    A label is `NOTHING`, 1 and up for the `KINDS`, or `UNCLEAR` at the edges of a sound.
    """

    samples: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    events: tuple[Event, ...]


def read_clips(folder: Path) -> list[Clip]:
    """The clips that `clips.csv` (path, sound, source_file) of a folder lists.

    Raises:
        NoInput: there is no such list, or it lacks one of the sounds that are to be learnt.
    """
    try:
        with (folder / "clips.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise NoInput(
            f"{folder / 'clips.csv'} cannot be read ({error.strerror})",
            "Give the folder of clips, with a list clips.csv (docs/sounds.md).",
        ) from error
    missing = [name for name in NAMES if name not in {row.get("sound") for row in rows}]
    if missing:
        raise NoInput(
            f"{folder / 'clips.csv'} has no clips of: {', '.join(missing)}",
            "See docs/sounds.md for the sounds.",
        )
    folds = _folds([(row["sound"], _recording(row["sound"], row["source_file"])) for row in rows])
    return [
        Clip(
            kind=NAMES.get(row["sound"], row["sound"]),
            samples=_trimmed(_read(folder / row["path"])),
            fold=fold,
        )
        for row, fold in zip(rows, folds, strict=True)
    ]


def _recording(sound: str, source: str) -> str:
    """What recording a clip was cut from, as far as its name tells; neighbours in a series count as one."""
    esc_50 = re.fullmatch(r"\d-(\d+)-[A-Z]\.\w+", source)
    if esc_50:
        return esc_50[1]
    series = re.fullmatch(r"(.+)_(\d+)\.wav", source)
    if series is None:
        return source
    if sound == "laughter":
        # All of it is from one recording: at least stretches of it are kept apart.
        return f"{series[1]} {int(series[2]) // 20}"
    if sound in ("dog", "other"):
        return f"{series[1]} {int(series[2]) // 24}"
    return series[1]


def _folds(recordings: Sequence[tuple[str, str]]) -> list[int]:
    """A fold for each, by turns: recordings of each sound go round, the largest first."""
    sizes: dict[tuple[str, str], int] = {}
    for recording in recordings:
        sizes[recording] = sizes.get(recording, 0) + 1
    filled: dict[tuple[str, int], int] = {}
    fold_of = {}
    for sound, name in sorted(sizes, key=lambda recording: (-sizes[recording], recording)):
        fold = min(range(FOLDS), key=lambda number: filled.get((sound, number), 0))
        filled[sound, fold] = filled.get((sound, fold), 0) + sizes[sound, name]
        fold_of[sound, name] = fold
    return [fold_of[recording] for recording in recordings]


def read_voices(data: Path = DATA) -> list[Voices]:
    """The speech of `data/speech` and the sample calls of `data/calls`.

    Raises:
        NoInput: this is no clone of the project: an installed wheel has no `data/`.
    """
    speech = sorted((data / "speech").glob("*.opus"))
    if not speech:
        raise NoInput(
            f"There is no speech in {data / 'speech'}", "Train in a clone of the project, where data/ lies."
        )
    spoken: list[tuple[str, str, Path]] = []
    for path in speech:
        agent, _, call = path.stem.partition("_")
        spoken.append((agent, call, path))
    for path in sorted((data / "calls").iterdir()):
        if path.suffix != ".csv" and path.stem != WITH_SOUNDS:
            # The samples of a language share voices.
            spoken.append((f"samples {path.stem[:2]}", path.stem, path))
    agents = sorted({agent for agent, _, _ in spoken})
    return [
        Voices(agent=agent, call=call, samples=_spoken(path), fold=agents.index(agent) % FOLDS)
        for agent, call, path in spoken
    ]


def _read(path: Path) -> Sound:
    return cast(Sound, media.read(path).tracks[0].sum(axis=0, dtype=np.float32) / 32768)


def _spoken(path: Path) -> Sound:
    sound = _read(path)
    return cast(Sound, sound * _gain(SPEECH_DB - _level(sound)))


def _gain(decibels: float) -> np.float32:
    return np.float32(10 ** (decibels / 20))


def _levels(sound: Sound) -> Sound:
    """Decibels of full scale of each 20 ms."""
    frames = sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME)
    return cast(Sound, 10 * np.log10(np.square(frames).mean(axis=1) + 1e-10))


def _level(sound: Sound) -> float:
    """How loud a sound is where it is not silent."""
    levels = _levels(sound)
    loud = levels[levels > levels.max() - 30]
    return float(10 * np.log10((10 ** (loud / 10)).mean()))


def _trimmed(clip: Sound) -> Sound:
    """A clip without silence before and after."""
    (active,) = np.nonzero(_active(clip))
    return clip[active[0] * _FRAME : (active[-1] + 1) * _FRAME]


def _active(sound: Sound) -> npt.NDArray[np.bool_]:
    levels = _levels(sound)
    return cast("npt.NDArray[np.bool_]", levels > levels.max() - _ACTIVE_DB)


# Mixing


def mix(
    clips: Sequence[Clip],
    voices: Sequence[Voices],
    chance: Chance,
    below_speech_db: tuple[float, float] = BELOW_SPEECH_DB,
) -> Mix:
    """One mix of these voices and, if there are any, clips, this far below the speech."""
    length = MIX_S * SAMPLE_RATE
    sound = _talk(voices, chance, length)
    steps = length // (HOP * STEP)
    labels = np.full(steps, NOTHING, np.uint8)
    events = []
    at = chance.uniform(0.5, 6)
    by_kind: dict[str, list[Clip]] = {}
    for clip in clips:
        by_kind.setdefault(clip.kind, []).append(clip)
    while clips:
        kind = _KINDS[chance.choice(len(_KINDS), p=_HOW_OFTEN)]
        added = _sounding(kind, by_kind, chance)
        end = at + len(added) / SAMPLE_RATE
        if end > MIX_S - 0.5:
            break
        added *= _gain(SPEECH_DB - chance.uniform(*below_speech_db) - _level(added))
        start = round(at * SAMPLE_RATE)
        if kind == "music":
            sound[start : start + len(added)] *= _gain(-60)
        sound[start : start + len(added)] += added
        if kind in KINDS:
            _label(labels, added, at, KINDS.index(kind) + 1)
        events.append(Event(kind=kind, start_s=at, end_s=end))
        at = end + chance.uniform(1.5, 10)
    line = through_line(sound, chance)
    return Mix(samples=line, labels=labels, events=tuple(events))


_KINDS = (*KINDS, "other", "noise", "music", "tones")
_HOW_OFTEN = (0.22, 0.2, 0.14, 0.18, 0.14, 0.06, 0.06)


def _talk(voices: Sequence[Voices], chance: Chance, length: int) -> Sound:
    """Speech of several calls, mostly higher or lower; now and then one party's alone, or none."""
    talk = np.zeros(0, np.float32)
    while len(talk) < length:
        own = voices[int(chance.integers(len(voices)))].samples
        start = int(chance.integers(max(1, len(own) - 10 * SAMPLE_RATE)))
        part = own[start : start + round(chance.uniform(8, 40) * SAMPLE_RATE)]
        talk = np.concatenate([talk, _varied(part, chance) if chance.random() < 0.7 else part])
    talk = talk[:length].copy()
    case = chance.random()
    if case < 0.06:
        talk *= 0
    elif case < 0.4:
        at = 0.0
        while at < MIX_S:
            listening = chance.uniform(1, 9)
            talk[round(at * SAMPLE_RATE) : round((at + listening) * SAMPLE_RATE)] = 0
            at += listening + chance.uniform(1, 9)
    return talk


def _varied(speech: Sound, chance: Chance) -> Sound:
    """As another would say it: higher or lower, with more of a tune to it, duller or sharper, in a room."""
    seconds = np.arange(0, len(speech) / SAMPLE_RATE, 0.02)
    tune = chance.uniform(0, 0.2) * np.sin(
        2 * np.pi * chance.uniform(0.2, 1.5) * seconds + chance.uniform(0, 6)
    )
    pace = np.repeat(chance.uniform(0.75, 1.4) * (1 + tune), _FRAME)
    at = np.cumsum(pace)
    other = np.interp(at[at < len(speech) - 1], np.arange(len(speech)), speech).astype(np.float32)
    return _roomy(_tilted(other, chance), chance)


def _pitched(sound: Sound, factor: float) -> Sound:
    """Played faster or slower."""
    at = np.arange(0, len(sound) - 1, factor)
    return cast(Sound, np.interp(at, np.arange(len(sound)), sound).astype(np.float32))


def _sounding(kind: str, clips: dict[str, list[Clip]], chance: Chance) -> Sound:
    if kind == "music":
        return _music(chance)
    if kind == "tones":
        return _tones(chance)
    own = clips[kind]
    factor = chance.uniform(0.87, 1.15)
    if kind == "dog":
        first = chance.integers(len(own))
        # Neighbours in the list are mostly barks of one dog.
        barks = [own[(first + chance.integers(3)) % len(own)].samples for _ in range(chance.integers(1, 5))]
        pauses = [np.zeros(round(chance.uniform(0.05, 0.8) * SAMPLE_RATE), np.float32) for _ in barks]
        sound = np.concatenate([part for pair in zip(barks, pauses, strict=True) for part in pair])
    else:
        sound = own[chance.integers(len(own))].samples
        longest = round(chance.uniform(1.5, 5.0) * SAMPLE_RATE)
        start = int(chance.integers(max(1, len(sound) - longest)))
        sound = _trimmed(sound[start : start + longest])
    return _roomy(_tilted(_pitched(sound, factor), chance), chance)


def _tilted(sound: Sound, chance: Chance) -> Sound:
    """Duller or sharper."""
    tilt = chance.uniform(-0.6, 0.6)
    return cast(Sound, (sound + tilt * np.pad(sound, (1, 0))[:-1]).astype(np.float32))


def _roomy(sound: Sound, chance: Chance) -> Sound:
    """As in a room, half of the time."""
    if chance.random() < 0.5:
        return sound
    fading_s = chance.uniform(0.05, 0.4)
    room = chance.standard_normal(round(fading_s * SAMPLE_RATE)).astype(np.float32)
    room *= np.exp(-np.linspace(0, 6, len(room), dtype=np.float32))
    room *= chance.uniform(0.1, 0.6) / np.sqrt(np.square(room).sum())
    room[0] += 1
    return cast(Sound, fftconvolve(sound, room)[: len(sound)].astype(np.float32))


def _label(labels: npt.NDArray[np.uint8], sound: Sound, at: float, number: int) -> None:
    """Mark the steps in which a sound is active; gaps shorter than 0.3 s count, edges are unclear."""
    active = np.pad(_active(sound), 15)
    closed = np.convolve(active, np.ones(15), "same") > 0
    closed = ~(np.convolve(~closed, np.ones(15), "same") > 0)
    step = STEP * HOP / SAMPLE_RATE
    frames = np.flatnonzero(closed) * 0.02 - 0.3 + at
    inside = np.unique((frames / step).astype(int))
    inside = inside[(inside >= 0) & (inside < len(labels))]
    around = np.unique(np.concatenate([inside - 2, inside - 1, inside + 1, inside + 2]))
    around = around[(around >= 0) & (around < len(labels))]
    labels[around[labels[around] == NOTHING]] = UNCLEAR
    labels[inside] = number


# Sounds that are computed


def _music(chance: Chance) -> Sound:
    """Some seconds of a tune with chords and perhaps a beat, as it is played to those who wait."""
    seconds = chance.uniform(4, 15)
    beat_s = chance.uniform(0.25, 0.7)
    root = chance.uniform(110, 260)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])
    sound = np.zeros(round((seconds + 2) * SAMPLE_RATE), np.float32)
    for number in range(int(seconds / beat_s)):
        start = round(number * beat_s * SAMPLE_RATE)
        tune = scale[chance.integers(len(scale))]
        chord = (0, 4, 7) if number % 4 == 0 else ()
        for semitones, loud in ((tune + 12, 1.0), *((tone, 0.4) for tone in chord)):
            note = _note(root * 2 ** (semitones / 12), chance.uniform(0.2, 1.5), chance)
            sound[start : start + len(note)] += loud * note[: len(sound) - start]
        if number % 2 and chance.random() < 0.6:
            hit = chance.standard_normal(1600).astype(np.float32) * np.exp(-np.linspace(0, 8, 1600))
            sound[start : start + 1600] += hit.astype(np.float32) * 0.5
    return sound[: round(seconds * SAMPLE_RATE)]


def _note(hertz: float, seconds: float, chance: Chance) -> Sound:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    vibrato = 1 + chance.uniform(0, 0.01) * np.sin(2 * np.pi * chance.uniform(4, 7) * time)
    phase = 2 * np.pi * np.cumsum(hertz * vibrato) / SAMPLE_RATE
    tones = sum(np.sin(phase * harmonic) * chance.uniform(0, 1) / harmonic for harmonic in range(1, 8))
    swelling = np.minimum(1, time / chance.uniform(0.005, 0.1))
    return cast(Sound, (tones * swelling * np.exp(-time * chance.uniform(0.5, 5))).astype(np.float32))


def _tones(chance: Chance) -> Sound:
    """Keys, ringing, beeps, a door bell, a siren."""
    time = np.arange(round(chance.uniform(0.4, 4) * SAMPLE_RATE)) / SAMPLE_RATE
    case = chance.integers(4)
    if case == 0:
        pitch = chance.uniform(400, 2500) * np.ones_like(time)
    elif case == 1:
        pitch = chance.uniform(500, 1200) * (
            1 + chance.uniform(0.1, 0.5) * np.sin(2 * np.pi * chance.uniform(0.2, 4) * time)
        )
    elif case == 2:
        pitch = np.where(time % 0.9 < 0.4, chance.uniform(600, 800), chance.uniform(450, 600))
    else:
        pitch = chance.choice([697.0, 770.0, 852.0, 941.0], len(time) // 2400 + 1).repeat(2400)[: len(time)]
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE)
    tone += chance.uniform(0, 1) * np.sin(
        2 * np.pi * np.cumsum(pitch * chance.choice([1.09, 1.57, 2.0])) / SAMPLE_RATE
    )
    period = chance.uniform(0.1, 1.0)
    if chance.random() < 0.6:
        tone = tone * (time % period < period * chance.uniform(0.3, 0.9))
    return cast(Sound, (tone + 1e-4).astype(np.float32))


# The line


def through_line(sound: Sound, chance: Chance) -> npt.NDArray[np.int16]:
    """What a telephone, its line and the recorder leave of a sound."""
    narrow: npt.NDArray[np.float64] = resample_poly(sound, 1, 2)
    lowest, highest = chance.uniform(150, 380), chance.uniform(2900, 3800)
    narrow = sosfilt(butter(3, [lowest, highest], "bandpass", fs=TELEPHONE_HZ, output="sos"), narrow)
    narrow += _gain(chance.uniform(-80, -45)) * _hiss(len(narrow), chance)
    narrow *= _gain(chance.uniform(-10, 8))
    coded = _coded(np.clip(narrow * 32767, -32768, 32767).astype(np.int16), chance)
    wide = resample_poly(coded.astype(np.float32), 2, 1)
    return cast("npt.NDArray[np.int16]", np.clip(wide, -32768, 32767).astype(np.int16))


def _hiss(length: int, chance: Chance) -> Sound:
    """White or duller noise of 1."""
    noise = lfilter([1.0], [1.0, -chance.uniform(0, 0.9)], chance.standard_normal(length))
    return cast(Sound, (noise / noise.std()).astype(np.float32))


# Each with the bits a second it is used with.
_CODECS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("pcm_mulaw", "pcm_mulaw", (64_000,)),
    ("pcm_alaw", "pcm_alaw", (64_000,)),
    ("libopus", "libopus", (8_000, 12_000, 16_000, 24_000)),
    ("libmp3lame", "mp3float", (8_000, 16_000, 24_000)),
    ("libopencore_amrnb", "libopencore_amrnb", (4_750, 7_400, 12_200)),
)


@cache
def _usable() -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """The codecs that this build of FFmpeg's libraries has."""
    return tuple(codec for codec in _CODECS if codec[0] in av.codecs_available)


def _coded(samples: npt.NDArray[np.int16], chance: Chance) -> npt.NDArray[np.int16]:
    """Encoded and decoded at 8 kHz by one codec or by none, as long as before."""
    codecs = _usable()
    chosen = int(chance.integers(len(codecs) + 1))
    if chosen == len(codecs):
        return samples
    name, decoder_name, rates = codecs[chosen]
    encoder = cast(AudioCodecContext, av.CodecContext.create(name, "w"))
    encoder.sample_rate, encoder.layout = TELEPHONE_HZ, "mono"
    encoder.format = "fltp" if name == "libmp3lame" else "s16"
    encoder.bit_rate = int(rates[chance.integers(len(rates))])
    encoder.time_base = Fraction(1, TELEPHONE_HZ)
    encoder.open()
    packets = []
    size = encoder.frame_size or 1600
    for start in range(0, len(samples), size):
        block = np.pad(samples[start : start + size], (0, max(0, start + size - len(samples))))
        data = (block / np.float32(32768)).astype(np.float32) if name == "libmp3lame" else block
        frame = AudioFrame.from_ndarray(data[None], format=encoder.format.name, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = TELEPHONE_HZ, start, encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = cast(AudioCodecContext, av.CodecContext.create(decoder_name, "r"))
    if name != "libmp3lame":
        decoder.sample_rate, decoder.layout = TELEPHONE_HZ, "mono"
        decoder.extradata = encoder.extradata
        decoder.bit_rate = encoder.bit_rate
    resampler = av.AudioResampler("s16", "mono", TELEPHONE_HZ)
    decoded = [
        out.to_ndarray().reshape(-1)
        for packet in [*packets, None]
        for frame in decoder.decode(packet)
        for out in resampler.resample(frame)
    ]
    heard = np.concatenate(decoded)[: len(samples)].astype(np.int16)
    return np.pad(heard, (0, len(samples) - len(heard)))
