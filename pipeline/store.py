"""Results as Parquet: five datasets, each a folder under the results folder.

`calls`, `turns`, `marks` and `agents` are hive-partitioned by `agent_id=…/date=…`, `failures` by `date=…`.
A partition is one file, rewritten whole and put in place by a rename, so no reader meets half a file. The
date is the house's day of the call's start, or `unknown`. docs/results.md lists the columns.
"""

import json
import os
import re
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, tzinfo
from io import BufferedWriter
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from wellheard.pipeline.agents import summarise
from wellheard.pipeline.errors import BadManifestRow, CannotWrite, DamagedResults, NoResults
from wellheard.pipeline.records import CallResult, Failure

UNKNOWN = "unknown"

_Type: TypeAlias = pa.DataType
_text, _real, _whole = pa.string(), pa.float64(), pa.int32()


def _list_of(**fields: _Type) -> _Type:
    return pa.list_(pa.struct(list(fields.items())))


_columns: dict[str, dict[str, _Type]] = {
    "calls": {
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "agent_name": _text,
        "team": _text,
        "region": _text,
        "customer_segment": _text,
        "company": _text,
        "direction": _text,
        "started_at": pa.timestamp("us", tz="UTC"),
        "started_local": _text,
        "agent_channel": _whole,
        "extra": pa.map_(_text, _text),
        "paths": pa.list_(_text),
        "audio_id": _text,
        "channels": _whole,
        "duration_s": _real,
        "expected_s": _real,
        "language": _text,
        "language_probability": _real,
        "language_given": _text,
        "role_confidence": _real,
        "unheard": pa.list_(_text),
        "waiting_s": _real,
        "overlap_s": _real,
        "parties": _list_of(speaker=_text, talk_s=_real, talk_share=_real, words_per_minute=_real),
        "silences": _list_of(start_s=_real, end_s=_real),
        "holds": _list_of(start_s=_real, end_s=_real),
        "interruptions": _list_of(at_s=_real, by=_text),
        "scores": _list_of(rubric=_text, score=_real, counted=_whole, unsure=_whole),
        "notes": pa.list_(_text),
    },
    "turns": {
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "turn": _whole,
        "speaker": _text,
        "start_s": _real,
        "end_s": _real,
        "text": _text,
        "words": _list_of(start_s=_real, end_s=_real, text=_text, probability=_real),
    },
    "marks": {
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "rubric": _text,
        "rubric_version": _text,
        "criterion": _text,
        "answer": _text,
        "confidence": _real,
        "weight": _real,
        "critical": pa.bool_(),
        "reason": _text,
        "evidence": _list_of(start_s=_real, end_s=_real, speaker=_text, quote=_text),
        "judge": _text,
        "judge_version": _text,
    },
    "agents": {
        "agent_id": _text,
        "date": _text,
        "agent_name": _text,
        "team": _text,
        "region": _text,
        "calls": _whole,
        "seconds": _real,
        "rubrics": _list_of(rubric=_text, score=_real, calls=_whole),
        "criteria": _list_of(rubric=_text, criterion=_text, yes=_whole, no=_whole, na=_whole, unsure=_whole),
    },
    "failures": {
        "call_id": _text,
        "agent_id": _text,
        "date": _text,
        "path": _text,
        "stage": _text,
        "reason": _text,
        "advice": _text,
    },
}
SCHEMAS: dict[str, pa.Schema] = {dataset: pa.schema(columns) for dataset, columns in _columns.items()}

PARTITIONED_BY: dict[str, tuple[str, ...]] = {
    "calls": ("agent_id", "date"),
    "turns": ("agent_id", "date"),
    "marks": ("agent_id", "date"),
    "agents": ("agent_id", "date"),
    "failures": ("date",),
}

_ORDER = {
    "calls": ("call_id",),
    "turns": ("call_id", "turn"),
    "marks": ("call_id", "rubric", "criterion"),
    "failures": ("call_id", "path"),
}
_FILE_NAME = "part-0.parquet"
_LONGEST_NAME = 255  # bytes; what nearly all file systems take
_COMMITTED_AT_ONCE = 64  # partitions
_SYNCED_AT_ONCE = 16  # files


