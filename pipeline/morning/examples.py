"""Calls that show a criterion missed or done: which ones, and the twenty seconds of each to hear."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wellheard.pipeline.morning.clips import LONGEST_S
from wellheard.pipeline.morning.standing import Team
from wellheard.pipeline.store import Results

MARK_COLUMNS = (
    "call_id",
    "agent_id",
    "date",
    "rubric",
    "criterion",
    "answer",
    "confidence",
    "reason",
    "evidence",
    "absence",
)
_CALL_COLUMNS = (
    "call_id",
    "agent_id",
    "agent_name",
    "started_local",
    "language",
    "duration_s",
    "paths",
    "audio_id",
)
_TURN_COLUMNS = ("call_id", "turn", "speaker", "start_s", "end_s", "text", "words")
# So much is heard before the words that count, and after them.
_BEFORE_S, _AFTER_S = 1.5, 1.0
# A stretch whose words are less sure than that may hold what is said to be missing.
_INTELLIGIBLE = 0.6
_COLLEAGUES_ASKED = 3


@dataclass(frozen=True)
class Line:
    """What one party says within the stretch; `cut` where the turn began before it or goes on after it."""

    start_s: float
    speaker: str
    text: str
    cut: tuple[bool, bool]


@dataclass(frozen=True)
class Example:
    """One call that shows a criterion, and the stretch to hear; None where the mark names no place.

    `missing`: the stretch is where something belonged that was not said.
    """

    rubric: str
    criterion: str
    answer: str
    call_id: str
    agent_id: str
    agent_name: str | None
    date: str
    started_local: str | None
    reason: str
    missing: bool
    stretch: tuple[float, float] | None
    lines: tuple[Line, ...]
    paths: tuple[str, ...]
    audio_id: str | None


@dataclass(frozen=True)
class Wanted:
    """So many calls of this answer to a criterion; if `of_colleagues`, theirs where there are any."""

    rubric: str
    criterion: str
    answer: str
    most: int
    of_colleagues: bool = False


def find(
    results: Results, team: Team, agent_id: str, since: str | None, wanted: Sequence[Wanted]
) -> list[list[Example]]:
    """For each thing wanted the calls that show it best, of the days from `since` on."""
    own = marks(results, [agent_id], since)
    foreign: set[str] = set()
    others: list[dict[str, Any]] = []
    if any(one.of_colleagues for one in wanted):
        asked = {one: _best_colleagues(team, agent_id, since, one) for one in wanted if one.of_colleagues}
        who = sorted({colleague for colleagues in asked.values() for colleague in colleagues})
        others = marks(results, who, since, {(one.rubric, one.criterion) for one in asked})
        ids = {mark["call_id"] for mark in (*own, *others)}
        spoken = _calls(results, [agent_id, *who], ids, ("call_id", "language"))
        languages = {call["call_id"]: call["language"] for call in spoken}
        usual = _usual({mark["call_id"] for mark in own}, languages)
        foreign = {call_id for call_id, language in languages.items() if language != usual}
    chosen: list[list[dict[str, Any]]] = []
    used: set[str] = set()
    for one in wanted:
        found: list[dict[str, Any]] = []
        if one.of_colleagues:
            found = pick(others, one, foreign)
        if not found:
            found = pick(own, one, used)
        used |= {mark["call_id"] for mark in found}
        chosen.append(found)
    return _with_words(results, chosen)


def pick(
    found: Iterable[dict[str, Any]],
    wanted: Wanted,
    last: Set[str] = frozenset(),
) -> list[dict[str, Any]]:
    """Of these marks those to hear first.

    Those that name a place before those that do not, of what is missing only where words were to be
    understood, then the surest; calls in `last` at the end.
    """
    fitting = [
        mark
        for mark in found
        if (mark["rubric"], mark["criterion"], mark["answer"])
        == (wanted.rubric, wanted.criterion, wanted.answer)
    ]
    fitting.sort(
        key=lambda mark: (
            mark["call_id"] in last,
            not (mark["evidence"] or mark["absence"]),
            not mark["evidence"]
            and bool(mark["absence"])
            and mark["absence"]["intelligible"] < _INTELLIGIBLE,
            -mark["confidence"],
            mark["call_id"],
        )
    )
    return fitting[: wanted.most]


def marks(
    results: Results,
    agents: Sequence[str],
    since: str | None,
    criteria: Iterable[tuple[str, str]] | None = None,
) -> list[dict[str, Any]]:
    """Marks of these agents (`MARK_COLUMNS`), from this day on and of unknown days."""
    chosen = _one_of("agent_id", agents)
    if since is not None:
        chosen &= pc.field("date") >= since  # so is "unknown"
    if criteria is not None:
        chosen &= _one_of("criterion", {criterion for _, criterion in criteria})
    return results.table("marks", MARK_COLUMNS, chosen).to_pylist()


def _one_of(column: str, values: Iterable[str]) -> pc.Expression:
    return pc.field(column).isin(pa.array(sorted(set(values)), pa.string()))


def _best_colleagues(team: Team, agent_id: str, since: str | None, wanted: Wanted) -> list[str]:
    """The colleagues who do it most, a little cautious about those with few calls."""
    answers = team.between(since)
    column = team.criteria.index((wanted.rubric, wanted.criterion))
    rates = [
        (float((answers.yes[at, column] + 1) / (answers.asked[at, column] + 2)), colleague)
        for colleague in team.colleagues(agent_id)
        for at in [team.place(colleague)]
        if answers.yes[at, column]
    ]
    rates.sort(key=lambda rate: (-rate[0], rate[1]))
    return [colleague for _, colleague in rates[:_COLLEAGUES_ASKED]]


def _usual(call_ids: set[str], languages: Mapping[str, str | None]) -> str | None:
    spoken = [languages.get(call_id) for call_id in sorted(call_ids)]
    return max(set(spoken), key=lambda language: (spoken.count(language), str(language)), default=None)


def _calls(
    results: Results, agents: Sequence[str], ids: Iterable[str], columns: Sequence[str]
) -> list[dict[str, Any]]:
    of_agents = _one_of("agent_id", agents)
    return results.table("calls", list(columns), of_agents & _one_of("call_id", ids)).to_pylist()


def _with_words(results: Results, chosen: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[Example]]:
    """The marks as examples, with what is said in each stretch."""
    of_all = [mark for marks in chosen for mark in marks]
    if not of_all:
        return [[] for _ in chosen]
    agents = sorted({mark["agent_id"] for mark in of_all})
    ids = sorted({mark["call_id"] for mark in of_all})
    calls = {call["call_id"]: call for call in _calls(results, agents, ids, _CALL_COLUMNS)}
    of_calls = (
        _one_of("agent_id", agents)
        & _one_of("date", {mark["date"] for mark in of_all})
        & _one_of("call_id", ids)
    )
    turns: dict[str, list[dict[str, Any]]] = {}
    for turn in results.table("turns", _TURN_COLUMNS, of_calls).to_pylist():
        turns.setdefault(turn["call_id"], []).append(turn)
    for of_call in turns.values():
        of_call.sort(key=lambda turn: int(turn["turn"]))
    return [
        [
            _example(mark, calls[mark["call_id"]], turns.get(mark["call_id"], []))
            for mark in marks
            if mark["call_id"] in calls  # a run may have moved it meanwhile
        ]
        for marks in chosen
    ]


def _example(mark: Mapping[str, Any], call: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]) -> Example:
    heard = stretch(mark, turns, call["duration_s"])
    return Example(
        rubric=mark["rubric"],
        criterion=mark["criterion"],
        answer=mark["answer"],
        call_id=mark["call_id"],
        agent_id=call["agent_id"],
        agent_name=call["agent_name"],
        date=mark["date"],
        started_local=call["started_local"],
        reason=mark["reason"] or "",
        missing=not mark["evidence"] and bool(mark["absence"]),
        stretch=heard,
        lines=tuple(lines(turns, *heard)) if heard else (),
        paths=tuple(call["paths"] or ()),
        audio_id=call["audio_id"],
    )


def stretch(
    mark: Mapping[str, Any], turns: Sequence[Mapping[str, Any]], duration_s: float | None
) -> tuple[float, float] | None:
    """From when to when to hear, at most `LONGEST_S`: the proof, with what gave occasion to it.

    Where something is missing, it is what came nearest to it, else the beginning of where it belonged.
    """
    if mark["evidence"]:
        words = mark["evidence"][0]
        start, end, speaker = words["start_s"], words["end_s"], words["speaker"]
    elif mark["absence"]:
        nearest = mark["absence"]["nearest"]
        words = nearest[0] if nearest else mark["absence"]
        start, end, speaker = words["start_s"], words["end_s"], words.get("speaker")
    else:
        return None
    earliest = min(end, start + LONGEST_S) + _AFTER_S - LONGEST_S
    before = [turn for turn in turns if turn["end_s"] <= start + 0.5 and turn["speaker"] != speaker]
    if speaker is not None and before and before[-1]["start_s"] - 0.3 >= earliest:
        start = before[-1]["start_s"] + _BEFORE_S - 0.3
    start = max(start - _BEFORE_S, 0.0)
    end = min(end + _AFTER_S, start + LONGEST_S, duration_s if duration_s else float("inf"))
    return start, max(end, start + 1.0)


def lines(turns: Iterable[Mapping[str, Any]], start_s: float, end_s: float) -> Iterable[Line]:
    """What is said between two moments, turn by turn."""
    for turn in turns:
        if turn["end_s"] <= start_s or turn["start_s"] >= end_s:
            continue
        words = turn["words"] or [{"start_s": turn["start_s"], "end_s": turn["end_s"], "text": turn["text"]}]
        within = [word for word in words if word["end_s"] > start_s and word["start_s"] < end_s]
        if within:
            cut = within[0] is not words[0], within[-1] is not words[-1]
            yield Line(within[0]["start_s"], turn["speaker"], " ".join(word["text"] for word in within), cut)
