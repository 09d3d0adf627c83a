"""Reads the list of calls that a telephone system exports: CSV in any of its forms, or Parquet.

Everything is text: an id keeps its zeros. Each row becomes a `Source` or a `Failure`; none is lost.
`docs/manifest.md` tells QA leads what a manifest may hold.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import langcodes
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from charset_normalizer import from_bytes
from langcodes.tag_parser import LanguageTagError

from wellheard.pipeline import moments
from wellheard.pipeline.errors import BadManifest, BadManifestRow
from wellheard.pipeline.records import CallInfo, Failure, Source
from wellheard.pipeline.settings import House, Ingest

EXTENSIONS = (".csv", ".tsv", ".txt", ".parquet", ".pq")

_PATHS = ("path", "path_agent", "path_customer")
_TEXTS = ("agent_name", "team", "region", "customer_segment", "direction", "company")
_FIELDS = (*_PATHS, "call_id", "agent_id", *_TEXTS, "started_at", "language", "agent_channel")

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

_NO_VALUE = {"", "NULL", "null", "\\N", "#N/A", "NaN", "nan", "None"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DAMAGED = re.compile(r"\d(?:[.,]\d+)?E[+-]\d{2,3}")
_DECIMAL = re.compile(r"\d+\.0")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_CHANNELS = {"0": 0, "0.0": 0, "left": 0, "l": 0, "1": 1, "1.0": 1, "right": 1, "r": 1}
_EXACT_FLOAT = 2**53
_SHOWN = 5
_SURE = 0.4
_SHOWN_NAME = 40

_MAPPING = (
    "Name the column in the settings file, for example:\n\n    [ingest.columns]\n    path = {example}\n"
)


@dataclass(frozen=True)
class Listing:
    """What a manifest lists, in its order: each row is a call, or why it cannot be one.

    `files` are all recordings that any row names, with links followed.
    """

    rows: tuple[Source | Failure, ...]
    files: frozenset[Path]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    """Cells as text, with the number by which a person finds the row in the file."""

    header: list[str]
    rows: list[tuple[int, list[str]]]
    notes: list[str]


@dataclass(frozen=True)
class _Reader:
    """What is the same for all rows of a manifest."""

    folder: Path
    width: int
    columns: dict[int, str]
    extra: dict[int, str]
    pair_suffixes: Sequence[tuple[str, str]]
    zone: ZoneInfo
    day_first: bool | None
    zone_assumed: list[int] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)


def read(path: Path, settings: Ingest, house: House) -> Listing:
    """Read a manifest, `.parquet` or else text with separators.

    Raises:
        BadManifest: it cannot be read, has no rows, or no column with the recordings' paths.
    """
    table = (
        _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path, house, settings.columns)
    )
    columns, extra = _named(path, table, settings.columns)
    if not table.rows:
        raise BadManifest(f"{path} has no rows", "Export it again; see whether its filter left anything.")
    started = [index for index, name in columns.items() if name == "started_at"]
    reader = _Reader(
        folder=path.parent,
        width=len(table.header),
        columns=columns,
        extra=extra,
        pair_suffixes=settings.pair_suffixes,
        zone=ZoneInfo(house.timezone),
        day_first=moments.day_comes_first(
            _value(cells, index) for _, cells in table.rows for index in started
        ),
    )
    rows: list[Source | Failure] = []
    places: dict[str, int] = {}
    about: list[str] = []
    for number, cells in table.rows:
        outcome = _row(reader, number, cells, places)
        rows.append(outcome)
        if isinstance(outcome, Source):
            places.setdefault(outcome.info.call_id, number)
            about.extend(f"row {number}: {note}" for note in outcome.info.notes)
    notes = [*table.notes, *about[:_SHOWN]]
    if len(about) > _SHOWN:
        notes.append(f"further notes of this kind: {len(about) - _SHOWN}, each kept with its call")
    if reader.zone_assumed:
        notes.append(
            f"times that name no zone: {len(reader.zone_assumed)}, taken as {house.timezone} "
            "(house.timezone in the settings)"
        )
    return Listing(tuple(rows), frozenset(reader.files), tuple(f"{path.name}: {note}" for note in notes))


def _csv(path: Path, house: House, mapping: Mapping[str, str]) -> _Table:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadManifest(f"{path} cannot be read ({error.strerror})", "Check who may read it.") from error
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise BadManifest(f"{path} is a spreadsheet", "Save it as CSV (UTF-8), then give that.")
    text, notes = _text(path, data, house)
    text = re.sub(r"\Asep=.(?=\r?\n)", "", text, flags=re.IGNORECASE)  # Excel's own first line
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    known = {_plain(name) for name in (*_FIELDS, *mapping.values())}

    def fits(separator: str) -> tuple[int, int]:
        names = next(csv.reader([first], delimiter=separator))
        return sum(_plain(name) in known for name in names), len(names)

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
    return _Table(header=[name.strip() for name in rows[0][1]], rows=rows[1:], notes=notes)


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


def _parquet(path: Path) -> _Table:
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise BadManifest(f"{path} is no Parquet file that can be read", "Export it again.") from error
    columns = [[_cell(value) for value in column.to_pylist()] for column in table.columns]
    rows = [(number, list(cells)) for number, cells in enumerate(zip(*columns, strict=True), 1)]
    return _Table(header=[name.strip() for name in table.column_names], rows=rows, notes=[])


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


def _named(path: Path, table: _Table, mapping: Mapping[str, str]) -> tuple[dict[int, str], dict[int, str]]:
    """Which columns are fields of a call, and what the further ones are called."""
    own = {_plain(name): name for name in _FIELDS}
    wanted = {_plain(theirs): own.get(_plain(ours), ours) for ours, theirs in mapping.items()}
    present = {_plain(name) for name in table.header}
    for field_name, theirs in mapping.items():
        if _plain(theirs) not in present:
            table.notes.append(f"has no column {theirs!r}, which the settings name for {field_name}")
    mapped = {name for plain, name in wanted.items() if plain in present}
    columns: dict[int, str] = {}
    extra: dict[int, str] = {}
    for index, name in enumerate(table.header):
        ours = wanted.get(_plain(name)) or own.get(_plain(name), "")
        if ours in mapped and _plain(name) not in wanted:
            ours = ""
        if ours in _FIELDS:
            if ours in columns.values():
                raise BadManifest(
                    f"{path} has two columns for {ours}", "Rename one of them, or leave it out."
                )
            columns[index] = ours
        elif name or any(len(cells) > index and cells[index].strip() for _, cells in table.rows):
            title = ours or name or f"column {index + 1}"
            extra[index] = f"{title} {index + 1}" if title in extra.values() else title
    if not set(columns.values()) & set(_PATHS):
        raise _no_path(path, table)
    return columns, extra


def _no_path(path: Path, table: _Table) -> BadManifest:
    likely = [
        name
        for index, name in enumerate(table.header)
        if any(re.search(r"\.\w{2,5}$", cells[index]) for _, cells in table.rows[:20] if len(cells) > index)
    ]
    seen = ", ".join(name[:_SHOWN_NAME] for name in table.header)
    example = '"' + (likely or ["Recording File"])[0] + '"'
    return BadManifest(
        f"{path} has no column named path; its columns are: {seen}", _MAPPING.format(example=example).strip()
    )


def _plain(name: str) -> str:
    """A column's name without case, blanks and marks."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _row(reader: _Reader, number: int, cells: list[str], places: Mapping[str, int]) -> Source | Failure:
    values = {name: _value(cells, index) for index, name in reader.columns.items()}
    try:
        for name in (*_PATHS, "call_id", "agent_id"):
            if _CONTROL.search(values.get(name, "")):
                raise BadManifestRow(f"{name} holds control characters", "Write it again by hand.")
        try:
            paths = _paths(reader, values)
        finally:  # in a row that is too long, a wrong path is the smaller fault
            _refuse_width(reader, cells)
        info = _info(reader, number, values, cells)
        if info.call_id and info.call_id in places:
            raise BadManifestRow(
                f"call_id {info.call_id} stands in row {places[info.call_id]} already",
                "Give each recording a call_id of its own, or leave it empty.",
            )
    except BadManifestRow as error:
        return Failure(
            call_id=_CONTROL.sub(" ", values.get("call_id", "")),
            agent_id=_CONTROL.sub(" ", values.get("agent_id", "")) or "unknown",
            path=_CONTROL.sub(" ", " | ".join(values[name] for name in _PATHS if values.get(name))),
            stage=error.stage,
            reason=f"row {number}: {error.reason}",
            advice=error.advice,
        )
    if len(paths) == 2 and info.agent_channel == 1 and values.get("path"):
        paths.reverse()
        info = msgspec.structs.replace(info, agent_channel=0)
    return Source(paths=tuple(str(path) for path in paths), info=info)


