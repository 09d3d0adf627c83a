"""Stage 1, first half: which calls there are, in which files, and what is known of each unheard."""

import glob
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from wellheard.pipeline import manifest, moments
from wellheard.pipeline.errors import BadManifest, BadSettings, NoInput
from wellheard.pipeline.records import CallInfo, Failure, Record, Source
from wellheard.pipeline.settings import House, Ingest

AUDIO_EXTENSIONS = frozenset(
    (
        *(
            ".wav",
            ".wave",
            ".w64",
            ".wav49",
            ".mp3",
            ".mp2",
            ".mpga",
            ".m4a",
            ".m4b",
            ".mp4",
            ".mov",
            ".3gp",
            ".3g2",
        ),
        *(
            ".aac",
            ".ac3",
            ".ogg",
            ".oga",
            ".opus",
            ".spx",
            ".webm",
            ".mkv",
            ".mka",
            ".flac",
            ".gsm",
            ".amr",
            ".awb",
        ),
        *(
            ".wma",
            ".asf",
            ".au",
            ".snd",
            ".aif",
            ".aiff",
            ".aifc",
            ".caf",
            ".avi",
            ".wv",
            ".ape",
            ".tta",
            ".dss",
        ),
        *(
            ".voc",
            ".ulaw",
            ".ul",
            ".pcmu",
            ".mulaw",
            ".alaw",
            ".al",
            ".pcma",
            ".sln",
            ".sln16",
            ".g722",
            ".g729",
        ),
        *(".raw", ".pcm", ".vox"),
    )
)
_ENCRYPTED_EXTENSIONS = frozenset([".gpg", ".pgp", ".asc", ".enc", ".aes", ".age"])
_COMPANIONS = re.compile(
    r"\..*|~\$.*|.*~|.*\.(part|partial|filepart|tmp|temp|crdownload|download|swp|lock)|thumbs\.db|desktop\.ini"
    r"|__macosx|@eadir|\$recycle\.bin|system volume information|lost\+found",
    re.IGNORECASE,
)
_MANIFEST_NAMES = frozenset(f"manifest{extension}" for extension in manifest.EXTENSIONS)

# A recorder writes every few seconds at the latest; a file is still while it has not changed for so long.
_STILL_S = 3.0

_INFO_FIELDS = frozenset(CallInfo.__struct_fields__) - {"extra", "notes", "agent_channel", "started_at"}


class Found(Record):
    """The calls to be scored in a fixed order, what cannot be one, and what else there is to say."""

    sources: tuple[Source, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]


@dataclass
class _Finds:
    """What lies in the inputs, before it is put together to calls."""

    recordings: dict[Path, None] = field(default_factory=dict)
    listed: list[Source] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    companions: int = 0
    others: Counter[str] = field(default_factory=Counter)
    unused_manifests: list[Path] = field(default_factory=list)


def find(inputs: Sequence[str], settings: Ingest, house: House) -> Found:
    """Find the calls in folders, globs, recordings and manifests.

    A folder is searched to its bottom. A `manifest.csv` (or .tsv, .parquet) in it names the calls it lists;
    the other recordings are named after their files. Files still being written are left for the next run.

    Raises:
        NoInput: an input is not there, or there is no recording in any.
        BadManifest: a manifest given as input cannot be used.
    """
    finds = _Finds()
    for text in inputs:
        _look(text, finds, settings, house)
    by_manifest = {Path(path).resolve() for source in finds.listed for path in source.paths}
    loose = [path for path in finds.recordings if path.resolve() not in by_manifest]
    growing = _growing([*loose, *(Path(path) for source in finds.listed for path in source.paths)])
    sources: list[Source] = []
    failures = finds.failures
    for source in finds.listed:
        if any(Path(path) in growing for path in source.paths):
            failures.append(_being_written(source))
        else:
            sources.append(source)
    waiting = [path for path in loose if path in growing]
    if waiting:
        names = ", ".join(path.name for path in waiting[:3]) + (", …" if len(waiting) > 3 else "")
        finds.notes.append(f"{len(waiting)} still being written, left for the next run: {names}")
    sources.extend(
        _named_by_file([path for path in loose if path not in growing], settings, house, finds.notes)
    )
    notes = (*finds.notes, *_about_skipped(finds))
    if not sources and not failures and not waiting:
        raise NoInput(
            " ".join([f"no recording in {', '.join(inputs)}", *(f"({note})" for note in notes)]),
            "Give a folder, a recording, a pattern such as 'calls/*.wav', or a manifest.",
        )
    return Found(sources=tuple(sources), failures=tuple(failures), notes=tuple(dict.fromkeys(notes)))


