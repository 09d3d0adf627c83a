"""Facts: what can be checked in a turn without judging meaning: names, numbers, times, questions, pauses.

What counts as a number word, a weekday or a way to give one's name differs by language and stands in
`words/<language>.yaml`.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from rapidfuzz import fuzz

from wellheard.pipeline.records import CallInfo, Heard, Record, Span, Turn
from wellheard.rubrics.text import plain
from wellheard.rubrics.yamlfile import Document, convert, refuse

WORDS_FOLDER = Path(__file__).parent / "words"

# Names are heard with another ending ("Марине") or spelling ("Corigan") than the manifest has.
SAME_NAME = 80.0
SHORTEST_NAME = 3
LONGEST_NAME = 3
LONG_NAME = 6
# So many digits or number words in one turn are a number of something, not a quantity.
NUMBER_LENGTH = 4
# A silence next to a turn that is worth a word about it.
PAUSE_S = 5.0

# The facts, and how a reason says them.
FACTS = {
    "says_company": "the company named",
    "says_agent_name": "the agent's own name said",
    "names_customer": "the customer's name said",
    "customer_named": "the customer's name given",
    "gives_time": "a time",
    "asks_question": "a question",
    "gives_number": "a number given",
    "gives_date": "a date given",
    "gives_address": "an address given",
    "gives_email": "an e-mail address given",
    "repeats_number": "a number given twice",
    "pause_before": "a silence before",
    "pause_after": "a silence after",
}
# A number and further words in one turn ("Sukhova, four four one seven") are mostly two identifiers.
NUMBER_AND_WORDS = "number_and_words"
FEWEST_WORDS_BESIDE = 2
IDENTIFIERS = ("customer_named", "gives_number", "gives_date", "gives_address", "gives_email")


class Words(Record):
    """Words of a language that facts are found by; a word that ends in `*` stands for all that begin so."""

    numbers: tuple[str, ...]
    months: tuple[str, ...]
    weekdays: tuple[str, ...]
    time_units: tuple[str, ...]
    times: tuple[str, ...]
    at: tuple[str, ...]
    introductions: tuple[str, ...]
    titles: tuple[str, ...]
    name: tuple[str, ...]
    address: tuple[str, ...]
    email: tuple[str, ...]
    questions: tuple[str, ...]


def languages() -> tuple[str, ...]:
    """The languages in which facts can be found."""
    return tuple(sorted(path.stem for path in WORDS_FOLDER.glob("*.yaml")))


@cache
def words_of(language: str) -> Words:
    """The words of one of `languages`.

    Raises:
        BadRubric: somebody edited the file and it cannot be read any more.
    """
    document = Document(WORDS_FOLDER / f"{language}.yaml")
    words: Words | None = convert(document, (), document.content, Words)
    refuse(document.problems)
    assert words is not None
    return words


FactsOfTurn = dict[str, float]


class _Finder:
    """One language's words as patterns."""

    def __init__(self, words: Words) -> None:
        self.numbers = _pattern(words.numbers)
        self.months = _pattern(words.months)
        self.days = _pattern((*words.weekdays, *words.times))
        self.units = _pattern(words.time_units)
        self.at = _pattern(words.at)
        self.titles = _pattern(words.titles)
        self.name = _pattern(words.name)
        self.address = _pattern(words.address)
        self.email = _pattern(words.email)
        self.questions = _pattern(words.questions)
        phrases = "|".join(re.escape(phrase) for phrase in sorted(words.introductions, key=len, reverse=True))
        self.introduction = re.compile(rf"\b(?:{phrases})\s+((?:[\w'’-]+[ ,]*){{1,3}})", re.IGNORECASE)

    def number_words(self, tokens: Sequence[str]) -> str:
        """The digits and number words of a turn, in order."""
        return " ".join(
            t for t in tokens if t.isdigit() or any(c.isdigit() for c in t) or self.numbers.match(t)
        )

    def is_number(self, token: str) -> bool:
        return token[0].isdigit() or bool(self.numbers.match(token))

    def gives_time(self, tokens: Sequence[str]) -> bool:
        """A weekday, "tomorrow", "two hours", "by six", "third of march"."""
        for i, token in enumerate(tokens):
            if self.days.match(token):
                return True
            near = tokens[max(0, i - 3) : i]
            if (self.units.match(token) or self.months.match(token)) and any(map(self.is_number, near)):
                return True
            if self.months.match(token) and any(map(self.is_number, tokens[i + 1 : i + 3])):
                return True
            if i and self.at.match(tokens[i - 1]) and self.is_number(token):
                return True
        return False


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    choices = (re.escape(word[:-1]) + r".*" if word.endswith("*") else re.escape(word) for word in words)
    return re.compile(rf"(?:{'|'.join(choices)})$", re.IGNORECASE)


