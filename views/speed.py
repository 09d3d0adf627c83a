"""How fast calls are heard: tables in Markdown, for people and for pages; JSON for programs."""

from collections.abc import Callable, Sequence

import msgspec

from wellheard.training.speed.compare import SCRIPT, WHISPERX, Contestant
from wellheard.views.hearing import markdown
from wellheard.views.screen import counted

GIGABYTE = 1 << 30


def as_json(contestants: Sequence[Contestant]) -> str:
    """Every run of every contestant; holds no words."""
    return msgspec.json.format(msgspec.json.encode(contestants), indent=1).decode() + "\n"


def as_markdown(contestants: Sequence[Contestant]) -> str:
    """What was heard, how long it took, and each contestant's stages."""
    sound_s = _sum(contestants[0], lambda run: run.sound_s)
    wall_s = {own.name: _sum(own, lambda run: run.wall_s) for own in contestants}
    ours = wall_s[contestants[0].name]
    rows = [[" ", *(own.name for own in contestants)]]
    rows += [
        [label, *(figure(own) for own in contestants)]
        for label, figure in _FIGURES.items()
        if any(figure(own) != "–" for own in contestants)
    ]
    rows.insert(2, ["times as long as ours", *(f"{wall_s[own.name] / ours:.2f}" for own in contestants)])
    pages = [
        f"{counted(len(contestants[0].runs), 'file')}, {sound_s / 60:.1f} minutes of sound.\n",
        markdown(rows),
    ]
    if {SCRIPT, WHISPERX} <= wall_s.keys():
        voices_s = sum(run.stages["diarize"] for own in contestants if own.name == SCRIPT for run in own.runs)
        pages.append(
            "WhisperX's words and the script's voices together: "
            f"{(wall_s[WHISPERX] + voices_s) / ours:.2f} times as long as ours.\n"
        )
    stages = [["stage, seconds an hour of sound", *(own.name for own in contestants)]]
    for stage in dict.fromkeys(stage for own in contestants for run in own.runs for stage in run.stages):
        stages.append([stage, *(_stage(own, stage) for own in contestants)])
    pages.append(markdown(stages))
    return "\n".join(pages)


def _sum(own: Contestant, figure: Callable[..., float]) -> float:
    return sum(figure(run) for run in own.runs)


def _an_hour(own: Contestant, seconds: float) -> str:
    return f"{3600 * seconds / _sum(own, lambda run: run.sound_s):.0f}"


def _stage(own: Contestant, stage: str) -> str:
    if not any(stage in run.stages for run in own.runs):
        return "–"
    return _an_hour(own, _sum(own, lambda run: run.stages.get(stage, 0.0)))


def _errors(own: Contestant) -> str:
    words = _sum(own, lambda run: run.words or 0)
    return f"{100 * _sum(own, lambda run: run.errors or 0) / words:.1f} %" if words else "–"


def _beyond(own: Contestant) -> str:
    wall_s = _sum(own, lambda run: run.wall_s)
    return f"{100 * (1 - _sum(own, lambda run: run.inference_s) / wall_s):.0f} %"


_FIGURES: dict[str, Callable[[Contestant], str]] = {
    "seconds an hour of sound": lambda own: _an_hour(own, _sum(own, lambda run: run.wall_s)),
    "of the processor": lambda own: _an_hour(own, _sum(own, lambda run: run.cpu_s)),
    "of the time beyond the models": _beyond,
    "word error rate": _errors,
    "peak memory": lambda own: f"{own.peak_bytes / GIGABYTE:.2f} GB",
    "until it could begin": lambda own: f"{own.load_s:.0f} s",
}
