"""Processes that score calls side by side, one pipe to each, so that one which dies costs one call.

Workers are spawned, never forked: a fork while the parent has threads can stand still for ever. Why not a
pool from a library: pebble's and the standard ones share one pipe and its lock among all workers, so a
worker killed while it sends its result stops the others; and a limit that depends on the call's length,
which is known only once the call is decoded, cannot be set after the start.
"""

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from traceback import walk_tb
from types import TracebackType
from typing import TypeAlias

from wellheard.pipeline.errors import CallError, WellheardError
from wellheard.pipeline.records import CallResult, Failure, Source

Scorer: TypeAlias = Callable[[Source, Callable[[float], None]], CallResult]
MakeScorer: TypeAlias = Callable[[], Scorer]

_DEATHS_AT_START = 3


@dataclass(frozen=True)
class Limits:
    """How long a call may take before its worker is ended, in seconds.

    `reading_s` until its length is known; from then on `base_s` plus `per_second` for each second of sound.
    Far more than the slowest model needs: this is for a worker that would never answer.
    """

    reading_s: float = 900.0
    base_s: float = 600.0
    per_second: float = 10.0


class WorkersBroken(WellheardError):
    """Workers die before they can start on a call."""


@dataclass(frozen=True)
class _Ready:
    """The models are there; the worker waits for calls."""


@dataclass(frozen=True)
class _Length:
    """The call lasts so long."""

    seconds: float


@dataclass(frozen=True)
class _Hopeless:
    """What no other call can get round either: a missing model, a broken rubric."""

    error: WellheardError


class Workers:
    """So many processes, each with a scorer of its own."""

    def __init__(self, make_scorer: MakeScorer, jobs: int, limits: Limits) -> None:
        self._make_scorer = make_scorer
        self._limits = limits
        self._deaths_at_start = 0
        self._workers: list[_Worker] = []
        for _ in range(jobs):
            self._workers.append(_Worker(make_scorer))

    def idle(self) -> int:
        """How many workers wait for a call."""
        return sum(worker.ready and worker.source is None for worker in self._workers)

    def busy(self) -> bool:
        """Whether any call is being scored."""
        return any(worker.source for worker in self._workers)

    def start(self, source: Source) -> None:
        """Give this call to a worker that is idle."""
        worker = next(worker for worker in self._workers if worker.ready and worker.source is None)
        worker.start(source, self._limits.reading_s)

    def finished(self, timeout_s: float) -> Iterator[tuple[Source, CallResult | Failure]]:
        """Wait until something happens, at most so long; the calls that were finished.

        Raises:
            WellheardError: what concerns all calls, such as a missing model.
        """
        deadlines = [worker.deadline for worker in self._workers if worker.source]
        until = min([time.monotonic() + timeout_s, *deadlines])
        heard_from = wait([worker.pipe for worker in self._workers], max(0.0, until - time.monotonic()))
        for place, worker in enumerate(self._workers):
            source = worker.source
            if worker.pipe in heard_from:
                outcome = self._receive(worker)
            elif source and time.monotonic() > worker.deadline:
                outcome = _took_too_long(source, worker.limit_s)
            else:
                continue
            if worker.dead or (source and time.monotonic() > worker.deadline and outcome):
                pass
            if outcome and source:
                yield source, outcome
