"""A rehearsal for people and for programs: which marks, calls and agents a new rubric moves."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import fsum
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from wellheard.pipeline.morning.rehearse import Pair, Rehearsal, RehearsedCall
from wellheard.views.screen import counted, percent, plain

if TYPE_CHECKING:  # it brings torch
    from wellheard.training.rehearse import LabelledPair

# A part of the screen has at most twenty lines: its title, the heads of its columns, these, and what is left.
MOST_ROWS = 15
# The mean of fewer calls says more of those calls than of their agent.
FEWEST_CALLS = 10
CALLS_NAMED = 3

_text, _real = pa.string(), pa.float64()
_columns: dict[str, pa.DataType] = {
    "call_id": _text,
    "agent_id": _text,
    "date": _text,
    "rubric": _text,
    "criterion": _text,
    "old": _text,
    "new": _text,
    "label": _text,
    "old_confidence": _real,
    "new_confidence": _real,
    "old_version": _text,
    "new_version": _text,
}
SCHEMA = pa.schema(_columns)


def rows(rehearsal: Rehearsal, labelled: "Sequence[LabelledPair]" = ()) -> pa.Table:
    """One row a moved mark (`SCHEMA`); `label` is what people answered, null for calls of the results."""
    same = {"rubric": rehearsal.rubric.id, "new_version": rehearsal.rubric.version}
    moved: list[dict[str, Any]] = [
        {
            "call_id": call.call_id,
            "agent_id": call.agent_id,
            "date": call.date,
            "old_version": call.old_version,
            **_answers(pair),
            **same,
        }
        for call in rehearsal.calls
        for pair in call.moved
    ]
    moved += [
        {"call_id": pair.call_id, "label": pair.label, **_answers(pair), **same}
        for pair in labelled
        if pair.old != pair.new
    ]
    return pa.Table.from_pylist(moved, schema=SCHEMA)


def _answers(pair: "Pair | LabelledPair") -> dict[str, Any]:
    names = ("criterion", "old", "new", "old_confidence", "new_confidence")
    return {name: getattr(pair, name) for name in names}


def show(console: Console, rehearsal: Rehearsal, labelled: "Sequence[LabelledPair] | None" = None) -> None:
    """What moves, part by part; `labelled` is None where no labels were given."""
    _show_summary(console, rehearsal)
    if any(call.moved for call in rehearsal.calls):
        _show_criteria(console, rehearsal)
    _show_new_and_gone(console, rehearsal)
    if any(_distance(call) or call.moved for call in rehearsal.calls):
        _show_calls(console, rehearsal.calls)
        _show_agents(console, rehearsal.calls)
    if labelled is not None:
        _show_labelled(console, labelled)


def _show_summary(console: Console, rehearsal: Rehearsal) -> None:
    rubric, calls = rehearsal.rubric, rehearsal.calls
    against = f"against marks of version {', '.join(rehearsal.old_versions)}" if calls else ""
    console.print(plain(f"{rubric.id} {rubric.version}", "bold"), plain(against, "dim"))
    if calls:
        moved = sum(len(call.moved) for call in calls)
        marks = sum(pair.old is not None and pair.new is not None for call in calls for pair in call.pairs)
        moving = sum(bool(call.moved) for call in calls)
        console.print(
            plain(
                f"{moved:,} of {counted(marks, 'mark')} would move, in {moving:,} of "
                f"{counted(len(calls), 'call')}."
            )
        )
        old, new = _mean(call.old_score for call in calls), _mean(call.new_score for call in calls)
        console.print(plain(f"Mean score: {_from_to(old, new)}."))
        fails = sum(call.old_fails for call in calls), sum(call.new_fails for call in calls)
        if any(fails):
            console.print(plain(f"Calls with a critical no: {fails[0]:,}, now {fails[1]:,}."))
    for count, what in (
        (rehearsal.never_scored, "not scored with this rubric before"),
        (rehearsal.other_language, "left out: the rubric is not for the call's language"),
        (rehearsal.without_acts, "left out: stored by an early version without acts; score again"),
    ):
        if count:
            console.print(plain(f"{counted(len(count), 'call')} {what}.", "yellow"))
    if rubric.version in rehearsal.old_versions and _differs(rehearsal):
        console.print(
            plain("The stored marks have the same version: raise `version` before you use this.", "yellow")
        )
    console.print(plain("Nothing was stored. --format csv gives a row for each mark that moves.", "dim"))


def _differs(rehearsal: Rehearsal) -> bool:
    return any(
        pair.old != pair.new
        for call in rehearsal.calls
        if call.old_version == rehearsal.rubric.version
        for pair in call.pairs
    )


def _show_criteria(console: Console, rehearsal: Rehearsal) -> None:
    both = Counter(pair.criterion for call in rehearsal.calls for pair in call.pairs if pair.old and pair.new)
    moves = Counter((pair.criterion, pair.old, pair.new) for call in rehearsal.calls for pair in call.moved)
    of_criterion: Counter[str] = Counter()
    for (criterion, _, _), count in moves.items():
        of_criterion[criterion] += count

    def several(criterion: str, fits: Callable[[str | None, str | None], bool]) -> int:
        return sum(n for (name, old, new), n in moves.items() if name == criterion and fits(old, new))

    table = _table("criterion", "marks", "move", "yes to no", "no to yes", "to –", "from –", "to ?", "from ?")
    for criterion, count in of_criterion.most_common(MOST_ROWS):
        table.add_row(
            plain(criterion),
            plain(both[criterion]),
            plain(count, "bold"),
            *(
                _number(several(criterion, fits))
                for fits in (
                    lambda old, new: (old, new) == ("yes", "no"),
                    lambda old, new: (old, new) == ("no", "yes"),
                    lambda _, new: new == "na",
                    lambda old, _: old == "na",
                    lambda _, new: new == "unsure",
                    lambda old, _: old == "unsure",
                )
            ),
        )
    _part(console, "Marks that move", table)
    _more(console, len(of_criterion) - MOST_ROWS, "criterion", "criteria")
    still = len(both) - len(of_criterion)
    rest = f" {counted(still, 'criterion does', 'criteria do')} not move." if still else ""
    console.print(plain(f"–: no occasion; ?: unsure.{rest}", "dim"))


def _show_new_and_gone(console: Console, rehearsal: Rehearsal) -> None:
    calls = (*rehearsal.calls, *rehearsal.never_scored)
    answers = Counter(
        (pair.criterion, pair.new) for call in calls for pair in call.pairs if pair.new and not pair.old
    )
    new = list(dict.fromkeys(criterion for criterion, _ in answers))
    if new:
        table = _table("criterion", "yes", "no", "–", "?")
        for criterion in new[:MOST_ROWS]:
            figures = (answers[criterion, answer] for answer in ("yes", "no", "na", "unsure"))
            table.add_row(plain(criterion), *map(_number, figures))
        _part(console, "New criteria, and how their marks fall", table)
        _more(console, len(new) - MOST_ROWS, "criterion", "criteria")
    now = {criterion.id: criterion for criterion in rehearsal.rubric.criteria}
    lines = [f"{name}: gone" for name in rehearsal.before if name not in now]
    for name, before in rehearsal.before.items():
        if name in now and before.weight != now[name].weight:
            lines.append(f"{name}: weight {before.weight:g}, now {now[name].weight:g}")
        if name in now and before.critical != now[name].critical:
            lines.append(f"{name}: {'now critical' if now[name].critical else 'no longer critical'}")
    if lines:
        _part(console, "Criteria that are gone or count otherwise")
        for line in lines[:MOST_ROWS]:
            console.print(plain(line))
        _more(console, len(lines) - MOST_ROWS, "change")


def _show_calls(console: Console, calls: Iterable[RehearsedCall]) -> None:
    moving = [call for call in calls if call.moved or _distance(call)]
    moving.sort(key=lambda call: (-_distance(call), -len(call.moved), call.call_id))
    table = _table("call", "agent", "score", "now", "marks that move", left=2)
    for call in moving[:MOST_ROWS]:
        table.add_row(
            plain(call.call_id, whole=False),
            plain(call.agent_id, whole=False),
            plain(percent(call.old_score)),
            plain(percent(call.new_score)),
            plain(len(call.moved)),
        )
    _part(console, "Calls that move most", table)
    _more(console, len(moving) - MOST_ROWS, "call")


def _show_agents(console: Console, calls: Iterable[RehearsedCall]) -> None:
    of_agent: dict[str, list[RehearsedCall]] = {}
    for call in calls:
        of_agent.setdefault(call.agent_id, []).append(call)
    enough = {
        agent: own
        for agent, own in of_agent.items()
        if min(
            sum(call.old_score is not None for call in own), sum(call.new_score is not None for call in own)
        )
        >= FEWEST_CALLS
    }
    means = {
        agent: (_mean(call.old_score for call in own), _mean(call.new_score for call in own))
        for agent, own in enough.items()
    }
    table = _table("agent", "calls", "score", "now", "change")
    order = sorted(means, key=lambda agent: (-abs(_change(means[agent])), agent))
    for agent in order[:MOST_ROWS]:
        old, new = means[agent]
        points = round(100 * _change(means[agent]))
        table.add_row(
            plain(agent, whole=False),
            plain(len(enough[agent])),
            plain(percent(old)),
            plain(percent(new)),
            plain(f"{points:+}" if points else "0", "bold"),
        )
    _part(console, "Agents", table if enough else None)
    _more(console, len(order) - MOST_ROWS, "agent")
    console.print(
        plain(
            f"Mean scores of agents with {FEWEST_CALLS} or more calls that have a score: {len(enough):,} of "
            f"{counted(len(of_agent), 'agent')}.",
            "dim",
        )
    )


def _show_labelled(console: Console, labelled: "Sequence[LabelledPair]") -> None:
    marks = f"{counted(len(labelled), 'label')} of {counted(len({p.call_id for p in labelled}), 'call')}"
    right = sum(pair.old == pair.label for pair in labelled), sum(p.new == p.label for p in labelled)
    names = list(dict.fromkeys(pair.criterion for pair in labelled if pair.breaks or pair.mends))
    table = _table("criterion", "break", "calls", "mend", "calls", left=1)
    table.columns[2].justify = table.columns[4].justify = "left"
    own = {name: [pair for pair in labelled if pair.criterion == name] for name in names}
    names.sort(key=lambda name: (-sum(pair.breaks for pair in own[name]), name))
    for name in names[:MOST_ROWS]:
        breaks = [pair.call_id for pair in own[name] if pair.breaks]
        mends = [pair.call_id for pair in own[name] if pair.mends]
        table.add_row(plain(name), _number(len(breaks)), _some(breaks), _number(len(mends)), _some(mends))
    _part(console, "Labelled calls", table if names else None)
    _more(console, len(names) - MOST_ROWS, "criterion", "criteria")
    console.print(plain(f"{marks}: {right[0]:,} were right, {right[1]:,} are right now.", "dim"))


def _distance(call: RehearsedCall) -> float:
    """How far the score moves; one that comes or goes moves all the way."""
    if call.old_score is None or call.new_score is None:
        return float(call.old_score is not call.new_score)
    return abs(call.new_score - call.old_score)


def _change(means: tuple[float | None, float | None]) -> float:
    old, new = means
    return 0.0 if old is None or new is None else new - old


def _mean(scores: Iterable[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return fsum(known) / len(known) if known else None


def _from_to(old: float | None, new: float | None) -> str:
    return f"{percent(old)}, now {percent(new)}"


def _some(call_ids: Sequence[str]) -> Any:
    more = ["…"] if len(call_ids) > CALLS_NAMED else []
    return plain(", ".join([*call_ids[:CALLS_NAMED], *more]), whole=False)


def _number(count: int) -> Any:
    return plain(count or "")


def _table(*names: str, left: int = 1) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for i, name in enumerate(names):
        table.add_column(plain(name), justify="left" if i < left else "right", no_wrap=True)
    return table


def _part(console: Console, title: str, table: Table | None = None) -> None:
    console.print()
    console.print(plain(title, "bold"))
    if table is not None:
        console.print(table)


def _more(console: Console, count: int, one: str, many: str = "") -> None:
    if count > 0:
        console.print(plain(f"… and {counted(count, one, many)} more", "dim"))