def _refuse_width(reader: _Reader, cells: Sequence[str]) -> None:
    if any(cell.strip() for cell in cells[reader.width :]):
        raise BadManifestRow(
            f"the row has {len(cells)} cells, the manifest {reader.width} columns",
            "A value with the separator in it must stand in quotation marks.",
        )


def _value(cells: Sequence[str], index: int) -> str:
    text = cells[index] if index < len(cells) else ""
    return "" if text.strip() in _NO_VALUE else text


def _info(reader: _Reader, number: int, values: Mapping[str, str], cells: Sequence[str]) -> CallInfo:
    notes: list[str] = []
    ids = {name: _id(name, values.get(name, ""), notes) for name in ("call_id", "agent_id")}
    extra = {}
    for index, name in reader.extra.items():
        value = _CONTROL.sub(" ", _value(cells, index)).strip()
        if _DAMAGED.fullmatch(value):
            notes.append(f"{name} {value} was damaged by a spreadsheet (its digits are gone); not used")
        elif value:
            extra[name] = value
    return CallInfo(
        call_id=ids["call_id"],
        agent_id=ids["agent_id"] or "unknown",
        started_at=_started_at(reader, number, values.get("started_at", ""), notes),
        language=_language(values.get("language", "").strip(), notes),
        agent_channel=_agent_channel(values.get("agent_channel", "").strip(), notes),
        extra=extra,
        notes=tuple(notes),
        **{name: _CONTROL.sub(" ", values.get(name, "")).strip() or None for name in _TEXTS},
    )


