"""Sounds behind a caller: a dog, a baby, small children laughing; a small net over a telephone line's band.

The weights lie beside this file in `sounds.safetensors`, with what they were trained on, under which licences
that came, and how well they did; `wellheard train sounds` makes that file (`docs/sounds.md`).
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from wellheard.models.trained import SOUNDS
from wellheard.pipeline.errors import ModelDamaged
from wellheard.pipeline.records import SAMPLE_RATE, Record, Span

KINDS = ("dog", "baby", "child_laughter")

# Frames of 32 ms every 16 ms, in 40 mel bands of what a telephone lets through.
WINDOW, HOP, BANDS = 512, 256, 40
LOWEST_HZ, HIGHEST_HZ = 300.0, 3400.0
# The net answers for every so many frames.
STEP = 4
STEP_S = STEP * HOP / SAMPLE_RATE
# A net that sees further to both sides than MARGIN steps would need a larger one.
MARGIN = 32
BLOCK = 1024

# Levels are told from the call's own loud frames; what lies this far below them is as good as silence.
_LOUD_DB, _FAINTEST_DB, _QUIETEST_CALL_DB = 30.0, 60.0, -60.0
# How sure the net is of a step is averaged over so many.
_SMOOTH = 13
# A sound reaches as far as the net is this share of its threshold sure; shorter gaps are within one sound.
_EDGE = 0.5
_GAP_S = 1.0

Samples = npt.NDArray[np.int16]
Numbers = npt.NDArray[np.float32]
Bands = npt.NDArray[np.float16]


class Detection(Span):
    """A sound that was heard; `probability` is the net's at its surest, between 0 and 1."""

    kind: str
    probability: float


class About(Record):
    """What a trained file says of itself: the thresholds, and for people the rest."""

    thresholds: dict[str, float]
    trained_on: dict[str, Any]
    licences: dict[str, str]
    scores: dict[str, Any]
    settings: dict[str, Any]
    libraries: dict[str, str]


