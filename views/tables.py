"""Rows for people and for programs: `--format` and `--out`, the same in all commands that print rows."""

import csv
import io
import json
import math
import sys
from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from wellheard.pipeline.errors import WellheardError
from wellheard.views.files import write_text, write_whole
from wellheard.views.screen import screen, visible

if TYPE_CHECKING:
    import pyarrow as pa


class Format(StrEnum):
    """How rows are given out."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class NoPlaceForParquet(WellheardError):
    """Parquet was asked for on the screen."""


def give(rows: "pa.Table", form: Format, out: Path | None, show: Callable[[Console], None]) -> None:
    """Give rows out in the form asked for, to a file or to standard output; `show` draws for people.

    Raises:
        NoPlaceForParquet: Parquet without a file.
        CannotWrite: the file cannot be written.
    """
    if form is Format.PARQUET:
        if out is None:
            raise NoPlaceForParquet("Parquet cannot go to the screen", "Name a file with --out FILE.")
        import pyarrow.parquet as pq  # only here: `--help` needs this module, too

        write_whole(out, lambda stream: pq.write_table(rows, stream))
    elif form is Format.JSON:
        if out:
            write_text(out, as_json(rows))
        else:
            # An escape such as \u0142 is the same JSON where the terminal knows no other letters.
            utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
            sys.stdout.write(as_json(rows, escaped=not utf8))
    elif form is Format.CSV:
        if out:
            # The mark at the start tells spreadsheets that this is UTF-8.
            write_text(out, "\ufeff" + as_csv(rows))
        else:
            sys.stdout.write(as_csv(rows))
    elif out:
        page = io.StringIO()
        show(Console(file=page, width=160, color_system=None, markup=False, emoji=False, highlight=False))
        write_text(out, "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines()))
    else:
        show(screen())


def as_json(rows: "pa.Table", *, escaped: bool = False) -> str:
    """A JSON array of objects; what is no number (NaN, infinity) is null, times are ISO 8601."""
    plain = [_jsonable(row) for row in rows.to_pylist()]
    return json.dumps(plain, ensure_ascii=escaped, allow_nan=False, indent=1) + "\n"


def as_csv(rows: "pa.Table") -> str:
    """CSV with a header; lists and structs as JSON; no cell is taken for a formula or steers a terminal."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(_harmless(name) for name in rows.column_names)
    for row in rows.to_pylist():
        writer.writerow(_cell(value) for value in row.values())
    return page.getvalue()


def _cell(value: Any) -> Any:
    value = _jsonable(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _harmless(value) if isinstance(value, str) else value


def _harmless(text: str) -> str:
    text = visible(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _jsonable(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):  # a map comes as pairs
        return [_jsonable(item) for item in value]
    return value
