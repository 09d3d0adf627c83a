"""Train the sound detector, and say how well it does on recordings and voices that it did not learn from.

Clips are put behind speech (`sound_mixes.py`). Four nets each leave out a fourth of the recordings and of the
agents; what they make of that fourth sets the thresholds and gives the scores. The net that is shipped then
learns from everything.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from wellheard.models import trained
from wellheard.models.sounds import (
    KINDS,
    STEP,
    About,
    Bands,
    Detection,
    Numbers,
    SoundNet,
    events,
    features,
    pack,
    probabilities,
)
from wellheard.training.sound_mixes import (
    FOLDS,
    MIX_S,
    UNCLEAR,
    Clip,
    Event,
    Voices,
    mix,
    read_clips,
    read_voices,
)

OnStep = Callable[[str, int, int], None]

LIBRARIES = ("av", "numpy", "scipy", "torch")
LICENCES = {
    "baby, child_laughter, noise": "ESC-50 and others, CC BY-NC 3.0",
    "dog, other": "a public collection of barks that names no licence",
    "music, tones": "computed",
    "speech": "made for this project (data/README.md)",
}


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the detector is trained; `mixes`, `tests` and `speech` are numbers of mixes for each fold."""

    seed: int = 8
    mixes: int = 140
    tests: int = 40
    speech: int = 40
    crop_s: int = 16
    batch: int = 16
    epochs: int = 7
    learning_rate: float = 3e-3
    dropout: float = 0.1
    # A threshold keeps false alarms in speech and the precision in mixes within these, and is no lower than
    # that: real voices vary more than those of the tests.
    most_false_alarms_an_hour: float = 0.1
    least_precision: float = 0.85
    least_threshold: float = 0.95


@dataclass(frozen=True)
class Heard:
    """A mix as the net sees it."""

    bands: Bands
    labels: np.ndarray
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Fold:
    """Mixes of one fold's clips and voices: to learn from, and to test at 0 dB, at 6 dB, and speech alone."""

    learn: list[Heard]
    at_0_db: list[Heard]
    at_6_db: list[Heard]
    speech: list[Heard]


def train(clips: Path, threads: int, on_step: OnStep, settings: TrainSettings | None = None) -> None:
    """Rebuild `models/sounds.safetensors`; `on_step` is told what is done, the step, and how many there are.

    Raises:
        NoInput: the clips or the project's speech are missing.
    """
    settings = settings or TrainSettings()
    torch.set_num_threads(threads)
    known, voices = read_clips(clips), read_voices()
    folds = [make_fold(number, known, voices, settings, on_step) for number in range(FOLDS)]
    nets = nets_without_a_fold(folds, settings, on_step)
    judged = [judge(net, fold) for net, fold in zip(nets, folds, strict=True)]
    thresholds = choose_thresholds(judged, settings)
    net = learn_net(
        [heard for fold in folds for heard in fold.learn],
        settings,
        f"net {FOLDS + 1} of {FOLDS + 1}",
        on_step,
    )
    about = About(
        thresholds=dict(zip(KINDS, thresholds, strict=True)),
        trained_on=_trained_on(known, voices),
        licences=LICENCES,
        scores=scores(judged, thresholds),
        settings=msgspec.to_builtins(settings),
        libraries={name: version(name) for name in LIBRARIES},
    )
    trained.SOUNDS.write_bytes(pack(net, about))


