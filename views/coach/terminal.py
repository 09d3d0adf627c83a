"""The pack in the terminal, and as rows for other programs."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wellheard.pipeline.morning.coach import Pack, Topic
from wellheard.pipeline.morning.examples import Example
from wellheard.pipeline.morning.standing import WEAKER
from wellheard.pipeline.records import clock
from wellheard.views import weak_spots
from wellheard.views.screen import counted, percent, plain

_text, _real, _whole = pa.string(), pa.float64(), pa.int64()
_line = pa.struct([("start_s", _real), ("speaker", _text), ("text", _text)])
_example = pa.struct(
    [
        ("shows", _text),
        ("call_id", _text),
        ("agent_id", _text),
        ("date", _text),
        ("answer", _text),
        ("missing", pa.bool_()),
        ("start_s", _real),
        ("end_s", _real),
        ("lines", pa.list_(_line)),
    ]
)
_goal: "list[pa.Field[Any]]" = [
    pa.field("goal_date", _text),
    pa.field("goal_target", _real),
    pa.field("goal_before_asked", _whole),
    pa.field("goal_before_yes", _whole),
    pa.field("goal_asked", _whole),
    pa.field("goal_yes", _whole),
    pa.field("goal_change", _real),
    pa.field("goal_change_low", _real),
    pa.field("goal_change_high", _real),
    pa.field("goal_moved", _text),
    pa.field("goal_state", _text),
]
SCHEMA = pa.schema([*weak_spots.FIELDS[:-1], *_goal, pa.field("examples", pa.list_(_example))])


def rows(pack: Pack) -> pa.Table:
    """One row a criterion (`SCHEMA`): the agent's standing, the newest goal, and the calls shown."""
    examples = {
        _key(topic.row): [
            _as_row(one, shows)
            for shows, calls in (("example", topic.examples), ("done well", topic.well))
            for one in calls
        ]
        for topic in (*pack.weak, *pack.strong)
    }
    goals: dict[tuple[str, str], Mapping[str, Any]] = {}
    for goal in pack.goals:  # newest first
        goals.setdefault(_key(goal), goal)
    found: list[dict[str, Any]] = [
        {**row, **_of_goal(goals.pop(_key(row), {})), "examples": examples.get(_key(row), [])}
        for row in sorted(pack.rows, key=weak_spots.weakest_first)
    ]
    for (rubric, criterion), left in goals.items():
        named = {"agent_id": pack.agent_id, "rubric": rubric, "criterion": criterion}
        found.append({**named, **_of_goal(left), "examples": []})
    return pa.Table.from_pylist(found, schema=SCHEMA)


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["rubric"], row["criterion"]


def _of_goal(goal: Mapping[str, Any]) -> dict[str, Any]:
    return {f"goal_{name}": value for name, value in goal.items()}


def _as_row(example: Example, shows: str) -> dict[str, Any]:
    start_s, end_s = example.stretch or (None, None)
    return {
        "shows": shows,
        "call_id": example.call_id,
        "agent_id": example.agent_id,
        "date": example.date,
        "answer": example.answer,
        "missing": example.missing,
        "start_s": start_s,
        "end_s": end_s,
        "lines": [
            {"start_s": line.start_s, "speaker": line.speaker, "text": line.text} for line in example.lines
        ],
    }


def show(console: Console, pack: Pack) -> None:
    """The pack for people."""
    who, *about = weak_spots.heading(pack.team, pack.agent_id, pack.period, pack.footing)
    console.print(plain(who, "bold"), plain(about[0], "dim"))
    console.print(plain(about[1], "dim"))
    if pack.goals:
        _title(console, "Since we last spoke")
        for goal in pack.goals:
            _show_goal(console, goal)
    if not pack.rows:
        console.print()
        console.print(plain("No criterion was answered yes or no in these calls."))
        return
    _title(console, "What to work on")
    for topic in pack.weak:
        _show_topic(console, topic, pack)
    more = sum(row["verdict"] == WEAKER for row in pack.rows) - len(pack.weak)
    if more:
        console.print(plain(f"{counted(more, 'weak spot')} more: wellheard weak-spots", "dim"))
    if not pack.weak:
        console.print(plain("No weak spot stands out by more than chance.", "dim"))
    _title(console, "What goes well")
    for topic in pack.strong:
        _show_topic(console, topic, pack)
    if not pack.strong:
        console.print(plain("No strength stands out by more than chance.", "dim"))
    console.print()
    for line in weak_spots.LEGEND[:2]:
        console.print(plain(line, "dim"))


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(plain(text, "bold"))


def _show_goal(console: Console, goal: Mapping[str, Any]) -> None:
    title = plain(f"{goal['rubric']}.{goal['criterion']}", "bold")
    agreed = f"agreed on {goal['date']}, target {percent(goal['target'])}: {goal['state']}"
    console.print(Text.assemble(title, "  ", plain(agreed)))
    before, since = _rate(goal["before_yes"], goal["before_asked"]), _rate(goal["yes"], goal["asked"])
    team = f"; team {percent(goal.get('before_team_rate'))}, then {percent(goal.get('team_rate'))}"
    console.print(plain(f"  before {before}, since {since}: {goal['moved']}{team}"))


def _rate(yes: int, asked: int) -> str:
    return f"{percent(yes / asked)} of {asked}" if asked else "–"


def _show_topic(console: Console, topic: Topic, pack: Pack) -> None:
    row = topic.row
    likely = weak_spots.interval(row["likely"], row["likely_low"], row["likely_high"])
    figures = f"{row['yes']} of {row['asked']}, likely {likely}, team {percent(row['team_rate'])}"
    figures += f", chance {weak_spots.chance(row['chance'])}"
    if row["past_asked"]:
        figures += f", before {weak_spots.before(row)}"
    console.print()
    console.print(Text.assemble(plain(f"{row['rubric']}.{row['criterion']}", "bold"), "  ", plain(figures)))
    for example in topic.examples:
        _show_example(console, example, f"{example.answer}:", pack)
    for example in topic.well:
        _show_example(console, example, "done well:", pack)


def _show_example(console: Console, example: Example, label: str, pack: Pack) -> None:
    whose = "" if example.agent_id == pack.agent_id else f" of {example.agent_id}"
    where = f" at {clock(example.stretch[0])}" if example.stretch else ""
    missing = " (not said; here is the nearest to it)" if example.missing else ""
    console.print(plain(f"  {label} call {example.call_id}{whose}, {example.date}{where}{missing}", "cyan"))
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=9, justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for line in example.lines:
        words = ("… " if line.cut[0] else "") + line.text + (" …" if line.cut[1] else "")
        table.add_row(plain(clock(line.start_s), "dim"), plain(line.speaker, "dim"), plain(words))
    if table.row_count:
        console.print(table)
