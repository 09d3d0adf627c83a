"""Results to ask, search and export: calls with given words, and the command line that is asked."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from stub_calls import result, source

from wellheard import cli
from wellheard.pipeline.records import CallResult, Failure, Turn, Word
from wellheard.pipeline.store import Results


def say(call: CallResult, *lines: str) -> CallResult:
    """The call with these turns, the agent's first; a word takes half a second, a turn begins at once."""
    turns, at_s = [], 0.0
    for place, line in enumerate(lines):
        words = []
        for text in line.split():
            words.append(Word(start_s=at_s, end_s=at_s + 0.4, text=text, probability=0.9))
            at_s += 0.5
        turns.append(Turn(speaker=("agent", "customer")[place % 2], words=tuple(words)))
    return replace(
        call,
        conversation=replace(call.conversation, turns=tuple(turns)),
        acts=replace(call.acts, turns=tuple({} for _ in turns)),
        clarity=replace(call.clarity, turns=call.clarity.turns[:1] * len(turns)),
    )


def call(
    number: int, *lines: str, agent_id: str = "007", day: str = "2025-02-19", **info: object
) -> CallResult:
    return say(result(source(number, agent_id, day, **info)), *lines)


def store(folder: Path, calls: Sequence[CallResult], failures: Sequence[Failure] = ()) -> Results:
    with Results(folder).writer(ZoneInfo("Europe/Warsaw"), print) as writer:
        for one in calls:
            writer.add(one)
        for failure in failures:
            writer.fail(failure)
    return Results(folder)


class CommandLine:
    """Runs `wellheard …` in this process: exit code, standard output, standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["wellheard", *map(str, arguments)])
        umask = os.umask(0o077)
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            os.umask(umask)
        printed = self._capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err
