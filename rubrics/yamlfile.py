"""YAML read safely and strictly, with the line of every value, so that a mistake can be pointed at.

Values are text, numbers, booleans, nothing, lists and mappings: no tags, no objects, no aliases. Unlike
plain YAML readers this one does not overlook a key that stands twice.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from wellheard.pipeline.records import Record

LARGEST_BYTES = 2_000_000
_KINDS = ("str", "int", "float", "bool", "null")
_TAG = "tag:yaml.org,2002:"

Place = tuple[str | int, ...]


class Problem(Record):
    """Something wrong in a file: where (line 1 is the first), what it is, and what to do."""

    path: str
    line: int
    reason: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}. {self.advice}"


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

    def problem(self, place: Place, reason: str, advice: str) -> None:
        """Note what is wrong at a place."""
        self.problems.append(
            Problem(path=str(self.path), line=self.line(place), reason=reason, advice=advice)
        )

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
