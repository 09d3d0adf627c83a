"""Recordings made ready to be heard in a browser: sound that can be sought in, and its outline to draw."""

import hashlib
import threading
import wave
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wellheard.pipeline.media import Samples
from wellheard.pipeline.morning import clips
from wellheard.pipeline.records import SAMPLE_RATE

TYPE = "audio/wav"
POINTS = 1600
_KEPT = 6
_BLOCK = 60 * SAMPLE_RATE


@dataclass(frozen=True)
class Audible:
    """A recording as one channel: a WAV file, its length, and `POINTS` or fewer peaks from 0 to 1."""

    file: Path
    duration_s: float
    peaks: tuple[float, ...]


class Listening:
    """The recordings that were asked for last, as files in a private folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready: OrderedDict[tuple[str, str | None], Audible] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def of(self, call: Mapping[str, Any]) -> Audible:
        """The sound of a row of `calls`.

        Raises:
            RecordingGone: it is not there any more, or another one is.
            CallError: it cannot be read.
        """
        key = (call["call_id"], call["audio_id"])
        with self._one_at_a_time:
            if key not in self._ready:
                recording = clips.open_recording(call["call_id"], call["paths"] or (), call["audio_id"])
                self._ready[key] = self._write(repr(key), recording.samples)
                while len(self._ready) > _KEPT:
                    self._ready.popitem(last=False)[1].file.unlink(missing_ok=True)
            self._ready.move_to_end(key)
            return self._ready[key]

    def _write(self, name: str, samples: Samples) -> Audible:
        file = self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.wav"
        size = samples.shape[1]
        mono = np.empty(size, np.int16)
        for start in range(0, size, _BLOCK):
            together = samples[:, start : start + _BLOCK].sum(axis=0, dtype=np.int32)
            mono[start : start + _BLOCK] = np.clip(together, -32768, 32767)
        with wave.open(str(file), "wb") as written:
            written.setnchannels(1)
            written.setsampwidth(2)
            written.setframerate(SAMPLE_RATE)
            written.writeframes(mono.tobytes())
        return Audible(file, size / SAMPLE_RATE, outline(mono))


def outline(mono: Samples) -> tuple[float, ...]:
    """The loudest sample of each of at most `POINTS` equal stretches, from 0 to 1; mono is int16."""
    step = max(-(-mono.size // POINTS), 1)
    loud = np.abs(mono.astype(np.int32))
    loud = np.pad(loud, (0, -loud.size % step)).reshape(-1, step).max(axis=1)
    return tuple(np.round(loud / 32768, 3).tolist())
