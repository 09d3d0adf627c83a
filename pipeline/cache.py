"""What the stages put out, kept on disk by the hash of what went into them.

So a changed rubric re-scores a thousand calls without transcribing one again, and a killed run goes on
where it stopped. An entry is JSON, packed with zlib, whose checksum tells a damaged entry.
"""

import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeAlias, TypeVar

import msgspec

from wellheard.pipeline.errors import CannotWrite

T = TypeVar("T")
KeyPart: TypeAlias = str | bytes | msgspec.Struct | Sequence[str]

_A_DAY_S = 86_400
# A recording that has not been scored again for so long is no longer worked on.
_UNUSED_DAYS = 90


class StageCache:
    """A folder of stage outputs; any number of workers may use it at once.

    Entries are for their owner alone. A damaged one is made again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder / "unfinished"
        with self._explain(), suppress(FileNotFoundError):
            self._sweep()

    def get_or_make(
        self,
        stage: str,
        key_parts: Sequence[KeyPart],
        type_: type[T],
        make: Callable[[], T],
        worth_keeping: Callable[[T], bool] = lambda _: True,
    ) -> T:
        """What `make` returned when it was last called with this stage and key, else what it returns now.

        `key_parts` are all that the output depends on: the stage's version, its settings, the models'
        fingerprints, its input. What `make` raises is passed on, and nothing is kept.

        Raises:
            CannotWrite: no right to the folder, or no space left.
        """
        path = self._path(stage, key_parts)
        with self._explain():
            kept = path.read_bytes() if path.exists() else None
            if kept is not None:
                os.utime(path)
        if kept is not None:
            with suppress(zlib.error, msgspec.DecodeError, UnicodeDecodeError):
                return msgspec.json.decode(zlib.decompress(kept), type=type_)
        made = make()
        data = msgspec.json.encode(made)
        if worth_keeping(made):
            with self._explain():
                self._keep(path, zlib.compress(data))
        # What is given out is the same now and later, also where a stage wrote 0 for 0.0: it is part of the
        # next stage's key.
        return msgspec.json.decode(data, type=type_)

    def forget(self) -> None:
        """Remove what no run has used for three months, so that the folder does not grow for ever.

        Raises:
            CannotWrite: no right to the folder.
        """
        with self._explain():
            for path in self._folder.glob("*/*/*"):
                _remove_if_older(path, _UNUSED_DAYS)

    def _path(self, stage: str, key_parts: Sequence[KeyPart]) -> Path:
        key = sha256()
        for part in key_parts:
            data = part if isinstance(part, bytes) else msgspec.json.encode(part, order="deterministic")
            key.update(b"%s %d " % (type(part).__name__.encode(), len(data)) + data)
        name = key.hexdigest()
        return self._folder / stage / name[:2] / name[2:]

    def _keep(self, path: Path, data: bytes) -> None:
        """Write an entry whole or not at all. No fsync: an entry that a power cut damages is made again."""
        for folder in (self._unfinished, path.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._unfinished, delete=False) as file:  # of mode 0600
            try:
                file.write(data)
                file.flush()
                Path(file.name).replace(path)
            except OSError:
                Path(file.name).unlink(missing_ok=True)
                raise

    @contextmanager
    def _explain(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CannotWrite(
                f"the stage cache {self._folder} cannot be used ({error.strerror or error})",
                "Make sure that it is a folder of yours with space left; it may be deleted at any time.",
            ) from error

    def _sweep(self) -> None:
        """Remove what killed runs left; a day old, so that nobody is still writing it."""
        for left_over in self._unfinished.iterdir():
            _remove_if_older(left_over, 1)


def _remove_if_older(path: Path, days: int) -> None:
    with suppress(FileNotFoundError):  # another run was faster
        if path.stat().st_mtime < time.time() - days * _A_DAY_S:
            path.unlink()
