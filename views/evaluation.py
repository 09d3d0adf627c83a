"""How well the judges agree with people, for the terminal and for scripts."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from wellheard.training.agreement import Agreement, CriterionAgreement, Judgement
from wellheard.views.screen import counted, percent, plain

MEANING = "Kappa is agreement beyond chance: 1 is full agreement, 0 no more than guessing would give."
LEGEND = (
    "right: share of answers as people gave them; unsure counts as wrong, here and in kappa (95 % interval "
    "over calls). commonest: share right if one always gave the commonest answer (its kappa is 0, or 1 where "
    "people gave one answer only). keywords: right and kappa of keyword lists. evidence: how often the "
    "turns shown meet those that people named. kappa sure: over the answers that were not unsure."
)
COLUMNS = (
    "n",
    "yes/no/na",
    "right",
    "kappa (95 %)",
    "com-\nmonest",
    "keywords",
    "evi-\ndence",
    "unsure",
    "kappa\nsure",
)


def show(console: Console, agreement: Agreement) -> None:
    """The figures of each criterion, then those of all together, triage, and what a confidence is worth."""
    console.print(plain(f"{counted(agreement.marks, 'mark')} of {counted(agreement.calls, 'call')}", "bold"))
    if not agreement.marks:
        console.print(plain("There are no labels to measure against.", "yellow"))
        return
    console.print(plain(MEANING))
    console.print()
    console.print(_criteria(agreement))
    console.print()
    console.print(plain(LEGEND, "dim"))
    console.print()
    console.print(plain("Triage", "bold"))
    console.print(_triage(agreement))
    console.print()
    console.print(plain("What a confidence is worth", "bold"))
    console.print(_reliability(agreement))
    console.print(
        plain(
            f"Confidence and share right lie {_figure(agreement.calibration_error)} apart on average "
            "(expected calibration error)."
        )
    )


def as_json(
    agreement: Agreement,
    judgements: Sequence[Judgement],
    spans: Mapping[tuple[str, str], Sequence[Any]],
) -> str:
    """All figures, and under `calls` each mark; what could not be measured is null. Holds no words.

    `spans` is the evidence to give for (call_id, criterion): turn indexes, or seconds; none if left out.
    """
    calls: dict[str, dict[str, Any]] = {}
    for j in judgements:
        calls.setdefault(j.call_id, {})[j.criterion] = {
            "label": j.label,
            "answer": j.answer,
            "leaning": j.leaning,
            "keyword": j.keyword,
            "confidence": j.confidence,
            "evidence": list(spans.get((j.call_id, j.criterion), ())),
        }
    content = msgspec.to_builtins(agreement)
    content["number_of_calls"] = content.pop("calls")
    content["calls"] = calls
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def _criteria(agreement: Agreement) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("criterion", overflow="fold")
    for header in COLUMNS:
        table.add_column(header, justify="right", overflow="fold")
    rubric = ""
    for name, own in agreement.criteria.items():
        of, _, criterion = name.rpartition(".")
        if of != rubric:
            rubric = of
            table.add_row(plain(of, "bold"))
        table.add_row(plain(criterion), *map(plain, _cells(own)))
    table.add_row()
    table.add_row(
        plain("mean of kappas, all marks"),
        plain(agreement.marks),
        "",
        plain(percent(agreement.accuracy)),
        plain(_figure(agreement.mean_kappa, agreement.mean_kappa_interval), "bold"),
        plain(percent(agreement.commonest_accuracy)),
        plain(f"{percent(agreement.keywords_accuracy)} {_figure(agreement.mean_keywords_kappa)}"),
        plain(percent(agreement.evidence_hit_rate)),
        plain(percent(agreement.unsure)),
        plain(_figure(agreement.mean_sure_kappa)),
    )
    return table


def _cells(own: CriterionAgreement) -> list[str]:
    return [
        str(own.n),
        f"{own.yes}/{own.no}/{own.na}",
        percent(own.accuracy),
        _figure(own.kappa, own.interval),
        percent(own.commonest_accuracy),
        f"{percent(own.keywords_accuracy)} {_figure(own.keywords_kappa)}",
        percent(own.evidence_hit_rate),
        percent(own.unsure),
        _figure(own.sure_kappa),
    ]


def _figure(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "–"
    if interval is None:
        return _two_places(value)
    low, high = map(_two_places, interval)
    return f"{_two_places(value)} ({low} to {high})"


def _two_places(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # never "-0.00"


def _triage(agreement: Agreement) -> Any:
    text = (
        f"Of the fifth of calls that people marked worst, {percent(agreement.triage)} are in the "
        "machine's worst fifth."
    )
    reachable = agreement.triage_reachable
    if reachable is not None and reachable < 1:
        text += (
            f" {percent(reachable)} is the most one can reach here, "
            "since people scored calls at the border alike."
        )
    return plain(text)


def _reliability(agreement: Agreement) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("confidence")
    for header in ("marks", "mean confidence", "right"):
        table.add_column(header, justify="right")
    for own in agreement.reliability:
        table.add_row(
            plain(f"{own.low:.1f} to {own.high:.1f}"),
            plain(own.n),
            plain(percent(own.confidence)),
            plain(percent(own.right)),
        )
    return table
