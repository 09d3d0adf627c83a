"""Turns a manifest's file, CSV in any of its forms or Parquet, into cells of text.

Nothing is interpreted here: an id keeps its zeros, and a date stays as it was written.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from charset_normalizer import from_bytes

from wellheard.pipeline.errors import BadManifest
from wellheard.pipeline.settings import House

_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# The letters by which a language shows in which encoding a manifest is. A library that guesses from whole
# sentences (charset-normalizer) took half of some short lists of names for another; it has the rest.
_LETTERS = {
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюя",
    "pl": "ąćęłńóśźż",
    "ro": "ăâîșțşţ",
    "cs": "áčďéěíňóřšťúůýž",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "hu": "áéíóöőúüű",
    "hr": "čćđšž",
    "de": "äöüß",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "es": "áéíñóúü¿¡",
    "pt": "áâãàçéêíóôõú",
    "it": "àèéìòù",
}
_WESTERN = "".join(_LETTERS[language] for language in ("de", "fr", "es", "pt", "it")) + "åæøð"
_OLD_ENCODINGS = ("cp1252", "cp1250", "cp1251", "cp852", "cp866")
_TWO_SCRIPTS = re.compile(r"[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]")
_SEPARATORS = ",;\t|"

_EXACT_FLOAT = 2**53
_SURE = 0.4


@dataclass(frozen=True)
class Table:
    """Cells as text, with the number by which a person finds the row in the file."""

    header: list[str]
    rows: list[tuple[int, list[str]]]
    notes: list[str]


def read(path: Path, names: Sequence[str], house: House) -> Table:
    """Read `.parquet` or else text with separators; `names` are the columns to be expected.

    Raises:
        BadManifest: it cannot be read.
    """
    return _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path, names, house)


def plain(name: str) -> str:
    """A column's name without case, blanks and marks."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _csv(path: Path, names: Sequence[str], house: House) -> Table:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadManifest(f"{path} cannot be read ({error.strerror})", "Check who may read it.") from error
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise BadManifest(f"{path} is a spreadsheet", "Save it as CSV (UTF-8), then give that.")
    text, notes = _text(path, data, house)
    text = re.sub(r"\Asep=.(?=\r?\n)", "", text, flags=re.IGNORECASE)  # Excel's own first line
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    known = {plain(name) for name in names}

    def fits(separator: str) -> tuple[int, int]:
        header = next(csv.reader([first], delimiter=separator))
        return sum(plain(name) in known for name in header), len(header)

    separator = max(_SEPARATORS, key=fits)
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=separator != "\t"
    )
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise BadManifest(
            f"{path}, line {reader.line_num}: {error}",
            "A quotation mark is open or doubled there; export it again.",
        ) from error
    if not rows:
        raise BadManifest(f"{path} is empty", "Export it again.")
    return Table(header=[name.strip() for name in rows[0][1]], rows=rows[1:], notes=notes)


def _text(path: Path, data: bytes, house: House) -> tuple[str, list[str]]:
    """The manifest's text, and a note where its encoding had to be guessed."""
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), None)
    if encoding is None and b"\0" in data[:2]:
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    try:
        return data.decode(encoding or "utf-8"), []
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise BadManifest(
                f"{path} is damaged: it is no whole {encoding} text", "Export it again."
            ) from error
    shares = {name: _share_of_letters(data, name, house.languages) for name in _OLD_ENCODINGS}
    encoding = max(shares, key=lambda name: shares[name])
    if shares[encoding] < _SURE:
        best = from_bytes(data).best()
        encoding = best.encoding if best else None
    if encoding is None:
        raise BadManifest(f"{path} is in an encoding that cannot be told", "Save it as CSV in UTF-8.")
    return data.decode(encoding), [f"is no UTF-8, read as {encoding}; see whether the names are right"]


def _share_of_letters(data: bytes, encoding: str, languages: Sequence[str]) -> float:
    """How much of what is not English makes sense in this encoding: letters of the house's languages do.

    Letters of other western languages count half; Cyrillic ones within a Latin word speak against it.
    """
    text = data.decode(encoding, errors="replace").lower()
    foreign = [letter for letter in text if letter > "\x7f"]
    own = set("".join(_LETTERS.get(language, "") for language in languages))
    sense = sum(1.0 if letter in own else 0.5 * (letter in _WESTERN) for letter in foreign)
    return (sense - len(_TWO_SCRIPTS.findall(text))) / max(len(foreign), 1)


def _parquet(path: Path) -> Table:
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise BadManifest(f"{path} is no Parquet file that can be read", "Export it again.") from error
    columns = [[_cell(value) for value in column.to_pylist()] for column in table.columns]
    rows = [(number, list(cells)) for number, cells in enumerate(zip(*columns, strict=True), 1)]
    return Table(header=[name.strip() for name in table.column_names], rows=rows, notes=[])


def _cell(value: object) -> str:
    """A Parquet value as the text that says the same."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, list):
        return "|".join(_cell(part) for part in value)
    return str(value)
