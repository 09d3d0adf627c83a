"""Stage 1, second half: from the files of a call to its sound, one party a channel where that is possible."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wellheard.pipeline import media
from wellheard.pipeline.errors import NoSound
from wellheard.pipeline.media import Samples, Sound
from wellheard.pipeline.records import SAMPLE_RATE, CallInfo, Recording, Source

VERSION = "1"

# A channel holds sound if it is louder than this (RMS of 20 ms, of full scale) for a tenth of a second.
# Noise at -70 dB and the idle codes of G.711 (-72 dB) stay below; a voice 45 dB under a normal one does not.
_AUDIBLE_DB = -63.0
_AUDIBLE_FRAMES = 5
_FRAME = SAMPLE_RATE // 50

# One sound on both channels, at two levels and after MP3, AAC or Opus of 16 to 32 kbit/s: the channels
# correlate by 0.937 and more, and their levels differ by the same decibels throughout, give or take 1.4. Two
# parties who leak into each other at -6 dB correlate by 0.80; at -3 dB by 0.94, but then the louder channel
# changes with the speaker (6 dB). Music that both hear makes a call alike, but not all of it: in half a
# second where only one speaks, the difference is as large as the sound (in copies at most 0.08 of it).
_SAME = 0.92
_LEVEL_SPREAD_DB = 4.0
_WINDOW = SAMPLE_RATE // 2
_DIFFERENT_WINDOW = 0.25
_DIFFERENT_SHARE = 0.01
_LOUD_WINDOW_DB = -50.0

_BLOCK = 20 * _WINDOW
_SAME_LENGTH_S = 0.5


def decode(source: Source) -> Recording:
    """The sound of a call, int16 of shape (channels, n) at 16 kHz.

    Two channels mean one party a channel. Channels that carry one sound become one; a channel on which
    nothing was recorded stays, and is named in `empty_channels`.

    Raises:
        UnreadableAudio: a file is missing, no recording, encrypted, or cannot be decoded.
        NoSound: no file of the call holds any sound.
    """
    if len(source.paths) == 2:
        return _pair(source)
    sound = media.read(Path(source.paths[0]))
    samples, notes = _channels(sound)
    return _recording(
        samples,
        sound.digest.hex(),
        source.info,
        source.info.agent_channel,
        sound.expected_s,
        [*sound.notes, *notes],
    )


def _pair(source: Source) -> Recording:
    """Two files, the agent's first, as the two channels of one call."""
    names = [Path(path).name for path in source.paths]
    rows: list[Samples] = []
    digests: list[bytes] = []
    expected: list[float] = []
    notes: list[str] = []
    missing: list[NoSound] = []
    for path, name in zip(source.paths, names, strict=True):
        try:
            sound = media.read(Path(path))
        except NoSound as error:
            missing.append(error)
            notes.append(f"{name}: {error.reason}")
            rows.append(np.zeros((1, 0), np.int16))
            digests.append(b"")
            continue
        samples, about = _channels(sound)
        samples, about_mono = _one_party(samples)
        rows.append(samples)
        digests.append(sound.digest)
        expected.extend([] if sound.expected_s is None else [sound.expected_s])
        notes.extend(f"{name}: {note}" for note in (*sound.notes, *about, *about_mono))
    if len(missing) == 2:
        raise missing[0]
    lengths = [row.shape[1] for row in rows]
    difference_s = abs(lengths[0] - lengths[1]) / SAMPLE_RATE
    if not missing and difference_s > _SAME_LENGTH_S:
        shorter = names[int(np.argmin(lengths))]
        notes.append(
            f"{shorter} is {difference_s:.1f} seconds shorter than the other file; taken to start together"
        )
    samples = np.zeros((2, max(lengths)), np.int16)
    for channel in range(2):
        row = rows.pop(0)
        samples[channel, : row.shape[1]] = row[0]
    audio_id = hashlib.sha256(b"pair" + b"|".join(digests)).hexdigest()
    return _recording(samples, audio_id, source.info, 0, max(expected, default=None), notes)


def _recording(
    samples: Samples,
    audio_id: str,
    info: CallInfo,
    agent_channel: int | None,
    expected_s: float | None,
    notes: Sequence[str],
) -> Recording:
    notes = [*notes]
    if _is_still(samples):
        raise NoSound(
            "the recording is silent from start to end", "See whether the call was recorded at all."
        )
    if len(samples) == 2 and carry_one_sound(samples):
        notes.append("both channels carry the same sound: taken as one channel with both parties")
        samples = samples[[int(np.argmax([np.abs(row[:: _FRAME + 1]).mean() for row in samples]))]]
    empty = _empty_channels(samples)
    if len(samples) == 1 and (agent_channel is not None or info.agent_channel is not None):
        notes.append("agent_channel is not used, as the recording has one channel")
        agent_channel = None
    for channel in empty:
        notes.append(f"one party was not recorded: nothing is on the {_SIDES[channel]} channel")
        if channel == agent_channel:
            notes.append(
                f"the agent should be on the {_SIDES[channel]} channel, on which nothing was recorded"
            )
    return Recording(
        samples=samples,
        audio_id=audio_id,
        agent_channel=agent_channel,
        empty_channels=empty,
        expected_s=expected_s,
        notes=tuple(notes),
    )


