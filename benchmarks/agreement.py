"""How often the judges agree with people, per criterion, from the text of the labelled calls.

    python benchmarks/agreement.py [--write] [--real FOLDER]

Thresholds and weights were tuned on the writers `labelled.TUNED_ON`; what counts are the calls of
`labelled.HELD_OUT`. FOLDER holds further labelled calls (each NAME.jsonl with acts/NAME.jsonl) that are
not part of the project. `--write` puts the tables into docs/agreement.md.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from labelled import FOLDER, HELD_OUT, TUNED_ON, LabelledCall, read
from sklearn.metrics import cohen_kappa_score

from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline.records import Mark
from wellheard.pipeline.score import score
from wellheard.pipeline.settings import Score
from wellheard.rubrics.loader import BUILT_IN, load

DOCUMENT = Path(__file__).parent.parent / "docs" / "agreement.md"
ANSWERS = ["yes", "no", "na", "unsure"]
RESAMPLES = 500
CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)


@dataclass(frozen=True)
class Pair:
    """One criterion of one call: what people answered and what the judge did."""

    call: LabelledCall
    name: str
    said: str
    mark: Mark

    @property
    def agreed(self) -> bool:
        return self.mark.answer == self.said

    @property
    def evidence_found(self) -> bool:
        """Whether one of the turns shown is one that people named."""
        named = {self.call.conversation.turns[i].start_s for i in self.call.marks[self.name]["evidence"]}
        return any(evidence.start_s in named for evidence in self.mark.evidence)


def judge(calls: Iterable[LabelledCall], encoder: SentenceEncoder) -> list[Pair]:
    """Score every call and pair its marks with those of people."""
    rubrics = [load(name) for name in BUILT_IN]
    pairs = []
    for call in calls:
        card = score(call.conversation, call.heard, call.info, rubrics, encoder, Score())
        for mark in card.marks:
            name = f"{mark.rubric}.{mark.criterion}"
            pairs.append(Pair(call, name, call.marks[name]["answer"], mark))
    return pairs


def kappa(pairs: Sequence[Pair]) -> float:
    """Cohen's kappa over yes, no and na; unsure counts as a disagreement."""
    said, given = [pair.said for pair in pairs], [pair.mark.answer for pair in pairs]
    if len(set(said) | set(given)) == 1:
        return 1.0
    return float(cohen_kappa_score(said, given, labels=ANSWERS))


