"""Who speaks when, on one channel: pyannote.audio's diarization pipeline (MIT).

Two sets of weights fit: segmentation-3.0 with CAM++, and the folder of the hub's
pyannote/speaker-diarization-community-1. pyannote's own loaders are not used, as they unpickle whatever
a file holds; nor is its file reader, as the sound is in memory already.
"""

import hashlib
import inspect
import io
import math
import pickle
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Self

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
# At a step of a quarter, calls over two hours get a wider one.
MOST_WINDOWS = 2_880
# Clusters need members: short calls get a narrower step, down to a tenth.
FEWEST_WINDOWS = 100
NARROWEST_STEP = 0.1
SEGMENTATION_BATCH = 16
# A voice print of ten seconds takes 40 MB on its way through the net.
EMBEDDING_BATCH = 8
# Of two voice prints nearer than this (cosine), both are of one voice. The two parties of 26 calls came to
# 0.88 at most (synthetic voices; 0.36 in real calls), one voice cut in two mostly to more.
SAME_VOICE = 0.9

Voice = tuple[float, float, str]


def step_s(share: float, duration_s: float) -> float:
    """How far apart the windows of a recording are, in seconds; `share` is the settings' step.

    Always whole quarters of a second: at other steps, pyannote cuts some windows a sample too short.
    """
    narrow_s = max(NARROWEST_STEP * WINDOW_S, duration_s / FEWEST_WINDOWS)
    wanted_s = max(min(share * WINDOW_S, narrow_s), duration_s / MOST_WINDOWS)
    return math.ceil(wanted_s * 4) / 4


