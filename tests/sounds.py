"""Short recordings for tests, 8 kHz and 16 bit, put together from spoken clips and silence."""

import os
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE = 8_000
Clip = npt.NDArray[np.int16]


def read(path: Path) -> Clip:
    """The samples of a mono WAV file."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def silence(seconds: float) -> Clip:
    """Digital silence."""
    return np.zeros(round(seconds * RATE), np.int16)


def write(path: Path, *channels: Clip) -> Path:
    """A WAV file of these channels, the shorter ones filled up with silence, long finished being written."""
    length = max(len(channel) for channel in channels)
    padded = [np.pad(channel, (0, length - len(channel))) for channel in channels]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.stack(padded, axis=1).astype(np.int16).tobytes())
    os.utime(path, (1, 1))
    return path