def make_fold(
    number: int, clips: Sequence[Clip], voices: Sequence[Voices], settings: TrainSettings, on_step: OnStep
) -> Fold:
    """All mixes of one fold, each from a seed of its own."""
    own_clips = [clip for clip in clips if clip.fold == number]
    own_voices = [own for own in voices if own.fold == number]
    total = settings.mixes + 2 * settings.tests + settings.speech
    done = 0

    def some(what: int, count: int, sounding: Sequence[Clip], *below_db: tuple[float, float]) -> list[Heard]:
        nonlocal done
        made = []
        for n in range(count):
            chance = np.random.default_rng([settings.seed, number, what, n])
            mixed = mix(sounding, own_voices, chance, *below_db)
            made.append(Heard(features(mixed.samples), mixed.labels, mixed.events))
            done += 1
            on_step(f"mixes {number + 1} of {FOLDS}", done, total)
        return made

    return Fold(
        learn=some(0, settings.mixes, own_clips),
        at_0_db=some(1, settings.tests, own_clips, (0.0, 0.0)),
        at_6_db=some(2, settings.tests, own_clips, (6.0, 6.0)),
        speech=some(3, settings.speech, []),
    )


def nets_without_a_fold(folds: Sequence[Fold], settings: TrainSettings, on_step: OnStep) -> list[SoundNet]:
    """For each fold a net that has learnt from all others."""
    return [
        learn_net(
            [heard for other in folds if other is not fold for heard in other.learn],
            settings,
            f"net {number} of {FOLDS + 1}",
            on_step,
        )
        for number, fold in enumerate(folds, start=1)
    ]


def learn_net(learn: Sequence[Heard], settings: TrainSettings, what: str, on_step: OnStep) -> SoundNet:
    """A net that has learnt from these mixes."""
    torch.manual_seed(settings.seed)
    chance = np.random.default_rng(settings.seed)
    net = SoundNet(dropout=settings.dropout).train()
    steps_of_crop = settings.crop_s * len(learn[0].labels) // MIX_S
    crops = [
        (heard, start)
        for heard in learn
        for start in range(0, len(heard.labels) - steps_of_crop + 1, steps_of_crop)
    ]
    batches = len(crops) // settings.batch
    optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.epochs * batches, pct_start=0.15
    )
    for epoch in range(settings.epochs):
        order = chance.permutation(len(crops))
        for number in range(batches):
            chosen = order[number * settings.batch : (number + 1) * settings.batch]
            bands, labels = _batch([crops[place] for place in chosen], steps_of_crop, chance)
            loss = nn.functional.cross_entropy(net(bands), labels, ignore_index=UNCLEAR)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            on_step(what, epoch * batches + number + 1, settings.epochs * batches)
    return net.eval()


def _batch(
    crops: Sequence[tuple[Heard, int]], steps: int, chance: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Crops moved a little, some louder or fainter, a few bands missing."""
    bands, labels = [], []
    for heard, start in crops:
        first = int(np.clip(start + chance.integers(-steps // 2, steps // 2), 0, len(heard.labels) - steps))
        frames = heard.bands[first * STEP : (first + steps) * STEP].astype(np.float32)
        frames = np.pad(frames, ((0, steps * STEP - len(frames)), (0, 0)), mode="edge")
        frames += chance.normal(0, 0.15)
        missing = chance.integers(0, 5)
        place = chance.integers(0, frames.shape[1] - missing)
        frames[:, place : place + missing] = frames.mean()
        bands.append(frames)
        labels.append(heard.labels[first : first + steps])
    return torch.from_numpy(np.stack(bands)), torch.from_numpy(np.stack(labels).astype(np.int64))


# Measuring


@dataclass(frozen=True)
class Judged:
    """How sure a net was of each step of mixes that it did not learn from, beside what was put there."""

    sure: dict[str, list[Numbers]]
    events: dict[str, list[tuple[Event, ...]]]


def judge(net: SoundNet, fold: Fold) -> Judged:
    """A net's answers to the tests of the fold that it left out."""
    tests = {"0 dB": fold.at_0_db, "6 dB": fold.at_6_db, "speech": fold.speech}
    return Judged(
        sure={name: [probabilities(net, heard.bands) for heard in mixes] for name, mixes in tests.items()},
        events={name: [heard.events for heard in mixes] for name, mixes in tests.items()},
    )


@dataclass(frozen=True)
class Count:
    """Sounds of one kind: how many there are, are found, and are said; `hours` of sound."""

    there: int
    found: int
    right: int
    said: int
    hours: float

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.there + other.there,
            self.found + other.found,
            self.right + other.right,
            self.said + other.said,
            self.hours + other.hours,
        )

    @property
    def recall(self) -> float:
        """Share of the sounds that are found."""
        return self.found / self.there if self.there else float("nan")

    @property
    def precision(self) -> float:
        """Share of what is said that is right."""
        return self.right / self.said if self.said else 1.0

    @property
    def false_alarms_an_hour(self) -> float:
        """What is said and not right, an hour."""
        return (self.said - self.right) / self.hours if self.hours else float("nan")