class Diarizer:
    """Tells the voices of a recording apart. `fingerprint` is a hash over its weights."""

    fingerprint: str

    def __init__(self, segmentation: Path, embedding: Path, step: float, threads: int) -> None:
        """Load segmentation-3.0 and CAM++; `step` is the windows' distance as a share of their ten seconds.

        Raises:
            ModelDamaged: a file is no such model.
        """
        pipeline = SpeakerDiarization(
            segmentation=_load(segmentation, PyanNet),
            embedding=_load_campplus(embedding),
            plda=_NoPLDA(),
            clustering="AgglomerativeClustering",
            embedding_exclude_overlap=True,
            segmentation_batch_size=SEGMENTATION_BATCH,
            embedding_batch_size=EMBEDDING_BATCH,
        )
        clustering = {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7}
        self._set_up(pipeline, clustering, [segmentation, embedding], step, threads)

    @classmethod
    def community(cls, folder: Path, step: float, threads: int) -> Self:
        """Load pyannote/speaker-diarization-community-1 from its folder; `step` as above.

        Raises:
            ModelDamaged: the folder holds no such model.
        """
        segmentation, embedding = (
            folder / part / "pytorch_model.bin" for part in ("segmentation", "embedding")
        )
        plda = [folder / "plda" / name for name in ("xvec_transform.npz", "plda.npz")]
        try:
            pipeline = SpeakerDiarization(
                segmentation=_load(segmentation, PyanNet),
                embedding=_load(embedding, WeSpeakerResNet34),
                plda=PLDA(plda[0], plda[1]),
                clustering="VBxClustering",
                embedding_exclude_overlap=True,
                segmentation_batch_size=SEGMENTATION_BATCH,
                embedding_batch_size=EMBEDDING_BATCH,
            )
        except (OSError, KeyError, ValueError) as error:
            raise _no_model(folder, error) from error
        diarizer = cls.__new__(cls)
        clustering = pipeline.default_parameters()["clustering"]  # type: ignore[no-untyped-call]
        diarizer._set_up(pipeline, clustering, [segmentation, embedding, *plda], step, threads)
        return diarizer

    def _set_up(
        self,
        pipeline: SpeakerDiarization,
        clustering: dict[str, Any],
        files: Sequence[Path],
        step: float,
        threads: int,
    ) -> None:
        torch.set_num_threads(threads)
        for model in (pipeline._segmentation.model, pipeline._embedding.model_):
            model.register_forward_pre_hook(_to_float)
        self._pipeline = pipeline.instantiate(
            {"segmentation": {"min_duration_off": 0.0}, "clustering": clustering}
        )
        self._step = step
        self.fingerprint = hashlib.sha256(b"".join(_digest(file) for file in files)).hexdigest()[:16]

    def __call__(self, samples: npt.NDArray[np.int16], speakers: int = 2) -> list[Voice]:
        """Who speaks when: (start_s, end_s, label), in order of time, not overlapping.

        `samples` is one channel at 16 kHz, of any length; `speakers` is how many voices are expected.
        Where nobody speaks, the list is empty. Where only one voice is heard, or there is too little
        speech to tell voices apart, all of it has one label.
        """
        duration_s = len(samples) / SAMPLE_RATE
        window = int(WINDOW_S * SAMPLE_RATE)
        if len(samples) < window:
            samples = np.pad(samples, (0, window - len(samples)))
        self._pipeline._segmentation.step = step_s(self._step, duration_s)
        sound = {"waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE}
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # its clustering prints advice
            # Of the mean of no voice prints, where nobody speaks long enough for one.
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
            warnings.filterwarnings("ignore", r"std\(\): degrees of freedom", UserWarning)
            warnings.filterwarnings("ignore", r"\s*The detected number of speakers", UserWarning)
            found = self._pipeline(sound, num_speakers=speakers)
        voice = _one_label_a_voice(found.speaker_diarization.labels(), found.speaker_embeddings)
        return sorted(
            (segment.start, min(segment.end, duration_s), voice[label])
            for segment, _, label in found.exclusive_speaker_diarization.itertracks(yield_label=True)
            if segment.start < duration_s
        )


class _NoPLDA(PLDA):
    """The pipeline insists on one, also where its clustering has no use for it."""

    def __init__(self) -> None:
        pass


def _load(checkpoint: Path, architecture: type[Model]) -> Model:
    """A model of pyannote from its checkpoint: tensors, and pyannote's own description of them."""
    try:
        with torch.serialization.safe_globals([TorchVersion, Specifications, Problem, Resolution]):
            content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        # As lightning does: a checkpoint also holds settings that only its base class takes.
        known = inspect.signature(architecture).parameters
        model = architecture(**{k: v for k, v in content["hyper_parameters"].items() if k in known})
        model.specifications = content["pyannote.audio"]["specifications"]
        model.setup()  # type: ignore[no-untyped-call]
        model.load_state_dict(content["state_dict"], strict=True)
    except (OSError, EOFError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise _no_model(checkpoint, error) from error
    return model.eval()


def _load_campplus(checkpoint: Path) -> Model:
    try:
        return CAMPlusPlus(checkpoint)
    except (OSError, EOFError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise _no_model(checkpoint, error) from error


def _no_model(path: Path, error: Exception) -> ModelDamaged:
    return ModelDamaged(
        f"{path} is not the model it should be ({type(error).__name__})",
        "`wellheard models verify` checks all model files.",
    )


def _one_label_a_voice(labels: Sequence[str], prints: npt.NDArray[np.float64]) -> dict[str, str]:
    """The label to use for each: asked for two voices, the pipeline finds two also where one speaks."""
    voice: dict[str, str] = {}
    units = prints / np.maximum(np.linalg.norm(prints, axis=1, keepdims=True), 1e-9)
    for i, label in enumerate(labels):
        same = [earlier for j, earlier in enumerate(labels[:i]) if units[i] @ units[j] > SAME_VOICE]
        voice[label] = voice[same[0]] if same else label
    return voice


def _to_float(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sound stays int16 until a window of it is looked at, so a long call is never held twice."""
    waveforms, *others = arguments
    if waveforms.dtype == torch.int16:
        waveforms = waveforms.float() / 32768.0
    return waveforms, *others


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
