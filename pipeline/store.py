"""Results as Parquet: six datasets, each a folder under the results folder.

`calls`, `turns`, `acts` and `marks` are hive-partitioned by `agent_id=…/date=…`, `agents` and `failures` by
`date=…`. A partition is one file, rewritten whole and put in place by a rename, so no reader meets half a
file. The date is the house's day of the call's start, or `unknown`. docs/results.md lists the columns.
"""

import json
import os
import re
import socket
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, tzinfo
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from wellheard.pipeline.agents import summarise
from wellheard.pipeline.datasets import (
    PARTITIONED_BY,
    SCHEMAS,
    act_rows,
    agent_of,
    call_row,
    day_of,
    file_schema,
    from_rows,
    mark_rows,
    storable,
    turn_rows,
)
from wellheard.pipeline.disk import private_file, put, sync
from wellheard.pipeline.errors import BadManifestRow, CannotWrite, DamagedResults, NoResults
from wellheard.pipeline.records import CallResult, Failure
from wellheard.pipeline.whereabouts import Partition, Whereabouts

_ORDER = {
    "calls": ("call_id",),
    "turns": ("call_id", "turn"),
    "acts": ("call_id", "turn", "act"),
    "marks": ("call_id", "rubric", "criterion"),
    "failures": ("call_id", "path"),
}
_FAILURE_TEXTS = ("call_id", "agent_id", "path", "stage", "reason", "advice")
_PRIVATE = ".wellheard"
_FILE_NAME = "part-0.parquet"
_LONGEST_NAME = 255  # bytes; what nearly all file systems take
_COMMITTED_AT_ONCE = 64  # partitions
_SYNCED_AT_ONCE = 16  # files
_READ_AT_ONCE = 512  # files


