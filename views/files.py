"""Files that a command writes: whole or not at all, and for their owner alone."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from wellheard.pipeline.errors import CannotWrite


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file that takes its name only when it is complete; its mode is 0600.

    What is no regular file (`/dev/stdout`, a pipe) is written straight into.

    Raises:
        CannotWrite: the folder is missing, or does not let us write.
    """
    try:
        if path.is_dir():
            raise CannotWrite(f"{path} is a folder", "Give the name of a file.")
        if path.exists() and (not path.is_file() or path.parent == Path("/dev")):
            with path.open("wb") as stream:
                write(stream)
            return
        path = path.resolve()
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    except OSError as error:
        raise _refused(path, error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, UTF-8; characters that UTF-8 cannot hold are shown as escapes."""
    write_whole(path, lambda stream: stream.write(text.encode("utf-8", errors="backslashreplace")))


def _refused(path: Path, error: OSError) -> CannotWrite:
    return CannotWrite(
        f"{path} cannot be written ({error.strerror})", "Check the folder and its permissions."
    )
