"""How well acts and marks agree with people, on writers that nothing was trained on: docs/agreement.md.

    python benchmarks/held_out.py [--real FOLDER] [--write]

Acts are those of `data/out_of_fold.parquet`: each call tagged by a net that never saw its writer. The
combination is trained anew for each fold without that fold's writers. The calls of `data/unseen`, and those
of FOLDER (NAME_real.jsonl, not part of the project), are judged with the shipped files.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wellheard.models.act_tagger import ActTagger
from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline import acts as acts_stage
from wellheard.pipeline.records import Acts
from wellheard.pipeline.score import score
from wellheard.pipeline.settings import Score
from wellheard.rubrics import loader
from wellheard.rubrics.acts import ACTS, DONE_FROM
from wellheard.rubrics.house import HouseJudge
from wellheard.training import combination, evaluate, folds, labelled
from wellheard.training.agreement import Agreement, Judgement, agreement
from wellheard.training.train import Material, calibration, held_out_acts, material

Tagging = Sequence[frozenset[str]]
Row = tuple[Agreement, float | None]

DOCUMENT = Path(__file__).parent.parent / "docs" / "agreement.md"
UNSEEN = Path(__file__).parent.parent / "data" / "unseen"
# Marked twice, blind; the others by their writers alone.
READ_TWICE = ("en_a", "en_b", "en_c", "ru_a", "ru_b", "pl_a", "ro_a")
LANGUAGES = {"en": "English", "ru": "Russian", "pl": "Polish", "ro": "Romanian"}


def judge(known: Material, acts: Mapping[str, Acts]) -> list[Judgement]:
    """All labelled calls, each judged without its writer."""
    rubrics = loader.for_training()
    calls = list(known.calls.values())
    found = combination.findings(calls, acts)
    judgements: list[Judgement] = []
    for writers in folds.FOLDS:
        fitted = combination.fit([c for c in calls if c.writer not in writers], found, rubrics)
        judge = HouseJudge(about={}, shipped="none", learnt_from=(), criteria=fitted.criteria)
        for call in (c for c in calls if c.writer in writers):
            done = acts[call.call_id]
            card = score(
                call.conversation, call.heard, call.info, done, rubrics, _NO_ENCODER, Score(), None, judge
            )
            judgements += evaluate.of_text(call, card)[0]
    return judgements


_NO_ENCODER: SentenceEncoder = None  # type: ignore[assignment] - the built-in rubrics need none


def of(judgements: Iterable[Judgement], writers: Iterable[str]) -> list[Judgement]:
    """Those of some writers' calls; a call's id begins with its writer."""
    return [j for j in judgements if j.call_id.rsplit("_", 1)[0] in set(writers)]


def act_table(said: Mapping[str, Tagging], found: Mapping[str, Acts]) -> str:
    """Per act: how often people tagged it, precision, recall and F1; in the last line over all."""
    right: dict[str, int] = defaultdict(int)
    wrong: dict[str, int] = defaultdict(int)
    missed: dict[str, int] = defaultdict(int)
    for name, turns in said.items():
        for own, turn in zip(turns, found[name].turns, strict=True):
            given = {act for act, sure in turn.items() if sure >= DONE_FROM}
            for table, acts in ((right, own & given), (wrong, given - own), (missed, own - given)):
                for act in acts:
                    table[act] += 1
    lines = ["| act | tagged by people | precision | recall | F1 |", "|---|---|---|---|---|"]
    for act in ACTS:
        lines.append(_act_line(f"`{act}`", right[act], wrong[act], missed[act]))
    lines.append(_act_line("**all (micro)**", sum(right.values()), sum(wrong.values()), sum(missed.values())))
    return "\n".join(lines)


def _act_line(name: str, right: int, wrong: int, missed: int) -> str:
    precision = right / (right + wrong) if right + wrong else 0.0
    recall = right / (right + missed) if right + missed else 0.0
    f1 = 2 * right / (2 * right + wrong + missed) if right else 0.0
    return f"| {name} | {right + missed} | {precision:.2f} | {recall:.2f} | {f1:.2f} |"


def of_writers(known: Material, writers: Sequence[str]) -> dict[str, Tagging]:
    """What people tagged in some writers' calls."""
    return {name: sample.acts for name, sample in known.samples.items() if sample.writer in writers}


def micro_f1(known: Material, acts: Mapping[str, Acts], writers: Sequence[str]) -> float:
    """The last figure of `act_table`."""
    return float(act_table(of_writers(known, writers), acts).rsplit("|", 2)[1])


