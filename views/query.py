"""Rows of any kind for people: a table, or one row under the other where a table would be too wide."""

import json
from typing import Any

import pyarrow as pa
from rich.cells import cell_len
from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from wellheard.views.screen import counted, plain, visible
from wellheard.views.tables import as_json

ROWS_SHOWN = 100
LONGEST_CELL = 300
# What is left of the screen for the one column that may be folded.
_ROOM_TO_FOLD = 24


def show(console: Console, rows: pa.Table) -> None:
    """The first rows; the last line says how many there are."""
    shown = [
        [_cell(value) for value in row.values()] for row in json.loads(as_json(rows.slice(0, ROWS_SHOWN)))
    ]
    if _fits(console.width, rows.column_names, shown):
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for field in rows.schema:
            table.add_column(plain(field.name), justify="right" if _is_number(field.type) else "left")
        for cells in shown:
            table.add_row(*map(plain, cells))
        console.print(table)
    else:
        for number, cells in enumerate(shown, 1):
            console.print(Rule(plain(f"Row {number}", "dim"), align="left", style="dim"))
            block = Table.grid(padding=(0, 2, 0, 0))
            for name, cell in zip(rows.column_names, cells, strict=True):
                block.add_row(plain(name, "dim"), plain(cell))
            console.print(block)
    last = counted(rows.num_rows, "row")
    if rows.num_rows > ROWS_SHOWN:
        last += f", the first {ROWS_SHOWN} of them shown; --format csv|json|parquet --out FILE gives all"
    console.print(plain(last, "dim"))


def _fits(width: int, names: list[str], shown: list[list[str]]) -> bool:
    """Whether all columns but the widest stay unfolded."""
    widths = [
        max(cell_len(visible(cell)) for cell in column) + 2 for column in zip(names, *shown, strict=True)
    ]
    return sum(widths) - max(widths, default=0) + min(max(widths, default=0), _ROOM_TO_FOLD) <= width


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            text = (
                f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) >= 0.001 or not value else f"{value:.3g}"
            )
        case list() | dict():
            text = json.dumps(value, ensure_ascii=False)
        case _:
            text = str(value)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
