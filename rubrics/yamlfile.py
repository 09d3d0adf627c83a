"""YAML read safely and strictly, with the line of every value, so that a mistake can be pointed at.

Values are text, numbers, booleans, nothing, lists and mappings: no tags, no objects, no aliases. Unlike
plain YAML readers this one does not overlook a key that stands twice.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from wellheard.pipeline.errors import BadRubric
from wellheard.pipeline.records import Record

LARGEST_BYTES = 2_000_000
_KINDS = ("str", "int", "float", "bool", "null")
_TAG = "tag:yaml.org,2002:"

Place = tuple[str | int, ...]
Severity = Literal["error", "warning"]


class Problem(Record):
    """Something wrong in a file: where (line 1 is the first), what it is, and what to do.

    With an error the file cannot be used; a warning is only told.
    """

    path: str
    line: int
    reason: str
    advice: str
    severity: Severity = "error"

    def __str__(self) -> str:
        warning = "warning: " if self.severity == "warning" else ""
        return f"{self.path}:{self.line}: {warning}{self.reason}. {self.advice}"


class Document:
    """The content of a YAML file, the line of each of its places, and what was wrong with it.

    A place is the way to a value: `("criteria", 2, "weight")`. Values at `texts` places stay as written.
    """

    def __init__(self, path: Path, texts: frozenset[str] = frozenset()) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.content: Any = None
        self._texts = texts
        self._lines: dict[Place, int] = {(): 1}
        self._seen: set[int] = set()
        try:
            data = path.read_bytes()
        except OSError as error:
            self.problem((), f"it cannot be read ({error.strerror})", "Check the path.")
            return
        if len(data) > LARGEST_BYTES:
            self.problem((), "it is too large for a file of this kind", "Check that it is the right file.")
            return
        try:
            root = YAML(typ="safe", pure=True).compose(data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            self.problem((), "it is not in UTF-8", "Save it as UTF-8.")
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._lines[()] = mark.line + 1 if mark else 1
            self.problem((), f"it is no YAML ({error.problem})", "Check indentation, colons and quotes.")
            self._lines[()] = 1
        except YAMLError:
            self.problem((), "it is no YAML", "Save it as plain text.")
        else:
            self.content = None if root is None else self._value(root, ())

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest place around it that is in the file."""
        while place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def problem(self, place: Place, reason: str, advice: str, severity: Severity = "error") -> None:
        """Note what is wrong at a place."""
        self.problems.append(
            Problem(
                path=str(self.path),
                line=self.line(place),
                reason=reason,
                advice=advice,
                severity=severity,
            )
        )

    def warning(self, place: Place, reason: str, advice: str) -> None:
        """Note what is odd at a place, but does not stop anybody from using the file."""
        self.problem(place, reason, advice, "warning")

    def _value(self, node: Node, place: Place) -> Any:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if id(node) in self._seen:
            self.problem(place, "it uses an alias (*name)", "Write the value out.")
            return None
        self._seen.add(id(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self._value(item, (*place, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, place)

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        content: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            here = (*place, key)
            if key in first:
                self._lines[here] = line
                self.problem(
                    here,
                    f"“{key}” stands twice, in lines {first[key]} and {line}",
                    "Keep one of them.",
                )
                continue
            first[key] = self._lines[here] = line
            content[key] = self._value(value_node, here)
        return content

    def _scalar(self, node: ScalarNode, place: Place) -> Any:
        text = str(node.value)
        kind = str(node.tag).removeprefix(_TAG)
        if kind not in _KINDS:
            self.problem(place, f"the tag {node.tag} is not allowed", "Write plain values.")
            return None
        if kind == "str" or (place and place[-1] in self._texts):
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        number = text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
        return int(number, 0) if kind == "int" else float(number)


def convert(document: Document, place: Place, content: Any, kind: Any) -> Any:
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
    """`$.rule.all[1].act` as a place."""
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
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    return f"Did you mean “{close[0]}”?" if close else f"There are: {', '.join(names)}."


def refuse(problems: list[Problem]) -> None:
    """Raise what is wrong, if anything is; warnings are none of that.

    Raises:
        BadRubric: names file and line of the first problem, and how many more there are.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        first = min(errors, key=lambda problem: problem.line)
        more = f" ({len(errors) - 1} more: wellheard rubric lint {first.path})" if len(errors) > 1 else ""
        raise BadRubric(f"{first.path}:{first.line}: {first.reason}", f"{first.advice}{more}")
