"""WhisperX, run by a Python in which it is installed: its words alone.

Its alignment and its diarization load their models from hubs; what it can do without is measured. The Whisper
model's folder is the second argument.
"""

import os
import sys
import time
from pathlib import Path

# Before it is imported: it must not look for anything.
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import whisperx  # type: ignore[import-not-found]
from child import Job, serve  # type: ignore[import-not-found]


def load(threads: int) -> Job:
    """The same Whisper model in int8, with the voice detector that comes with WhisperX."""
    model = whisperx.load_model(sys.argv[2], "cpu", compute_type="int8", threads=threads)

    def job(path: str) -> tuple[str, dict[str, float]]:
        start = time.perf_counter()
        found = model.transcribe(whisperx.load_audio(path), batch_size=8)
        text = "".join(segment["text"] for segment in found["segments"])
        return text, {"transcribe": time.perf_counter() - start}

    return job


if __name__ == "__main__":
    serve(load)
