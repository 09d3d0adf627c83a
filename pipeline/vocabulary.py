"""Vocabulary: a house's own list of names that a recogniser cannot know, told to it before it hears a call.

The agent's name and the company, which the manifest knows, are not told: tried on the sample calls, "Nora
speaking" became "Nora's Beaking".
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from wellheard.pipeline.errors import BadSettings

# Whisper takes 223 tokens of context, and in Polish, Romanian or Russian names a token has as little as 1.4
# characters. What it is told there also leaves it less room for what it hears.
LIST_CHARACTERS = 220
LONGEST_TERM = 60


def read(file: str | None) -> tuple[str, ...]:
    """The names and phrases of a file (UTF-8), one a line; empty lines and doubles are left out.

    Without a file there are none.

    Raises:
        BadSettings: the file cannot be read, or is no text.
    """
    if file is None:
        return ()
    try:
        return _distinct(Path(file).read_text("utf-8-sig").splitlines())
    except OSError as error:
        raise BadSettings(
            f"the vocabulary {file} cannot be read ({error.strerror})",
            "Check the path given to --vocabulary, or `vocabulary` under [transcribe].",
        ) from error
    except UnicodeDecodeError as error:
        raise BadSettings(
            f"the vocabulary {file} is no text in UTF-8", "Save it as plain text, UTF-8, one name a line."
        ) from error


def used(vocabulary: Sequence[str]) -> tuple[str, ...]:
    """The first terms of a list that fit together, whole; one that is too long for a name is passed over."""
    fitting: list[str] = []
    room = LIST_CHARACTERS
    for term in vocabulary:
        if len(term) > LONGEST_TERM:
            continue
        room -= len(term) + len(", ")
        if room < 0:
            break
        fitting.append(term)
    return tuple(fitting)


def _distinct(terms: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order, with single blanks and without what cannot be printed."""
    tidy = (" ".join("".join(c if c.isprintable() else " " for c in term).split()) for term in terms)
    first: dict[str, str] = {}
    for term in tidy:
        if term:
            first.setdefault(term.casefold(), term)
    return tuple(first.values())