class Partition(NamedTuple):
    """The calls of one agent on one day."""

    agent_id: str
    date: str


class Results:
    """A folder of results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def table(
        self, dataset: str, columns: Sequence[str] | None = None, filter: pc.Expression | None = None
    ) -> pa.Table:
        """The rows of one of `SCHEMAS`, agent and date as text; `filter` reads only the partitions it needs.

        Raises:
            NoResults: nothing was ever stored in this folder.
        """
        if not any((self.folder / name).is_dir() for name in SCHEMAS):
            raise NoResults(
                f"{self.folder} holds no results",
                "Check the path, or fill it with: wellheard score … --results",
            )
        attempts = 5
        while True:
            attempts -= 1
            try:
                return _table(self.folder / dataset, dataset, columns, filter)
            except FileNotFoundError:  # a writer moved a call away between our listing and our reading
                if not attempts:
                    raise

    @contextmanager
    def writer(self, zone: tzinfo, on_wait: Callable[[str], None]) -> Iterator["Writer"]:
        """The one writer of this folder; days are those of `zone`, the house's.

        While another run writes here, `on_wait` is told who, and this call waits until that run has ended.
        What was added is stored when the block is left without an error.

        Raises:
            CannotWrite: the folder cannot be made or written.
        """
        private = self.folder / ".wellheard"
        with _explain(self.folder):
            private.mkdir(parents=True, exist_ok=True)
            lock = FileLock(private / "lock", mode=0o600)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                on_wait(_holder(private))
                lock.acquire(poll_interval=0.2)
        try:
            with _explain(self.folder):
                _put(private / "holder.json", _me())
                writer = Writer(self.folder, zone)
            yield writer
            writer.flush()
        finally:
            with suppress(OSError):
                (private / "holder.json").unlink()
            lock.release()


class Writer:
    """Adds to the results; made by `Results.writer`, which makes sure that there is only one.

    Nothing is on disk before `flush`. Of a partition, `calls` is written last. A flush that is cut off
    leaves a list of what it was about to write; the next writer puts those partitions right.
    """

    def __init__(self, folder: Path, zone: tzinfo) -> None:
        self._folder = folder
        self._zone = zone
        self._private = folder / ".wellheard"
        self._half_done = self._private / "half-done.json"
        self._written: list[tuple[Path | None, Path]] = []
        self._results: dict[str, CallResult] = {}
        self._failures: dict[tuple[str, str], dict[str, Any]] = {}
        self._new_failures: set[tuple[str, str]] = set()
        self._seen_ids: set[str] = set()
        self._seen_paths: set[str] = set()
        for left_over in self._private.glob("*.new"):
            left_over.unlink()
        self._names = _FolderNames(folder)
        if self._half_done.exists():
            for agent_id, date in json.loads(self._half_done.read_bytes()):
                self._rewrite(Partition(agent_id, date), [], set())
                self._commit()
            self._half_done.unlink()
        stored = _table(folder / "calls", "calls", ["call_id", "agent_id", "date"], None)
        self._where = {
            call_id: Partition(agent_id, date)
            for call_id, agent_id, date in zip(
                *(column.to_pylist() for column in stored.columns), strict=True
            )
        }
        earlier = _table(folder / "failures", "failures", None, None).to_pylist()
        self._earlier_failures = {(row["call_id"], row["path"]): row for row in earlier}

    @property
    def waiting(self) -> int:
        """How many calls are waiting for `flush`."""
        return len(self._results)

    def check_agent(self, agent_id: str) -> None:
        """Make sure that this agent's calls can be stored, before work is spent on them.

        Raises:
            BadManifestRow: the id cannot be made a folder's name.
        """
        self._names.name(_agent(agent_id))

    def add(self, result: CallResult) -> None:
        """Store this call, in place of whatever was stored of it before, also under another agent or day."""
        call_id = _storable(result.info.call_id)
        if not call_id:
            raise ValueError("a scored call must have a call_id")
        self.check_agent(result.info.agent_id)
        self._results[call_id] = result
        self._seen_ids.add(call_id)
        self._seen_paths.update(map(_storable, result.paths))

    def fail(self, failure: Failure, started_at: datetime | None = None) -> None:
        """Store that this call could not be scored. What an earlier run stored of it stays."""
        row = {name: _storable(value) for name, value in msgspec.structs.asdict(failure).items()}
        key = (row["call_id"], row["path"])
        self._failures[key] = {**row, "date": _day(started_at, self._zone)}
        self._new_failures.add(key)
        self._seen_ids.update({row["call_id"]} - {""})
        self._seen_paths.update({row["path"]} - {""})

    def flush(self) -> None:
        """Put all that was added on disk.

        Raises:
            CannotWrite: no right to, or no space left. What was stored before is untouched.
        """
        with _explain(self._folder):
            self._written.clear()  # what a flush that failed has left
            if self._results:
                self._flush_results()
            self._flush_failures()

    def _flush_results(self) -> None:
        arriving: defaultdict[Partition, dict[str, CallResult]] = defaultdict(dict)
        leaving: defaultdict[Partition, set[str]] = defaultdict(set)
        for call_id, result in self._results.items():
            target = Partition(_agent(result.info.agent_id), _day(result.info.started_at, self._zone))
            arriving[target][call_id] = result
            before = self._where.get(call_id, target)
            if before != target:
                leaving[before].add(call_id)
        _put(self._half_done, sorted({*arriving, *leaving}))
        for partition in sorted(leaving):
            self._rewrite(partition, [], leaving[partition])
            self._commit()
        for number, partition in enumerate(sorted(arriving), 1):
            results = arriving[partition]
            self._rewrite(partition, [*results.items()], set(results))
            if number % _COMMITTED_AT_ONCE == 0:
                self._commit()
        self._commit()
        for partition, results in arriving.items():
            self._where.update(dict.fromkeys(results, partition))
        self._half_done.unlink()
        self._results.clear()

    def _rewrite(self, partition: Partition, add: list[tuple[str, CallResult]], drop: set[str]) -> None:
        """Write a partition without the calls in `drop` and without turns and marks that have no call."""
        calls = self._stored("calls", partition)
        kept = [call_id for call_id in calls["call_id"].to_pylist() if call_id not in drop]
        new: dict[str, list[dict[str, Any]]] = {
            "turns": [row for call_id, result in add for row in _turn_rows(call_id, result)],
            "marks": [row for call_id, result in add for row in _mark_rows(call_id, result)],
            "calls": [_call_row(call_id, result, self._zone) for call_id, result in add],
        }
        tables = {}
        for dataset, rows in new.items():
            old = calls if dataset == "calls" else self._stored(dataset, partition)
            old = old.filter(pc.is_in(old["call_id"], value_set=pa.array(kept, _text)))
            tables[dataset] = pa.concat_tables([old, _from_rows(rows, old.schema)]).sort_by(
                [(column, "ascending") for column in _ORDER[dataset]]
            )
        days = summarise(
            *(_with_columns(tables[dataset], partition._asdict()) for dataset in ("calls", "marks"))
        )
        tables["agents"] = _from_rows(days, _file_schema("agents"))
        # A call comes last and goes first, so that none is ever without its turns and marks.
        order = ("turns", "marks", "agents", "calls") if add else ("calls", "agents", "turns", "marks")
        for dataset in order:
            self._write(dataset, partition, tables[dataset])

    def _flush_failures(self) -> None:
        """Failures of earlier runs go where this run met the call again, scored or failed."""
        gone = {
            key
            for key, row in self._earlier_failures.items()
            if row["call_id"] in self._seen_ids or row["path"] in self._seen_paths
        }
        dates = {self._earlier_failures[key]["date"] for key in gone}
        dates |= {self._failures[key]["date"] for key in self._new_failures}
        staying = {key: row for key, row in self._earlier_failures.items() if key not in gone}
        for date in sorted(dates):
            rows = [row for row in {**staying, **self._failures}.values() if row["date"] == date]
            rows.sort(key=lambda row: [row[column] for column in _ORDER["failures"]])
            self._write("failures", Partition("", date), _from_rows(rows, _file_schema("failures")))
        self._commit()
        self._earlier_failures = staying
        self._new_failures.clear()

    def _stored(self, dataset: str, partition: Partition) -> pa.Table:
        path = self._path(dataset, partition)
        if not path.exists():
            return _file_schema(dataset).empty_table()
        with _explain_damage():
            return ds.dataset(str(path), schema=_file_schema(dataset), format="parquet").to_table()

    def _write(self, dataset: str, partition: Partition, table: pa.Table) -> None:
        """Make a partition's new file, for `_commit` to put in place; none where no row is left."""
        new = self._private / f"{len(self._written)}.new" if len(table) else None
        if new:
            with _private_file(new) as file:
                pq.write_table(table, file, compression="zstd")
        self._written.append((new, self._path(dataset, partition)))

    def _commit(self) -> None:
        """Put what was written in place, in that order, once it is on the disk for good."""
        with ThreadPoolExecutor(_SYNCED_AT_ONCE) as pool:  # twenty times as fast as one by one
            list(pool.map(_sync, [new for new, _ in self._written if new]))
        for new, path in self._written:
            if new:
                path.parent.mkdir(parents=True, exist_ok=True)
                new.replace(path)
            else:
                _remove(path)
        self._written.clear()

    def _path(self, dataset: str, partition: Partition) -> Path:
        parts = [f"date={partition.date}"]
        if "agent_id" in PARTITIONED_BY[dataset]:
            parts.insert(0, f"agent_id={self._names.name(partition.agent_id)}")
        return self._folder.joinpath(dataset, *parts, _FILE_NAME)


