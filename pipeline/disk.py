"""Files that appear whole or not at all, for their owner alone."""

import json
import os
from io import BufferedWriter
from pathlib import Path


def private_file(path: Path) -> BufferedWriter:
    """A new file that only its owner can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def sync(path: Path) -> None:
    """Wait until the file is on the disk for good."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def put(path: Path, value: object) -> None:
    """Write a value as JSON, in place of what was there."""
    new = path.with_suffix(".new")
    with private_file(new) as file:
        file.write(json.dumps(value).encode())
    sync(new)
    new.replace(path)
