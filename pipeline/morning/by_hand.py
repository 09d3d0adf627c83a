"""The datasets that people fill: one file a day, written whole and put in place by a rename.

Several people may write at once, also while a night is being scored: the lock is not scoring's, and scoring
never touches these files.
"""

from collections.abc import Callable
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from wellheard.pipeline.datasets import file_schema, from_rows
from wellheard.pipeline.disk import private_file, sync
from wellheard.pipeline.errors import CannotWrite
from wellheard.pipeline.store import Results

_PRIVATE = ".wellheard"
_FILE_NAME = "part-0.parquet"
_WAIT_S = 30.0

Rows = list[dict[str, Any]]


def change(results: Results, dataset: str, day: str, new: Callable[[Rows], Rows]) -> None:
    """Put in place of a day's rows what `new` makes of them.

    Raises:
        NoResults: no run has ever stored into this folder.
        CannotWrite: no right to, or no space left, or somebody else is writing for long.
    """
    of_day = pc.field("date") == day
    results.table(dataset, filter=of_day)
    private = results.folder / _PRIVATE
    try:
        private.mkdir(parents=True, exist_ok=True)
        with FileLock(private / f"{dataset}.lock", mode=0o600, timeout=_WAIT_S):
            rows = new(results.table(dataset, filter=of_day).to_pylist())
            part = private / f"{dataset}.part"
            with private_file(part) as file:
                pq.write_table(from_rows(rows, file_schema(dataset)), file, compression="zstd")
            sync(part)
            path = results.folder / dataset / f"date={day}" / _FILE_NAME
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)
    except Timeout as error:
        raise CannotWrite(
            f"Somebody else is writing {dataset} into {results.folder}", "Run the same command again."
        ) from error
    except OSError as error:
        raise CannotWrite(
            f"{results.folder} cannot be written ({error.strerror or error})",
            "Make sure that it is a folder of yours with space left.",
        ) from error
