"""Goals agreed with agents: what to work on, since when, and the rate to reach. Scoring never touches them.

They are the dataset `coaching`, one file a day, written whole and put in place by a rename. Several people
may agree on goals at once, also while a night is being scored: the lock is not scoring's.
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from wellheard.pipeline.datasets import SCHEMAS, file_schema
from wellheard.pipeline.disk import private_file, sync
from wellheard.pipeline.errors import CannotWrite, WellheardError
from wellheard.pipeline.standing import Goal
from wellheard.pipeline.store import Results

_PRIVATE = ".wellheard"
_FILE_NAME = "part-0.parquet"
_WAIT_S = 30.0


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
    results.table("coaching", filter=pc.field("date") == goal.day)
    private = results.folder / _PRIVATE
    try:
        private.mkdir(parents=True, exist_ok=True)
        with FileLock(private / "coaching.lock", mode=0o600, timeout=_WAIT_S):
            _write(results, agent_id, goal, private / "coaching.part")
    except Timeout as error:
        raise CannotWrite(
            f"Somebody else is writing goals into {results.folder}", "Run the same command again."
        ) from error
    except OSError as error:
        raise CannotWrite(
            f"{results.folder} cannot be written ({error.strerror or error})",
            "Make sure that it is a folder of yours with space left.",
        ) from error


def _write(results: Results, agent_id: str, goal: Goal, new: Path) -> None:
    of_day = results.table("coaching", filter=pc.field("date") == goal.day).to_pylist()
    key = (agent_id, goal.rubric, goal.criterion)
    kept = {(row["agent_id"], row["rubric"], row["criterion"]): row["target"] for row in of_day}
    kept[key] = goal.target
    names = [name for name in SCHEMAS["coaching"].names if name != "date"]
    rows = [dict(zip(names, (*what, target), strict=True)) for what, target in sorted(kept.items())]
    with private_file(new) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=file_schema("coaching")), file, compression="zstd")
    sync(new)
    path = results.folder / "coaching" / f"date={goal.day}" / _FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    new.replace(path)


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
