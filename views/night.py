"""What a run says before and after the work: what was found, how each agent did, what failed, what next."""

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from wellheard.pipeline.agents import summarise
from wellheard.pipeline.batch import Outcome
from wellheard.pipeline.datasets import SCHEMAS, SCORED, agent_of
from wellheard.pipeline.ingest import Found
from wellheard.pipeline.records import Failure
from wellheard.pipeline.vocabulary import LIST_CHARACTERS, LONGEST_TERM, used
from wellheard.views import agents
from wellheard.views.progress import duration, speed
from wellheard.views.screen import counted, plain

# A summary must stay one: the rest is in the results.
AGENTS_SHOWN = FAILURES_SHOWN = NOTES_SHOWN = 20


def say(console: Console, line: str, style: str = "") -> None:
    """One line, however long: nothing is cut, and a log has it in one piece."""
    console.print(plain(line, style), soft_wrap=True)


def of_calls(call_ids: Collection[str], agent_ids: Collection[str]) -> pc.Expression:
    """What picks these calls of these agents from a dataset; other agents' files are not opened."""
    agents_stored = sorted({agent_of(agent_id) for agent_id in agent_ids})
    return pc.field("agent_id").isin(agents_stored) & pc.field("call_id").isin(sorted(call_ids))


def show_found(console: Console, found: Found, jobs: int, threads: int) -> None:
    """What is going to be scored, and what cannot be."""
    calls = counted(len(found.sources), "call")
    say(console, f"Found {calls}; {counted(jobs, 'worker')}, {counted(threads, 'thread')} each.")
    if found.failures:
        say(console, f"{counted(len(found.failures), 'call')} cannot be scored; see below.", "yellow")
    _at_most(console, [f"Note: {note}" for note in found.notes], NOTES_SHOWN, "more notes", "dim")


def show_vocabulary(console: Console, vocabulary: Sequence[str]) -> None:
    """How much of the house's list fits into what a recogniser can be told, if not all of it does."""
    fitting = len(used(vocabulary))
    if fitting < len(vocabulary):
        say(
            console,
            f"Of {counted(len(vocabulary), 'name')} in the vocabulary, {fitting} are used: "
            f"the first {LIST_CHARACTERS} characters, none longer than {LONGEST_TERM}.",
            "yellow",
        )


def show_outcome(
    console: Console, outcome: Outcome, calls: pa.Table, failures: Sequence[Failure], results: Path
) -> None:
    """How the agents of this run did, what failed and why, where the results lie; the last line sums up.

    `calls` are the rows of the calls that were scored in this run (`pipeline.agents.SUMMED_UP`).
    """
    folder = shlex.quote(str(results))
    _at_most(console, [f"Note: {note}" for note in outcome.notes], NOTES_SHOWN, "more notes", "dim")
    if calls.num_rows:
        console.print()
        days = summarise(calls, SCHEMAS["marks"].empty_table())
        rows = agents.agents(pa.Table.from_pylist(days, schema=SCHEMAS["agents"]))
        agents.show(console, agents.lowest(rows, AGENTS_SHOWN))
        if rows.num_rows > AGENTS_SHOWN:
            more = counted(rows.num_rows - AGENTS_SHOWN, "agent")
            say(console, f"{more} more, with higher scores: wellheard agents --results {folder}", "dim")
        say(
            console,
            "score: mean of the calls, with its 95 % interval; unsure: marks too unsure to count",
            "dim",
        )
    show_failures(console, failures, results)
    console.print()
    say(console, f"Parquet: {results}/ with {', '.join(SCORED)}")
    if calls.num_rows:
        first = calls.sort_by("call_id")
        call_id, agent_id = first["call_id"][0].as_py(), shlex.quote(first["agent_id"][0].as_py())
        say(console, f"Next:    wellheard call {shlex.quote(call_id)} --results {folder}")
        say(console, f"         wellheard weak-spots --agent {agent_id} --results {folder}")
        say(console, f"         wellheard agents --results {folder}")
    say(console, _sum(outcome, failures), "bold")


def show_failures(console: Console, failures: Sequence[Failure], results: Path) -> None:
    """Which calls were not scored, why, and what to do."""
    if failures:
        console.print()
        say(console, "Not scored:", "bold red")
        lines = [f"  {_called(failure)}: {failure.reason}. {failure.advice}" for failure in failures]
        _at_most(console, lines, FAILURES_SHOWN, f"more, in {results / 'failures'}")


def _sum(outcome: Outcome, failures: Sequence[Failure]) -> str:
    done = f"{counted(outcome.scored, 'call')} scored, {len(failures):,} failed"
    time = f"{speed(outcome.audio_s, outcome.wall_s)}, in {duration(outcome.wall_s)}"
    if outcome.interrupted:
        return f"Stopped early: {done}; {time}. The same command goes on from here."
    return f"Done: {done}; {time}."


def _called(failure: Failure) -> str:
    """The failed call by its id and its file, as far as they are known."""
    names = dict.fromkeys(filter(None, (failure.call_id, failure.path)))
    return (
        " ".join(f"({name})" if number else name for number, name in enumerate(names))
        or "a call without a name"
    )


def _at_most(console: Console, lines: Sequence[str], most: int, rest: str, style: str = "") -> None:
    for line in lines[:most]:
        say(console, line, style)
    if len(lines) > most:
        say(console, f"  … and {len(lines) - most:,} {rest}", style)
