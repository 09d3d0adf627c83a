"""How well a scored set of spoken calls was heard and judged, against its references.

    wellheard score SPOKEN/manifest.csv --results RESULTS
    python benchmarks/spoken.py RESULTS SPOKEN LABELLED.jsonl …

SPOKEN holds `reference/CALL_ID.json` (turns with start_s, end_s, speaker, text); the labelled files hold the
marks. Prints Markdown: word error rate (jiwer, after Whisper's own text normaliser), the share of words
given to the right party, calls with the roles right, and the agreement of the marks.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import jiwer
import numpy as np
from sklearn.metrics import cohen_kappa_score
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from wellheard.pipeline.store import Results

NORMALISERS = {"en": EnglishTextNormalizer(), "ru": BasicTextNormalizer()}
ROLE = {"agent": "agent", "agent2": "agent", "customer": "customer", "system": "other"}
# A word this far from every referenced turn belongs to none.
SLACK_S = 0.5


def right_party(word: dict, speaker: str, turns: list[dict]) -> bool | None:
    """Whether the word's speaker is one who speaks then; None if nobody does."""
    middle_s = (word["start_s"] + word["end_s"]) / 2
    distances = [
        (max(t["start_s"] - middle_s, middle_s - t["end_s"], 0.0), ROLE[t["speaker"]]) for t in turns
    ]
    nearest = min(distances)[0]
    if nearest > SLACK_S:
        return None
    speaking = {role for distance, role in distances if distance <= nearest + 1e-6}
    return speaker in speaking or ("other" in speaking and speaker == "agent")


def interval(values: list[float]) -> str:
    """A mean with its 95 % bootstrap interval over calls."""
    sample = np.array(values)
    means = np.random.default_rng(0).choice(sample, (2000, len(sample))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{100 * sample.mean():.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def main(results_folder: str, spoken_folder: str, *labelled_files: str) -> None:
    """Print the tables."""
    results, spoken = Results(Path(results_folder)), Path(spoken_folder)
    calls = {row["call_id"]: row for row in results.table("calls").to_pylist()}
    turns = defaultdict(list)
    for row in results.table("turns").to_pylist():
        turns[row["call_id"]].append(row)
    groups: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for call_id, call in sorted(calls.items()):
        reference = json.loads((spoken / "reference" / f"{call_id}.json").read_text("utf-8"))
        group = groups[reference["language"], reference["channels"]]
        normalise = NORMALISERS[reference["language"]]
        said = normalise(" ".join(t["text"] for t in sorted(reference["turns"], key=lambda t: t["start_s"])))
        heard = normalise(" ".join(t["text"] for t in sorted(turns[call_id], key=lambda t: t["turn"])))
        group["wer"].append(jiwer.wer(said, heard))
        verdicts = [
            right_party(w, t["speaker"], reference["turns"]) for t in turns[call_id] for w in t["words"]
        ]
        judged = [v for v in verdicts if v is not None]
        group["right"].append(float(np.mean(judged)))
        group["nowhere"].append(1 - len(judged) / len(verdicts))
        group["roles"].append(float(np.mean(judged) > 0.5))
        group["hours"].append(call["duration_s"] / 3600)
    print(
        "| language | channels | calls | minutes | word error rate | words to the right party | roles right |"
    )
    print("|---|---|---|---|---|---|---|")
    for (language, channels), group in sorted(groups.items()):
        print(
            f"| {language} | {channels} | {len(group['wer'])} | {60 * sum(group['hours']):.0f} "
            f"| {interval(group['wer'])} | {interval(group['right'])} "
            f"| {int(sum(group['roles']))} of {len(group['roles'])} |"
        )
    labelled = {
        call["call_id"]: call["marks"]
        for file in labelled_files
        for call in map(json.loads, Path(file).read_text("utf-8").splitlines())
    }
    print(
        "\n| criterion | marks | unsure | agreement where sure | kappa where sure | kappa, unsure as wrong |"
    )
    print("|---|---|---|---|---|---|")
    pairs = defaultdict(list)
    for mark in results.table("marks").to_pylist():
        name = f"{mark['rubric']}.{mark['criterion']}"
        pairs[name].append((labelled[mark["call_id"]][name]["answer"], mark["answer"]))
    kappas = []
    for name, both in sorted(pairs.items()):
        sure = [(a, b) for a, b in both if b != "unsure"]
        kappa_all = cohen_kappa_score(*zip(*both, strict=True), labels=["yes", "no", "na", "unsure"])
        kappa = (
            cohen_kappa_score(*zip(*sure, strict=True), labels=["yes", "no", "na"]) if sure else float("nan")
        )
        kappas.append((kappa, kappa_all))
        unsure, agreed = len(both) - len(sure), f"{100 * np.mean([a == b for a, b in sure]):.0f} %"
        print(f"| {name} | {len(both)} | {unsure} | {agreed} | {kappa:.2f} | {kappa_all:.2f} |")
    means = np.nanmean(kappas, axis=0)
    print(f"| mean | | | | {means[0]:.2f} | {means[1]:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
