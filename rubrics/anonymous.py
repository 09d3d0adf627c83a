"""Turns as a language model may see them: without the agent's name, and without marks that steer it."""

import re

from rapidfuzz import fuzz

AGENT = "[agent]"

# Of the languages in which names change their ending: "Анной", "Marka", "Andrei" → "lui Andrei", "Mariei".
_ENDING = re.compile(r"(?:[aeiouyąęóăâîаеёиоуыюя]\w{0,2}|й|ь)?")
_VOWELS = "aeiouyăâîаеёиоуыюяйь"
# A name may be heard in another spelling ("Sara" for "Sarah"). Lower, and "lines" would be Linda.
_SPELLED_NEARLY = 85.0
_SHORTEST_SPELLED = 5
_SHORTEST_STEM = 3
_WORD = re.compile(r"\w+")
_REPEATED = re.compile(rf"{re.escape(AGENT)}(?:[\s.-]+{re.escape(AGENT)})+")
# Nobody says these, and models know them as borders between instructions and data: <|im_start|>, [INST].
_STEERING = str.maketrans(dict.fromkeys("<>[]{}|\uff5c`\\", " "))


def shown(text: str, agent_name: str | None, language: str) -> str:
    """The text with `AGENT` for every part of the agent's name, in any case, ending or nearly so spelled.

    Parts of two letters ("Jo") are found only where they have a capital. Pet names are not known.
    """
    text = " ".join(text.translate(_STEERING).split())
    parts = _WORD.findall(agent_name or "")
    if not parts:
        return text

    def is_part(word: str) -> bool:
        return any(_same(word, part, endings=language != "en") for part in parts)

    replaced = _WORD.sub(lambda word: AGENT if is_part(word.group()) else word.group(), text)
    return _REPEATED.sub(AGENT, replaced)


def _same(word: str, part: str, *, endings: bool) -> bool:
    if len(part) < _SHORTEST_STEM:
        return word[0].isupper() and word.casefold() == part.casefold() and len(part) > 1
    word, part = word.casefold(), part.casefold()
    if word == part:
        return True
    if (
        min(len(word), len(part)) >= _SHORTEST_SPELLED - 1
        and max(len(word), len(part)) >= _SHORTEST_SPELLED
        and fuzz.ratio(word, part) >= _SPELLED_NEARLY
    ):
        return True
    return endings and any(
        len(stem) >= _SHORTEST_STEM and word.startswith(stem) and bool(_ENDING.fullmatch(word[len(stem) :]))
        for stem in _stems(part)
    )


def _stems(part: str) -> tuple[str, ...]:
    """ "анн" of "анна", "ivan", and "marek" with "mark"."""
    if part[-1] in _VOWELS:
        return (part[:-1],)
    if len(part) > _SHORTEST_STEM and part[-2] in "eеoо":
        return part, part[:-2] + part[-1]
    return (part,)
