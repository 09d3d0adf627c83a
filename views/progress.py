"""How far a run is: a bar on a terminal, and now and then a plain line where there is none (cron, a file)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column

from wellheard.pipeline.batch import Doubled, Event, Failed, Scored, Started
from wellheard.pipeline.records import Failure
from wellheard.views.screen import counted, plain

LINE_EVERY_S = 300.0


@dataclass
class Tally:
    """What has become of the calls so far; `began` is by the monotonic clock."""

    calls: int = 0
    done: int = 0
    audio_s: float = 0.0
    call_ids: set[str] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def take(self, event: Event) -> None:
        """Count an event of the batch."""
        match event:
            case Started(calls=calls):
                self.calls = calls
            case Scored(call_id=call_id, audio_s=audio_s):
                self.done += 1
                self.audio_s += audio_s
                self.call_ids.add(call_id)
            case Doubled():
                self.done += 1
            case Failed(failure=failure):
                self.done += 1
                self.failures.append(failure)

    def line(self, now: float) -> str:
        """Calls done, failed, audio, speed and time left, in words."""
        elapsed = max(now - self.began, 1e-9)
        parts = [f"{self.done:,} of {counted(self.calls, 'call')}"]
        if self.failures:
            parts.append(f"{len(self.failures):,} failed")
        parts.append(speed(self.audio_s, elapsed))
        if 0 < self.done < self.calls:
            parts.append(f"{duration(elapsed / self.done * (self.calls - self.done))} left")
        return ", ".join(parts)


def speed(audio_s: float, wall_s: float) -> str:
    """How much sound was heard, and how many times faster than it lasts."""
    heard = f"{audio_s / 3600:.1f} h" if audio_s >= 3600 else f"{audio_s / 60:.1f} min"
    times = audio_s / max(wall_s, 1e-9)
    return (
        f"{heard} of sound, {times:.{0 if times >= 10 else 1}f}x real time"
        if audio_s
        else f"{heard} of sound"
    )


def duration(seconds: float) -> str:
    """A length of time in the two units that matter: `45 s`, `12 min 05 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


@contextmanager
def progress(
    console: Console, tally: Tally, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Event], None]]:
    """Take the events of a batch into `tally`, and show it while the block lasts."""
    terminal = console.file.isatty() and not console.is_dumb_terminal
    with (_bar if terminal else _lines)(console, tally, clock) as show:

        def on_event(event: Event) -> None:
            tally.take(event)
            show()

        yield on_event


@contextmanager
def _lines(console: Console, tally: Tally, clock: Callable[[], float]) -> Iterator[Callable[[], None]]:
    last = clock()

    def show() -> None:
        nonlocal last
        if clock() - last >= LINE_EVERY_S:
            last = clock()
            stamp = time.strftime("%H:%M:%S")
            console.print(plain(f"{stamp}  {tally.line(last)}"), soft_wrap=True)

    yield show


@contextmanager
def _bar(console: Console, tally: Tally, clock: Callable[[], float]) -> Iterator[Callable[[], None]]:
    words = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    columns = (SpinnerColumn(), BarColumn(bar_width=12), words)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show() -> None:
            bar.update(task, description=tally.line(clock()), completed=tally.done, total=tally.calls or None)

        yield show
