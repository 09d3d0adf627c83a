"""Texts made alike before they are compared, so that only what was heard counts, not how it is written.

English goes through Whisper's own normaliser (spelling, contractions, numbers). Other languages lose case and
punctuation, Russian also the dots of ё, and number words become digits (`number_words.yaml`). In all
languages digits then stand one by one, so that "four four one" and "441" are the same.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

from ruamel.yaml import YAML
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

HUNDRED, THOUSAND = 100, 1000


def normalise(text: str, language: str) -> str:
    """The text's words as they are compared, with single blanks between them."""
    if language == "en":
        plain = _english()(text)
    else:
        plain = BasicTextNormalizer()(text.replace("ё", "е").replace("Ё", "Е"))
        plain = " ".join(_Numbers.of(language).as_digits(plain.split()))
    return " ".join(re.sub(r"(\d)(?=\d)", r"\1 ", plain).split())


@cache
def _english() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()


class _Numbers:
    """The number words of one language; a language that is not listed has none."""

    def __init__(self, words: dict[int, str], between: str) -> None:
        self._forms = [(re.compile(pattern), value) for value, pattern in words.items()]
        self._and = re.compile(between)
        self._known: dict[str, int | None] = {}

    @classmethod
    @cache
    def of(cls, language: str) -> "_Numbers":
        listed = YAML(typ="safe").load(files(__package__).joinpath("number_words.yaml").read_text("utf-8"))
        own = listed.get(language, {})
        return cls(own.get("words", {}), own.get("and", r"(?!)"))

    def as_digits(self, words: Sequence[str]) -> Iterator[str]:
        """The words, with each number of several words as one number in digits."""
        total: int | None = None  # the number so far, and below what the next word must be to belong to it
        below = 0
        for i, word in enumerate(words):
            value = self._value(word)
            if value is None:
                following = self._value(words[i + 1]) if i + 1 < len(words) else None
                if total is not None and following and following < below <= 10 and self._and.fullmatch(word):
                    continue
                if total is not None:
                    yield str(total)
                    total = None
                yield word
            elif value == THOUSAND and total is not None and 0 < total < THOUSAND:
                total, below = total * THOUSAND, THOUSAND
            elif value == HUNDRED and total is not None and 0 < total % THOUSAND < 10:
                total, below = total + total % THOUSAND * (HUNDRED - 1), HUNDRED
            elif total is not None and 0 < value < below:
                total, below = total + value, _room(value)
            else:
                if total is not None:
                    yield str(total)
                total, below = value, _room(value)
        if total is not None:
            yield str(total)

    def _value(self, word: str) -> int | None:
        if word not in self._known:
            fitting = (value for pattern, value in self._forms if pattern.fullmatch(word))
            self._known[word] = next(fitting, None)
        return self._known[word]


def _room(value: int) -> int:
    """Below what the next word must be to be part of the same number."""
    return next((size for size in (THOUSAND, HUNDRED, 10) if value >= size and value % size == 0), 0)