_SIDES = ("left", "right")


def _channels(sound: Sound) -> tuple[Samples, list[str]]:
    """One or two channels of a file, whatever number of tracks and channels it has, and what was chosen."""
    if len(sound.tracks) == 1 and len(sound.tracks[0]) <= 2:
        return sound.tracks[0], []
    several = len(sound.tracks) > 1
    what = f"{len(sound.tracks)} sound tracks" if several else f"{len(sound.tracks[0])} channels"
    rows = [
        (f"track {number}" if several and len(track) == 1 else f"channel {channel + 1}", row)
        for number, track in enumerate(sound.tracks, 1)
        for channel, row in enumerate(track)
    ]
    different: list[tuple[str, Samples]] = []
    for name, row in rows:
        if is_audible(row) and not any(carry_one_sound(_stack([row, other])) for _, other in different):
            different.append((name, row))
    chosen = different or rows[:1]
    names = " and ".join(name for name, _ in chosen)
    samples = _stack([row for _, row in chosen])
    if len(chosen) == 1:
        return samples, [f"{what}: {names} is used, the others hold no sound of their own"]
    if len(chosen) == 2:
        return samples, [f"{what}: {names} hold sound, and are taken as one party each"]
    return _mixed(samples), [f"{what}: {len(chosen)} of them hold sound, and are mixed to one"]


def _empty_channels(samples: Samples) -> tuple[int, ...]:
    """The one of two channels on which nothing was recorded, if there is one."""
    audible = [is_audible(channel) for channel in samples]
    return (audible.index(False),) if sorted(audible) == [False, True] else ()


def _stack(rows: Sequence[Samples]) -> Samples:
    """Rows of different lengths in one array, the shorter ones with silence at the end."""
    stacked = np.zeros((len(rows), max(row.size for row in rows)), np.int16)
    for row, target in zip(rows, stacked, strict=True):
        target[: row.size] = row
    return stacked


def _one_party(samples: Samples) -> tuple[Samples, list[str]]:
    """One channel of a file that holds one party of a pair."""
    if len(samples) == 1:
        return samples, []
    audible = [channel for channel in range(2) if is_audible(samples[channel])]
    if len(audible) == 1 or carry_one_sound(samples):
        return samples[audible[:1] or [0]], []
    return _mixed(samples), ["two channels, mixed to one, as the file is one party's"]


def _mixed(samples: Samples) -> Samples:
    mixed = np.empty((1, samples.shape[1]), np.int16)
    for start in range(0, samples.shape[1], _BLOCK):
        part = samples[:, start : start + _BLOCK]
        mixed[0, start : start + _BLOCK] = part.mean(axis=0, dtype=np.float32).round()
    return mixed


def _is_still(samples: Samples) -> bool:
    """Whether there is nothing but digital silence or a line's idle codes."""
    return all(int(row.max()) - int(row.min()) < 32 for row in samples)


def is_audible(channel: Samples) -> bool:
    """Whether a channel, int16 of shape (n,), holds more than the noise of an idle line."""
    frames = 0
    for start in range(0, channel.size, _BLOCK):
        part = channel[start : start + _BLOCK]
        part = part[: part.size // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float32)
        part -= part.mean(axis=1, keepdims=True)
        frames += int((np.square(part).mean(axis=1) > _power(_AUDIBLE_DB)).sum())
        if frames >= _AUDIBLE_FRAMES:
            return True
    return False


def carry_one_sound(samples: Samples) -> bool:
    """Whether the channels, int16 of shape (2, n), are one sound, be it at two levels or through a codec."""
    count = samples.shape[1] // _WINDOW * _WINDOW
    if count == 0:
        count, window = samples.shape[1], samples.shape[1]
    else:
        window = _WINDOW
    sums = []
    for start in range(0, count, _BLOCK):
        part = samples[:, start : min(start + _BLOCK, count)].astype(np.float64).reshape(2, -1, window)
        left, right = part - part.mean(axis=2, keepdims=True)
        sums.append(np.stack([(left * left).sum(1), (right * right).sum(1), (left * right).sum(1)]))
    left_2, right_2, product = np.concatenate(sums, axis=1)
    if not left_2.sum() or not right_2.sum():
        return False
    correlation = product.sum() / np.sqrt(left_2.sum() * right_2.sum())
    if abs(correlation) < _SAME:
        return False
    scale = np.sign(correlation) * np.sqrt(left_2.sum() / right_2.sum())
    energy = left_2 + scale**2 * right_2
    loud = energy > 2 * window * _power(_LOUD_WINDOW_DB)
    if not loud.any():
        return True
    left_2, right_2, product, energy = left_2[loud], right_2[loud], product[loud], energy[loud]
    level_db = 10 * np.log10((right_2 + 1) / (left_2 + 1))
    if np.quantile(level_db, 0.95) - np.quantile(level_db, 0.05) > _LEVEL_SPREAD_DB:
        return False
    difference = energy - 2 * scale * product
    return bool((difference > 2 * _DIFFERENT_WINDOW * energy).mean() <= _DIFFERENT_SHARE)


def _power(level_db: float) -> float:
    return float(32768.0**2 * 10 ** (level_db / 10))
