"""Rubrics: checklists as YAML, read, checked and refused with the line that is wrong.

A rubric says what is asked and by which rule it is answered (`rules.py`); docs/rubrics.md explains both.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wellheard.pipeline.errors import BadRubric
from wellheard.pipeline.records import Record
from wellheard.rubrics import facts, sense
from wellheard.rubrics.acts import ACTS
from wellheard.rubrics.combination import COMBINATION
from wellheard.rubrics.facts import FACTS
from wellheard.rubrics.own_acts import FEWEST_EXAMPLES, OwnAct
from wellheard.rubrics.rules import Condition, Rule, as_names
from wellheard.rubrics.yamlfile import Document, Problem, convert, did_you_mean, refuse

BUILT_IN = ("pec", "script", "resolution")
FOLDER = Path(__file__).parent

JUDGES = ("trained", "rules", "language-model")

_ID = re.compile(r"[a-z][a-z0-9_]*")
_RUBRIC_FIELDS = ("id", "version", "title", "languages", "criteria", "acts")
_CRITERION_FIELDS = ("id", "title", "means", "not_asked", "weight", "critical", "judge", "rule")
_KINDS = ("act", "fact", "identifiers", "wait", "all", "any", "none")


class Criterion(Record):
    """One question to a call: `means` says what a yes means, `not_asked` when the answer is na."""

    id: str
    title: dict[str, str]
    means: str
    not_asked: str
    weight: float
    critical: bool
    judge: str
    rule: Rule


class Rubric(Record):
    """A checklist; `acts` are those that it adds to the built-in ones.

    `fingerprint` changes with what its marks depend on and no field shows: the words that facts are found by
    and the trained combination.
    """

    id: str
    version: str
    title: dict[str, str]
    languages: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    acts: dict[str, OwnAct]
    fingerprint: str


def load(name_or_path: str) -> Rubric:
    """Read a built-in rubric by its name or any other by its path.

    Raises:
        BadRubric: there is no such rubric, or it is wrong; the reason names file and line.
    """
    document, rubric = _read(_path(name_or_path))
    _check_training(document, rubric)
    refuse(document.problems)
    assert rubric is not None
    return rubric


def for_training() -> tuple[Rubric, ...]:
    """The built-in rubrics, whether or not anything was trained for their rules."""
    found = []
    for name in BUILT_IN:
        document, rubric = _read(_path(name))
        refuse(document.problems)
        assert rubric is not None
        found.append(rubric)
    return tuple(found)


def lint(path: Path | str) -> list[Problem]:
    """Everything that is wrong or odd with a rubric file, in the order of its lines.

    Whether it makes sense (`sense.py`) is looked at once nothing in it is wrong by itself.
    """
    document, rubric = _read(Path(path))
    _check_training(document, rubric)
    return sorted(document.problems, key=lambda problem: problem.line)


def texts(rubrics: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """For built-in rubrics (name and version): the English title of each criterion, in the rubric's order.

    A rubric of another version, or of a house's own, is left out.
    """
    known = {rubric.id: rubric for rubric in map(load, BUILT_IN)}
    return {
        name: {criterion.id: criterion.title["en"] for criterion in known[name].criteria}
        for name, version in rubrics
        if name in known and known[name].version == version
    }


def _path(name_or_path: str) -> Path:
    if name_or_path in BUILT_IN:
        return FOLDER / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml") and not path.exists():
        raise BadRubric(
            f"There is no rubric {name_or_path!r}",
            f"{did_you_mean(name_or_path, BUILT_IN)} Your own are named by their .yaml file.",
        )
    return path


def _read(path: Path) -> tuple[Document, Rubric | None]:
    document = Document(path, texts=frozenset({"version", "id"}))
    if document.problems and document.content is None:
        return document, None
    content = document.content
    if not isinstance(content, dict):
        document.problem((), "it is no rubric", "A rubric begins with `id:`, `version:` and `title:`.")
        return document, None
    _check_fields(document, (), content, _RUBRIC_FIELDS, required=("id", "version", "title", "criteria"))
    name = _text(document, ("id",), content.get("id"), _ID)
    version = _text(document, ("version",), content.get("version"))
    title = _title(document, ("title",), content.get("title"))
    languages = _languages(document, content)
    own = _own_acts(document, content.get("acts", {}))
    known = {**ACTS, **own}
    criteria = _criteria(document, content.get("criteria"), known)
    used = set().union(*(criterion.rule.acts() for criterion in criteria))
    for act in own.keys() - used:
        document.problem(("acts", act), f"no rule uses the act “{act}”", "Use it in a rule, or leave it out.")
    if document.problems:
        return document, None
    rubric = Rubric(
        id=name,
        version=version,
        title=title,
        languages=languages,
        criteria=tuple(criteria),
        acts=own,
        fingerprint=_fingerprint(languages),
    )
    sense.check(document, rubric)
    return document, rubric


def _check_training(document: Document, rubric: Rubric | None) -> None:
    for i, criterion in enumerate(rubric.criteria if rubric is not None else ()):
        assert rubric is not None
        name = f"{rubric.id}.{criterion.id}"
        if criterion.judge == "trained" and not COMBINATION.knows(name, criterion.rule):
            document.problem(
                ("criteria", i, "judge"),
                f"nothing was trained for “{name}” with this rule",
                "Write `judge: rules`.",
            )


def _criteria(document: Document, content: Any, acts: Iterable[str]) -> list[Criterion]:
    if content is None:
        return []
    if not isinstance(content, list) or not content:
        document.problem(("criteria",), "`criteria` is no list", "Begin each criterion with `- id: …`.")
        return []
    found: list[Criterion] = []
    first: dict[str, int] = {}
    weights: list[float] = []
    for i, item in enumerate(content):
        place = ("criteria", i)
        if not isinstance(item, dict):
            document.problem(place, "this criterion has no fields", "Begin it with `- id: …`.")
            continue
        required = ("id", "title", "means", "not_asked", "judge", "rule")
        _check_fields(document, place, item, _CRITERION_FIELDS, required)
        name = item.get("id")
        if isinstance(name, str):
            line = document.line((*place, "id"))
            if name in first:
                document.problem(
                    (*place, "id"),
                    f"the criterion “{name}” stands twice, in lines {first[name]} and {line}",
                    "Give one of them another id.",
                )
            first.setdefault(name, line)
        weight = _weight(document, (*place, "weight"), item.get("weight", 1))
        weights.append(weight)
        criterion = _criterion(document, place, item, weight, acts)
        if criterion is not None:
            found.append(criterion)
    if weights and not any(weights):
        document.problem(
            ("criteria", 0, "weight"), "all weights are 0", "Give at least one criterion a weight."
        )
    return found


def _criterion(
    document: Document,
    place: tuple[str | int, ...],
    item: Mapping[str, Any],
    weight: float,
    acts: Iterable[str],
) -> Criterion | None:
    before = len(document.problems)
    name = _text(document, (*place, "id"), item.get("id"), _ID)
    title = _title(document, (*place, "title"), item.get("title"))
    means = _text(document, (*place, "means"), item.get("means"))
    not_asked = _text(document, (*place, "not_asked"), item.get("not_asked"))
    critical = item.get("critical", False)
    if not isinstance(critical, bool):
        document.problem((*place, "critical"), "`critical` is neither true nor false", "Write true or false.")
    judge = item.get("judge")
    if judge is not None and judge not in JUDGES:
        document.problem((*place, "judge"), f"there is no judge “{judge}”", did_you_mean(str(judge), JUDGES))
    rule = None
    if "rule" in item:
        rule = convert(document, (*place, "rule"), item["rule"], Rule)
    if rule is not None:
        _check_rule(document, (*place, "rule"), rule, acts)
    if len(document.problems) > before or rule is None or judge is None:
        return None
    return Criterion(
        id=name,
        title=title,
        means=means,
        not_asked=not_asked,
        weight=weight,
        critical=critical,
        judge=judge,
        rule=rule,
    )


def _check_fields(
    document: Document,
    place: tuple[str | int, ...],
    content: Mapping[str, Any],
    known: Iterable[str],
    required: Iterable[str],
) -> None:
    for field in content:
        if field not in known:
            document.problem((*place, field), f"there is no field “{field}”", did_you_mean(field, known))
    for field in required:
        if field not in content:
            document.problem(place, f"`{field}` is missing", f"Add `{field}:` here.")


def _text(
    document: Document, place: tuple[str | int, ...], value: Any, pattern: re.Pattern[str] | None = None
) -> str:
    if value is None and place[-1] not in _present(document, place):
        return ""
    if not isinstance(value, str) or not value.strip():
        document.problem(
            place, f"`{place[-1]}` is no text", "Write some text, in quotes if it looks like a number."
        )
        return ""
    if pattern is not None and not pattern.fullmatch(value):
        document.problem(
            place, f"“{value}” is no {place[-1]}", "Use small letters, digits and _, beginning with a letter."
        )
    return value.strip()


def _present(document: Document, place: tuple[str | int, ...]) -> Any:
    content = document.content
    for step in place[:-1]:
        content = content[step]
    return content


def _title(document: Document, place: tuple[str | int, ...], value: Any) -> dict[str, str]:
    if value is None and place[-1] not in _present(document, place):
        return {}
    if isinstance(value, str) and value.strip():
        return {"en": value}
    if isinstance(value, dict) and value and all(isinstance(text, str) and text for text in value.values()):
        if "en" not in value:
            document.problem(place, "the title has no English text", "Add `en:`, which is shown by default.")
        return value
    document.problem(place, "`title` is no text", "Write a text, or one a language: {en: …, ru: …}.")
    return {}


def _weight(document: Document, place: tuple[str | int, ...], value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        quoted = " (it stands in quotes)" if isinstance(value, str) else ""
        document.problem(
            place, f"the weight is no number{quoted}", "Write a number such as 1 or 0.5, without quotes."
        )
        return 1.0
    if not math.isfinite(value) or value < 0:
        document.problem(place, f"the weight is {value}", "Write a number that is 0 or more.")
        return 1.0
    return float(value)


def _mapping(document: Document, place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    document.problem(place, f"`{place[-1]}` has no fields", "docs/rubrics.md shows how it is written.")
    return {}


def _languages(document: Document, content: Mapping[str, Any]) -> tuple[str, ...]:
    languages = content.get("languages", list(facts.languages()))
    if (
        not isinstance(languages, list)
        or not languages
        or not all(isinstance(name, str) for name in languages)
    ):
        document.problem(("languages",), "`languages` is no list of languages", "Write for example [en, ru].")
        return ()
    for i, language in enumerate(languages):
        if language not in facts.languages():
            document.problem(
                ("languages", i),
                f"there is no wording for the language “{language}”",
                f"There is for: {', '.join(facts.languages())}. docs/rubrics.md says how to add one.",
            )
    return tuple(languages)


def _check_rule(document: Document, place: tuple[str | int, ...], rule: Rule, acts: Iterable[str]) -> None:
    if rule.yes_when is None and rule.no_when is None:
        document.problem(place, "the rule never answers", "Give it `yes_when` or `no_when`.")
    for part in ("asked_when", "yes_when", "no_when"):
        condition = getattr(rule, part)
        if condition is not None:
            _check_condition(document, (*place, part), condition, acts)


def _check_condition(
    document: Document, place: tuple[str | int, ...], condition: Condition, acts: Iterable[str]
) -> None:
    kinds = [kind for kind in _KINDS if getattr(condition, kind) is not None]
    if len(kinds) != 1:
        found = " and ".join(f"`{kind}`" for kind in kinds) or "none of them"
        document.problem(
            place, f"a condition has one of {', '.join(_KINDS)}; this has {found}", "Leave exactly one."
        )
    for field, known, what in (
        ("act", acts, "act"),
        ("fact", FACTS, "fact"),
        ("after", (*acts, *FACTS), "act or fact"),
        ("before", (*acts, *FACTS), "act or fact"),
        ("unless", (*acts, *FACTS), "act or fact"),
    ):
        value = getattr(condition, field)
        if value == ():
            document.problem((*place, field), f"`{field}` names nothing", "Name at least one.")
        for name in as_names(value) if value is not None else ():
            if name not in known:
                document.problem((*place, field), f"there is no {what} “{name}”", did_you_mean(name, known))
    for field, least in (("times", 1), ("identifiers", 1), ("within", 1)):
        value = getattr(condition, field)
        if value is not None and value < least:
            document.problem((*place, field), f"`{field}` is {value}", f"Write {least} or more.")
    if not 0 < condition.needs < 1:
        document.problem(
            (*place, "needs"), f"`needs` is {condition.needs}", "Write a number between 0 and 1."
        )
    for kind in ("all", "any", "none"):
        if getattr(condition, kind) == ():
            document.problem((*place, kind), f"`{kind}` holds no condition", "Write at least one under it.")
        for i, part in enumerate(getattr(condition, kind) or ()):
            _check_condition(document, (*place, kind, i), part, acts)


def _own_acts(document: Document, content: Any) -> dict[str, OwnAct]:
    found: dict[str, OwnAct] = {}
    for name, value in _mapping(document, ("acts",), content).items():
        place = ("acts", name)
        if name in ACTS or name in FACTS:
            document.problem(place, f"“{name}” is a built-in act or fact already", "Choose another name.")
        if not _ID.fullmatch(name):
            document.problem(place, f"“{name}” is no name of an act", "Use small letters, digits and _.")
        act: OwnAct | None = convert(document, place, value, OwnAct)
        if act is None:
            continue
        for field in ("like", "unlike"):
            texts = getattr(act, field)
            if len(set(texts)) < FEWEST_EXAMPLES:
                document.problem(
                    (*place, field),
                    f"“{name}” has {len(set(texts))} different sentences under `{field}`",
                    f"Give at least {FEWEST_EXAMPLES}, as people really say it.",
                )
        for text in sorted(set(act.like) & set(act.unlike)):
            document.problem(place, f"“{text}” is both an example and a near miss", "Keep one of them.")
        found[name] = act
    return found


def _fingerprint(languages: Iterable[str]) -> str:
    files = [facts.WORDS_FOLDER / f"{name}.yaml" for name in sorted(languages)]
    return hashlib.sha256(
        b"\0".join(
            [*(path.read_bytes() for path in files if path.exists()), COMBINATION.fingerprint.encode()]
        )
    ).hexdigest()[:16]