# "At the beginning" is within this many turns of the agent.
OPENING_TURNS = 2
# Where nobody told us the name, not finding it in the opening says nothing.
NAME_UNKNOWN = 0.5


def find(turns: Sequence[Turn], heard: Heard, info: CallInfo, words: Words) -> tuple[FactsOfTurn, ...]:
    """The facts of each turn; a fact that is not there has no entry."""
    finder = _Finder(words)
    own = _names(info.agent_name)
    company = _names(info.company)
    customer = _customer_names(turns, info, finder, own | company)
    around = [turns_around(pause, turns) for pause in heard.silences if pause.duration_s >= PAUSE_S]
    paused, resumed = {before for before, _ in around}, {after for _, after in around}
    found: list[FactsOfTurn] = []
    numbers_before: list[str] = []
    opening = [i for i, turn in enumerate(turns) if turn.speaker == "agent"][:OPENING_TURNS]
    for i, turn in enumerate(turns):
        tokens = plain(turn.text).split()
        of_turn: FactsOfTurn = {}
        if turn.speaker == "customer":
            of_turn |= _given(turn, tokens, customer, finder)
            number = finder.number_words(tokens)
            if len(number.replace(" ", "")) >= NUMBER_LENGTH and number in " | ".join(numbers_before):
                of_turn["repeats_number"] = 1.0
            numbers_before.append(number)
        else:
            if _mentions(tokens, company) or _runs_together(tokens, info.company):
                of_turn["says_company"] = 1.0
            elif i in opening and not company:
                of_turn["says_company"] = NAME_UNKNOWN
            if _mentions(tokens, own):
                of_turn["says_agent_name"] = 1.0
            elif i in opening and not own:
                of_turn["says_agent_name"] = NAME_UNKNOWN
            if _mentions(tokens, customer):
                of_turn["names_customer"] = 1.0
        if finder.gives_time(tokens):
            of_turn["gives_time"] = 1.0
        if "?" in turn.text or (tokens and finder.questions.match(tokens[0])):
            of_turn["asks_question"] = 1.0
        if i in resumed:
            of_turn["pause_before"] = 1.0
        if i in paused:
            of_turn["pause_after"] = 1.0
        found.append(of_turn)
    return tuple(found)


def _given(turn: Turn, tokens: Sequence[str], names: set[str], finder: _Finder) -> FactsOfTurn:
    """What the customer gives that identifies them."""
    facts: FactsOfTurn = {}
    digits = sum(c.isdigit() for token in tokens for c in token)
    words = sum(1 for token in tokens if finder.numbers.match(token))
    if digits + words >= NUMBER_LENGTH:
        facts["gives_number"] = 1.0
    numbers = sum(1 for token in tokens if finder.is_number(token))
    if numbers and len(tokens) - numbers >= FEWEST_WORDS_BESIDE:
        facts[NUMBER_AND_WORDS] = 1.0
    if any(finder.months.match(t) for t in tokens) and (digits or words):
        facts["gives_date"] = 1.0
    if any(finder.address.match(t) for t in tokens):
        facts["gives_address"] = 1.0
    if "@" in turn.text or sum(1 for t in tokens if finder.email.match(t)) > 1:
        facts["gives_email"] = 1.0
    if _mentions(tokens, names):
        facts["customer_named"] = 1.0
    return facts