def groups_table(rows: Mapping[str, Row]) -> str:
    """One line a group of calls."""
    lines = [
        "| calls | number | acts, micro F1 | right | mean kappa (95 %) | commonest answer | keyword lists | "
        "evidence | unsure | triage (best possible) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (figures, f1) in rows.items():
        low, high = figures.mean_kappa_interval or (0.0, 0.0)
        lines.append(
            f"| {name} | {figures.calls} | {_two(f1)} | {_percent(figures.accuracy)} "
            f"| {_two(figures.mean_kappa)} ({low:.2f} to {high:.2f}) "
            f"| {_two(figures.mean_commonest_kappa)} | {_two(figures.mean_keywords_kappa)} "
            f"| {_two(figures.evidence_hit_rate)} | {_percent(figures.unsure)} "
            f"| {_two(figures.triage)} ({_two(figures.triage_reachable)}) |"
        )
    return "\n".join(lines)


def criteria_table(columns: Mapping[str, Agreement]) -> str:
    """Kappa per criterion, a column a language."""
    lines = ["| criterion | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for criterion in next(iter(columns.values())).criteria:
        cells = []
        for figures in columns.values():
            own = figures.criteria[criterion]
            spread = f" ({own.interval[0]:.2f} to {own.interval[1]:.2f})" if own.interval else ""
            cells.append(f"{own.kappa:.2f}{spread}")
        lines.append(f"| `{criterion}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def reliability_table(figures: Agreement) -> str:
    """Whether a confidence is worth what it says."""
    lines = ["| confidence | marks | mean confidence | share right |", "|---|---|---|---|"]
    for own in figures.reliability:
        lines.append(
            f"| {own.low:.1f} to {own.high:.1f} | {own.n} | {_two(own.confidence)} | {_two(own.right)} |"
        )
    return "\n".join(lines) + f"\n\nExpected calibration error: {_two(figures.calibration_error)}."


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def with_shipped_files(paths: Iterable[Path], known: Material, tagger: ActTagger) -> Row:
    """Calls that nothing was trained on, judged as users' calls are; and the micro F1 of their acts."""
    calls = [
        call
        for path in paths
        for call in labelled.read(path, known.names.criteria, path.parent / "acts" / path.name)
    ]
    judgements, _ = evaluate.from_text(
        calls, loader.for_training(), tagger, _NO_ENCODER, Score(), None, lambda _: None
    )
    tagged = {
        call.call_id: acts_stage.tag(call.conversation, call.heard, call.info, tagger) for call in calls
    }
    said = {call.call_id: call.acts or () for call in calls}
    return agreement(judgements), float(act_table(said, tagged).rsplit("|", 2)[1])


def main() -> None:
    """Judge, print, and with --write keep the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--real", type=Path)
    arguments = parser.parse_args()
    known = material()
    tagged = dict(folds.kept())
    acts = held_out_acts(known, tagged, *calibration(known, tagged))
    judgements = judge(known, acts)
    rows: dict[str, Row] = {}
    for code, language in LANGUAGES.items():
        writers = [name for name in READ_TWICE if name.startswith(code)]
        rows[f"{language} ({', '.join(writers)})"] = (
            agreement(of(judgements, writers)),
            micro_f1(known, acts, writers),
        )
    columns = {name.split(" ")[0]: figures for name, (figures, _) in rows.items()}
    twice = agreement(of(judgements, READ_TWICE))
    rows["all marked twice"] = (twice, micro_f1(known, acts, READ_TWICE))
    for name in READ_TWICE:
        rows[f"`{name}`"] = (agreement(of(judgements, [name])), micro_f1(known, acts, [name]))
    once = sorted({sample.writer for sample in known.samples.values()} - set(READ_TWICE))
    rows["marked once (writers d to h, and others)"] = (
        agreement(of(judgements, once)),
        micro_f1(known, acts, once),
    )
    tagger = ActTagger(2)
    unseen = {
        f"{LANGUAGES[path.stem[:2]]}, unseen (`{path.stem}`)": with_shipped_files([path], known, tagger)
        for path in sorted(UNSEEN.glob("*.jsonl"))
    }
    rows |= unseen
    if arguments.real:
        real = with_shipped_files(sorted(arguments.real.glob("*_real.jsonl")), known, tagger)
        rows["real, plain bank calls"], columns["real"] = real, real[0]
    sections = [
        "# How often the judges agree with people",
        INTRODUCTION,
        "## All calls",
        groups_table(rows),
        "## Kappa by criterion, calls marked twice",
        criteria_table(columns),
        "## Kappa by criterion, unseen calls",
        criteria_table({name.split(",")[0]: figures for name, (figures, _) in unseen.items()}),
        "## Acts, calls marked twice",
        act_table(of_writers(known, READ_TWICE), acts),
        "## What a confidence is worth",
        reliability_table(twice),
    ]
    text = "\n\n".join(sections) + "\n"
    print(text)
    if arguments.write:
        DOCUMENT.write_text(text, "utf-8")


INTRODUCTION = """\
Made by `python benchmarks/held_out.py --write` from the text of labelled calls (perfect transcripts,
known speakers).

Every call is judged by judges that never saw a call of its writer: the act tagger was trained four
times, each time without some writers, and the trained combination of rules likewise. Agents never cross
writers. Kappa is Cohen's, over yes, no and na, with 95 % bootstrap intervals over calls; an `unsure`
counts as wrong. The calls marked twice were marked by their writer and again, blind, by a second reader;
those two agree at a mean kappa of 0.96 to 0.99. The settings of the tagger's training (passes, rates)
were chosen on `en_b` and `ru_a` with an earlier, smaller training set. Of the combination, the
regularisation, the numbers that it weighs, one rule (identifiers) and the level of unsure were chosen
with these very figures in sight (six choices between variants that differed by 0.02 at most), so take
them as a little kind. **The unseen calls** (`data/unseen`) are without that: four further writers, nothing
trained on them and nothing chosen by them, each marked twice as well (kappa 0.94 to 0.99), judged by the
shipped files. Believe them first, and mind their intervals: most of their criteria have few "no". The real
calls are people role-playing short bank calls over the phone, transcribed by people; nothing was trained on
them, and they were judged by the shipped files. Many of their criteria have one answer only, for which
kappa is 1 if the judge gave it throughout, else 0: their share right says more.

Right: share of marks as people gave them. Evidence: how often the turns shown meet those that people
named. Triage: of the fifth of calls with the worst score by people, the share in the machine's worst
fifth; where several calls tie at the border, even a perfect judge cannot reach 1."""


if __name__ == "__main__":
    main()
