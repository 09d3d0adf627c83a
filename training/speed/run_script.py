"""The obvious script: file after file through faster-whisper, then through pyannote's pipeline.

Both as their makers document them, with the free weights, on the channels mixed to one: Whisper with word
times and its filter of silence, pyannote at its default step.
"""

import time

import torch
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio
from torch.torch_version import TorchVersion

from wellheard.models import store
from wellheard.models.campplus import CAMPlusPlus
from wellheard.models.offline_pyannote import (
    PLDA,
    Model,
    Problem,
    Resolution,
    SpeakerDiarization,
    Specifications,
)
from wellheard.pipeline.records import SAMPLE_RATE
from wellheard.training.speed.child import Job, serve


def load(threads: int) -> Job:
    """Whisper base in int8 and pyannote's pipeline for two speakers."""
    torch.set_num_threads(threads)
    folder = store.locate("whisper-base")
    whisper = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
    diarize = _pipeline()

    def job(path: str) -> tuple[str, dict[str, float]]:
        start = time.perf_counter()
        segments, _ = whisper.transcribe(path, word_timestamps=True, vad_filter=True)
        text = "".join(segment.text for segment in segments)
        heard = time.perf_counter()
        samples = torch.from_numpy(decode_audio(path, sampling_rate=SAMPLE_RATE))[None]
        diarize({"waveform": samples, "sample_rate": SAMPLE_RATE}, num_speakers=2)
        return text, {"transcribe": heard - start, "diarize": time.perf_counter() - heard}

    return job


def _pipeline() -> SpeakerDiarization:
    with torch.serialization.safe_globals([TorchVersion, Specifications, Problem, Resolution]):
        segmentation = Model.from_pretrained(store.locate("segmentation-3.0"))
    assert segmentation is not None
    pipeline = SpeakerDiarization(
        segmentation=segmentation,
        embedding=CAMPlusPlus(store.locate("campplus")),
        plda=_NoPLDA(),
        clustering="AgglomerativeClustering",
        embedding_exclude_overlap=True,
    )
    pipeline.instantiate(
        {
            "segmentation": {"min_duration_off": 0.0},
            "clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7},
        }
    )
    return pipeline


class _NoPLDA(PLDA):
    """The pipeline insists on one, also where its clustering has no use for it."""

    def __init__(self) -> None:
        pass


if __name__ == "__main__":
    serve(load)
