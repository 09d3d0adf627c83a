"""How well recordings were heard: a table in Markdown, for people and for pages; JSON for programs."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from wellheard.training.hearing import COLLARS_S, CallHearing, Hearing, Moments, Share, grouped
from wellheard.views.screen import percent

CHANNELS = {1: "mono", 2: "stereo"}
Groups: TypeAlias = Mapping[tuple[str, ...], Hearing]


def groups(calls: Sequence[CallHearing]) -> Groups:
    """The figures by folder, language and number of channels."""
    return grouped(calls, lambda call: (call.folder, call.language, CHANNELS[call.channels]))


def as_json(calls: Sequence[CallHearing]) -> str:
    """The figures of all groups and the counts of all calls; holds no words."""
    content = {
        "groups": [
            {"folder": folder, "language": language, "channels": channels, **msgspec.to_builtins(figures)}
            for (folder, language, channels), figures in groups(calls).items()
        ],
        "calls": msgspec.to_builtins(calls),
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def as_markdown(of_groups: Groups) -> str:
    """One column a group, one row a figure; rows of which nothing is known are left out."""
    rows = [[" ", *(" ".join(name) for name in of_groups)]]
    for label, figure in _FIGURES.items():
        cells = [figure(group) for group in of_groups.values()]
        if any(cell != "–" for cell in cells):
            rows.append([label, *cells])
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table, its columns as wide as what is in them; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _share(share: Share | None) -> str:
    if share is None:
        return "–"
    interval = share.interval and " ({:.1f}–{:.1f})".format(*(100 * edge for edge in share.interval))
    return f"{100 * share.share:.1f} %{interval or ''}"


def _moments(moments: Moments | None) -> str:
    """How many of those there are found, and how many that are said are wrong."""
    if moments is None or not (moments.there or moments.said):
        return "–"
    wrong = moments.said - moments.right
    return f"{moments.found} of {moments.there}" + (f", {wrong} wrong" if wrong else "")


def _rate(collar: int) -> Callable[[Hearing], str]:
    return lambda group: f"{100 * group.diarization[collar]:.1f} %" if group.diarization else "–"


def _sounds(kind: str) -> Callable[[Hearing], str]:
    return lambda group: _moments(group.sounds.get(kind))


def _precision(group: Hearing) -> str:
    said = sum(own.said for own in group.sounds.values())
    return percent(sum(own.right for own in group.sounds.values()) / said) if said else "–"


def _false_alarms(group: Hearing) -> str:
    if not group.sound_hours:
        return "–"
    return f"{sum(own.said - own.right for own in group.sounds.values()) / group.sound_hours:.2f}"


def _hold_errors(group: Hearing) -> str:
    return "{:.2f} s, {:.2f} s".format(*group.hold_error_s) if group.hold_error_s else "–"


_FIGURES: dict[str, Callable[[Hearing], str]] = {
    "calls": lambda group: str(group.calls),
    "minutes": lambda group: f"{60 * group.hours:.0f}",
    "word error rate": lambda group: _share(group.word_error_rate),
    "words to the right party": lambda group: _share(group.right_party),
    "roles right": lambda group: f"{group.roles_right} of {group.calls}",
    **{f"diarization error, ±{collar_s:g} s": _rate(i) for i, collar_s in enumerate(COLLARS_S)},
    "holds found": lambda group: _moments(group.holds),
    "holds' ends off, median and most": _hold_errors,
    "interruptions found": lambda group: _moments(group.interruptions),
    "dogs found": _sounds("dog"),
    "babies found": _sounds("baby"),
    "children laughing found": _sounds("child_laughter"),
    "sounds: precision": _precision,
    "sounds: false alarms an hour": _false_alarms,
}