def turns_around(pause: Span, turns: Sequence[Turn]) -> tuple[int, int]:
    """The turns before and after a stretch in which nobody speaks; one and the same if it lies within it."""
    middle = (pause.start_s + pause.end_s) / 2
    before = max((i for i, turn in enumerate(turns) if turn.start_s < middle), default=0)
    after = min((i for i, turn in enumerate(turns) if turn.end_s > middle), default=len(turns) - 1)
    return before, after


def _names(text: str | None) -> set[str]:
    return {token for token in plain(text or "").split() if len(token) >= SHORTEST_NAME}


def _mentions(tokens: Iterable[str], names: set[str]) -> bool:
    return any(same_name(token, name) for token in tokens if len(token) >= SHORTEST_NAME for name in names)


def _runs_together(tokens: Sequence[str], company: str | None) -> bool:
    """Whether the company is named in other words than it writes itself ("pine coat" for "Pinecote")."""
    name, said = plain(company or "").replace(" ", ""), "".join(tokens)
    return LONG_NAME <= len(name) <= len(said) and fuzz.partial_ratio(name, said) >= SAME_NAME


def same_name(heard: str, name: str) -> bool:
    """Whether a word as heard is this name, in whatever case or nearly so spelled."""
    if heard[0] != name[0]:
        return False
    stem = name[: max(SHORTEST_NAME, len(name) - 2)]
    return heard == name or (
        abs(len(heard) - len(name)) <= 3
        and (heard.startswith(stem) or (len(name) > 4 and fuzz.ratio(heard, name) >= SAME_NAME))
    )


def _customer_names(turns: Sequence[Turn], info: CallInfo, finder: _Finder, others: set[str]) -> set[str]:
    """The customer's name: from the manifest, else as given by the customer or used by the agent."""
    names = _names(info.extra.get("customer_name"))
    if names:
        return names
    cased = any(c.isupper() for turn in turns for c in turn.text)
    asked = False
    for turn in turns:
        if turn.speaker == "customer":
            for match in finder.introduction.finditer(turn.text):
                # In a transcript without capitals "it's …" may be anything, "my name is …" is not.
                if cased or any(finder.name.match(word) for word in match.group(0).lower().split()):
                    names |= _name_words(match.group(1), cased, finder)
            if asked and (cased or len(turn.text.split()) <= LONGEST_NAME):
                names |= _name_words(turn.text, cased, finder)
        elif turn.speaker == "agent" and cased:
            names |= {plain(name) for name in _VOCATIVE.findall(turn.text)}
            words = turn.text.split()
            for title, name in pairwise(words):
                if finder.titles.match(title.strip(".,")) and name[0].isupper():
                    names |= _names(name)
        asked = turn.speaker == "agent" and any(finder.name.match(t) for t in plain(turn.text).split())
    lower = {
        word.strip(".,!?…") for turn in turns for word in turn.text.split() if cased and word[0].islower()
    }
    return {n for n in names if n not in lower and not any(same_name(n, other) for other in others)}


_VOCATIVE = re.compile(r"\w, ([^\W\d_a-zа-яё][\w'’-]{2,})(?=[,.!?…])")


def _name_words(text: str, cased: bool, finder: _Finder) -> set[str]:
    words = re.findall(r"[\w'’-]+", text)
    if cased:
        words = [w for w in words if w[0].isupper()]
    tokens = {plain(w) for w in words[:LONGEST_NAME]}
    return {
        t
        for t in tokens
        if len(t) >= SHORTEST_NAME
        and not any(p.match(t) for p in (finder.numbers, finder.months, finder.days))
    }