class SoundNet(nn.Module):
    """Bands over time in, log-odds of nothing and of each kind out, one answer for `STEP` frames."""

    def __init__(self, channels: Sequence[int] = (16, 32, 64), state: int = 96, dropout: float = 0.0) -> None:
        super().__init__()
        first, second, third = channels
        self.look = nn.Sequential(
            *_conv(1, first),
            nn.MaxPool2d((2, 2)),
            *_conv(first, second),
            nn.MaxPool2d((2, 2)),
            *_conv(second, third),
            nn.MaxPool2d((1, 2)),
        )
        self.enter = nn.Sequential(
            nn.Conv1d(third * (BANDS // 8), state, 1), nn.BatchNorm1d(state), nn.ReLU(), nn.Dropout(dropout)
        )
        self.context = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(state, state, 3, padding=width, dilation=width),
                nn.BatchNorm1d(state),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            for width in (1, 2, 4, 8)
        )
        self.kind = nn.Conv1d(state, 1 + len(KINDS), 1)

    def forward(self, bands: Tensor) -> Tensor:
        """Log-odds (calls, 1 + kinds, steps) of bands (calls, frames, BANDS)."""
        seen = self.look(bands.unsqueeze(1))
        state: Tensor = self.enter(seen.transpose(2, 3).flatten(1, 2))
        for layer in self.context:
            state = state + layer(state)
        answers: Tensor = self.kind(state)
        return answers


def _conv(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


class SoundDetector:
    """Finds sounds in one channel of a call."""

    def __init__(self, threads: int, file: Path = SOUNDS) -> None:
        """Load the weights.

        Raises:
            ModelDamaged: the trained file is not as it should be.
        """
        torch.set_num_threads(threads)
        self._net = SoundNet().eval()
        try:
            with safe_open(str(file), framework="pt") as stored:
                self.about = msgspec.json.decode(stored.metadata()["about"], type=About)
                self._net.load_state_dict({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
            self._thresholds = [self.about.thresholds[kind] for kind in KINDS]
        except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
            raise ModelDamaged(
                f"{file} cannot be read ({type(error).__name__})", "Install wellheard anew."
            ) from error

    def __call__(self, samples: Samples) -> tuple[Detection, ...]:
        """What is heard in int16 `samples` (n,) at 16 kHz, in order of time."""
        return events(probabilities(self._net, features(samples)), self._thresholds)


def features(samples: Samples) -> Bands:
    """Bands of int16 `samples` (n,): (frames, BANDS), 0 as loud as the call's loud frames, -3 silence.

    Shape (0, BANDS) where there is nothing but silence.
    """
    bands = np.concatenate(
        [
            np.zeros((0, BANDS), np.float16),
            *(_powers(samples[start:end]) for start, end in _blocks(len(samples))),
        ]
    )
    level = _level(bands) if len(bands) else None
    if level is None:
        return bands[:0]
    bands -= np.float16(level)
    bands /= 20
    return np.clip(bands, -_FAINTEST_DB / 20, 1.5, out=bands)


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    """Stretches whose frames, joined, are those of the whole."""
    frames = max(0, (count - WINDOW) // HOP + 1)
    for first in range(0, frames, 4096):
        last = min(first + 4096, frames) - 1
        yield first * HOP, last * HOP + WINDOW


def _powers(samples: Samples) -> Bands:
    """Decibels of full scale in each band of each frame."""
    scaled = samples.astype(np.float32) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32)).astype(np.complex64)
    power = (spectrum.real**2 + spectrum.imag**2) / (WINDOW * WINDOW / 8)
    return (10 * np.log10(power @ _mel() + 1e-10)).astype(np.float16)


@cache
def _mel() -> Numbers:
    """Weights (frequencies, BANDS) of bands that lie evenly on the mel scale, overlapping."""
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    edges = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    at = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (at - low) / (middle - low), (high - at) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _level(decibels: Bands) -> float | None:
    """How loud the loud frames are, in a band; None where nothing is loud enough to be anything."""
    of_frames = decibels.max(axis=1).astype(np.float32)
    top = float(np.quantile(of_frames, 0.999))
    if top < _QUIETEST_CALL_DB:
        return None
    return float(of_frames[of_frames > top - _LOUD_DB].mean())


@torch.no_grad()
def probabilities(net: SoundNet, bands: Bands) -> Numbers:
    """How sure the net is of each kind at each step: (steps, KINDS), in blocks that bound its memory."""
    steps = len(bands) // STEP
    found = [np.zeros((0, len(KINDS)), np.float32)]
    for start in range(0, steps, BLOCK):
        first, last = max(0, start - MARGIN), min(steps, start + BLOCK + MARGIN)
        block = torch.from_numpy(bands[first * STEP : last * STEP].astype(np.float32))
        sure = torch.softmax(net(block[None])[0], 0)[1:].T.numpy()
        found.append(sure[start - first : start - first + min(BLOCK, steps - start)])
    return np.concatenate(found)


def smoothed(sure: Numbers) -> Numbers:
    """Each step averaged with its neighbours."""
    if len(sure) < _SMOOTH:
        return sure
    sums = np.cumsum(np.pad(sure, ((_SMOOTH // 2 + 1, _SMOOTH // 2), (0, 0))), axis=0, dtype=np.float64)
    return ((sums[_SMOOTH:] - sums[:-_SMOOTH]) / _SMOOTH).astype(np.float32)


def events(sure: Numbers, thresholds: Sequence[float]) -> tuple[Detection, ...]:
    """The sounds in a call's `probabilities`: each kind where it passes its threshold, whole."""
    found = [
        detection
        for kind, threshold, of_kind in zip(KINDS, thresholds, smoothed(sure).T, strict=True)
        for detection in _of_kind(kind, threshold, of_kind)
    ]
    return tuple(sorted(found, key=lambda detection: detection.start_s))


def _of_kind(kind: str, threshold: float, sure: Numbers) -> Iterator[Detection]:
    marks = np.flatnonzero(np.diff(np.pad((sure >= threshold * _EDGE).astype(np.int8), 1)))
    spans = [
        (int(start), int(end)) for start, end in marks.reshape(-1, 2) if sure[start:end].max() >= threshold
    ]
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and (start - joined[-1][1]) * STEP_S <= _GAP_S:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    for start, end in joined:
        yield Detection(
            kind=kind,
            start_s=round(start * STEP_S, 3),
            end_s=round(end * STEP_S, 3),
            probability=round(float(sure[start:end].max()), 4),
        )


def pack(net: SoundNet, about: About) -> bytes:
    """The net and what is to be said of it as a safetensors file; matrices in 16 bits."""
    tensors = {
        name: (value.half() if value.dim() > 1 else value).contiguous()
        for name, value in net.state_dict().items()
    }
    return save(tensors, {"about": json.dumps(msgspec.to_builtins(about), ensure_ascii=False)})
