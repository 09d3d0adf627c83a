"""Who speaks when, on one channel: pyannote.audio's diarization pipeline (MIT).

Two sets of weights fit: segmentation-3.0 with CAM++, and the folder of the hub's
pyannote/speaker-diarization-community-1. pyannote's own loaders are not used, as they unpickle whatever
a file holds; nor is its file reader, as the sound is in memory already.
"""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.torch_version import TorchVersion

from wellheard.models.campplus import CAMPlusPlus
from wellheard.models.offline_pyannote import (
    PLDA,
    Model,
    Problem,
    PyanNet,
    Resolution,
    SpeakerDiarization,
    Specifications,
    WeSpeakerResNet34,
)
from wellheard.pipeline.errors import ModelDamaged
from wellheard.pipeline.records import SAMPLE_RATE

WINDOW_S = 10.0
# Clustering compares all voice prints with one another; so many windows keep that under half a gigabyte.
# At the default step of a quarter, calls over two hours get a wider step.
MOST_WINDOWS = 2_880
BATCH = 32

Voice = tuple[float, float, str]


class Diarizer:
    """Tells the voices of a recording apart."""

    def __init__(self, segmentation: Path, embedding: Path, step: float, threads: int) -> None:
        """Load segmentation-3.0 and CAM++; `step` is the windows' distance as a share of their length.

        Raises:
            ModelDamaged: a file is no such model.
        """
        torch.set_num_threads(threads)
        self.fingerprint = _fingerprint(segmentation, embedding)
        self._step = step
        self._pipeline = SpeakerDiarization(
            segmentation=_load(segmentation, PyanNet),
            embedding=CAMPlusPlus(embedding),
            embedding_exclude_overlap=True,
            plda=_NoPLDA(),
            clustering="AgglomerativeClustering",
            segmentation_step=step,
            segmentation_batch_size=BATCH,
            embedding_batch_size=BATCH,
        ).instantiate(
            {
                "segmentation": {"min_duration_off": 0.0},
                "clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7},
            }
        )
        self._prepare()

    def _prepare(self) -> None:
        for model in (self._pipeline._segmentation.model, self._pipeline._embedding.model_):
            model.register_forward_pre_hook(_to_float)

    def __call__(self, samples: npt.NDArray[np.int16], speakers: int = 2) -> list[Voice]:
        """Who speaks when: (start_s, end_s, label), in order of time, not overlapping.

        `samples` is one channel at 16 kHz, of any length. Where nobody speaks, the list is empty; where
        there is too little speech to tell voices apart, all of it has one label.
        """
        duration_s = len(samples) / SAMPLE_RATE
        window = int(WINDOW_S * SAMPLE_RATE)
        if len(samples) < window:
            samples = np.pad(samples, (0, window - len(samples)))
        self._pipeline._segmentation.step = WINDOW_S * max(self._step, duration_s / WINDOW_S / MOST_WINDOWS)
        found = self._pipeline(
            {"waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE}, num_speakers=speakers
        )
        voices = [
            (segment.start, min(segment.end, duration_s), str(label))
            for segment, _, label in found.exclusive_speaker_diarization.itertracks(yield_label=True)
            if segment.start < duration_s
        ]
        return sorted(voices)


class _NoPLDA(PLDA):
    """The pipeline insists on one, also where its clustering has no use for it."""

    def __init__(self) -> None:
        pass


def _load(checkpoint: Path, architecture: type[Model]) -> Model:
    """A pyannote model from its checkpoint; only tensors and pyannote's own description of it are unpickled."""
    with torch.serialization.safe_globals([TorchVersion, Specifications, Problem, Resolution]):
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = architecture(**content["hyper_parameters"])
    model.specifications = content["pyannote.audio"]["specifications"]
    model.setup()
    model.load_state_dict(content["state_dict"], strict=True)
    return model.eval()


def _to_float(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sound stays int16 until a window of it is looked at, so a long call is never held twice."""
    waveforms, *others = arguments
    if waveforms.dtype == torch.int16:
        waveforms = waveforms.float() / 32768.0
    return waveforms, *others


def _fingerprint(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