def _id(name: str, value: str, notes: list[str]) -> str:
    """An id as it is written. What a spreadsheet may have done to it is said."""
    if _DAMAGED.fullmatch(value.strip()):
        notes.append(f"{name} {value.strip()} was damaged by a spreadsheet (its digits are gone); not used")
        return ""
    if _DECIMAL.fullmatch(value):
        notes.append(f"{name} {value} is kept as it is written; the .0 may be a spreadsheet's")
    if value != value.strip():
        notes.append(f"{name} {value!r} is kept as it is written, with the blank at its edge")
    return value


def _started_at(reader: _Reader, number: int, text: str, notes: list[str]) -> datetime | None:
    if not text:
        return None
    try:
        moment = moments.understand(text, reader.zone, reader.day_first)
    except ValueError as error:
        raise BadManifestRow(
            f"started_at {text.strip()!r} is no date that can be read",
            "Write it like 2025-06-10 14:15, or leave it empty: then the call counts to no day.",
        ) from error
    if moment.zone_assumed:
        reader.zone_assumed.append(number)
    notes.extend(f"started_at: {note}" for note in moment.notes)
    return moment.at


def _language(text: str, notes: list[str]) -> str | None:
    """The two-letter code, from a code, a tag such as en-US, or the language's name in any language."""
    if not text:
        return None
    try:
        tag = langcodes.get(text.partition(".")[0].replace("_", "-"))
        if tag.is_valid() and tag.language not in (None, "und", "mul", "zxx", "mis"):
            return tag.language
    except LanguageTagError:
        pass
    try:
        return langcodes.find(text).language
    except LookupError:
        notes.append(f"language {text!r} is not known; it is heard from the call instead")
        return None


def _agent_channel(text: str, notes: list[str]) -> int | None:
    channel = _CHANNELS.get(text.casefold())
    if text and channel is None:
        notes.append(f"agent_channel {text!r} is neither 0 (left) nor 1 (right); not used")
    return channel


def _paths(reader: _Reader, values: Mapping[str, str]) -> list[Path]:
    """The row's file, or its two, the agent's first as far as the columns or the files' names tell."""
    if path := values.get("path"):
        files = list(_files(reader.folder, path))
        if len(files) == 2 and _customer_first(files, reader.pair_suffixes):
            files.reverse()
    else:
        sides = (values.get(name, "") for name in ("path_agent", "path_customer"))
        files = [_file(reader.folder, side) for side in sides if side]
    if not files:
        raise BadManifestRow("the row names no recording", "Fill in its path.")
    reader.files.update(file.resolve() for file in files)
    return files


def _files(folder: Path, text: str) -> Iterator[Path]:
    """The file, or the two files with `|` or `;` between them, that a path cell names."""
    for separator in "|;":
        parts = [part.strip() for part in text.split(separator) if part.strip()]
        if len(parts) > 2:
            raise BadManifestRow(
                f"the path names {len(parts)} files", "A call is one file, or two: one a party."
            )
        if len(parts) == 2 and not (folder / text).exists():
            yield from (_file(folder, part) for part in parts)
            return
    yield _file(folder, text)


def _customer_first(files: Sequence[Path], pair_suffixes: Sequence[tuple[str, str]]) -> bool:
    first, second = (file.stem.lower() for file in files)
    return any(
        first.endswith(theirs.lower()) and second.endswith(agents.lower()) for agents, theirs in pair_suffixes
    )


def _file(folder: Path, text: str) -> Path:
    """The file that a path names, which must lie in the manifest's folder, also where links lead."""
    if _ADDRESS.match(text):
        raise BadManifestRow(
            "the path is an address on a network", "Fetch the recording, then give its path."
        )
    if _DRIVE.match(text):
        raise _leaves()
    root = folder.resolve()
    for form in (text, text.strip(), text.strip().replace("\\", "/")):
        file = folder / form
        try:
            if not file.resolve().is_relative_to(root):
                raise _leaves()
            if file.is_file():
                return file
        except (OSError, RuntimeError) as error:  # a name too long, or links in a circle
            raise BadManifestRow("the path cannot be followed", "Check the path.") from error
    raise BadManifestRow(
        "there is no such file",
        "Check the path, upper and lower case included; it counts from the manifest's folder.",
    )


def _leaves() -> BadManifestRow:
    return BadManifestRow(
        "the path leaves the manifest's folder", "Put the manifest into the folder above the recordings."
    )
