"""What a trainer needs for a session with one agent: weak spots, strengths, goals, and calls for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from wellheard.pipeline.errors import CallError
from wellheard.pipeline.morning import clips, coaching, standing
from wellheard.pipeline.morning.corrected import Footing, footing
from wellheard.pipeline.morning.examples import Example, Wanted, find
from wellheard.pipeline.morning.standing import STRONGER, WEAKER, Period, Team
from wellheard.pipeline.store import Results

# More than that is not talked over in one session; all are in the table.
WEAK_SHOWN, STRONG_SHOWN = 6, 2
SHOWN_MISSED = 3


@dataclass(frozen=True)
class Topic:
    """One criterion to talk about: a row of the agent's standing, calls that show it, one done well."""

    row: Mapping[str, Any]
    examples: tuple[Example, ...]
    well: tuple[Example, ...]


@dataclass(frozen=True)
class Pack:
    """Everything for one session.

    `rows` is the whole standing, `goals` what has become of each goal, `footing` what the figures stand on.
    """

    agent_id: str
    agent_name: str | None
    team: Team
    period: Period
    rows: list[dict[str, Any]]
    weak: tuple[Topic, ...]
    strong: tuple[Topic, ...]
    goals: list[dict[str, Any]]
    footing: Footing


def pack(results: Results, team: Team, agent_id: str, since: str | None = None) -> Pack:
    """Put it together, of the agent's calls from `since` on, else of the last 30 days with calls.

    Raises:
        NoResults: there are no calls of this agent in that period.
    """
    of = standing.period(team, agent_id, since)
    rows = standing.standing(team, agent_id, of)
    weak = sorted((row for row in rows if row["verdict"] == WEAKER), key=_by_difference)[:WEAK_SHOWN]
    strong = sorted((row for row in rows if row["verdict"] == STRONGER), key=_by_difference)[-STRONG_SHOWN:]
    wanted: list[Wanted] = []
    for row in weak:
        what = (row["rubric"], row["criterion"])
        wanted += [Wanted(*what, "no", SHOWN_MISSED), Wanted(*what, "yes", 1, of_colleagues=True)]
    wanted += [Wanted(row["rubric"], row["criterion"], "yes", 1) for row in strong]
    found = [tuple(examples) for examples in find(results, team, agent_id, of.since, wanted)]
    pairs = found[: 2 * len(weak)]
    return Pack(
        agent_id=agent_id,
        agent_name=team.name(agent_id),
        team=team,
        period=of,
        rows=rows,
        weak=tuple(map(Topic, weak, pairs[::2], pairs[1::2])),
        strong=tuple(Topic(row, (), well) for row, well in zip(strong, found[2 * len(weak) :], strict=True)),
        goals=standing.progress(team, agent_id, coaching.goals(results, agent_id)),
        footing=footing(results, agent_id, of.since),
    )


def _by_difference(row: Mapping[str, Any]) -> float:
    return float(row["difference"])


Clips: TypeAlias = dict[Example, bytes | CallError]


def cut_clips(of: Pack, on_progress: Callable[[int, int], None]) -> Clips:
    """The sound of every stretch as MP3, or why there is none; each recording is opened once."""
    examples = [
        example
        for topic in (*of.weak, *of.strong)
        for example in (*topic.examples, *topic.well)
        if example.stretch
    ]
    of_call: dict[str, list[Example]] = {}
    for example in examples:
        of_call.setdefault(example.call_id, []).append(example)
    found: Clips = {}
    for number, (call_id, same) in enumerate(of_call.items(), 1):
        found |= _clips_of_call(call_id, same)
        on_progress(number, len(of_call))
    return found


def _clips_of_call(call_id: str, examples: Sequence[Example]) -> Clips:
    try:
        recording = clips.open_recording(call_id, examples[0].paths, examples[0].audio_id)
    except CallError as error:
        return dict.fromkeys(examples, error)
    found: Clips = {}
    for example in examples:
        assert example.stretch is not None
        try:
            found[example] = clips.cut(recording, *example.stretch)
        except CallError as error:
            found[example] = error
    return found