class _FolderNames:
    """Folder names for agents: percent-escaped as Hive does, and apart also on disks that ignore case.

    An id that differs from an earlier one in case alone (`anna` after `Anna`) has its letters escaped too.
    """

    def __init__(self, folder: Path) -> None:
        self._name_of: dict[str, str] = {}
        self._taken: set[str] = set()
        for dataset, columns in PARTITIONED_BY.items():
            if "agent_id" in columns and (folder / dataset).is_dir():
                for entry in os.scandir(folder / dataset):
                    column, equals, name = entry.name.partition("=")
                    if column == "agent_id" and equals:
                        self._take(unquote(name), name)

    def name(self, agent_id: str) -> str:
        known = self._name_of.get(agent_id)
        if known is not None:
            return known
        name = _escape(agent_id, keep=r"[^A-Za-z0-9_-]")
        if name.casefold() in self._taken:
            name = _escape(agent_id, keep=r"[^0-9_-]")
        if len(f"agent_id={name}") > _LONGEST_NAME or agent_id == "__HIVE_DEFAULT_PARTITION__":
            raise BadManifestRow(
                f"agent id {agent_id!r} cannot be made the name of a folder",
                "Give this agent a shorter id; letters and digits of ASCII take the least room.",
            )
        self._take(agent_id, name)
        return name

    def _take(self, agent_id: str, name: str) -> None:
        self._name_of[agent_id] = name
        self._taken.add(name.casefold())


