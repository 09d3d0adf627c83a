"""The speaker encoder CAM++ in torch, as pyannote's pipeline wants one.

The architecture is that of Wang et al. 2023, "CAM++: A Fast and Efficient Network for Speaker
Verification Using Context-Aware Masking", as published with its weights by 3D-Speaker
(github.com/modelscope/3D-Speaker, speakerlab/models/campplus; Apache-2.0). It is written anew here; the
layers' names are those of the checkpoint.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.compliance.kaldi import fbank

from wellheard.models.offline_pyannote import Model

MELS = 80
DIMENSION = 192
# A quarter of a second: less tells nothing about a voice.
FEWEST_FRAMES = 25
# The context of a frame is its stretch of this many frames, besides the whole.
STRETCH = 100
FRONT_CHANNELS = 32
GROWTH = 32
BOTTLENECK = 128
# (layers, dilation) of the three dense blocks.
BLOCKS = ((12, 1), (24, 2), (16, 2))


def _normed(channels: int, affine: bool = True, relu: bool = True) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module("batchnorm", nn.BatchNorm1d(channels, affine=affine))
    if relu:
        layers.add_module("relu", nn.ReLU())
    return layers


class _Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut; `stride` is along the frequencies."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.Conv2d(channels, channels, 1, stride=(stride, 1), bias=False))
            self.shortcut.append(nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


class _Front(nn.Module):
    """Convolutions over time and frequency: (batch, mels, frames) → (batch, channels × mels / 8, frames)."""

    def __init__(self) -> None:
        super().__init__()
        channels = FRONT_CHANNELS
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(_Residual(channels, 2), _Residual(channels, 1))
        self.layer2 = nn.Sequential(_Residual(channels, 2), _Residual(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, mels: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(mels.unsqueeze(1))))
        x = F.relu(self.bn2(self.conv2(self.layer2(self.layer1(x)))))
        return x.flatten(1, 2)


class _TimeDelay(nn.Module):
    """Halves the frames."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, out_channels, 5, stride=2, padding=2, bias=False)
        self.nonlinear = _normed(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x))  # type: ignore[no-any-return]


class _ContextMask(nn.Module):
    """A dilated convolution, masked by what the whole and each stretch of it sound like."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        stretches = F.avg_pool1d(x, STRETCH, stride=STRETCH, ceil_mode=True)
        # One value a stretch is enough until the mask is spread over the frames.
        context = F.relu(self.linear1(x.mean(-1, keepdim=True) + stretches))
        mask = torch.sigmoid(self.linear2(context)).repeat_interleave(STRETCH, dim=-1)
        return self.linear_local(x) * mask[..., : x.shape[-1]]  # type: ignore[no-any-return]


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _normed(channels)
        self.linear1 = nn.Conv1d(channels, BOTTLENECK, 1, bias=False)
        self.nonlinear2 = _normed(BOTTLENECK)
        self.cam_layer = _ContextMask(dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))  # type: ignore[no-any-return]


class _DenseBlock(nn.Module):
    """Layers that each see the outputs of all before them."""

    def __init__(self, layers: int, channels: int, dilation: int) -> None:
        super().__init__()
        for i in range(layers):
            self.add_module(f"tdnnd{i + 1}", _DenseLayer(channels + i * GROWTH, dilation))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class _Halve(nn.Module):
    """Halves the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = _normed(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.nonlinear(x))  # type: ignore[no-any-return]


class _MeanAndDeviation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(-1), x.std(-1)], dim=-1).unsqueeze(-1)


class _VoicePrint(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, DIMENSION, 1, bias=False)
        self.nonlinear = _normed(DIMENSION, affine=False, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x).squeeze(-1))  # type: ignore[no-any-return]


class CAMPlusPlus(Model):
    """Voice prints of 192 numbers from sound at 16 kHz."""

    def __init__(self, checkpoint: Path) -> None:
        """Load the published weights; nothing but tensors is unpickled, and every one must fit."""
        super().__init__(sample_rate=16_000, num_channels=1)
        self.head = _Front()
        channels = BOTTLENECK
        self.xvector = nn.Sequential()
        self.xvector.add_module("tdnn", _TimeDelay(FRONT_CHANNELS * MELS // 8, channels))
        for i, (layers, dilation) in enumerate(BLOCKS, start=1):
            self.xvector.add_module(f"block{i}", _DenseBlock(layers, channels, dilation))
            channels += layers * GROWTH
            self.xvector.add_module(f"transit{i}", _Halve(channels))
            channels //= 2
        self.xvector.add_module("out_nonlinear", _normed(channels))
        self.xvector.add_module("stats", _MeanAndDeviation())
        self.xvector.add_module("dense", _VoicePrint(2 * channels))
        self.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True), strict=True)
        self.eval()

    @property
    def dimension(self) -> int:
        """How many numbers a voice print has."""
        return DIMENSION

    def forward(self, waveforms: Tensor, weights: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Voice prints of shape (batch, 192) of `waveforms` (batch, 1, samples).

        `weights` (batch, frames), of any number of frames, says where the voice speaks: above 0.5. Where
        that is less than a quarter of a second in all, the print is NaN.

        Raises:
            ValueError: the waveforms themselves are shorter than that.
        """
        prints = waveforms.new_full((len(waveforms), DIMENSION), torch.nan)
        for i, (mels, weight) in enumerate(
            zip(_mels(waveforms), _each(weights, len(waveforms)), strict=True)
        ):
            if len(mels) < FEWEST_FRAMES:
                raise ValueError(f"{len(mels)} frames are too few for a voice print")
            if weight is not None:
                mels = mels[F.interpolate(weight[None, None], size=len(mels))[0, 0] > 0.5]
            if len(mels) >= FEWEST_FRAMES:
                prints[i] = self.xvector(self.head((mels - mels.mean(0)).T[None]))[0]
        return prints


def _each(weights: Tensor | None, count: int) -> Iterable[Tensor | None]:
    return [None] * count if weights is None else list(weights)


def _mels(waveforms: Tensor) -> Iterable[Tensor]:
    """Mel spectra (frames, 80); pyannote hands a window over once for each voice in it, one after another."""
    last, mels = None, waveforms.new_empty(0)
    for waveform in waveforms:
        if last is None or not torch.equal(waveform, last):
            last, mels = waveform, fbank(waveform, num_mel_bins=MELS, sample_frequency=16_000, dither=0.0)
        yield mels
