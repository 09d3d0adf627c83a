"""What came of adapting the judges to a house's reviews: a line a criterion, and what was written."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from wellheard.training.house import ADAPTED, FEWEST_ANSWERS, Lessons, Outcome
from wellheard.views.screen import counted, percent, plain

_text, _real, _whole = pa.string(), pa.float64(), pa.int64()
_COLUMNS: dict[str, pa.DataType] = {
    "criterion": _text,
    "verdict": _text,
    "answers": _whole,
    "right_before": _real,
    "right_after": _real,
    "loss_before": _real,
    "loss_after": _real,
    "gain_low": _real,
    "gain_high": _real,
    "chance": _real,
}
SCHEMA = pa.schema(_COLUMNS)


def outcomes(found: Sequence[Outcome]) -> pa.Table:
    """One row a criterion (`SCHEMA`): on calls not learnt from, shares right and log-losses."""
    rows = [
        {
            **{name: getattr(one, name) for name in SCHEMA.names[:7]},
            "gain_low": one.gain and one.gain.low,
            "gain_high": one.gain and one.gain.high,
            "chance": one.gain and one.gain.chance,
        }
        for one in found
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def show(console: Console, lessons: Lessons, found: Sequence[Outcome], out: Path) -> None:
    """The same for people, and what to do with the file."""
    answers = counted(len(lessons.lessons), "answer")
    console.print(plain(f"Learnt from {answers} of {counted(len(lessons.calls), 'reviewed call')}.", "bold"))
    for why, number in sorted(lessons.left_out.items(), key=lambda pair: -pair[1]):
        console.print(plain(f"Not learnt from {number:,}: {why}.", "dim"))
    if found:
        console.print()
        console.print(_table(found))
        console.print()
        for line in _LEGEND:
            console.print(plain(line, "dim"))
    adapted = sum(one.verdict == ADAPTED for one in found)
    if adapted:
        what = counted(adapted, "criterion is adapted", "criteria are adapted")
        console.print(plain(f"{what}; written to {out}. To use it, add to the settings:", "bold"))
        console.print(plain(f'  [score]\n  house = "{out}"'), soft_wrap=True)
        console.print(plain("Then score again: what was heard stays in the cache, so it takes little time."))
    else:
        console.print(
            plain(f"Nothing helps by more than chance: all judges stay as shipped; {out} says so.", "bold")
        )


_LEGEND = (
    "right: on calls it has not learnt from, the share answered as people did, as shipped and adapted",
    "loss: how unlikely people's answers were to it there (log-loss); chance: how likely the gain is none",
    f"a criterion with fewer than {FEWEST_ANSWERS} answers is left as shipped",
)


def _table(found: Sequence[Outcome]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(plain("criterion"), min_width=24)
    table.add_column(plain("answers"), justify="right", no_wrap=True)
    for name in ("right", "loss"):
        table.add_column(plain(name), no_wrap=True)
    table.add_column(plain("chance"), justify="right", no_wrap=True)
    table.add_column()
    for one in found:
        right = loss = chance = "–"
        if one.gain is not None and one.loss_before is not None and one.loss_after is not None:
            right = f"{percent(one.right_before)} → {percent(one.right_after)}"
            loss = f"{one.loss_before:.2f} → {one.loss_after:.2f}"
            chance = "< 1 %" if one.gain.chance < 0.01 else percent(one.gain.chance)
        style = "bold" if one.verdict == ADAPTED else "dim"
        cells = (one.criterion, one.answers, right, loss, chance)
        table.add_row(*map(plain, cells), plain(one.verdict, style))
    return table
