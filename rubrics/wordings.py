"""Reads the wording of a language, with what a rubric adds to it, and the settings of the signs."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from wellheard.pipeline.errors import BadRubric
from wellheard.rubrics.facts import Words
from wellheard.rubrics.signs import BACKGROUND, FOLDER, SIGNS, Examples, SignSettings, Wording
from wellheard.rubrics.yamlfile import Document, Problem

WORDING_FOLDER = FOLDER / "wording"
SIGNS_FILE = FOLDER / "signs.yaml"
# Its examples help every language: the encoder puts the same thing said in two languages close together.
PIVOT = "en"


def languages() -> tuple[str, ...]:
    """The languages that wording is shipped for."""
    return tuple(sorted(path.stem for path in WORDING_FOLDER.glob("*.yaml")))


@cache
def shipped(language: str) -> Wording:
    """The wording of a language.

    Raises:
        BadRubric: somebody edited the file and it cannot be read any more.
    """
    document = Document(WORDING_FOLDER / f"{language}.yaml")
    content = document.content if isinstance(document.content, dict) else {}
    words = convert(document, ("words",), content.pop("words", {}), Words)
    signs = examples(document, (), content)
    refuse(document.problems)
    assert words is not None
    return Wording(signs=signs, words=words)


@cache
def sign_settings() -> dict[str, SignSettings]:
    """What speaks for each sign.

    Raises:
        BadRubric: somebody edited the file and it cannot be read any more.
    """
    document = Document(SIGNS_FILE)
    settings: dict[str, SignSettings] | None = convert(
        document, (), document.content, dict[str, SignSettings]
    )
    refuse(document.problems)
    assert settings is not None
    return settings


def together(language: str, added: Mapping[str, Mapping[str, Examples]]) -> list[Wording]:
    """The wordings to recognise signs by: the language's, with what a rubric adds, and the pivot's."""
    of_language = shipped(language)
    signs = dict(of_language.signs)
    for sign, more in added.get(language, {}).items():
        known = signs.get(sign, Examples(like=()))
        signs[sign] = Examples(like=(*known.like, *more.like), unlike=(*known.unlike, *more.unlike))
    own = Wording(signs=signs, words=of_language.words)
    return [own] if language == PIVOT else [own, shipped(PIVOT)]


def examples(document: Document, place: tuple[str | int, ...], content: Any) -> dict[str, Examples]:
    """The examples of each sign; what is wrong with them goes to the document's problems."""
    found: dict[str, Examples] = {}
    for sign, value in (content or {}).items():
        here = (*place, sign)
        if sign not in SIGNS and sign != BACKGROUND:
            document.problem(here, f"there is no sign “{sign}”", did_you_mean(sign, SIGNS))
            continue
        of_sign = convert(document, here, value, Examples)
        if of_sign is not None:
            if not of_sign.like:
                document.problem(here, f"“{sign}” has no examples", "Give some sentences under `like`.")
            found[sign] = of_sign
    return found


def convert(document: Document, place: tuple[str | int, ...], content: Any, kind: Any) -> Any:
    """The content of a place as a record; None, and a problem with its line, if it is none."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at ")
        steps = _steps(where)
        if "unknown field" in reason:
            steps.append(reason.split("`")[1])
        document.problem((*place, *steps), _plain_words(reason), "docs/rubrics.md shows how it is written.")
        return None


def _steps(path: str) -> list[str | int]:
    """`$.rule.all[1].sign` as a place."""
    steps: list[str | int] = []
    for part in path.strip("`$").replace("[", ".[").split("."):
        if part.startswith("["):
            steps.append(int(part.strip("[]")) if part.strip("[]").isdigit() else part.strip("[]"))
        elif part:
            steps.append(part)
    return steps


def _plain_words(reason: str) -> str:
    """msgspec's message in the words of somebody who writes YAML."""
    words = {
        "Object contains unknown field": "there is no field",
        "Object missing required field": "it lacks",
        "Expected `object`": "expected fields with names",
        "Expected `array`": "expected a list",
        "Expected `str`": "expected text",
        "Expected `float`": "expected a number",
        "Expected `int`": "expected a whole number",
    }
    for theirs, ours in words.items():
        reason = reason.replace(theirs, ours)
    return reason[0].lower() + reason[1:]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """An advice: the likeliest name that was meant, or all there are."""
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    return f"Did you mean “{close[0]}”?" if close else f"There are: {', '.join(names)}."


def refuse(problems: list[Problem]) -> None:
    """Raise what is wrong, if anything is.

    Raises:
        BadRubric: names file and line of the first problem, and how many more there are.
    """
    if problems:
        first = min(problems, key=lambda problem: problem.line)
        more = f" ({len(problems) - 1} more: wellheard rubric lint {first.path})" if len(problems) > 1 else ""
        raise BadRubric(f"{first.path}:{first.line}: {first.reason}", f"{first.advice}{more}")
