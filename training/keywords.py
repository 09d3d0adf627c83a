"""The keyword baseline: marks as a product gives them that counts words, to measure judges against.

`keywords.yaml` has the lists. They were written in one evening, as a QA lead would, and are not tuned on any
labelled call.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from wellheard.pipeline.records import CallInfo, Conversation, Record, Turn
from wellheard.rubrics.yamlfile import Document, convert, refuse
from wellheard.training.labelled import PersonsAnswer

FILE = Path(__file__).with_name("keywords.yaml")
OPENING_TURNS = 2
CLOSING_TURNS = 3
# The same letter written in two ways.
_SAME_LETTERS = str.maketrans({"ё": "е", "ş": "ș", "ţ": "ț", "’": "'"})
_NOISE = re.compile(r"[^\w\s'*-]+")

Who = Literal["agent", "customer", "anyone"]


class Lists(Record):
    """Words and phrases of one language; `*` stands for any letters at that place of a word.

    `{company}` is the company's name and `{agent}` any of the agent's names, where they are known.
    """

    occasion: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


class Criterion(Record):
    """How the words of one criterion are counted.

    `na` if it has an occasion and none of its words is said by `occasion_by`; else `yes` if one of `words`
    (and, where there are such, one of `also`) is said `by` them in that part of the call; else `no` if one of
    `against` is; else `otherwise`. "anyone" is the system, too.
    """

    lists: dict[str, Lists]
    occasion_by: Who = "anyone"
    by: Who = "agent"
    where: Literal["opening", "after_opening", "closing", "anywhere"] = "anywhere"
    otherwise: PersonsAnswer = "no"


def answer(criterion: str, conversation: Conversation, info: CallInfo) -> PersonsAnswer | None:
    """What counting words makes of a "rubric.criterion"; None where there is no list for it."""
    known = shipped().get(criterion)
    if known is None or conversation.language not in known.lists:
        return None
    lists = known.lists[conversation.language]
    everywhere = _said(conversation.turns, known.occasion_by)
    if lists.occasion and not _any_of(lists.occasion, everywhere, info):
        return "na"
    said = _part(_said(conversation.turns, known.by), known.where)
    if (
        lists.words
        and _any_of(lists.words, said, info)
        and (not lists.also or _any_of(lists.also, said, info))
    ):
        return "yes"
    return "no" if _any_of(lists.against, said, info) else known.otherwise


@cache
def shipped() -> dict[str, Criterion]:
    """The lists of each criterion.

    Raises:
        BadRubric: somebody edited the file and it cannot be read any more.
    """
    document = Document(FILE)
    lists: dict[str, Criterion] | None = convert(document, (), document.content, dict[str, Criterion])
    refuse(document.problems)
    assert lists is not None
    return lists


def _said(turns: Iterable[Turn], who: Who) -> list[str]:
    """The turns of somebody, in a plain form."""
    return [_plain(turn.text) for turn in turns if who in ("anyone", turn.speaker)]


def _part(said: list[str], where: str) -> list[str]:
    parts = {
        "opening": said[:OPENING_TURNS],
        "after_opening": said[OPENING_TURNS:],
        "closing": said[-CLOSING_TURNS:],
    }
    return parts.get(where, said)


def _any_of(words: Sequence[str], said: Iterable[str], info: CallInfo) -> bool:
    names = {
        "{company}": (info.company or "",),
        "{agent}": tuple((info.agent_name or "").split()),
    }
    phrases = tuple(
        phrase for word in words for phrase in (_plain(name) for name in names.get(word, (word,))) if phrase
    )
    pattern = _pattern(phrases)
    return pattern is not None and any(pattern.search(text) for text in said)


@cache
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str] | None:
    if not phrases:
        return None
    either = "|".join(re.escape(phrase).replace(r"\*", r"\w*") for phrase in phrases)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)")


def _plain(text: str) -> str:
    """Lower case, without punctuation: a recogniser's output and a careful transcript look alike."""
    return " ".join(_NOISE.sub(" ", text.lower().translate(_SAME_LETTERS)).split())
