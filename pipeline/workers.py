"""Processes that score calls side by side, one pipe to each, so that one which dies costs one call.

Workers are spawned, never forked: a fork while the parent has threads can stand still for ever. Why not a
pool from a library: pebble's and the standard ones share one pipe and its lock among all workers, so that
one which is killed while it sends stops the others; and their time limits are set before a call starts,
when its length is not known yet.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread
from traceback import walk_tb
from types import TracebackType
from typing import TypeAlias

from wellheard.pipeline.errors import CallError, WellheardError
from wellheard.pipeline.records import CallResult, Failure, Source

Scorer: TypeAlias = Callable[[Source, Callable[[float], None]], CallResult]
MakeScorer: TypeAlias = Callable[[], Scorer]

_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_MOST_DEATHS_AT_START = 3
_LAST_BREATH_S = 3.0
_REPORT = "This is a fault in wellheard: please report this line. It holds nothing of what was said."
_MEMORY = (
    "Most likely memory ran out: use fewer --jobs. "
    "If this call fails again when scored alone, convert its recording to WAV."
)
_NO_START = "If no error is shown above, memory ran out: use fewer --jobs."


@dataclass(frozen=True)
class Limits:
    """How long a call may take before its worker is ended, in seconds.

    `reading_s` until its length is known; from then on `base_s` and `per_second` for each second of sound.
    Far more than the slowest model needs: this is for a worker that would never answer.
    """

    reading_s: float = 900.0
    base_s: float = 600.0
    per_second: float = 10.0


LIMITS = Limits()


class WorkersBroken(WellheardError):
    """Workers die before they can start on a call."""


@dataclass(frozen=True)
class _Ready:
    """The worker waits for a call."""


@dataclass(frozen=True)
class _Length:
    """The call lasts so long."""

    seconds: float


@dataclass(frozen=True)
class _Hopeless:
    """What would stop every other call too: a missing model, a broken rubric."""

    error: WellheardError


class Workers:
    """`jobs` processes, each with a scorer of its own. Leaving the block ends them at once."""

    def __init__(self, make_scorer: MakeScorer, jobs: int, limits: Limits) -> None:
        self._make_scorer = make_scorer
        self._jobs = jobs
        self._limits = limits
        self._deaths_at_start = 0
        self._workers: list[_Worker] = []

    def __enter__(self) -> "Workers":
        resource_tracker.ensure_running()  # its first start would let the signals through that are held below
        self._fill()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    @property
    def busy(self) -> bool:
        """Whether a call is being scored."""
        return any(worker.source for worker in self._workers)

    @property
    def idle(self) -> bool:
        """Whether a worker waits for a call."""
        return any(worker.idle for worker in self._workers)

    def start(self, source: Source) -> None:
        """Give this call to an idle worker."""
        next(worker for worker in self._workers if worker.idle).start(source, self._limits.reading_s)

    def finished(self, timeout_s: float) -> Iterator[tuple[Source, CallResult | Failure]]:
        """The calls that are finished; waits for news, but no longer than `timeout_s`.

        Raises:
            WellheardError: what would stop every other call too, such as a missing model.
        """
        now = time.monotonic()
        until = min([now + timeout_s, *(worker.deadline for worker in self._workers if worker.source)])
        news = wait([worker.pipe for worker in self._workers], max(0.0, until - now))
        for worker in tuple(self._workers):
            outcome: CallResult | Failure | None = None
            source = worker.source
            if worker.pipe in news:
                outcome = self._receive(worker)
            elif source and time.monotonic() >= worker.deadline:
                self._workers.remove(worker)
                worker.end()
                outcome = Failure.of(
                    source, "batch", f"took longer than {worker.limit_s:.0f} s and was given up", _REPORT
                )
            if source and outcome:
                yield source, outcome
        self._fill()

    def _fill(self) -> None:
        while len(self._workers) < self._jobs:
            self._workers.append(_Worker(self._make_scorer))

    def _receive(self, worker: "_Worker") -> CallResult | Failure | None:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        match message:
            case _Ready():
                worker.ready = True
                self._deaths_at_start = 0
            case _Length(seconds):
                worker.limit(self._limits.base_s + self._limits.per_second * seconds)
            case _Hopeless(error):
                raise error
            case CallResult() | Failure():
                worker.source = None
                return message
        return None

    def _bury(self, worker: "_Worker") -> Failure | None:
        self._workers.remove(worker)
        how = worker.end(_LAST_BREATH_S)
        if worker.source:
            return Failure.of(worker.source, "batch", f"the process that scored it died ({how})", _MEMORY)
        self._deaths_at_start += not worker.ready
        if self._deaths_at_start >= _MOST_DEATHS_AT_START:
            raise WorkersBroken(f"The processes that score calls die as they start ({how})", _NO_START)
        return None


class _Worker:
    """One process, seen from the parent."""

    def __init__(self, make_scorer: MakeScorer) -> None:
        spawn = get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_work, args=(theirs, make_scorer), daemon=True)
        with _signals_held():
            self._process.start()
        theirs.close()
        self.ready = False
        self.source: Source | None = None
        self.limit_s = self.deadline = 0.0

    @property
    def idle(self) -> bool:
        return self.ready and self.source is None

    def start(self, source: Source, limit_s: float) -> None:
        self.source = source
        self.limit(limit_s)
        with suppress(OSError):  # if it is dead, `finished` sees it
            self.pipe.send(source)

    def limit(self, seconds: float) -> None:
        self.limit_s = seconds
        self.deadline = time.monotonic() + seconds

    def end(self, grace_s: float = 0.0) -> str:
        """End the process, unless it does so itself; how it ended, in words."""
        self._process.join(grace_s)
        self._process.kill()
        self._process.join()
        self.pipe.close()
        code = self._process.exitcode or 0
        self._process.close()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


@contextmanager
def _signals_held() -> Iterator[None]:
    """A process started in this block never sees Ctrl-C or TERM: its parent decides when it ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, make_scorer: MakeScorer) -> None:
    """What a worker does from its start to its end."""
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        scorer = make_scorer()
    except WellheardError as error:
        pipe.send(_Hopeless(error))
        return
    with suppress(EOFError, ConnectionError):  # the parent is gone
        pipe.send(_Ready())
        while True:
            pipe.send(_score(scorer, pipe.recv(), pipe))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _score(scorer: Scorer, source: Source, pipe: Connection) -> CallResult | Failure | _Hopeless:
    try:
        return scorer(source, lambda seconds: pipe.send(_Length(seconds)))
    except CallError as error:
        return Failure.of(source, error.stage, error.reason, error.advice)
    except WellheardError as error:
        return _Hopeless(error)
    except MemoryError:
        return Failure.of(source, "batch", "memory ran out", _MEMORY)
    except Exception as error:
        # The exception's own text is left out: it may hold what a person said.
        reason = f"{type(error).__name__} in {_our_last_line(error.__traceback__)}"
        return Failure.of(source, "batch", reason, _REPORT)


def _our_last_line(traceback: TracebackType | None) -> str:
    """Where our own code was: what lies deeper, in the libraries, depends on their versions."""
    place = "an unknown place"
    for frame, line in walk_tb(traceback):
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("wellheard.") and module != __name__:
            place = f"{Path(frame.f_code.co_filename).name}, line {line}"
    return place