def _escape(text: str, keep: str) -> str:
    return re.sub(keep.encode(), lambda match: b"%%%02X" % match[0][0], text.encode()).decode()


def _call_row(call_id: str, result: CallResult, zone: tzinfo) -> dict[str, Any]:
    info = result.info
    started_at = _aware(info.started_at, zone)
    marks = result.scorecard.marks
    return {
        **msgspec.structs.asdict(info),
        "call_id": call_id,
        "started_at": started_at,
        "started_local": started_at and started_at.isoformat(),
        "extra": sorted(info.extra.items()),
        "paths": result.paths,
        "audio_id": result.audio_id,
        "channels": result.channels,
        "duration_s": result.duration_s,
        "expected_s": result.expected_s,
        "language": result.conversation.language,
        "language_probability": result.conversation.language_probability,
        "language_given": info.language,
        "role_confidence": result.conversation.role_confidence,
        "unheard": result.conversation.unheard,
        **msgspec.to_builtins(result.heard),
        "scores": [
            {
                "rubric": rubric,
                "score": score,
                "counted": sum(mark.rubric == rubric and mark.answer in ("yes", "no") for mark in marks),
                "unsure": sum(mark.rubric == rubric and mark.answer == "unsure" for mark in marks),
            }
            for rubric, score in sorted(result.scorecard.scores.items())
        ],
        "notes": result.notes,
    }


