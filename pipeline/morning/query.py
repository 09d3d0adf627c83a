"""Questions in SQL over the results, answered by DuckDB, which is shown the datasets and nothing else.

The engine gets each dataset as a stream of rows that this process reads. It may open no file, no network
connection and no extension itself, and what it may do is locked before the question is read.
"""

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from wellheard.pipeline.datasets import PARTITIONED_BY, SCHEMAS
from wellheard.pipeline.errors import DamagedResults, WellheardError
from wellheard.pipeline.store import Results

ENGINE_MEMORY = "1GB"
MOST_BYTES = 256 * 2**20
"""The largest answer, in memory."""

_SEALED: dict[str, Any] = {
    "enable_external_access": False,
    "allow_community_extensions": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # else SQL could name variables of this program
    "temp_directory": "",  # what does not fit into memory is refused, never written to disk
    "memory_limit": ENGINE_MEMORY,
}
# Further functions in FROM read files, or take addresses in memory.
_FUNCTIONS_IN_FROM = {"generate_series", "range", "unnest"}
# Their messages are about the SQL alone; all others may quote what was said.
_ABOUT_THE_SQL = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
_UNREADABLE = re.compile(r"reading the stream registered as .*? failed: (?:\w+: )?(.*)")
_WHAT_THERE_IS = 'wellheard query "SHOW TABLES" and "DESCRIBE calls" name what there is.'

