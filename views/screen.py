"""The terminal: names come up letter for letter, nothing in them is taken for a command or for markup."""

import codecs
import unicodedata
from typing import IO

from rich.console import Console
from rich.text import Text

WIDEST = 100

# Characters that steer a terminal or turn the direction of writing, and line breaks.
_STEERING = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


# How our own signs look on a terminal that knows only ASCII.
_ASCII = {"–": "-", "—": "-", "…": "...", "×": "x", "“": '"', "”": '"', "’": "'"}


def readable(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands for a letter that an encoding lacks: a like sign, or an escape; never an error."""
    if isinstance(error, UnicodeEncodeError):
        like = _ASCII.get(error.object[error.start])
        if like:
            return like, error.start + 1
        single = UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
        return codecs.backslashreplace_errors(single)
    raise error


codecs.register_error("readable", readable)


def screen(file: IO[str] | None = None) -> Console:
    """A console that shows what it is given as it is, at most `WIDEST` columns wide to stay readable."""
    console = Console(file=file, markup=False, emoji=False, highlight=False)
    console.width = min(console.width, WIDEST)
    return console


def visible(text: str) -> str:
    """The text with characters that steer a terminal shown as escapes (`\\x1b`), so that they do nothing."""
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in _STEERING or char in _TURNING
        else char
        for char in text
    )


def plain(text: object, style: str = "", *, whole: bool = True) -> Text:
    """Text for a cell or line: never markup; with `whole`, folded rather than cut where it is too long."""
    return Text(visible(str(text)), style=style, overflow="fold" if whole else "ellipsis")


def percent(share: float | None) -> str:
    """A share from 0 to 1 as "83 %"; nothing counted is "–", neither 0 nor 100."""
    return "–" if share is None or share != share else f"{share:.0%}".replace("%", " %")


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its word: "1 call", "2 calls"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
