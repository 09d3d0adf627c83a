"""References: what is known to be in recordings, against which hearing is measured.

A recording `call_1.opus` has its reference in `call_1.json` or, of who speaks when alone, `call_1.rttm`:
beside it, or in a folder `reference` there or one up. One reference may serve several recordings of a call:
`call_1.json` is that of `call_1_mono.mp3` too.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from wellheard.pipeline.errors import BadReference, NoInput
from wellheard.pipeline.ingest import Found, find
from wellheard.pipeline.records import Failure, Source, Speaker
from wellheard.pipeline.settings import Settings

FOLDER = "reference"
# Who a speaker of a reference is to wellheard.
ROLES: dict[str, Speaker] = {"agent": "agent", "agent2": "agent", "customer": "customer", "system": "other"}


class ReferenceTurn(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks from when to when, and what is said, if that is known."""

    speaker: str
    start_s: float
    end_s: float
    text: str | None = None

    @property
    def role(self) -> Speaker:
        """What wellheard should call this speaker."""
        return ROLES.get(self.speaker, "other")


class ReferenceSound(msgspec.Struct, frozen=True, kw_only=True):
    """A sound behind the customer."""

    sound: str
    start_s: float
    end_s: float


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """One recording's reference, its turns in order of their start.

    Where `sounds` is None, it is not known which sounds there are.
    """

    turns: tuple[ReferenceTurn, ...]
    language: str | None = None
    sounds: tuple[ReferenceSound, ...] | None = None

    @property
    def verbatim(self) -> bool:
        """Whether it says what is said, word for word: what has no language is but a guide."""
        return self.language is not None and all(turn.text is not None for turn in self.turns)


def find_all(folders: Sequence[Path], settings: Settings) -> tuple[Found, dict[str, tuple[str, Reference]]]:
    """The recordings of the folders that have a reference.

    With them comes, by the recordings' `key`, the name of the folder and the reference.

    Raises:
        NoInput: no recording has one.
        BadReference: a reference cannot be read.
    """
    references: dict[str, tuple[str, Reference]] = {}
    sources: list[Source] = []
    failures: list[Failure] = []
    notes: list[str] = []
    for folder in folders:
        found = find([str(folder)], settings.ingest, settings.house)
        failures += found.failures
        notes += found.notes
        for source in found.sources:
            file = _file_of(Path(source.paths[0]))
            if file is not None:
                references[key(source.paths[0])] = (folder.resolve().name, read(file))
                sources.append(source)
    if not sources:
        raise NoInput(
            "no recording has a reference",
            "A reference has the recording's name and ends in .json or .rttm (docs/hearing.md).",
        )
    return Found(sources=tuple(sources), failures=tuple(failures), notes=tuple(notes)), references


def key(recording: str) -> str:
    """The recording's one path, however it is written."""
    return str(Path(recording).resolve())


def beside(recordings: Iterable[str]) -> dict[str, Reference]:
    """The references of those recordings that have one."""
    files = {recording: _file_of(Path(recording)) for recording in recordings}
    return {recording: read(file) for recording, file in files.items() if file is not None}


def read(file: Path) -> Reference:
    """A reference from JSON or RTTM.

    Raises:
        BadReference: the file cannot be read, is of another form, or says nothing.
    """
    try:
        if file.suffix == ".rttm":
            reference = Reference(turns=tuple(_rttm(file.read_text("utf-8"))))
        else:
            reference = msgspec.json.decode(file.read_bytes(), type=Reference)
    except (OSError, ValueError, IndexError) as error:  # msgspec's and Unicode's errors are ValueErrors
        raise BadReference(
            f"the reference {file} cannot be used ({error})",
            "docs/hearing.md says what a reference holds.",
        ) from error
    if not reference.turns:
        raise BadReference(f"the reference {file} has no turns", "Take it away, or say who speaks when.")
    turns = sorted(reference.turns, key=lambda turn: turn.start_s)
    return msgspec.structs.replace(reference, turns=tuple(turns))


def _file_of(recording: Path) -> Path | None:
    """The reference with the recording's name, or with the longest name that this one goes on from.

    It lies beside the recording, or in a folder for references there or one up.
    """
    beside = recording.parent
    for folder in (beside, beside / FOLDER, beside.parent / FOLDER):
        named = [file for kind in ("json", "rttm") for file in folder.glob(f"*.{kind}")]
        fitting = [file for file in named if f"{recording.stem}_".startswith(f"{file.stem}_")]
        if fitting:
            return max(fitting, key=lambda file: (len(file.stem), file.suffix == ".json"))
    return None


def _rttm(text: str) -> Iterable[ReferenceTurn]:
    for line in text.splitlines():
        fields = line.split()
        if fields and fields[0] == "SPEAKER":
            start_s = float(fields[3])
            yield ReferenceTurn(speaker=fields[7], start_s=start_s, end_s=start_s + float(fields[4]))
