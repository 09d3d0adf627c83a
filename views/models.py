"""The models: which there are, where they lie, and whether their files are the published ones."""

from collections.abc import Iterable

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from wellheard.models.store import FileRow, ModelRow
from wellheard.views.screen import plain


def models(rows: Iterable[ModelRow]) -> pa.Table:
    """Columns: `name, purpose, source, version, licence, size_bytes, path` (null: not on this machine)."""
    text = pa.string()
    fields: list[pa.Field[pa.DataType]] = [
        *(pa.field(name, text) for name in ("name", "purpose", "source", "version", "licence")),
        pa.field("size_bytes", pa.int64()),
        pa.field("path", text),
    ]
    return pa.Table.from_pylist(
        [
            {
                "name": row.name,
                "purpose": row.purpose,
                "source": row.source,
                "version": row.version,
                "licence": row.licence,
                "size_bytes": row.size_bytes,
                "path": str(row.path) if row.path else None,
            }
            for row in rows
        ],
        schema=pa.schema(fields),
    )


def files(rows: Iterable[FileRow]) -> pa.Table:
    """Columns: `name, file, state` (ok, missing, damaged) and `path`."""
    fields: list[pa.Field[pa.DataType]] = [
        pa.field(name, pa.string()) for name in ("name", "file", "state", "path")
    ]
    return pa.Table.from_pylist(
        [
            {
                "name": row.name,
                "file": row.file,
                "state": row.state,
                "path": str(row.path) if row.path else None,
            }
            for row in rows
        ],
        schema=pa.schema(fields),
    )


def show_models(console: Console, rows: pa.Table) -> None:
    """The rows of `models` for people."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("model", "what it does", "licence", "MB", "on this machine"):
        table.add_column(plain(name), justify="right" if name == "MB" else "left")
    for row in rows.to_pylist():
        size = f"{row['size_bytes'] / 1e6:,.0f}"
        here = plain("yes", "green") if row["path"] else plain("no", "yellow")
        table.add_row(
            plain(row["name"], "bold"), plain(row["purpose"]), plain(row["licence"]), plain(size), here
        )
    console.print(table)
    if None in rows["path"].to_pylist():
        console.print(
            plain("\nwellheard models pull NAME gets one; --format json shows sources and places.", "dim")
        )


def show_files(console: Console, rows: pa.Table) -> None:
    """The rows of `files` for people."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("model", "file", "state"):
        table.add_column(plain(name))
    for row in rows.to_pylist():
        style = {"ok": "green", "missing": "yellow"}.get(row["state"], "bold red")
        table.add_row(plain(row["name"], "bold"), plain(row["file"]), plain(row["state"], style))
    console.print(table)
