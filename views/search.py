"""Turns that a search has found, for people: the call, the second, who, the words, how near."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wellheard.pipeline.morning.search import MEANING, PHRASE, WORDS, Found
from wellheard.pipeline.records import clock
from wellheard.views.dialogue import COLOURS
from wellheard.views.progress import duration
from wellheard.views.screen import counted, percent, plain
from wellheard.views.steps import steps

# Shorter work is done without a word.
SILENT_S = 2.0


@contextmanager
def reading(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show how many texts are read for their meaning, and before that how long it will take."""
    with steps(console) as step:
        started = time.monotonic()
        told = False

        def show_step(done: int, total: int) -> None:
            nonlocal started, told
            if not done:
                started = time.monotonic()
                return
            took = time.monotonic() - started
            if not told and took / done * total > SILENT_S:
                told = True
                left = duration(took / done * (total - done))
                line = (
                    f"{total:,} texts are read for their meaning, once: about {left}. Ctrl-C stops it and "
                    "shows what is found by then; the next search goes on from there."
                )
                console.print(plain(line), soft_wrap=True)
            if told:
                step("read", done, total)

        yield show_step


def notes(found: Found) -> list[str]:
    """What else there is to say of a search."""
    said = []
    if found.unread:
        left = counted(found.unread, "text")
        said.append(f"Stopped: {left} not yet read for meaning; search again to go on from there.")
    if not found.kept:
        said.append("Nothing can be written beside the results, so the next search reads all texts again.")
    return said


def show(console: Console, found: Found) -> None:
    """What was found by words, then by meaning."""
    rows = found.turns.to_pylist()
    by_words = [row for row in rows if row["found_by"] in (PHRASE, WORDS)]
    by_meaning = [row for row in rows if row["found_by"] == MEANING]
    number = counted(found.by_words, "turn")
    if found.by_words > len(by_words):
        number += f", {len(by_words)} of them shown; --most gives more"
    _section(console, "By words", number, by_words)
    console.print()
    _section(console, "By meaning", f"the nearest {counted(len(by_meaning), 'turn')}", by_meaning)
    if rows:
        console.print()
        console.print(
            plain(
                "near: by words, the share of letters that are the same; by meaning, from 0 (unrelated) to "
                "100 % (the same). To see a call: wellheard call CALL",
                "dim",
            )
        )


def _section(console: Console, title: str, number: str, rows: list[dict[str, Any]]) -> None:
    console.print(Text.assemble(plain(title, "bold"), plain(f"  {number if rows else 'nothing'}", "dim")))
    if not rows:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(plain("near"), justify="right", no_wrap=True)
    table.add_column(plain("call"), max_width=20)
    table.add_column(plain("at"), justify="right", no_wrap=True)
    table.add_column(plain("who"), no_wrap=True)
    table.add_column(plain("words"), ratio=1)
    for row in rows:
        table.add_row(
            plain(percent(row["near"])),
            plain(row["call_id"]),
            plain(clock(row["at_s"]), "cyan"),
            plain(row["speaker"], COLOURS.get(row["speaker"], "")),
            plain(row["quote"]),
        )
    console.print(table)
