"""A night of calls: given to worker processes, and stored as they come back.

A call that cannot be scored becomes a `Failure` and the night goes on. A run that is stopped or killed
goes on where it was when it is started again: what was stored is replaced by the same rows, and the stage
cache saves the work.
"""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from threading import current_thread, main_thread
from types import FrameType
from typing import Any, TypeAlias

from wellheard.pipeline.errors import CallError
from wellheard.pipeline.records import CallResult, Failure, Source
from wellheard.pipeline.store import Writer
from wellheard.pipeline.workers import LIMITS, Limits, MakeScorer, Workers

_POLL_S = 0.25


@dataclass(frozen=True)
class Started:
    """The run begins: so many calls, so many workers."""

    calls: int
    jobs: int


@dataclass(frozen=True)
class Scored:
    """A call was scored."""

    path: str
    call_id: str
    audio_s: float


@dataclass(frozen=True)
class Doubled:
    """A recording turned out to be one that was scored already in this run."""

    path: str
    call_id: str


@dataclass(frozen=True)
class Failed:
    """A call could not be scored."""

    failure: Failure


@dataclass(frozen=True)
class Stored:
    """So many calls of this run are on disk by now."""

    calls: int


Event: TypeAlias = Started | Scored | Doubled | Failed | Stored


@dataclass(frozen=True)
class Outcome:
    """How the run ended. `interrupted`: it was told to stop, and stored what was done."""

    calls: int
    scored: int
    failed: int
    audio_s: float
    wall_s: float
    notes: tuple[str, ...]
    interrupted: bool


@dataclass(frozen=True)
class Pace:
    """How often results are put on disk: after so many seconds or calls, whichever comes first.

    Storing never takes more than about a tenth of the time, unless ten times `calls` are waiting.
    """

    seconds: float = 120.0
    calls: int = 50


def run(
    sources: Sequence[Source],
    make_scorer: MakeScorer,
    writer: Writer,
    jobs: int,
    on_event: Callable[[Event], None],
    *,
    limits: Limits = LIMITS,
    pace: Pace = Pace(),
) -> Outcome:
    """Score these calls with `jobs` processes and store them.

    Each process calls `make_scorer` once; it must be picklable, such as a `functools.partial` of a class.
    INT, TERM and HUP end the run early: what is done is stored, and the outcome says `interrupted`.

    Raises:
        WellheardError: what would stop every call, such as a missing model; what was done is stored.
    """
    night = _Night(writer, on_event, pace)
    todo = deque(source for source in sorted(sources, key=_agent_and_time) if night.can_store(source))
    on_event(Started(len(sources), jobs))
    with _stop_signals() as stop:
        try:
            with Workers(make_scorer, min(jobs, len(todo)), limits) as workers:
                while (todo or workers.busy) and not stop:
                    while todo and workers.idle:
                        workers.start(todo.popleft())
                    for source, outcome in workers.finished(_POLL_S):
                        night.take(source, outcome)
                    night.store_if_due()
        finally:
            night.store()
    return night.outcome(len(sources), interrupted=bool(stop))


def _agent_and_time(source: Source) -> tuple[str, float, tuple[str, ...]]:
    """An agent's day together, so that few files are written more than once."""
    started_at = source.info.started_at
    when = started_at.replace(tzinfo=started_at.tzinfo or UTC) if started_at else None
    return source.info.agent_id, when.timestamp() if when else 0.0, source.paths


class _Night:
    """What has become of the calls so far. Keeps names and sums; results are dropped once they are stored."""

    def __init__(self, writer: Writer, on_event: Callable[[Event], None], pace: Pace) -> None:
        self._writer = writer
        self._on_event = on_event
        self._pace = pace
        self._began = self._stored_at = time.monotonic()
        self._storing_s = 0.0
        self._scored: dict[str, tuple[str, ...]] = {}
        self._doubles: list[tuple[str, str]] = []
        self._failed = 0
        self._audio_s = 0.0

    def can_store(self, source: Source) -> bool:
        """Whether this call could be stored; if not, it fails before work is spent on it."""
        try:
            self._writer.check_agent(source.info.agent_id)
        except CallError as error:
            self.take(source, Failure.of(source, error.stage, error.reason, error.advice))
            return False
        return True

    def take(self, source: Source, outcome: CallResult | Failure) -> None:
        if isinstance(outcome, Failure):
            self._failed += 1
            self._writer.fail(outcome)
            self._on_event(Failed(outcome))
            return
        call_id, path = outcome.info.call_id, source.paths[0]
        known = self._scored.get(call_id)
        if known is not None:
            # Which of the two stays must not depend on which worker was faster.
            stays, goes = sorted((known, source.paths))
            self._doubles.append((goes[0], call_id))
            self._on_event(Doubled(path, call_id))
            if stays == known:
                return
        else:
            self._audio_s += outcome.duration_s
            self._on_event(Scored(path, call_id, outcome.duration_s))
        self._scored[call_id] = source.paths
        self._writer.add(outcome)

    def store_if_due(self) -> None:
        since = time.monotonic() - self._stored_at
        waiting = self._writer.waiting
        due = since >= self._pace.seconds or waiting >= self._pace.calls
        if (due and since >= 10 * self._storing_s) or waiting >= 10 * self._pace.calls:
            self.store()

    def store(self) -> None:
        before = time.monotonic()
        self._writer.flush()
        self._stored_at = time.monotonic()
        self._storing_s = self._stored_at - before
        self._on_event(Stored(len(self._scored)))

    def outcome(self, calls: int, *, interrupted: bool) -> Outcome:
        return Outcome(
            calls=calls,
            scored=len(self._scored),
            failed=self._failed,
            audio_s=self._audio_s,
            wall_s=time.monotonic() - self._began,
            notes=tuple(
                f"{path} is the same recording as {self._scored[call_id][0]}: scored once, as {call_id}"
                for path, call_id in sorted(self._doubles)
            ),
            interrupted=interrupted,
        )


class _Stop:
    """Whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked


@contextmanager
def _stop_signals() -> Iterator[_Stop]:
    """Turn the first INT, TERM or HUP into a wish to stop; the second has its usual effect."""
    stop = _Stop()
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.asked = True
        restore()

    if current_thread() is main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
