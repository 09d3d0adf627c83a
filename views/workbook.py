"""A sheet of a workbook, filled row by row; whatever a text begins with, it stays a text."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from enum import Enum
from math import isfinite
from typing import Any

import xlsxwriter

# Excel's own limits.
MOST_ROWS = 1_048_575  # below the header
MOST_COLUMNS = 16_384
MOST_LETTERS = 32_767
FIRST_YEAR = 1900

_UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff\ufffe\uffff"
    "\ud800-\udfff]"
)
_DAY_S = 86_400


class Kind(Enum):
    """What a column holds: how wide it is, and Excel's number format."""

    TEXT = (16, "@")
    LONG = (60, "General")  # Excel shows long texts of its format for text as ####
    DAY = (11, "yyyy-mm-dd")
    MOMENT = (17, "yyyy-mm-dd hh:mm")
    LENGTH = (9, "[h]:mm:ss")
    SHARE = (9, "0%")
    NUMBER = (9, "0.0")
    WHOLE = (8, "0")
    ANSWER = (10, "@")


_ANSWERS: dict[str, dict[str, Any]] = {
    "yes": {},
    "no": {"bold": True, "font_color": "#B00020"},
    "unsure": {"italic": True, "font_color": "#8A5A00"},
    "na": {"font_color": "#767676"},
}

Columns = dict[str, Kind]
Rows = Iterable[Mapping[str, Any]]


class Sheet:
    """A sheet that is filled from above: a header that stays in sight, then rows."""

    def __init__(self, book: xlsxwriter.Workbook, name: str) -> None:
        """Add a sheet of this name."""
        self._sheet = book.add_worksheet(name)
        self._name = name
        self._columns: Columns = {}
        self.rows = 0
        self._rows_left_out = 0
        self._columns_left_out = 0
        self._header = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._formats = {
            kind: book.add_format({"valign": "top", "num_format": kind.value[1]}) for kind in Kind
        }
        self._text = self._formats[Kind.TEXT]
        # The mark of text keeps it text also when the cell is edited.
        self._like_a_formula = book.add_format({"valign": "top", "quote_prefix": True})
        self._answers = {
            answer: book.add_format({"valign": "top", "num_format": "@", **style})
            for answer, style in _ANSWERS.items()
        }

    def begin(self, columns: Columns) -> None:
        """Write the header."""
        self._columns_left_out = max(len(columns) - MOST_COLUMNS, 0)
        self._columns = dict([*columns.items()][:MOST_COLUMNS])
        for place, (name, kind) in enumerate(self._columns.items()):
            header = _cleaned(name)
            width = max(kind.value[0], min(len(header) + 3, 24))
            self._sheet.set_column(place, place, width, self._formats[kind])
            self._sheet.write_string(0, place, header, self._header)
        self._sheet.freeze_panes(1, 1)

    def add(self, rows: Rows) -> None:
        """Write rows below those that are there."""
        for row in rows:
            if self.rows == MOST_ROWS:
                self._rows_left_out += 1
                continue
            self.rows += 1
            for place, (name, kind) in enumerate(self._columns.items()):
                self._write(place, kind, row.get(name))

    def end(self) -> None:
        """Make the rows filterable."""
        if self.rows and self._columns:
            self._sheet.autofilter(0, 0, self.rows, len(self._columns) - 1)

    @property
    def left_out(self) -> list[str]:
        """What there was no room for."""
        counts = (("rows", MOST_ROWS, self._rows_left_out), ("columns", MOST_COLUMNS, self._columns_left_out))
        return [
            f"{self._name}: Excel takes {most:,} {what}, {left_out:,} are left out"
            for what, most, left_out in counts
            if left_out
        ]

    def _write(self, place: int, kind: Kind, value: Any) -> None:
        match value:
            case None:
                pass
            case bool():
                self._write_text(place, kind, "yes" if value else "no")
            case date() if value.year >= FIRST_YEAR:  # a moment, too
                self._sheet.write_datetime(self.rows, place, value, self._formats[kind])
            case int() | float():
                if isfinite(value):
                    number = value / _DAY_S if kind is Kind.LENGTH else value
                    self._sheet.write_number(self.rows, place, number, self._formats[kind])
            case _:
                self._write_text(place, kind, str(value))

    def _write_text(self, place: int, kind: Kind, text: str) -> None:
        text = _cleaned(text)
        style = self._text
        if text.startswith(("=", "+", "-", "@")):
            style = self._like_a_formula
        elif kind is Kind.ANSWER:
            style = self._answers.get(text, style)
        self._sheet.write_string(self.rows, place, text, style)


def _cleaned(text: str) -> str:
    """Without characters that steer or that a workbook cannot hold, and no longer than a cell may be."""
    text = _UNWANTED.sub("", text)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
