"""How far each criterion can be trusted: a line a criterion, from the audit samples."""

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from wellheard.pipeline.morning.kappa import Agreed
from wellheard.pipeline.morning.trust import (
    BELOW,
    FEWEST_REVIEWS,
    NO_THRESHOLD,
    TOO_FEW,
    TRUSTED,
    Trust,
)
from wellheard.views.screen import counted, percent, plain

_FIGURES = ("agreement", "agreement_low", "agreement_high", "kappa", "kappa_low", "kappa_high")
_COLUMNS: dict[str, pa.DataType] = {
    **dict.fromkeys(("rubric", "criterion", "verdict"), pa.string()),
    "n": pa.int64(),
    **dict.fromkeys(_FIGURES, pa.float64()),
    "unsure": pa.int64(),
    "people_n": pa.int64(),
    **{f"people_{name}": pa.float64() for name in _FIGURES},
}
SCHEMA = pa.schema(_COLUMNS)


def criteria(trust: Trust) -> pa.Table:
    """One row a criterion (`SCHEMA`): machine with people, and people with one another."""
    rows = [
        {
            "rubric": one.rubric,
            "criterion": one.criterion,
            "verdict": one.verdict,
            "n": one.machine.n if one.machine else 0,
            **_figures(one.machine, ""),
            "unsure": one.unsure,
            "people_n": one.people.n if one.people else 0,
            **_figures(one.people, "people_"),
        }
        for one in trust.criteria
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _figures(of: Agreed | None, prefix: str) -> dict[str, float | None]:
    if of is None:
        return {}
    low, high = of.kappa_interval or (None, None)
    values = (of.share, of.low, of.high, of.kappa, low, high)
    return dict(zip((f"{prefix}{name}" for name in _FIGURES), values, strict=True))


def show(console: Console, trust: Trust, least: float | None) -> None:
    """The same for people."""
    console.print(plain(_about(trust), "bold"))
    for line in _left_out(trust):
        console.print(plain(line, "yellow"))
    console.print()
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(plain("criterion"))
    table.add_column(plain("n"), justify="right", no_wrap=True)
    for name in ("agreement", "kappa", "people", ""):
        table.add_column(plain(name), no_wrap=True)
    for one in trust.criteria:
        table.add_row(
            plain(f"{one.rubric}.{one.criterion}"),
            plain(one.machine.n if one.machine else 0),
            plain(_share(one.machine)),
            plain(_kappa(one.machine)),
            plain(f"{one.people.kappa:.2f} of {one.people.n}" if one.people else "–"),
            plain(*_WORDS[one.verdict]),
        )
    console.print(table)
    console.print()
    for line in _legend(least):
        console.print(plain(line, "dim"))


def _about(trust: Trust) -> str:
    who = ", ".join(trust.reviewers)
    drawn = f"{counted(trust.drawn, 'call')} drawn at random, {trust.heard:,} heard blind"
    return f"{drawn} by {who}" if who else drawn


def _left_out(trust: Trust) -> list[str]:
    lines = []
    if trust.in_sight:
        lines.append(
            f"Left out: {counted(trust.in_sight, 'answer')} given with the machine's in sight, "
            "which agree too easily."
        )
    if trust.learnt:
        lines.append(
            f"Left out: {counted(trust.learnt, 'mark')} whose judge has learnt from that very call; "
            "draw a new sample: wellheard review --sample 30"
        )
    return lines


def _share(of: Agreed | None) -> str:
    return "–" if of is None else f"{percent(of.share)} ({of.low * 100:.0f}-{of.high * 100:.0f})"


def _kappa(of: Agreed | None) -> str:
    """`0.45 (.20-.65)`."""
    if of is None:
        return "–"
    if of.kappa_interval is None:
        return f"{of.kappa:.2f}"
    low, high = (f"{edge:.2f}".replace("0.", ".") for edge in of.kappa_interval)
    return f"{of.kappa:.2f} ({low}-{high})"


_WORDS = {
    TOO_FEW: ("too few", "dim"),
    BELOW: ("not counted", "bold red"),
    TRUSTED: ("", ""),
    NO_THRESHOLD: ("", ""),
}


def _legend(least: float | None) -> list[str]:
    lines = [
        "n: marks that were not unsure; agreement: how many of them are as people answered (95 % interval)",
        "kappa: the same less what chance alone would give; people: kappa of reviewers with one another",
        f"too few: fewer than {FEWEST_REVIEWS} marks, not enough reviews to tell",
    ]
    if least is None:
        lines.append("least_agreement in [trust] of the settings says from when on a criterion counts")
    else:
        lines.append(f"not counted: below {percent(least)}, so it is shown and counts in no score")
    return lines
