"""What texts mean, as vectors: kept beside the results by hash of text, so that each text is read once.

One SQLite file a model, for its owner alone. It may be deleted at any time.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

_READ_AT_ONCE = 20_000
_WAIT_S = 30.0


def key(text: str) -> bytes:
    """Under which a text's vector is kept."""
    return sha256(text.encode(errors="backslashreplace")).digest()[:16]


class KeptVectors:
    """The vectors of one model, in a folder; several programs may use it at once."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Open the file, or make it; files of other models are removed.

        `kept` tells whether vectors outlive this object: not where the folder cannot be written. A damaged
        file is made anew, whenever that is found.
        """
        self._path = folder / f"{fingerprint}.sqlite"
        self.kept = True
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for other in folder.glob("*.sqlite"):
                if other != self._path:
                    other.unlink()
            self._open()
        except (OSError, sqlite3.OperationalError):  # no right to, no space, or locked for long
            self._keep_nothing()
        except sqlite3.DatabaseError:
            self._begin_anew()

    def _open(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connect(str(self._path))

    def _begin_anew(self) -> None:
        try:
            self._database.close()
            self._path.unlink(missing_ok=True)
            self._open()
        except (OSError, sqlite3.DatabaseError):
            self._keep_nothing()

    def _keep_nothing(self) -> None:
        self.kept = False
        self._connect(":memory:")

    def _connect(self, where: str) -> None:
        self._database = sqlite3.connect(where, timeout=_WAIT_S)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
        )

    def __iter__(self) -> Iterator[tuple[list[bytes], Vectors]]:
        """All that is kept, some at a time: keys, and their vectors of shape (keys, dimension)."""
        try:
            rows = self._database.execute("SELECT text, vector FROM vectors")
            while some := rows.fetchmany(_READ_AT_ONCE):
                stored = np.frombuffer(b"".join(vector for _, vector in some), np.float16)
                yield [text for text, _ in some], stored.reshape(len(some), -1).astype(np.float32)
        except sqlite3.DatabaseError:
            self._begin_anew()

    def get(self, text: bytes) -> Vectors | None:
        """One vector."""
        try:
            row = self._database.execute("SELECT vector FROM vectors WHERE text = ?", [text]).fetchone()
        except sqlite3.DatabaseError:
            self._begin_anew()
            return None
        return np.frombuffer(row[0], np.float16).astype(np.float32) if row else None

    def add(self, vectors: Mapping[bytes, Vectors]) -> None:
        """Keep these, at half precision, which moves a cosine by less than 0.001."""
        rows = [(text, vector.astype(np.float16).tobytes()) for text, vector in vectors.items()]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        except sqlite3.OperationalError:  # no space left, or read-only
            self.kept = False
        except sqlite3.DatabaseError:
            self._begin_anew()

    def forget_all_but(self, texts: Iterable[bytes]) -> None:
        """Remove the vectors of texts that are no longer in the results."""
        with suppress(sqlite3.DatabaseError), self._database:
            self._database.execute("CREATE TEMP TABLE wanted (text BLOB PRIMARY KEY) WITHOUT ROWID")
            self._database.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((text,) for text in texts))
            self._database.execute("DELETE FROM vectors WHERE text NOT IN (SELECT text FROM wanted)")
            self._database.execute("DROP TABLE wanted")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
