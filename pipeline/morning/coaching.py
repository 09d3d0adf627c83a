"""Goals agreed with agents: what to work on, since when, and the rate to reach. Scoring never touches them.

They are the dataset `coaching` (`by_hand.py`). Several people may agree on goals at once.
"""

from collections.abc import Iterable
from datetime import date

import pyarrow.compute as pc

from wellheard.pipeline.errors import WellheardError
from wellheard.pipeline.morning import by_hand
from wellheard.pipeline.morning.standing import Goal
from wellheard.pipeline.store import Results


class UnclearGoal(WellheardError):
    """What is to be agreed upon cannot be told from the words given."""


def goals(results: Results, agent_id: str) -> list[Goal]:
    """The agent's goals, newest first; of those agreed anew, each until the day of the next.

    Raises:
        NoResults: no run has ever stored into this folder.
    """
    stored = results.table("coaching", filter=pc.field("agent_id") == agent_id)
    found: list[Goal] = []
    next_day: dict[tuple[str, str], str] = {}
    by_name = stored.sort_by([("rubric", "ascending"), ("criterion", "ascending")]).to_pylist()
    for row in sorted(by_name, key=lambda row: str(row["date"]), reverse=True):
        what = (row["rubric"], row["criterion"])
        found.append(Goal(row["date"], *what, row["target"], next_day.get(what)))
        next_day[what] = row["date"]
    return found


def agree(results: Results, agent_id: str, goal: Goal) -> None:
    """Store a goal, in place of one on the same criterion and day.

    Raises:
        NoResults: no run has ever stored into this folder.
        CannotWrite: no right to, or no space left, or somebody else is writing for long.
    """

    def with_it(rows: by_hand.Rows) -> by_hand.Rows:
        kept = {(row["agent_id"], row["rubric"], row["criterion"]): row["target"] for row in rows}
        kept[agent_id, goal.rubric, goal.criterion] = goal.target
        names = ("agent_id", "rubric", "criterion", "target")
        return [dict(zip(names, (*what, target), strict=True)) for what, target in sorted(kept.items())]

    by_hand.change(results, "coaching", goal.day, with_it)


def goal(day: date, criterion: str, target: str, known: Iterable[tuple[str, str]]) -> Goal:
    """A goal from what a person types: `empathy` or `pec.empathy`, and `70%` or `0.7`.

    `known` are the criteria, rubric and name, that there are.

    Raises:
        UnclearGoal: there is no such criterion, or several, or the target is no share.
    """
    known = sorted(known)
    found = [one for one in known if criterion in (one[1], ".".join(one))]
    if not found:
        raise UnclearGoal(
            f"No call has a mark for {criterion}", f"There are: {', '.join(map('.'.join, known)) or 'none'}."
        )
    if len(found) > 1:
        raise UnclearGoal(
            f"{criterion} may mean several criteria", f"Say which: {', '.join(map('.'.join, found))}."
        )
    return Goal(day.isoformat(), *found[0], _share(target))


def _share(target: str) -> float:
    number, percent, _ = target.strip().partition("%")
    try:
        share = float(number.replace(",", ".")) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise UnclearGoal(f"A target of {target} is no share of calls", "Write 70% or 0.7.")
    return share
