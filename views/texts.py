"""A page's words in its languages, from a YAML file, and numbers as each language writes them."""

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from wellheard.views.screen import percent


class Language(StrEnum):
    """What a page can be written in."""

    EN = "en"
    RU = "ru"


class Texts:
    """The texts and numbers of one language; `file` has them by key and language."""

    def __init__(self, file: Path, language: Language) -> None:
        self.language = language
        self._texts = _read(file)

    def __call__(self, key: str, **values: object) -> str:
        """The text, with its names filled in."""
        text = str(self._texts[key][self.language])
        return text.format(**values) if values else text

    def lines(self, key: str, **values: object) -> list[str]:
        """A text of several paragraphs."""
        return [str(line).format(**values) for line in self._texts[key][self.language]]

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self._texts

    def whole(self, number: int) -> str:
        """A whole number with its thousands apart."""
        return f"{number:,}" if self.language is Language.EN else f"{number:,}".replace(",", "\u00a0")

    def tenths(self, number: float) -> str:
        """A number with one decimal."""
        text = f"{number:,.1f}"
        return text if self.language is Language.EN else text.replace(",", "\u00a0").replace(".", ",")

    def share(self, share: float | None) -> str:
        """A share as 83 %."""
        return percent(share).replace(" ", "\u00a0")

    def points(self, difference: float) -> str:
        """A difference of shares as +5 or −5; what is less than one with a decimal."""
        value = difference * 100
        if abs(value) < 0.05:
            return "0"
        text = f"{value:+.1f}" if abs(value) < 0.95 else f"{value:+.0f}"
        return text.replace("-", "−").replace(".", "." if self.language is Language.EN else ",")


@cache
def _read(file: Path) -> dict[str, dict[str, Any]]:
    from ruamel.yaml import YAML  # only here: the command line needs `Language` for its help

    found: dict[str, dict[str, Any]] = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    return found
