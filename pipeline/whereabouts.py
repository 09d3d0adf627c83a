"""Which partition each stored call lies in, known without opening the files of every night again.

The list is kept beside the results. What it says of a file counts only while the file is still the same
one; all others are read. So it may be lost, or the results changed by hand, and the answer stays right.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote

import msgspec

from wellheard.pipeline.disk import put

_Stamp: TypeAlias = tuple[int, int, int]


class Partition(NamedTuple):
    """The calls of one agent on one day."""

    agent_id: str
    date: str


class Whereabouts:
    """The partitions under `calls`, a dataset's folder, and the list of their calls in the file `kept`."""

    def __init__(self, calls: Path, kept: Path) -> None:
        self._calls = calls
        self._kept = kept

    def find(self, read: Callable[[Partition], list[str]]) -> dict[str, Partition]:
        """The partition of each call; `read` gives the calls of one that the list does not know."""
        known = {(partition, stamp): call_ids for partition, stamp, call_ids in self._remembered()}
        found = {}
        for partition, stamp in self._on_disk():
            call_ids = known.get((partition, stamp))
            found.update(dict.fromkeys(read(partition) if call_ids is None else call_ids, partition))
        return found

    def keep(self, where: Mapping[str, Partition]) -> None:
        """Write the list for the next run."""
        call_ids = defaultdict(list)
        for call_id, partition in where.items():
            call_ids[partition].append(call_id)
        put(self._kept, [(partition, stamp, call_ids[partition]) for partition, stamp in self._on_disk()])

    def _remembered(self) -> list[tuple[Partition, _Stamp, list[str]]]:
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode(
                self._kept.read_bytes(), type=list[tuple[Partition, _Stamp, list[str]]]
            )
        return []

    def _on_disk(self) -> Iterator[tuple[Partition, _Stamp]]:
        for agent in _folders(self._calls, "agent_id="):
            for date in _folders(Path(agent.path), "date="):
                with suppress(FileNotFoundError):
                    file = Path(date.path, "part-0.parquet").stat()
                    partition = Partition(unquote(agent.name[9:]), unquote(date.name[5:]))
                    yield partition, (file.st_ino, file.st_size, file.st_mtime_ns)


def _folders(folder: Path, column: str) -> Iterator["os.DirEntry[str]"]:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.name.startswith(column))
