"""How well sounds behind the customer are heard in spoken calls, by nets that never heard their agents.

    python benchmarks/sounds.py CLIPS SPOKEN

CLIPS is the folder of clips; SPOKEN holds `manifest.csv`, the recordings, and `reference/CALL_ID.json` with
`agent_channel` and `sounds` (sound, start_s, end_s, snr_db). Trains the four nets that each leave a fourth of
the recordings and agents out (half an hour), and judges each call by the net that left its agent out, at the
thresholds of the shipped file. Prints Markdown. The sounds in SPOKEN may be those in CLIPS, so what is found
there says little; the false alarms are what is measured.
"""

import csv
import json
import sys
import time
from pathlib import Path

import torch

from wellheard.models.sounds import KINDS, SoundDetector, events, features, probabilities
from wellheard.pipeline import media
from wellheard.training.sound_mixes import FOLDS, Event, read_clips, read_voices
from wellheard.training.sounds import Count, TrainSettings, count, make_fold, nets_without_a_fold


def main(clips: Path, spoken: Path) -> None:
    torch.set_num_threads(1)
    known, voices, settings = read_clips(clips), read_voices(), TrainSettings()
    folds = [make_fold(number, known, voices, settings, print_step) for number in range(FOLDS)]
    report(spoken, nets_without_a_fold(folds, settings, print_step))


def report(spoken: Path, nets: list[torch.nn.Module]) -> None:
    thresholds = list(SoundDetector(threads=1).about.thresholds.values())
    with (spoken / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    fold_of = {own.agent: own.fold for own in read_voices()}
    totals = {(kind, kept): Count(0, 0, 0, 0, 0.0) for kind in KINDS for kept in ("with", "without")}
    spent_s = 0.0
    for row in rows:
        reference = json.loads((spoken / "reference" / f"{row['call_id']}.json").read_text(encoding="utf-8"))
        samples = media.read(spoken / row["path"]).tracks[0]
        channel = samples[0 if len(samples) == 1 else 1 - reference["agent_channel"]]
        started = time.process_time()
        net = nets[fold_of[row["agent_id"]]]
        said = events(probabilities(net, features(channel)), thresholds)
        spent_s += time.process_time() - started
        there = [
            Event(kind=own["sound"], start_s=own["start_s"], end_s=own["end_s"])
            for own in reference["sounds"]
        ]
        hours = len(channel) / 16_000 / 3600
        for kind in KINDS:
            totals[kind, "with" if there else "without"] += count(kind, said, there, hours)
        alarms = [
            d
            for d in said
            if not any(d.kind == e.kind and d.start_s < e.end_s and e.start_s < d.end_s for e in there)
        ]
        for alarm in alarms:
            print(f"false: {row['call_id']} {alarm}", file=sys.stderr)
    print("| kind | sounds | found | said where a call has sounds | right | false alarms in calls without |")
    print("|---|---|---|---|---|---|")
    for kind in KINDS:
        own, none = totals[kind, "with"], totals[kind, "without"]
        print(f"| {kind} | {own.there} | {own.found} | {own.said} | {own.right} | {none.said} |")
    hours = {kept: totals["dog", kept].hours for kept in ("with", "without")}
    print(f"\nCalls with sounds {hours['with']:.2f} h, without {hours['without']:.2f} h.")
    print(f"{spent_s / sum(hours.values()):.1f} s of processor an hour of sound, one thread.")


def print_step(what: str, done: int, total: int) -> None:
    if done == total or done % 50 == 0:
        print(f"{what}: {done} of {total}", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
