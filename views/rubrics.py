"""Checklists for people: what is asked, what a yes means, when it does not apply; and what is wrong."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from wellheard.rubrics.loader import Rubric
from wellheard.rubrics.yamlfile import Problem
from wellheard.views.screen import counted, plain


def criteria(rubric: Rubric) -> pa.Table:
    """Columns: `rubric, rubric_version, criterion, title, means, not_asked, weight, critical, judge`."""
    texts = ("rubric", "rubric_version", "criterion", "title", "means", "not_asked")
    fields: list[pa.Field[Any]] = [
        *(pa.field(name, pa.string()) for name in texts),
        pa.field("weight", pa.float64()),
        pa.field("critical", pa.bool_()),
        pa.field("judge", pa.string()),
    ]
    return pa.Table.from_pylist(
        [
            {
                "rubric": rubric.id,
                "rubric_version": rubric.version,
                "criterion": criterion.id,
                "title": criterion.title["en"],
                "means": " ".join(criterion.means.split()),
                "not_asked": " ".join(criterion.not_asked.split()),
                "weight": criterion.weight,
                "critical": criterion.critical,
                "judge": criterion.judge,
            }
            for criterion in rubric.criteria
        ],
        schema=pa.schema(fields),
    )


def show(console: Console, rubric: Rubric) -> None:
    """The checklist, criterion by criterion."""
    about = f"version {rubric.version}; {counted(len(rubric.criteria), 'criterion', 'criteria')}"
    console.print(
        Text.assemble(plain(rubric.title["en"], "bold"), plain(f"  {rubric.id}, {about}; ", "dim")),
        plain(f"languages {', '.join(rubric.languages)}", "dim"),
        sep="",
    )
    for row in criteria(rubric).to_pylist():
        facts = [f"weight {row['weight']:g}", *(["critical"] if row["critical"] else [])]
        console.print()
        console.print(
            Text.assemble(
                plain(row["criterion"], "bold"),
                "  ",
                plain(row["title"]),
                plain(f"  {', '.join(facts)}", "dim"),
            )
        )
        console.print(Padding(plain(f"yes: {row['means']}"), (0, 0, 0, 2)))
        if row["not_asked"]:
            console.print(Padding(plain(f"–: {row['not_asked']}", "dim"), (0, 0, 0, 2)))


def problems(found: Iterable[Problem]) -> pa.Table:
    """Columns: `path, line, severity, reason, advice`."""
    fields: list[pa.Field[Any]] = [
        pa.field("path", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("severity", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("advice", pa.string()),
    ]
    return pa.Table.from_pylist(
        [msgspec.structs.asdict(problem) for problem in found], schema=pa.schema(fields)
    )


def show_problems(console: Console, found: Iterable[Problem]) -> None:
    """One line a problem, as compilers write them, so that editors jump to it; or that all is well."""
    found = list(found)
    for problem in found:
        console.print(plain(problem), soft_wrap=True)
    if not found:
        console.print(plain("Nothing wrong.", "green"))
    elif all(problem.severity == "warning" for problem in found):
        console.print(plain("It can be used as it is.", "green"))
