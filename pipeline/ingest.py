"""Stage 1, first half: which calls there are, in which files, and what is known of each unheard."""

import glob
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wellheard.pipeline import manifest, names
from wellheard.pipeline.errors import BadManifest, NoInput
from wellheard.pipeline.records import Failure, Record, Source
from wellheard.pipeline.settings import House, Ingest

# An encrypted recording is a recording, too: it must come out as a failure, not be passed over.
_RECORDING = re.compile(
    r".+\.(wav|wave|w64|wav49|mp3|mp2|mpga|m4a|m4b|mp4|mov|3gp|3g2|aac|ac3|ogg|oga|opus|spx|webm|mkv|mka|flac"
    r"|gsm|amr|awb|wma|asf|au|snd|aiff?|aifc|caf|avi|flv|wv|ape|tta|dss|voc|ulaw|ul|pcmu|mulaw|alaw|al|pcma"
    r"|sln|sln16|g722|g729|raw|pcm|vox)(\.(gpg|pgp|asc|enc|aes|age))?",
    re.IGNORECASE,
)
_COMPANION = re.compile(
    r"\..*|~\$.*|.*~|.*\.(part|partial|filepart|tmp|temp|crdownload|download|swp|lock)|thumbs\.db|desktop\.ini"
    r"|__macosx|@eadir|\$recycle\.bin|system volume information|lost\+found",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MANIFEST_NAMES = ("manifest.csv", "manifest.tsv", "manifest.parquet")

# Recorders write every second or so. A file that has not changed for this long is taken for whole.
_STILL_S = 2.0
_SHOWN = 3


class Found(Record):
    """The calls to be scored in a fixed order, what cannot be one, and what else there is to say."""

    sources: tuple[Source, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]


def find(inputs: Sequence[str], settings: Ingest, house: House) -> Found:
    """Find the calls in folders, globs, recordings and manifests.

    A folder is searched to its bottom. A `manifest.csv` (or .tsv, .parquet) in it names the calls it lists;
    the other recordings are named after their files. Files still being written are left for the next run.
    `docs/manifest.md` says all of it in full.

    Raises:
        NoInput: an input is not there, or there is no recording in any.
        BadManifest: a manifest given as input cannot be used.
        BadSettings: the file-name pattern is no regular expression.
    """
    search = _Search(settings, house)
    for text in inputs:
        search.look(text)
    loose = [path for resolved, path in search.recordings.items() if resolved not in search.listed_files]
    by_name, about_names = names.calls(loose, settings, house)
    growing = _growing(path for source in (*search.listed, *by_name) for path in source.paths)
    failures = search.failures
    sources: list[Source] = []
    waiting: list[str] = []
    for source in (*search.listed, *by_name):
        if growing.isdisjoint(source.paths):
            sources.append(source)
        elif source in search.listed:
            failures.append(
                Failure.of(
                    source, "ingest", "the recording is still being written", "Score it in the next run."
                )
            )
        else:
            waiting.append(" | ".join(Path(path).name for path in source.paths))
    sources, doubled = _one_each(sources)
    failures.extend(doubled)
    notes = [*search.notes, *about_names]
    if waiting:
        shown = ", ".join(waiting[:_SHOWN]) + (", …" if len(waiting) > _SHOWN else "")
        notes.append(f"still being written, left for the next run ({len(waiting)}): {shown}")
    notes.extend(search.about_skipped())
    if not (sources or failures or waiting):
        raise NoInput(
            " ".join([f"no recording in {', '.join(inputs)}", *(f"({note})" for note in notes)]),
            "Give a folder, a recording, a pattern such as 'calls/*.wav', or a manifest.",
        )
    return Found(sources=tuple(sources), failures=tuple(failures), notes=tuple(dict.fromkeys(notes)))


class _Search:
    """Goes through the inputs and keeps what it meets; recordings by their place with links followed."""

    def __init__(self, settings: Ingest, house: House) -> None:
        self.recordings: dict[Path, Path] = {}
        self.listed: list[Source] = []
        self.listed_files: set[Path] = set()
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self._settings = settings
        self._house = house
        self._manifests: set[Path] = set()
        self._companions = 0
        self._others: Counter[str] = Counter()
        self._unused_manifests: list[Path] = []

    def look(self, text: str) -> None:
        """Take one input as the user wrote it. What is there under this very name is no pattern."""
        path = Path(text).expanduser()
        try:
            if path.is_dir():
                self._walk(path)
            elif path.is_file():
                self._given(path)
            elif path.exists():
                raise NoInput(
                    f"{text} is neither a file nor a folder", "Give a folder, a recording or a manifest."
                )
            elif glob.has_magic(text):
                self._expand(path)
            elif "://" in text:
                raise NoInput(
                    f"{text} is an address on a network", "Fetch the recordings, then give their folder."
                )
            else:
                raise NoInput(f"{text} is not there", "Check the path.")
        except OSError as error:
            raise NoInput(f"{text} cannot be opened ({error.strerror})", "Check who may read it.") from error

    def about_skipped(self) -> Iterator[str]:
        """What was passed over, each kind in one line."""
        if self._companions:
            yield f"skipped as companions or unfinished (._*, .DS_Store, *.part, …): {self._companions}"
        if self._others:
            kinds = ", ".join(
                f"{count} {kind or 'without extension'}" for kind, count in sorted(self._others.items())
            )
            yield f"skipped as no recordings: {self._others.total()} ({kinds})"
        if self._unused_manifests:
            path = self._unused_manifests[0]
            name = f"manifest{path.suffix.lower()}"
            yield f"{path} may list calls; to use it, give it as input or name it {name}"

    def _given(self, path: Path) -> None:
        if path.suffix.lower() in manifest.EXTENSIONS:
            self._read_manifest(path)
        elif _COMPANION.fullmatch(path.name):
            self._companions += 1
        else:
            self._keep(path)

    def _keep(self, path: Path) -> None:
        readable = os.fsencode(path).decode("utf-8", "backslashreplace")
        readable = _CONTROL.sub(lambda character: f"\\x{ord(character[0]):02x}", readable)
        if readable == str(path):
            self.recordings.setdefault(path.resolve(), path)
        else:
            reason = "the file's name is no UTF-8 text, or holds control characters"
            self.failures.append(_failure(readable, reason, "Rename it."))

    def _expand(self, pattern: Path) -> None:
        found = sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - also absolute ones
        if not found:
            raise NoInput(f"nothing matches {pattern}", "Check the pattern, and put it in quotation marks.")
        asks_for_manifests = pattern.suffix.lower() in manifest.EXTENSIONS
        for path in map(Path, found):
            if path.is_dir():
                if "**" not in pattern.parts:
                    self._walk(path)
            elif asks_for_manifests or path.name.lower() in _MANIFEST_NAMES:
                self._read_manifest(path)
            else:
                self._sort_in(path)

    def _walk(self, folder: Path) -> None:
        seen: set[tuple[int, int]] = set()
        for here, folders, files in os.walk(folder, followlinks=True, onerror=self._closed):
            place = Path(here).stat()
            if (place.st_dev, place.st_ino) in seen:  # links in a circle
                folders.clear()
                continue
            seen.add((place.st_dev, place.st_ino))
            self._companions += sum(bool(_COMPANION.fullmatch(name)) for name in folders)
            folders[:] = sorted(name for name in folders if not _COMPANION.fullmatch(name))
            for path in (Path(here, name) for name in sorted(files)):
                if path.name.lower() in _MANIFEST_NAMES:
                    self._try_manifest(path)
                else:
                    self._sort_in(path)

    def _closed(self, error: OSError) -> None:
        self.failures.append(
            _failure(
                str(error.filename),
                f"the folder cannot be opened ({error.strerror})",
                "Check who may read it.",
            )
        )

    def _sort_in(self, path: Path) -> None:
        if _COMPANION.fullmatch(path.name):
            self._companions += 1
        elif _RECORDING.fullmatch(path.name):
            self._keep(path)
        else:
            self._others[path.suffix.lower() if path.suffix.isascii() else "other"] += 1
            if path.suffix.lower() in manifest.EXTENSIONS and path.suffix.lower() != ".txt":
                self._unused_manifests.append(path)

    def _try_manifest(self, path: Path) -> None:
        """Use the manifest that lies in a folder; a bad one must not stop the recordings beside it."""
        try:
            self._read_manifest(path)
        except BadManifest as error:
            self.failures.append(_failure(str(path), error.reason, error.advice))
        else:
            self.notes.append(f"{path} lies in the folder and names the calls that it lists")

    def _read_manifest(self, path: Path) -> None:
        if path.resolve() in self._manifests:
            return
        self._manifests.add(path.resolve())
        listing = manifest.read(path, self._settings, self._house)
        self.listed.extend(row for row in listing.rows if isinstance(row, Source))
        self.failures.extend(row for row in listing.rows if isinstance(row, Failure))
        self.listed_files |= listing.files
        self.notes.extend(listing.notes)


def _one_each(sources: Iterable[Source]) -> tuple[list[Source], list[Failure]]:
    """Each call_id once: two calls of one id would replace each other in the results."""
    kept: dict[str, Source] = {}
    order: list[Source] = []
    doubled: list[Failure] = []
    for source in sources:
        first = kept.setdefault(source.info.call_id, source) if source.info.call_id else source
        if first is source:
            order.append(source)
        else:
            doubled.append(
                Failure.of(
                    source,
                    "ingest",
                    f"call_id {source.info.call_id} is that of {' | '.join(first.paths)} already",
                    "Give each recording a call_id of its own.",
                )
            )
    return order, doubled


def _growing(paths: Iterable[str]) -> set[str]:
    """Those that someone is still writing: they changed just now, and again while one waits."""
    fresh: dict[str, tuple[int, int]] = {}
    wait_s = 0.0
    for path in paths:
        state = _state(path)
        age_s = time.time() - state[1] / 1e9 if state else _STILL_S
        if state and age_s < _STILL_S:
            fresh[path] = state
            wait_s = max(wait_s, min(_STILL_S, _STILL_S - age_s))
    if fresh:
        time.sleep(wait_s)
    return {path for path, state in fresh.items() if _state(path) != state}


def _state(path: str) -> tuple[int, int] | None:
    try:
        info = Path(path).stat()
    except OSError:
        return None
    return info.st_size, info.st_mtime_ns


def _failure(path: str, reason: str, advice: str) -> Failure:
    return Failure(call_id="", agent_id="unknown", path=path, stage="ingest", reason=reason, advice=advice)