def interval(pairs: Sequence[Pair]) -> tuple[float, float]:
    """95 % bootstrap interval of the kappa; each criterion has one pair a call, so calls are resampled."""
    random = np.random.default_rng(0)
    drawn = [
        kappa([pairs[i] for i in random.integers(len(pairs), size=len(pairs))]) for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def by_criterion(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """The pairs of each criterion, in the rubrics' order."""
    grouped: dict[str, list[Pair]] = {}
    for pair in pairs:
        grouped.setdefault(pair.name, []).append(pair)
    return grouped


def mean_kappa(pairs: Sequence[Pair]) -> float:
    """The mean over criteria."""
    return float(np.mean([kappa(own) for own in by_criterion(pairs).values()]))


def percent(values: Iterable[bool]) -> str:
    """A share, or a dash where there is nothing to share."""
    flags = list(values)
    return f"{100 * np.mean(flags):.0f} %" if flags else "–"


def criteria_table(pairs: Sequence[Pair]) -> str:
    """Per criterion: agreement, kappa with its interval, unsure, evidence, the commonest answer."""
    lines = [
        "| criterion | agreement | kappa (95 %) | unsure | agreed where sure | evidence | commonest answer |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in by_criterion(pairs).items():
        low, high = interval(own)
        sure = [pair for pair in own if pair.mark.answer != "unsure"]
        both_yes = [pair for pair in own if pair.mark.answer == pair.said == "yes" and pair.mark.evidence]
        common, count = Counter(pair.said for pair in own).most_common(1)[0]
        lines.append(
            f"| `{name}` | {percent(p.agreed for p in own)} | {kappa(own):.2f} ({low:.2f} to {high:.2f}) "
            f"| {percent(p.mark.answer == 'unsure' for p in own)} | {percent(p.agreed for p in sure)} "
            f"| {percent(p.evidence_found for p in both_yes)} | {common} {100 * count / len(own):.0f} % |"
        )
    sure = [pair for pair in pairs if pair.mark.answer != "unsure"]
    both_yes = [pair for pair in pairs if pair.mark.answer == pair.said == "yes" and pair.mark.evidence]
    common = np.mean(
        [max(Counter(p.said for p in own).values()) / len(own) for own in by_criterion(pairs).values()]
    )
    lines.append(
        f"| **mean** | {percent(p.agreed for p in pairs)} | {mean_kappa(pairs):.2f} "
        f"| {percent(p.mark.answer == 'unsure' for p in pairs)} | {percent(p.agreed for p in sure)} "
        f"| {percent(p.evidence_found for p in both_yes)} | {100 * common:.0f} % |"
    )
    return "\n".join(lines)


def groups_table(groups: dict[str, Sequence[Pair]]) -> str:
    """One line a group of calls."""
    lines = [
        "| calls | number | agreement | mean kappa | unsure | agreement where sure |",
        "|---|---|---|---|---|---|",
    ]
    for name, pairs in groups.items():
        sure = [pair for pair in pairs if pair.mark.answer != "unsure"]
        lines.append(
            f"| {name} | {len(pairs) // len(by_criterion(pairs))} | {percent(p.agreed for p in pairs)} "
            f"| {mean_kappa(pairs):.2f} | {percent(p.mark.answer == 'unsure' for p in pairs)} "
            f"| {percent(p.agreed for p in sure)} |"
        )
    return "\n".join(lines)


def confidence_table(pairs: Sequence[Pair]) -> str:
    """Whether a higher confidence means more agreement; unsure marks are those below 0.5."""
    lines = ["| confidence | marks | agreement |", "|---|---|---|"]
    for low, high in pairwise(CONFIDENCES):
        within = [pair for pair in pairs if low <= pair.mark.confidence < high]
        # An unsure mark keeps the answer it would have had in its reason.
        right = [
            f"to say {p.said}." in p.mark.reason if p.mark.answer == "unsure" else p.agreed for p in within
        ]
        lines.append(f"| {low:.1f} to {min(high, 1):.1f} | {len(within)} | {percent(right)} |")
    return "\n".join(lines)


def main(encoder: Any = None) -> None:
    """Judge, print, and with --write keep the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--real", type=Path)
    arguments = parser.parse_args()
    encoder = encoder or SentenceEncoder()
    started = time.monotonic()
    pairs = judge((call for name in (*TUNED_ON, *HELD_OUT) for call in read(name, FOLDER)), encoder)
    held_out = [pair for pair in pairs if pair.call.writer in HELD_OUT]
    tuned_on = [pair for pair in pairs if pair.call.writer in TUNED_ON]
    groups: dict[str, Sequence[Pair]] = {
        f"held out: {name}": [pair for pair in held_out if pair.call.writer == name] for name in HELD_OUT
    }
    groups |= {"held out, all": held_out, "tuned on, all": tuned_on}
    for language in dict.fromkeys(pair.call.conversation.language for pair in tuned_on):
        groups[f"tuned on: {language}"] = [p for p in tuned_on if p.call.conversation.language == language]
    if arguments.real:
        names = sorted(path.stem for path in arguments.real.glob("*_real.jsonl"))
        groups["real, plain calls (held out)"] = judge(
            (call for name in names for call in read(name, arguments.real)), encoder
        )
    seconds = time.monotonic() - started
    calls = sum(len(own) for own in groups.values()) / 24
    print(f"judged in {seconds:.0f} s ({calls:.0f} rows of calls)")
    sections = [
        "# How often the judges agree with people",
        "Made by `python benchmarks/agreement.py --write` from the text of labelled calls "
        "(perfect transcripts, known speakers). Each call was marked by its writer and again, "
        "blind, by a second reader; the two agree at a mean kappa of 0.96 to 0.99. Kappa is "
        "Cohen's, over yes, no and na, with a 95 % bootstrap interval over calls; an `unsure` "
        "counts as a disagreement. Evidence is the share of agreed yes marks that show a turn "
        "which people named too. Always giving the commonest answer reaches the last column, and "
        "a kappa of 0. The real calls are people role-playing short bank calls over the phone; "
        "where people gave all of them the same answer, kappa is 1 if the judge did too, else 0.",
        "## All calls",
        groups_table(groups),
        "## By criterion, calls of writers that nothing was tuned on",
        criteria_table(held_out),
        "## By criterion, calls that weights and thresholds were tuned on",
        criteria_table(tuned_on),
        "## What a confidence is worth (held out)",
        confidence_table(held_out),
    ]
    text = "\n\n".join(sections) + "\n"
    print(text)
    if arguments.write:
        DOCUMENT.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
