"""Reads the list of calls that a telephone system exports: CSV in any of its forms, or Parquet.

Everything is text: an id keeps its zeros. Each row becomes a `Source` or a `Failure`; none is lost.
`docs/manifest.md` tells QA leads what a manifest may hold.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import langcodes
import msgspec
from langcodes.tag_parser import LanguageTagError

from wellheard.pipeline import manifest_file, moments
from wellheard.pipeline.errors import BadManifest, BadManifestRow
from wellheard.pipeline.manifest_file import Table, plain
from wellheard.pipeline.records import CallInfo, Failure, Source
from wellheard.pipeline.settings import House, Ingest

EXTENSIONS = (".csv", ".tsv", ".txt", ".parquet", ".pq")

_PATHS = ("path", "path_agent", "path_customer")
_TEXTS = ("agent_name", "team", "region", "customer_segment", "direction", "company")
_FIELDS = (*_PATHS, "call_id", "agent_id", *_TEXTS, "started_at", "language", "agent_channel")


_NO_VALUE = {"", "NULL", "null", "\\N", "#N/A", "NaN", "nan", "None"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DAMAGED = re.compile(r"\d(?:[.,]\d+)?E[+-]\d{2,3}")
_DECIMAL = re.compile(r"\d+\.0")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_CHANNELS = {"0": 0, "0.0": 0, "left": 0, "l": 0, "1": 1, "1.0": 1, "right": 1, "r": 1}
_SHOWN = 5
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
    """Read a manifest.

    Raises:
        BadManifest: it cannot be read, has no rows, or no column with the recordings' paths.
    """
    table = manifest_file.read(path, (*_FIELDS, *settings.columns.values()), house)
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


def _named(path: Path, table: Table, mapping: Mapping[str, str]) -> tuple[dict[int, str], dict[int, str]]:
    """Which columns are fields of a call, and what the further ones are called."""
    own = {plain(name): name for name in _FIELDS}
    wanted = {plain(theirs): own.get(plain(ours), ours) for ours, theirs in mapping.items()}
    present = {plain(name) for name in table.header}
    for field_name, theirs in mapping.items():
        if plain(theirs) not in present:
            table.notes.append(f"has no column {theirs!r}, which the settings name for {field_name}")
    mapped = {name for key, name in wanted.items() if key in present}
    columns: dict[int, str] = {}
    extra: dict[int, str] = {}
    for index, name in enumerate(table.header):
        ours = wanted.get(plain(name)) or own.get(plain(name), "")
        if ours in mapped and plain(name) not in wanted:
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


def _no_path(path: Path, table: Table) -> BadManifest:
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
    if len(paths) == 2:
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
    if text.startswith('="') and text.endswith('"'):  # how some exports keep a spreadsheet from counting
        text = text[2:-1]
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
    """The row's file, or its two: the agent's first, as far as the columns or the files' names tell."""
    if path := values.get("path"):
        files = list(_files(reader.folder, path))
        channel = _CHANNELS.get(values.get("agent_channel", "").strip().casefold())
        if len(files) == 2 and (
            channel == 1 or (channel is None and _customer_first(files, reader.pair_suffixes))
        ):
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
