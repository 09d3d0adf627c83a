"""Progress of work that counts steps: a bar in a terminal, else a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wellheard.views.screen import plain

LINE_EVERY_S = 30.0


@contextmanager
def steps(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Show what is told: what is being done, how many steps are done, how many there are."""
    if not console.file.isatty() or console.is_dumb_terminal:
        yield _lines(console)
        return
    words = TextColumn("{task.description}", markup=False)
    columns = (words, BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        doing = ""

        def show(what: str, done: int, total: int) -> None:
            nonlocal doing
            if what != doing:
                bar.reset(task)
                doing = what
            bar.update(task, description=what, completed=done, total=total)

        yield show


def _lines(console: Console) -> Callable[[str, int, int], None]:
    last = time.monotonic()

    def show(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_S or done == total:
            last = time.monotonic()
            stamp = time.strftime("%H:%M:%S")
            console.print(plain(f"{stamp}  {what}: {done:,} of {total:,}"), soft_wrap=True)

    return show
