"""What Whisper writes though nobody says it: lines learnt from subtitles, and text that runs in circles."""

import re
from collections.abc import Iterator, Sequence

from wellheard.pipeline.records import Word

# Whole sentences that begin so, in the languages of the built-in rubrics. Nobody says them on the telephone.
_CREDITS = (
    "thank you for watching",
    "thank you so much for watching",
    "thanks for watching",
    "please subscribe to",
    "like and subscribe",
    "dont forget to subscribe",
    "see you in the next video",
    "subtitles by",
    "transcription by",
    "субтитры сделал",
    "субтитры создавал",
    "субтитры подогнал",
    "субтитры подготов",
    "субтитры предоставил",
    "редактор субтитров",
    "продолжение следует",
    "спасибо за просмотр",
    "подписывайтесь на канал",
    "подписывайтесь на мой канал",
    "ставьте лайки",
    "napisy stworzone przez",
    "napisy wykonane przez",
    "napisy robione przez",
    "dziękuję za oglądanie",
    "dziękuję za obejrzenie",
    "dziękujemy za oglądanie",
    "dzięki za oglądanie",
    "zapraszam do subskrypcji",
    "subskrybuj kanał",
    "do zobaczenia w następnym odcinku",
    "do zobaczenia w kolejnym odcinku",
    "vă mulțumesc pentru vizionare",
    "vă mulțumim pentru vizionare",
    "să vă mulțumim pentru vizionare",
    "mulțumesc pentru vizionare",
    "mulțumim pentru vizionare",
    "nu uitați să vă abonați",
    "nu uitați să dați like",
    "abonațivă la canal",
)
_SIGNED = ("amaraorg", "dimatorzok")
# A longer sentence that holds such words is about something else.
_MOST_WORDS = 20
# What is said again and again, over so many words on end, is not said.
_LOOP_WORDS = 8
_LONGEST_PHRASE = 12


def without_invented(words: Sequence[Word]) -> list[Word]:
    """The words without what was never said."""
    return _without_loops(
        [word for sentence in _sentences(words) if not _credit(sentence) for word in sentence]
    )


def _sentences(words: Sequence[Word]) -> Iterator[list[Word]]:
    sentence: list[Word] = []
    for word in words:
        sentence.append(word)
        if word.text.endswith((".", "?", "!", "…")):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _credit(sentence: Sequence[Word]) -> bool:
    text = " ".join(_bare(word) for word in sentence)
    return len(sentence) <= _MOST_WORDS and (
        text.startswith(_CREDITS) or any(name in text for name in _SIGNED)
    )


def _bare(word: Word) -> str:
    return re.sub(r"\W", "", word.text.casefold())


def _without_loops(words: Sequence[Word]) -> list[Word]:
    """Of a phrase that repeats itself, the first time alone."""
    bare = [_bare(word) for word in words]
    kept: list[Word] = []
    at = 0
    while at < len(words):
        phrase, repeated = _loop_at(bare, at)
        kept.extend(words[at : at + phrase])
        at += phrase + repeated
    return kept


def _loop_at(bare: Sequence[str], at: int) -> tuple[int, int]:
    """How many words the phrase has that starts here, and how many words of repeating it follow."""
    for phrase in range(1, _LONGEST_PHRASE + 1):
        end = at + phrase
        while end < len(bare) and bare[end] == bare[end - phrase]:
            end += 1
        if end - at - phrase >= max(_LOOP_WORDS, 2 * phrase):
            return phrase, end - at - phrase
    return 1, 0
