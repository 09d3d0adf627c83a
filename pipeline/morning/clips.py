"""A few seconds of a recording, as a small sound file that every browser plays."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame

from wellheard.pipeline import audio
from wellheard.pipeline.errors import CallError
from wellheard.pipeline.records import SAMPLE_RATE, CallInfo, Recording, Source

LONGEST_S = 20.0
TYPE = "audio/mpeg"
_BITS_A_SECOND = 32_000


class RecordingGone(CallError):
    """The recording is no longer where it was when it was scored, or another one is there now."""


def open_recording(call_id: str, paths: Sequence[str], audio_id: str | None) -> Recording:
    """The sound of a scored call, from where it lay then.

    Raises:
        RecordingGone: it is not there any more, or another one is.
        CallError: it cannot be read.
    """
    missing = [path for path in paths if not Path(path).is_file()]
    if missing or not paths:
        where = f"at {' and '.join(missing)}" if missing else "known"
        raise RecordingGone(f"The recording is no longer {where}", "The words are quoted as they were heard.")
    recording = audio.decode(Source(paths=tuple(paths), info=CallInfo(call_id=call_id)))
    if recording.audio_id != audio_id:
        raise RecordingGone(
            f"Another recording lies at {' and '.join(paths)} now",
            "The words are quoted as they were heard.",
        )
    return recording


def cut(recording: Recording, start_s: float, end_s: float) -> bytes:
    """The sound between two moments, at most `LONGEST_S`, all parties together: an MP3 file.

    Raises:
        RecordingGone: the recording ends before.
    """
    first, last = int(max(start_s, 0) * SAMPLE_RATE), int(min(end_s, start_s + LONGEST_S) * SAMPLE_RATE)
    samples = recording.samples[:, first:last].astype(np.int32).sum(axis=0)
    if not samples.size:
        raise RecordingGone("The recording ends before these words", "It may have been cut since.")
    mono = np.clip(samples, -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream: Any = container.add_stream("libmp3lame", rate=SAMPLE_RATE)
        stream.layout = "mono"
        stream.bit_rate = _BITS_A_SECOND
        frame = AudioFrame.from_ndarray(mono[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()