def _look(text: str, finds: _Finds, settings: Ingest, house: House) -> None:
    path = Path(text).expanduser()
    if path.is_dir():
        _walk(path, finds, settings, house)
    elif path.is_file():
        if path.suffix.lower() in manifest.EXTENSIONS:
            _take(manifest.read(path, settings, house), finds)
        elif _COMPANIONS.fullmatch(path.name):
            finds.companions += 1
        else:
            finds.recordings[path] = None
    elif path.exists():
        raise NoInput(f"{text} is neither a file nor a folder", "Give a folder, a recording or a manifest.")
    elif glob.has_magic(text):
        _expand(text, finds, settings, house)
    elif "://" in text:
        raise NoInput(
            f"{text} is an address on a network", "Fetch the recordings first, then give their folder."
        )
    else:
        raise NoInput(f"{text} is not there", "Check the path.")


def _expand(pattern: str, finds: _Finds, settings: Ingest, house: House) -> None:
    whole = str(Path(pattern).expanduser())
    matches = sorted(glob.glob(whole, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not matches:
        raise NoInput(f"nothing matches {pattern}", "Check the pattern; put it in quotation marks.")
    for match in map(Path, matches):
        asked = Path(pattern).suffix.lower() in manifest.EXTENSIONS
        if match.is_dir():
            if not pattern.endswith("**") and "**" not in pattern:
                _walk(match, finds, settings, house)
        elif asked or match.name.lower() in _MANIFEST_NAMES:
            _take(manifest.read(match, settings, house), finds)
        else:
            _sort_in(match, finds)


def _walk(folder: Path, finds: _Finds, settings: Ingest, house: House) -> None:
    seen: set[tuple[int, int]] = set()
    for here, folders, names in os.walk(
        folder, followlinks=True, onerror=lambda error: _closed(error, finds)
    ):
        info = Path(here).stat()
        if (info.st_dev, info.st_ino) in seen:  # links in a circle
            folders.clear()
            continue
        seen.add((info.st_dev, info.st_ino))
        finds.companions += sum(bool(_COMPANIONS.fullmatch(name)) for name in folders)
        folders[:] = sorted(name for name in folders if not _COMPANIONS.fullmatch(name))
        for name in sorted(names):
            path = Path(here, name)
            if name.lower() in _MANIFEST_NAMES:
                _try_manifest(path, finds, settings, house)
            else:
                _sort_in(path, finds)


def _closed(error: OSError, finds: _Finds) -> None:
    finds.failures.append(
        _failure(
            str(error.filename), f"the folder cannot be opened ({error.strerror})", "Check who may read it."
        )
    )


def _try_manifest(path: Path, finds: _Finds, settings: Ingest, house: House) -> None:
    """Use the manifest that lies in a folder; a bad one must not stop the recordings beside it."""
    try:
        _take(manifest.read(path, settings, house), finds)
    except BadManifest as error:
        finds.failures.append(_failure(str(path), error.reason, error.advice))
    else:
        finds.notes.append(f"{path} was found in the folder and names the calls that it lists")


def _take(listing: manifest.Listing, finds: _Finds) -> None:
    finds.listed.extend(row for row in listing.rows if isinstance(row, Source))
    finds.failures.extend(row for row in listing.rows if isinstance(row, Failure))
    finds.notes.extend(listing.notes)


def _sort_in(path: Path, finds: _Finds) -> None:
    extension = path.suffix.lower()
    if _COMPANIONS.fullmatch(path.name):
        finds.companions += 1
    elif extension in AUDIO_EXTENSIONS or (
        extension in _ENCRYPTED_EXTENSIONS and Path(path.stem).suffix.lower() in AUDIO_EXTENSIONS
    ):
        finds.recordings[path] = None
    else:
        finds.others[extension or "no extension"] += 1
        if extension in manifest.EXTENSIONS and extension != ".txt":
            finds.unused_manifests.append(path)


def _about_skipped(finds: _Finds) -> Iterator[str]:
    if finds.companions:
        yield f"skipped {finds.companions} companion or unfinished files (._*, .DS_Store, *.part, …)"
    if finds.others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(finds.others.items()))
        yield f"skipped {finds.others.total()} files that are no recordings ({kinds})"
    if finds.unused_manifests:
        path = finds.unused_manifests[0]
        yield f"{path} may list calls; to use it, give it as input or name it manifest{path.suffix.lower()}"


def _growing(paths: Iterable[Path]) -> set[Path]:
    """Those that someone is still writing: they changed just now, and again while one waits."""
    fresh: dict[Path, tuple[int, int]] = {}
    wait_s = 0.0
    for path in paths:
        if (state := _state(path)) is None:
            continue
        age_s = time.time() - state[1] / 1e9
        if age_s < _STILL_S:
            fresh[path] = state
            wait_s = max(wait_s, min(_STILL_S, _STILL_S - age_s))
    if fresh:
        time.sleep(wait_s)
    return {path for path, state in fresh.items() if _state(path) != state}


def _state(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_size, info.st_mtime_ns


def _being_written(source: Source) -> Failure:
    return Failure(
        call_id=source.info.call_id,
        agent_id=source.info.agent_id,
        path=" | ".join(source.paths),
        stage="ingest",
        reason="the recording is still being written",
        advice="Score it again in the next run.",
    )


def _failure(path: str, reason: str, advice: str) -> Failure:
    return Failure(call_id="", agent_id="unknown", path=path, stage="ingest", reason=reason, advice=advice)


def _named_by_file(paths: Sequence[Path], settings: Ingest, house: House, notes: list[str]) -> list[Source]:
    """Calls without a manifest: pairs of files put together, and named after their files."""
    try:
        pattern = re.compile(settings.file_name)
    except re.error as error:
        raise BadSettings(
            f"ingest.file_name is no regular expression ({error})", "docs/manifest.md has examples."
        ) from error
    sources = []
    unnamed = assumed = 0
    for files, stem, about in _pairs(paths, settings.pair_suffixes):
        match = pattern.search(stem)
        info, zone_assumed = _from_name(match.groupdict(), house) if match else (CallInfo(call_id=""), False)
        unnamed += info.agent_id == "unknown"
        assumed += zone_assumed
        info = msgspec.structs.replace(info, notes=(*info.notes, *about))
        sources.append(Source(paths=tuple(str(file) for file in files), info=info))
    if unnamed:
        notes.append(
            f"{unnamed} file names do not tell the agent, who is 'unknown' then: set ingest.file_name, "
            "or give a manifest"
        )
    if assumed:
        notes.append(
            f"{assumed} times in file names have no zone and are taken as {house.timezone} "
            "(house.timezone in the settings)"
        )
    return sources


def _pairs(
    paths: Sequence[Path], suffixes: Sequence[tuple[str, str]]
) -> Iterator[tuple[tuple[Path, ...], str, tuple[str, ...]]]:
    """Each call's file or files, the name they share, and a note where half a pair is missing."""
    by_stem: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        by_stem.setdefault((path.parent, path.stem.lower()), []).append(path)
    used: set[Path] = set()
    for path in paths:
        if path in used:
            continue
        used.add(path)
        stem, missing = path.stem, ""
        for mine, other, mine_is_agents in _both_ways(suffixes):
            if not stem.lower().endswith(mine.lower()):
                continue
            base = stem[: len(stem) - len(mine)]
            mates = [
                mate for mate in by_stem.get((path.parent, (base + other).lower()), ()) if mate not in used
            ]
            if mates:
                mate = min(mates, key=lambda mate: mate.suffix.lower() != path.suffix.lower())
                used.add(mate)
                yield ((path, mate) if mine_is_agents else (mate, path)), base, ()
                break
            missing = missing or f"{base}{other}{path.suffix}"
        else:
            about = f"{missing} is not there: of this pair, only one party's file was found"
            yield (path,), stem, (about,) if missing else ()


def _both_ways(suffixes: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, bool]]:
    for agents, theirs in suffixes:
        yield agents, theirs, True
        yield theirs, agents, False


def _from_name(groups: dict[str, str | None], house: House) -> tuple[CallInfo, bool]:
    """What the groups of the file-name pattern tell, and whether the time's zone is the house's."""
    values = {name: value for name, value in groups.items() if value}
    notes: list[str] = []
    moment = _moment(
        values.pop("started_at", None), values.pop("epoch", None), ZoneInfo(house.timezone), notes
    )
    known = {name: value for name, value in values.items() if name in _INFO_FIELDS}
    extra = {name: value for name, value in values.items() if name not in _INFO_FIELDS}
    started_at = moment.at if moment else None
    info = CallInfo(call_id="", started_at=started_at, extra=extra, notes=tuple(notes))
    info = msgspec.structs.replace(info, **known)
    return info, moment is not None and moment.zone_assumed


def _moment(text: str | None, epoch: str | None, zone: ZoneInfo, notes: list[str]) -> moments.Moment | None:
    """When the call started. Where a name holds local time and epoch, the epoch says which zone is meant."""
    try:
        local = moments.understand(text, zone) if text else None
        if epoch is None:
            notes.extend(local.notes if local else ())
            return local
        moment = moments.understand(epoch, zone).at
    except ValueError as error:
        notes.append(f"the time in the file name cannot be read ({error}); the call counts to no day")
        return None
    if local is None:
        return moments.Moment(moment.astimezone(zone), zone_assumed=False)
    difference = local.at.replace(tzinfo=UTC) - moment
    offset = timedelta(minutes=15) * round(difference / timedelta(minutes=15))
    if abs(difference - offset) > timedelta(minutes=2) or abs(offset) > timedelta(hours=14):
        notes.append(f"the file name holds two times that differ, {text} and {epoch}; the second is taken")
        return moments.Moment(moment.astimezone(zone), zone_assumed=False)
    return moments.Moment(moment.astimezone(timezone(offset)), zone_assumed=False)