_NUMBERS = {
    *("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
    *("boolean", "float", "double"),
}
_MOMENTS = {"date", "timestamp", "timestamp with time zone"}
_AS_OTHER = {"decimal": "DOUBLE", "hugeint": "BIGINT", "uhugeint": "BIGINT"}


class BadQuery(WellheardError):
    """The SQL is wrong, asks for more than the datasets, or its answer is too large."""


class Answer(NamedTuple):
    """The rows asked for, and which of the datasets asked have nothing stored."""

    rows: pa.Table
    missing: tuple[str, ...]


def answer(results: Results, sql: str) -> Answer:
    """Run one SELECT (or SHOW, DESCRIBE, SUMMARIZE) over the datasets, each a view of its own name.

    Column names of the answer are unique; types are those that Parquet, CSV and JSON all know.

    Raises:
        BadQuery: see there.
        NoResults, DamagedResults: as `Results.table` does.
    """
    results.table("agents", [], pc.scalar(False))  # raises where there are no results at all
    attempts = 5
    while True:
        attempts -= 1
        try:
            return _answer(results.folder, sql)
        except FileNotFoundError:  # a writer moved a call away between our listing and our reading
            if not attempts:
                raise


def _answer(folder: Path, sql: str) -> Answer:
    streams = {dataset: _Stored(folder, dataset) for dataset in SCHEMAS}
    with duckdb.connect(config=_SEALED) as engine:
        for dataset, stream in streams.items():
            engine.register(dataset, stream)
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute("SET lock_configuration = true")
        try:
            rows = _interruptible(engine, sql)
        except duckdb.OutOfMemoryException as error:
            raise BadQuery(
                f"This question needs more than {ENGINE_MEMORY} of memory",
                "Name fewer columns, or narrow it with WHERE on agent_id or date.",
            ) from error
        except duckdb.Error as error:
            _check_files(error)
            raise BadQuery(f"This question cannot be answered: {_said(error)}", _WHAT_THERE_IS) from error
    missing = (name for name, stream in streams.items() if stream.asked and not (folder / name).is_dir())
    return Answer(rows, tuple(missing))


def _check_files(error: duckdb.Error) -> None:
    """Tell a results file that cannot be read from SQL that cannot be answered."""
    failed = _UNREADABLE.search(str(error))
    if not failed:
        return
    if "No such file" in failed[1]:
        raise FileNotFoundError(failed[1]) from error
    raise DamagedResults(
        f"A results file is damaged: {failed[1]}",
        "Move that file away, with those of the same agent and date in the other datasets, "
        "and score these calls again.",
    ) from error


def _interruptible(engine: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The rows; Ctrl-C ends the question, which the engine alone, busy in this thread, would not hear."""

    def ask() -> pa.Table:
        _check(engine, sql)
        return _rows(engine.sql(sql))

    with ThreadPoolExecutor(1) as other_thread:
        asked = other_thread.submit(ask)
        try:
            return asked.result()
        except KeyboardInterrupt:
            engine.interrupt()
            raise


class _Stored(ds.Dataset):
    """A dataset that keeps nothing of the files that it has read (Arrow's keeps 32 kB of each).

    DuckDB asks for columns and passes conditions on, so files that cannot hold what is wanted stay closed.
    """

    def __init__(self, folder: Path, dataset: str) -> None:
        self.asked = False
        self._folder = folder / dataset
        self._schema = SCHEMAS[dataset]
        self._folders = pa.schema([(name, pa.string()) for name in PARTITIONED_BY[dataset]])

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def scanner(  # type: ignore[override]
        self, columns: list[str] | None = None, filter: pc.Expression | None = None, **_: Any
    ) -> ds.Scanner:
        self.asked = True
        stored: ds.Dataset = ds.dataset(self._schema.empty_table())
        if self._folder.is_dir():
            folders = ds.partitioning(self._folders, flavor="hive")
            stored = ds.dataset(
                str(self._folder), schema=self._schema, format="parquet", partitioning=folders
            )
        return stored.scanner(
            columns=columns, filter=filter, batch_size=8192, batch_readahead=4, cache_metadata=False
        )


def _check(engine: duckdb.DuckDBPyConnection, sql: str) -> None:
    statements = engine.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise BadQuery(
            "Only one SELECT at a time can be answered, nothing is changed or written",
            "Take --out FILE to write rows. PIVOT needs its columns named: ON answer IN ('yes', 'no').",
        )
    if statements[0].named_parameters:
        raise BadQuery("The SQL has a parameter (? or $1) that nothing fills", "Write the value itself.")
    ((tree,),) = engine.execute("SELECT json_serialize_sql(?)", [statements[0].query]).fetchall()
    for name in _functions_in_from(json.loads(tree)):
        if name not in _FUNCTIONS_IN_FROM:
            raise BadQuery(f"{name}(…) cannot be read from: only the datasets can", _WHAT_THERE_IS)


def _functions_in_from(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        if tree.get("type") == "TABLE_FUNCTION":
            yield tree["function"]["function_name"].lower()
        tree = tree.values()
    elif not isinstance(tree, list):
        return
    for part in tree:
        yield from _functions_in_from(part)


def _rows(asked: duckdb.DuckDBPyRelation) -> pa.Table:
    names = _unique(asked.columns)
    plain = [f"{_plain(place, kind)} AS c{place}" for place, kind in enumerate(asked.types, 1)]
    reader = asked.project(", ".join(plain)).to_arrow_reader(8192)
    pieces, size = [], 0
    for piece in reader:
        pieces.append(piece)
        size += piece.nbytes
        if size > MOST_BYTES:
            raise BadQuery(
                f"This answer is larger than {MOST_BYTES // 2**20} MB",
                "Name the columns that you need, count, or add LIMIT.",
            )
    return pa.Table.from_batches(pieces, reader.schema).rename_columns(names)


def _unique(names: list[str]) -> list[str]:
    taken: list[str] = []
    for name in names:
        number, given = 2, name
        while name in taken:
            name, number = f"{given}_{number}", number + 1
        taken.append(name)
    return taken


def _plain(place: int, kind: Any) -> str:
    if kind.id in _MOMENTS:  # infinity and the like are no date elsewhere
        return f"CASE WHEN isfinite(#{place}) AND year(#{place}) BETWEEN 1 AND 9999 THEN #{place} END"
    return f"CAST(#{place} AS {_plain_type(kind)})"


def _plain_type(kind: Any) -> str:
    """The SQL type nearest to DuckDB's own that Parquet, CSV and JSON all know."""
    match kind.id:
        case "list" | "array":
            return f"{_plain_type(kind.children[0][1])}[]"
        case "map":
            key, value = (_plain_type(part) for _, part in kind.children)
            return f"MAP({key}, {value})"
        case "struct":
            parts = (f"{_quoted(name)} {_plain_type(part)}" for name, part in kind.children)
            return f"STRUCT({', '.join(parts)})"
        case known if known in _NUMBERS | _MOMENTS:
            return str(known)
    return _AS_OTHER.get(kind.id, "VARCHAR")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _said(error: duckdb.Error) -> str:
    """One line of what is wrong, without any value."""
    if isinstance(error, _ABOUT_THE_SQL):
        text = " ".join(str(error).partition("\n\nLINE ")[0].split())
        return text.partition(' Did you mean "pg_')[0].rstrip(".!")  # its own tables are none of ours
    if isinstance(error, duckdb.PermissionException):
        return "it may read the datasets alone, no files and nothing from the network"
    kind = type(error).__name__.removesuffix("Exception")
    return f"a value does not fit what the SQL does with it ({kind}); TRY_CAST gives null for such values"
