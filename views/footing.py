"""What scores stand on: machine marks only, or reviews as well; and which criteria do not count."""

from collections.abc import Iterable

from wellheard.views.screen import counted


def footing_line(reviewed: int, corrected: int, marks: int | None = None) -> str:
    """`3 of 24 marks corrected`; `marks` is how many there are, where that is known."""
    if not reviewed:
        return "machine marks only"
    of = f" of {marks:,}" if marks is not None else ""
    confirmed = reviewed - corrected
    more = f", {confirmed:,} more reviewed" if confirmed else ""
    return f"{corrected:,}{of} {'mark' if (marks or corrected) == 1 else 'marks'} corrected{more}"


def untrusted_lines(untrusted: Iterable[tuple[str, str]]) -> list[str]:
    """Which criteria are shown and not counted, if any: a line."""
    names = [".".join(one) for one in sorted(untrusted)]
    if not names:
        return []
    what = counted(len(names), "criterion", "criteria")
    return [f"{what} shown and not counted, as `wellheard trust` says: {', '.join(names)}"]