class Results:
    """A folder of results.

    `untrusted` are criteria, rubric and name, whose marks are shown and count in no score (`corrected.py`).
    """

    untrusted: frozenset[tuple[str, str]] = frozenset()

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def table(
        self, dataset: str, columns: Sequence[str] | None = None, filter: pc.Expression | None = None
    ) -> pa.Table:
        """The rows of one of `SCHEMAS`, agent and date as text; `filter` reads only the partitions it needs.

        Raises:
            NoResults: no run has ever stored into this folder.
        """
        if not any((self.folder / name).is_dir() for name in (*SCHEMAS, _PRIVATE)):
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

    def partitions(self, call_ids: Collection[str]) -> set[Partition]:
        """Where these calls lie, as far as they are stored; no file is opened that is known of old."""
        kept = self.folder / _PRIVATE / "whereabouts.json"
        if not kept.exists():
            names = ("agent_id", "date", "call_id")
            rows = self.table("calls", names, pc.field("call_id").isin(pa.array(call_ids, pa.string())))
            return {Partition(row["agent_id"], row["date"]) for row in rows.to_pylist()}
        where = Whereabouts(self.folder / "calls", kept).find(self._call_ids)
        return {where[call_id] for call_id in call_ids if call_id in where}

    def _call_ids(self, partition: Partition) -> list[str]:
        there = (pc.field("agent_id") == partition.agent_id) & (pc.field("date") == partition.date)
        return [str(call_id) for call_id in self.table("calls", ["call_id"], there)["call_id"].to_pylist()]

    @contextmanager
    def writer(self, zone: tzinfo, on_wait: Callable[[str], None]) -> Iterator["Writer"]:
        """The one writer of this folder; days are those of `zone`, the house's.

        While another run writes here, `on_wait` is told who, and this call waits until that run has ended.
        What was added is stored when the block is left without an error.

        Raises:
            CannotWrite: the folder cannot be made or written.
        """
        private = self.folder / _PRIVATE
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
                put(private / "holder.json", _me())
                writer = Writer(self.folder, zone)
            yield writer
            writer.close()
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
        self._private = folder / _PRIVATE
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
            self._put_right([Partition(*names) for names in json.loads(self._half_done.read_bytes())])
        self._whereabouts = Whereabouts(folder / "calls", self._private / "whereabouts.json")
        self._where = self._whereabouts.find(self._call_ids)
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
        self._names.name(agent_of(agent_id))

    def add(self, result: CallResult) -> None:
        """Store this call, in place of whatever was stored of it before, also under another agent or day."""
        call_id = storable(result.info.call_id)
        if not call_id:
            raise ValueError("a scored call must have a call_id")
        self.check_agent(result.info.agent_id)
        self._results[call_id] = result
        self._seen_ids.add(call_id)
        self._seen_paths.update(map(storable, result.paths))

    def fail(self, failure: Failure) -> None:
        """Store that this call could not be scored. What an earlier run stored of it stays."""
        row = {
            **{name: storable(getattr(failure, name)) for name in _FAILURE_TEXTS},
            "date": day_of(failure.started_at, self._zone),
        }
        key = (row["call_id"], row["path"])
        self._failures[key] = row
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
            target = Partition(agent_of(result.info.agent_id), day_of(result.info.started_at, self._zone))
            arriving[target][call_id] = result
            before = self._where.get(call_id, target)
            if before != target:
                leaving[before].add(call_id)
        put(self._half_done, sorted({*arriving, *leaving}))
        days = {}
        for partition in sorted(leaving):
            days[partition] = self._rewrite(partition, [], leaving[partition])
            self._commit()
        for number, partition in enumerate(sorted(arriving), 1):
            results = arriving[partition]
            days[partition] = self._rewrite(partition, [*results.items()], set(results))
            if number % _COMMITTED_AT_ONCE == 0:
                self._commit()
        self._commit()
        self._rewrite_agents(days)
        for partition, results in arriving.items():
            self._where.update(dict.fromkeys(results, partition))
        self._half_done.unlink()
        self._results.clear()

    def _put_right(self, partitions: list[Partition]) -> None:
        """End what an earlier run was killed in: no turn or mark without its call, agents summed up anew."""
        days = {partition: self._rewrite(partition, [], set()) for partition in partitions}
        self._commit()
        self._rewrite_agents(days)
        self._half_done.unlink()

    def _rewrite(
        self, partition: Partition, add: list[tuple[str, CallResult]], drop: set[str]
    ) -> list[dict[str, Any]]:
        """Write a partition without the calls in `drop` and without turns and marks that have no call.

        Returns its row of `agents`, or none where no call is left.
        """
        calls = self._stored("calls", partition)
        kept = [call_id for call_id in calls["call_id"].to_pylist() if call_id not in drop]
        new: dict[str, list[dict[str, Any]]] = {
            "turns": [row for call_id, result in add for row in turn_rows(call_id, result)],
            "acts": [row for call_id, result in add for row in act_rows(call_id, result)],
            "marks": [row for call_id, result in add for row in mark_rows(call_id, result)],
            "calls": [call_row(call_id, result, self._zone) for call_id, result in add],
        }
        tables = {}
        for dataset, rows in new.items():
            old = calls if dataset == "calls" else self._stored(dataset, partition)
            old = old.filter(pc.is_in(old["call_id"], value_set=pa.array(kept, pa.string())))
            tables[dataset] = pa.concat_tables([old, from_rows(rows, old.schema)]).sort_by(
                [(column, "ascending") for column in _ORDER[dataset]]
            )
        # A call comes last and goes first, so that none is ever without its turns and marks.
        others = ("turns", "acts", "marks")
        for dataset in (*others, "calls") if add else ("calls", *others):
            self._write(dataset, partition, tables[dataset])
        named = partition._asdict()
        return summarise(_with_columns(tables["calls"], named), _with_columns(tables["marks"], named))

    def _rewrite_agents(self, days: Mapping[Partition, list[dict[str, Any]]]) -> None:
        for date in sorted({partition.date for partition in days}):
            new = {partition.agent_id: rows for partition, rows in days.items() if partition.date == date}
            old = self._stored("agents", Partition("", date))
            old = old.filter(pc.invert(pc.is_in(old["agent_id"], value_set=pa.array(new, pa.string()))))
            rows = from_rows([row for rows in new.values() for row in rows], old.schema)
            table = pa.concat_tables([old, rows]).sort_by("agent_id")
            self._write("agents", Partition("", date), table)
        self._commit()

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
            self._write("failures", Partition("", date), from_rows(rows, file_schema("failures")))
        self._commit()
        self._earlier_failures = staying
        self._new_failures.clear()

    def close(self) -> None:
        """Store what is waiting, and help the next writer to start quickly."""
        self.flush()
        with _explain(self._folder):
            self._whereabouts.keep(self._where)

    def _call_ids(self, partition: Partition) -> list[str]:
        return [str(call_id) for call_id in self._stored("calls", partition)["call_id"].to_pylist()]

    def _stored(self, dataset: str, partition: Partition) -> pa.Table:
        path = self._path(dataset, partition)
        if not path.exists():
            return file_schema(dataset).empty_table()
        with _explain_damage():
            return ds.dataset(str(path), schema=file_schema(dataset), format="parquet").to_table()

    def _write(self, dataset: str, partition: Partition, table: pa.Table) -> None:
        """Make a partition's new file, for `_commit` to put in place; none where no row is left."""
        new = self._private / f"{len(self._written)}.new" if len(table) else None
        if new:
            with private_file(new) as file:
                # A file is small and read whole: what would help to skip parts of it is half its bytes.
                pq.write_table(table, file, compression="zstd", write_statistics=False, store_schema=False)
        self._written.append((new, self._path(dataset, partition)))

    def _commit(self) -> None:
        """Put what was written in place, in that order, once it is on the disk for good."""
        with ThreadPoolExecutor(_SYNCED_AT_ONCE) as pool:  # twenty times as fast as one by one
            list(pool.map(sync, [new for new, _ in self._written if new]))
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
    named = pa.schema([(name, pa.string()) for name in PARTITIONED_BY[dataset]])
    folders = ds.partitioning(named, flavor="hive")
    with _explain_damage():
        stored = ds.dataset(str(folder), schema=schema, format="parquet", partitioning=folders)
        # Some files at a time: the dataset keeps what it learns of each file, 140 kB, as long as it lives.
        pieces = [stored.schema.empty_table().select(columns or stored.schema.names)]
        fragments = stored.get_fragments(filter=filter)
        while some := [
            stored.format.make_fragment(fragment.path, stored.filesystem, fragment.partition_expression)
            for fragment in islice(fragments, _READ_AT_ONCE)
        ]:
            piece = ds.FileSystemDataset(some, schema, stored.format, stored.filesystem)
            pieces.append(piece.to_table(columns=pieces[0].schema.names, filter=filter).combine_chunks())
        return pa.concat_tables(pieces).combine_chunks()


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
