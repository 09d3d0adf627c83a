"""The bank of worded examples (`data/bank`), as snippets of calls."""

import re
from collections.abc import Iterator
from pathlib import Path

from wellheard.pipeline.errors import BadLabels
from wellheard.pipeline.records import Record, Speaker

FOLDER = Path(__file__).parent.parent / "data" / "bank"

_HEAD = re.compile(r"== (?P<miss>!?)(?P<act>\w+) \| (?P<trade>.+)")
_TURN = re.compile(r"(?P<speaker>[ACS]): (?P<text>.+?) \[(?P<acts>[\w ]*)\]\s*")
_SPEAKERS: dict[str, Speaker] = {"A": "agent", "C": "customer", "S": "other"}


class Snippet(Record):
    """Some turns out of a call, and the acts of each; the last one does `act`, or is a near `miss` of it."""

    language: str
    act: str
    miss: bool
    trade: str
    turns: tuple[tuple[Speaker, str], ...]
    acts: tuple[frozenset[str], ...]


def read(path: Path) -> Iterator[Snippet]:
    """The snippets of a file that is named for its language (`en_1.txt`).

    Raises:
        BadLabels: a line is not as data/bank/README.md says; the reason names file and line.
    """
    head: re.Match[str] | None = None
    turns: list[re.Match[str]] = []
    for number, line in enumerate([*path.read_text("utf-8").splitlines(), ""], 1):
        if line.startswith("== "):
            head, turns = _HEAD.fullmatch(line), []
            if head is None:
                raise BadLabels(f"{path}, line {number} is no head of a snippet", "Write == ACT | trade.")
        elif line.strip():
            turn = _TURN.fullmatch(line)
            if turn is None or head is None:
                raise BadLabels(f"{path}, line {number} is no turn", "Write A: what is said [acts].")
            turns.append(turn)
        elif head is not None:
            yield Snippet(
                language=path.stem[:2],
                act=head["act"],
                miss=bool(head["miss"]),
                trade=head["trade"],
                turns=tuple((_SPEAKERS[turn["speaker"]], turn["text"]) for turn in turns),
                acts=tuple(frozenset(turn["acts"].split()) for turn in turns),
            )
            head = None
