"""Who speaks when, on one channel: pyannote.audio (MIT).

Two sets of weights fit: segmentation-3.0 with CAM++, whose voices are told apart in `voices.py`, and the
folder of the hub's pyannote/speaker-diarization-community-1, which brings its own way. pyannote's own
loaders are not used, as they unpickle whatever a file holds; nor is its file reader, as the sound is in
memory already.
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
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.torch_version import TorchVersion

from wellheard.models.campplus import DIMENSION, CAMPlusPlus
from wellheard.models.offline_pyannote import (
    PLDA,
    Inference,
    Model,
    Problem,
    PyanNet,
    Resolution,
    SpeakerDiarization,
    Specifications,
    WeSpeakerResNet34,
)
from wellheard.models.voices import Stretch, Windows, stretches, voices
from wellheard.pipeline.errors import ModelDamaged
from wellheard.pipeline.records import SAMPLE_RATE

WINDOW_S = 10.0
# So many windows keep what is compared with one another under half a gigabyte: at a step of a fifth, calls of
# more than an hour and a half get a wider one.
MOST_WINDOWS = 2_880
SEGMENTATION_BATCH = 16
# A voice print of ten seconds takes 40 MB on its way through the net.
EMBEDDING_BATCH = 8
# The encoder sees frames of 25 ms: half of one on either side gives a stretch as many as it is long.
MARGIN = SAMPLE_RATE // 80

Voice = tuple[float, float, str]


def step_s(share: float, duration_s: float) -> float:
    """How far apart the windows of a recording are, in seconds; `share` is the settings' step.

    Always whole quarters of a second: at other steps, pyannote cuts some windows a sample too short.
    """
    return math.ceil(max(share * WINDOW_S, duration_s / MOST_WINDOWS) * 4) / 4


class Diarizer:
    """Tells the voices of a recording apart. `fingerprint` is a hash over its weights."""

    def __init__(self, segmentation: Path, embedding: Path, step: float, threads: int) -> None:
        """Load segmentation-3.0 and CAM++; `step` is the windows' distance as a share of their ten seconds.

        Raises:
            ModelDamaged: a file is no such model.
        """
        torch.set_num_threads(threads)
        model = _load(segmentation, PyanNet)
        model.register_forward_pre_hook(_to_float)
        self._segment = Inference(
            model, duration=WINDOW_S, step=WINDOW_S, skip_aggregation=True, batch_size=SEGMENTATION_BATCH
        )
        self._frame_s = float(model.receptive_field.step)
        self._print = _load_campplus(embedding)
        self._step = step
        self.fingerprint = _fingerprint([segmentation, embedding])

    def __call__(
        self, samples: npt.NDArray[np.int16], breaks: Sequence[float] = (), speakers: int = 4
    ) -> list[Voice]:
        """Who speaks when: (start_s, end_s, label), in order of time, not overlapping.

        `samples` is one channel at 16 kHz, of any length; `breaks` are moments, in seconds, at which the
        voice may well change; `speakers` is how many voices are told apart at most. Where nobody speaks, the
        list is empty. Where only one voice is heard, or there is too little speech to tell voices apart, all
        of it has one label.
        """
        duration_s = len(samples) / SAMPLE_RATE
        seen = self._see(_at_least_a_window(samples), step_s(self._step, duration_s))
        found, several = stretches(seen, breaks)
        if not found:
            return []
        prints = np.stack([self._voice_print(samples, one, several) for one in found])
        spoken: list[Voice] = []
        for one, voice in zip(found, voices(found, prints, seen, breaks, speakers), strict=True):
            start_s, end_s = one.start * self._frame_s, min(one.end * self._frame_s, duration_s)
            label = f"SPEAKER_{voice:02}"
            if spoken and spoken[-1][1:] == (start_s, label):
                spoken[-1] = (spoken[-1][0], end_s, label)
            elif start_s < end_s:
                spoken.append((start_s, end_s, label))
        return spoken

    def _see(self, samples: npt.NDArray[np.int16], step: float) -> Windows:
        self._segment.step = step
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"std\(\): degrees of freedom", UserWarning)
            seen: Any = self._segment(_sound(samples))
        starts_s = step * np.arange(len(seen.data))
        return Windows(
            active=np.asarray(seen.data > 0.5),
            first=(starts_s / self._frame_s).round().astype(np.int64),
            frame_s=self._frame_s,
            frames=math.ceil(len(samples) / SAMPLE_RATE / self._frame_s) + 1,
        )

    def _voice_print(
        self, samples: npt.NDArray[np.int16], stretch: Stretch, several: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        """The print of one stretch, if possible without the frames in which several speak."""
        edges = [round(frame * self._frame_s * SAMPLE_RATE) for frame in (stretch.start, stretch.end)]
        sound = samples[max(edges[0] - MARGIN, 0) : edges[1] + MARGIN]
        with torch.inference_mode():
            waveform = torch.from_numpy(sound.astype(np.float32) / 32768)[None, None]
            alone = torch.from_numpy(~several[stretch.start : stretch.end]).float()[None]
            for weights in (alone, None) if 0 < alone.sum() < alone.numel() else (None,):
                try:
                    found = self._print(waveform, weights)[0].numpy()
                except ValueError:  # too short for a print
                    break
                if np.isfinite(found).all():
                    return np.asarray(found, dtype=np.float32)
        return np.full(DIMENSION, np.nan, dtype=np.float32)


class CommunityDiarizer:
    """pyannote/speaker-diarization-community-1, by pyannote's own pipeline. `fingerprint` as above."""

    def __init__(self, folder: Path, step: float, threads: int) -> None:
        """Load it from its folder; `step` as above.

        Raises:
            ModelDamaged: the folder holds no such model.
        """
        torch.set_num_threads(threads)
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
        for model in (pipeline._segmentation.model, pipeline._embedding.model_):
            model.register_forward_pre_hook(_to_float)
        clustering = pipeline.default_parameters()["clustering"]  # type: ignore[no-untyped-call]
        self._pipeline = pipeline.instantiate(
            {"segmentation": {"min_duration_off": 0.0}, "clustering": clustering}
        )
        self._step = step
        self.fingerprint = _fingerprint([segmentation, embedding, *plda])

    def __call__(
        self, samples: npt.NDArray[np.int16], _breaks: Sequence[float] = (), speakers: int = 4
    ) -> list[Voice]:
        """Who speaks when, as `Diarizer` says it."""
        duration_s = len(samples) / SAMPLE_RATE
        self._pipeline._segmentation.step = step_s(self._step, duration_s)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # its clustering prints advice
            # Of the mean of no voice prints, where nobody speaks long enough for one.
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
            warnings.filterwarnings("ignore", r"std\(\): degrees of freedom", UserWarning)
            warnings.filterwarnings("ignore", r"\s*The detected number of speakers", UserWarning)
            found = self._pipeline(_sound(_at_least_a_window(samples)), max_speakers=speakers)
        return sorted(
            (segment.start, min(segment.end, duration_s), label)
            for segment, _, label in found.exclusive_speaker_diarization.itertracks(yield_label=True)
            if segment.start < duration_s
        )


def _at_least_a_window(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    return np.pad(samples, (0, max(0, int(WINDOW_S * SAMPLE_RATE) - len(samples))))


def _sound(samples: npt.NDArray[np.int16]) -> dict[str, Any]:
    return {"waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE}


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


def _to_float(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sound stays int16 until a window of it is looked at, so a long call is never held twice."""
    waveforms, *others = arguments
    if waveforms.dtype == torch.int16:
        waveforms = waveforms.float() / 32768.0
    return waveforms, *others


def _fingerprint(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(_digest(file) for file in files)).hexdigest()[:16]


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