def count(kind: str, said: Iterable[Detection], there: Iterable[Event], hours: float) -> Count:
    """Compare: a sound is found, and what is said is right, if the two overlap."""
    said = [detection for detection in said if detection.kind == kind]
    there = [event for event in there if event.kind == kind]
    meets = [[d.start_s < e.end_s and e.start_s < d.end_s for e in there] for d in said]
    return Count(
        there=len(there),
        found=sum(any(row[place] for row in meets) for place in range(len(there))),
        right=sum(any(row) for row in meets),
        said=len(said),
        hours=hours,
    )


def count_all(kind: str, judged: Sequence[Judged], test: str, thresholds: Sequence[float]) -> Count:
    """All folds' answers to a test together."""
    total = Count(0, 0, 0, 0, 0.0)
    for fold in judged:
        for sure, there in zip(fold.sure[test], fold.events[test], strict=True):
            total += count(kind, events(sure, thresholds), there, MIX_S / 3600)
    return total


def choose_thresholds(judged: Sequence[Judged], settings: TrainSettings) -> list[float]:
    """For each kind the lowest threshold that keeps false alarms as rare as the settings ask."""
    chosen = []
    grid = [round(threshold, 2) for threshold in np.arange(settings.least_threshold, 0.99, 0.02).tolist()]
    for kind in KINDS:
        for threshold in grid:
            alone = count_all(kind, judged, "speech", [threshold] * len(KINDS))
            behind = [count_all(kind, judged, test, [threshold] * len(KINDS)) for test in ("0 dB", "6 dB")]
            if (
                alone.false_alarms_an_hour <= settings.most_false_alarms_an_hour
                and min(of_test.precision for of_test in behind) >= settings.least_precision
            ):
                break
        chosen.append(threshold)
    return chosen


def scores(judged: Sequence[Judged], thresholds: Sequence[float]) -> dict[str, dict[str, float]]:
    """Per kind, on recordings and voices not learnt from: recall, precision, false alarms."""
    found = {}
    for kind in KINDS:
        at_0_db, at_6_db, speech = (
            count_all(kind, judged, test, thresholds) for test in ("0 dB", "6 dB", "speech")
        )
        found[kind] = {
            "recall at 0 dB": round(at_0_db.recall, 3),
            "precision at 0 dB": round(at_0_db.precision, 3),
            "recall at 6 dB": round(at_6_db.recall, 3),
            "precision at 6 dB": round(at_6_db.precision, 3),
            "false alarms an hour of speech": round(speech.false_alarms_an_hour, 2),
            "hours of speech": round(speech.hours, 2),
        }
    return found


def _trained_on(clips: Sequence[Clip], voices: Sequence[Voices]) -> dict[str, str]:
    numbers: dict[str, list[float]] = {}
    for clip in clips:
        numbers.setdefault(clip.kind, []).append(len(clip.samples) / 16_000)
    minutes = sum(len(own.samples) for own in voices) / 16_000 / 60
    return {
        **{kind: f"{len(lengths)} clips, {sum(lengths) / 60:.1f} min" for kind, lengths in numbers.items()},
        "speech": f"{len(voices)} calls, {minutes:.0f} min",
    }