def _turn_rows(call_id: str, result: CallResult) -> Iterator[dict[str, Any]]:
    for number, turn in enumerate(result.conversation.turns):
        yield {
            "call_id": call_id,
            "turn": number,
            "speaker": turn.speaker,
            "start_s": turn.start_s,
            "end_s": turn.end_s,
            "text": turn.text,
            "words": msgspec.to_builtins(turn.words),
        }


def _mark_rows(call_id: str, result: CallResult) -> Iterator[dict[str, Any]]:
    for mark in result.scorecard.marks:
        yield {"call_id": call_id, **msgspec.to_builtins(mark)}


def _from_rows(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except UnicodeEncodeError:  # a file name that is no UTF-8
        return pa.Table.from_pylist(_all_storable(rows), schema=schema)


def _all_storable(value: Any) -> Any:
    match value:
        case str():
            return _storable(value)
        case Mapping():
            return {key: _all_storable(part) for key, part in value.items()}
        case list() | tuple():
            return [_all_storable(part) for part in value]
    return value


def _storable(text: str) -> str:
    """The text, with what is no Unicode (from odd file names) written as an escape."""
    return text.encode(errors="backslashreplace").decode()


def _agent(agent_id: str) -> str:
    return _storable(agent_id) or UNKNOWN


def _aware(moment: datetime | None, zone: tzinfo) -> datetime | None:
    return moment.replace(tzinfo=zone) if moment and moment.tzinfo is None else moment


def _day(moment: datetime | None, zone: tzinfo) -> str:
    aware = _aware(moment, zone)
    return aware.astimezone(zone).date().isoformat() if aware else UNKNOWN


def _file_schema(dataset: str) -> pa.Schema:
    """What is inside the files: all columns but those that the folders name."""
    return pa.schema([field for field in SCHEMAS[dataset] if field.name not in PARTITIONED_BY[dataset]])


def _with_columns(table: pa.Table, values: Mapping[str, str]) -> pa.Table:
    for name, value in values.items():
        table = table.append_column(name, pa.repeat(value, len(table)))
    return table


def _table(
    folder: Path, dataset: str, columns: Sequence[str] | None, filter: pc.Expression | None
) -> pa.Table:
    schema = SCHEMAS[dataset]
    if not folder.is_dir():
        table = schema.empty_table()
        return table if columns is None else table.select(list(columns))
    folders = ds.partitioning(pa.schema([(name, _text) for name in PARTITIONED_BY[dataset]]), flavor="hive")
    with _explain_damage():
        stored = ds.dataset(str(folder), schema=schema, format="parquet", partitioning=folders)
        return stored.to_table(columns=None if columns is None else list(columns), filter=filter)


def _private_file(path: Path) -> BufferedWriter:
    """A new file for its owner alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _put(path: Path, value: object) -> None:
    new = path.with_suffix(".new")
    with _private_file(new) as file:
        file.write(json.dumps(value).encode())
    _sync(new)
    new.replace(path)


def _remove(path: Path) -> None:
    """Remove a partition's file and the folders that it leaves empty."""
    path.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        with suppress(OSError):
            folder.rmdir()


def _me() -> dict[str, str]:
    return {
        "process": str(os.getpid()),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
    }


def _holder(private: Path) -> str:
    try:
        who = json.loads((private / "holder.json").read_bytes())
        named = f"process {who['process']} on {who['host']}, since {who['since']}"
    except (OSError, ValueError, KeyError):
        named = "it has just started"
    return f"Another run is writing into {private.parent} ({named}); waiting until it has ended."


@contextmanager
def _explain_damage() -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid as error:
        raise DamagedResults(
            f"A results file is damaged: {str(error).splitlines()[0]}",
            "Move that file away, with those of the same agent and date in the other datasets, "
            "and score these calls again.",
        ) from error


@contextmanager
def _explain(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(
            f"{folder} cannot be written ({error.strerror or error})",
            "Make sure that it is a folder of yours with space left, then run the same command again: "
            "it goes on where it stopped.",
        ) from error
