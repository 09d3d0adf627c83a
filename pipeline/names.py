"""Calls that only their files' names tell of: which two files are one call, and who, when and which it is."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from wellheard.pipeline import moments
from wellheard.pipeline.errors import BadSettings
from wellheard.pipeline.records import CallInfo, Source
from wellheard.pipeline.settings import House, Ingest

_INFO_FIELDS = frozenset(CallInfo.__struct_fields__) - {"extra", "notes", "agent_channel", "started_at"}


def calls(paths: Sequence[Path], settings: Ingest, house: House) -> tuple[list[Source], list[str]]:
    """The calls in these files, in the files' order, and what was assumed.

    Groups of the pattern `settings.file_name` that are fields of a call fill them, `epoch` tells the start in
    seconds since 1970, and all others go to `extra`.

    Raises:
        BadSettings: the pattern is no regular expression.
    """
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
    notes = []
    if unnamed:
        notes.append(
            f"recordings whose name does not tell the agent, who is 'unknown' then: {unnamed}; "
            "set ingest.file_name, or give a manifest"
        )
    if assumed:
        notes.append(
            f"times in file names that name no zone: {assumed}, taken as {house.timezone} "
            "(house.timezone in the settings)"
        )
    return sources, notes


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
