"""Whether a rubric makes sense: what its rules can never do, do twice, leave open or leave unworded.

It is found by reading the rubric, without any call, so only what can be proven is told. An error is a part
that cannot do what it is written for; a warning is one that works, but perhaps not as it was meant.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import combinations, permutations
from typing import TYPE_CHECKING, get_args

import msgspec

from wellheard.pipeline.records import Speaker
from wellheard.rubrics import facts
from wellheard.rubrics.acts import ACTS, may_show
from wellheard.rubrics.combination import rule_hash
from wellheard.rubrics.facts import IDENTIFIERS, OPENING_TURNS
from wellheard.rubrics.own_acts import OwnAct
from wellheard.rubrics.rules import ENDING_TURNS, Condition, Names, Rule, as_names
from wellheard.rubrics.yamlfile import Document, Place

if TYPE_CHECKING:
    from wellheard.rubrics.loader import Criterion, Rubric

SPEAKERS: frozenset[str] = frozenset(get_args(Speaker))
CUSTOMER_FACTS = (*IDENTIFIERS, "repeats_number")
FACTS_OF_OTHERS = ("says_company", "says_agent_name", "names_customer")
NEVER = "never"

_GROUPS = ("all", "any", "none")
_NARROWING = ("by", "where", "after", "before", "within", "unless", "times", "needs")
# What narrows conditions of a kind; the rest would be overlooked there.
_READ = {
    "act": _NARROWING,
    "fact": _NARROWING,
    "identifiers": ("by", "where", "after", "before", "within", "needs"),
    "wait": ("needs",),
}


def check(document: Document, rubric: "Rubric") -> None:
    """Note in the document what of its rubric (read from it, without errors) makes no sense."""
    _check_title(document, ("title",), rubric.title, rubric.languages)
    for i, criterion in enumerate(rubric.criteria):
        place = ("criteria", i)
        _check_title(document, (*place, "title"), criterion.title, rubric.languages)
        if criterion.judge != "language-model":  # it reads `means` and `not_asked`, not the rule
            _check_occasion(document, place, criterion)
            _check_rule(document, (*place, "rule"), criterion.rule, rubric.acts)
    _check_doubles(document, rubric.criteria)
    _check_examples(document, rubric)


def _check_title(
    document: Document, place: Place, title: Mapping[str, str], languages: Iterable[str]
) -> None:
    missing = [language for language in languages if language not in title]
    if missing:
        document.warning(
            place,
            f"the title is missing in {' and '.join(missing)}",
            f"Write it in all: {{en: …, {missing[0]}: …}}.",
        )


def _check_occasion(document: Document, place: Place, criterion: "Criterion") -> None:
    never = criterion.not_asked.strip(" .").casefold() == NEVER
    if criterion.rule.asked_when is None and not never:
        document.warning(
            (*place, "not_asked"),
            "`not_asked` names calls that do not count, but without `asked_when` every call does",
            f"Add `asked_when:` to the rule, or write `not_asked: {NEVER}`.",
        )
    if criterion.rule.asked_when is not None and never:
        document.warning(
            (*place, "not_asked"),
            f"`not_asked` is “{NEVER}”, but `asked_when` leaves calls out",
            "Say which calls those are; the reasons of marks quote it.",
        )


def _check_rule(document: Document, place: Place, rule: Rule, own: Mapping[str, OwnAct]) -> None:
    for part in ("asked_when", "yes_when", "no_when"):
        condition = getattr(rule, part)
        if condition is not None:
            _check_condition(document, (*place, part), condition, own)
    asked, yes, no = rule.asked_when, rule.yes_when, rule.no_when
    no_place = (*place, "no_when")
    if yes is not None and no is not None and _implies(yes, no):
        document.problem(
            no_place,
            "a yes can never come: all that fulfils `yes_when` fulfils `no_when`, too",
            "Change one of them; the opposite of `yes_when` is a no without being written.",
        )
    elif asked is not None and no is not None and _implies(asked, no):
        document.problem(
            no_place,
            "a yes can never come: all that gives occasion fulfils `no_when`, too",
            "Change one of them.",
        )
    elif asked is not None and yes is not None and _exclude(asked, yes):
        document.problem(
            (*place, "yes_when"), "a yes can never come: `asked_when` rules `yes_when` out", "Change one."
        )
    elif yes is not None and no is not None:
        both = {*_each_enough(yes)} & {*_each_enough(no)}
        for name in sorted({name for name, _ in both}):
            document.warning(
                no_place,
                f"“{name}” makes it both a yes and a no, and the no counts",
                "Take it out of one of them, or tell them apart by `where`, `after` or `before`.",
            )
    if asked is not None and yes is not None and no is None and _implies(asked, yes):
        document.warning(
            (*place, "yes_when"),
            "a no can never come: all that gives occasion fulfils `yes_when`, too",
            "Make `asked_when` wider, or `yes_when` narrower.",
        )


def _check_condition(
    document: Document, place: Place, condition: Condition, own: Mapping[str, OwnAct]
) -> None:
    group = next((kind for kind in _GROUPS if getattr(condition, kind) is not None), None)
    if group is None:
        _check_leaf(document, place, condition, own)
        return
    _check_overlooked(document, place, condition, group, "Write it at each of the conditions inside.")
    parts: tuple[Condition, ...] = getattr(condition, group)
    for i, part in enumerate(parts):
        _check_condition(document, (*place, group, i), part, own)
    for (_, one), (j, other) in combinations(enumerate(parts), 2):
        if _implies(one, other) and _implies(other, one):
            document.warning(
                (*place, group, j), f"the same condition stands twice under `{group}`", "Leave one out."
            )
    if group == "all" and any(_exclude(one, other) for one, other in combinations(parts, 2)):
        document.problem(
            (*place, group), "these can never hold together: one rules the other out", "Leave one out."
        )
    if group != "all" and any(_one_of(one, other) for one, other in permutations(parts, 2)):
        document.problem(
            (*place, group),
            f"one of these always holds, so `{group}` {'always' if group == 'any' else 'never'} does",
            "Leave one out.",
        )


def _check_leaf(document: Document, place: Place, condition: Condition, own: Mapping[str, OwnAct]) -> None:
    kind = next(kind for kind in _READ if getattr(condition, kind) is not None)
    _check_overlooked(document, place, condition, kind, "Leave it out.")
    if kind == "wait":
        return
    if condition.within is not None and condition.after is None:
        document.problem(
            (*place, "within"),
            "`within` does nothing without `after`",
            "Say with `after` what it is counted from.",
        )
    for field in ("act", "fact", "after", "before", "unless"):
        doubles = [name for name, times in Counter(_names(condition, field)).items() if times > 1]
        if doubles:
            document.warning((*place, field), f"“{doubles[0]}” stands twice here", "Leave one out.")
    names = ("give_id",) if kind == "identifiers" else _names(condition, kind)
    speakers = SPEAKERS if condition.by is None else frozenset({condition.by})
    who = frozenset[str]().union(*(_speakers_of(name, own) for name in names)) & speakers
    if condition.by is not None:
        _check_speakers(document, (*place, "by"), names, speakers, own, "is never found")
    if condition.unless is not None and who:
        _check_speakers(document, (*place, "unless"), as_names(condition.unless), who, own, "undoes nothing")
    _check_times(document, place, condition, who)
    _check_order(document, place, condition, frozenset(names))


def _check_overlooked(document: Document, place: Place, condition: Condition, kind: str, advice: str) -> None:
    unread = set(_NARROWING) - set(_READ.get(kind, ()))
    usual = Condition()
    for field in _NARROWING:
        if field in unread and getattr(condition, field) != getattr(usual, field):
            document.problem((*place, field), f"`{field}` does nothing beside `{kind}`", advice)


def _check_speakers(
    document: Document,
    place: Place,
    names: Iterable[str],
    speakers: frozenset[str],
    own: Mapping[str, OwnAct],
    so: str,
) -> None:
    """Acts and facts that turns of these speakers never show: an error if none of them ever is."""
    names = tuple(names)
    strange = [name for name in names if not _speakers_of(name, own) & speakers]
    if strange:
        note = document.problem if len(strange) == len(names) else document.warning
        listed = " and ".join(f"“{name}”" for name in strange)
        whose = " or ".join(f"“{speaker}”" for speaker in sorted(speakers))
        note(place, f"no turn of {whose} ever shows {listed}, so it {so}", "Change it, or leave it out.")


def _check_times(document: Document, place: Place, condition: Condition, who: frozenset[str]) -> None:
    most = None
    if condition.where == "ending":
        most, where = ENDING_TURNS, "the ending"
    elif condition.where == "opening" and who == {"agent"}:
        most, where = OPENING_TURNS, "the opening"
    if most is not None and condition.times > most:
        document.problem(
            (*place, "times"),
            f"`times` is {condition.times}, but {where} has {most} such turns",
            f"Write {most} or less, or leave `where` out.",
        )


def _check_order(document: Document, place: Place, condition: Condition, names: frozenset[str]) -> None:
    before, after, unless = (frozenset(_names(condition, field)) for field in ("before", "after", "unless"))
    # What is less sure than a half may come before the first that is sure.
    sure = condition.needs >= 0.5
    if before and sure and names <= before:
        document.problem(
            (*place, "before"), "nothing comes before the first of its own kind", "Name another act here."
        )
    if unless and sure and names <= unless:
        document.problem((*place, "unless"), "this undoes itself wherever it is", "Name another act here.")
    if before and before == after:
        document.problem(
            (*place, "before"), "nothing comes both after this and before the first of it", "Leave one out."
        )
    if names == after and (condition.within, condition.by, condition.where) == (None, None, "anywhere"):
        document.warning(
            (*place, "after"), "this only means that it is done twice", "Write `times: 2` in its place."
        )


def _check_doubles(document: Document, criteria: Iterable["Criterion"]) -> None:
    for (i, first), (j, second) in combinations(enumerate(criteria), 2):
        line = document.line(("criteria", i))
        if "language-model" not in (first.judge, second.judge):
            reason = _counted_twice(first, second)
            if reason:
                document.warning(
                    ("criteria", j, "rule"),
                    f"{reason} as “{first.id}” in line {line}, so one thing counts twice",
                    "Leave one of them out, or ask for something else.",
                )
        for language, title in second.title.items():
            if title.strip().casefold() == first.title.get(language, "").strip().casefold():
                document.warning(
                    ("criteria", j, "title", language),
                    f"the title “{title}” stands twice; the first is that of “{first.id}” in line {line}",
                    "Give one of them another title.",
                )


def _counted_twice(first: "Criterion", second: "Criterion") -> str | None:
    if rule_hash(first.rule) == rule_hash(second.rule):
        return "this is the same rule"
    same_yes = first.rule.yes_when is not None and first.rule.yes_when == second.rule.yes_when
    return (
        "this has the same `yes_when` and weight" if same_yes and first.weight == second.weight > 0 else None
    )


def _check_examples(document: Document, rubric: "Rubric") -> None:
    scripts = {script_of_language(language) for language in rubric.languages}
    for name, act in rubric.acts.items():
        found = {script for text in act.like if (script := script_of(text))}
        unseen = sorted(scripts - found)
        if unseen and len(scripts) > 1:
            document.warning(
                ("acts", name, "like"),
                f"no example of “{name}” is in {' or '.join(unseen)} letters, as calls of this rubric are",
                "It is recognised there too, but less surely; add examples in those languages.",
            )


@cache
def script_of_language(language: str) -> str:
    """The letters that a language is written in ("Latin", "Cyrillic" …)."""
    return script_of(" ".join(facts.words_of(language).months))


def script_of(text: str) -> str:
    """The letters that most of a text is written in; empty if it has none."""
    scripts = Counter(unicodedata.name(char, "").split(" ")[0] for char in text if char.isalpha())
    return scripts.most_common(1)[0][0].capitalize() if scripts else ""


def _names(condition: Condition, field: str) -> tuple[str, ...]:
    names: Names | None = getattr(condition, field)
    return () if names is None else as_names(names)


def _speakers_of(name: str, own: Mapping[str, OwnAct]) -> frozenset[str]:
    """Whose turns can show an act or fact."""
    if name in own:
        return frozenset({own[name].by})
    if name in ACTS:
        return frozenset(speaker for speaker in SPEAKERS if may_show(speaker, name))
    if name in CUSTOMER_FACTS:
        return frozenset({"customer"})
    return SPEAKERS - {"customer"} if name in FACTS_OF_OTHERS else SPEAKERS


def _each_enough(condition: Condition) -> Iterator[tuple[str, Condition]]:
    """The acts and facts each of which is enough for the condition, with where it is looked for."""
    for part in condition.any or ():
        yield from _each_enough(part)
    if condition.all is not None and len(condition.all) == 1:
        yield from _each_enough(condition.all[0])
    for kind in ("act", "fact"):
        for name in _names(condition, kind):
            yield name, msgspec.structs.replace(condition, act=None, fact=None, needs=0.5)


def _implies(one: Condition, other: Condition) -> bool:
    """Whether `one` is in no call likelier than `other`; False where that cannot be told."""
    if one == other:
        return True
    if one.none is not None and other.none is not None:
        return all(any(_implies(part, within) for within in one.none) for part in other.none)
    if any(_implies(part, other) for part in one.all or ()) or any(
        _implies(one, part) for part in other.any or ()
    ):
        return True
    if one.any is not None:
        return all(_implies(part, other) for part in one.any)
    if other.all is not None:
        return all(_implies(one, part) for part in other.all)
    return any(
        set(_names(one, kind)) <= set(_names(other, kind))
        and one.times >= other.times
        and msgspec.structs.replace(one, **{kind: None, "times": 1})
        == msgspec.structs.replace(other, **{kind: None, "times": 1})
        for kind in ("act", "fact")
        if _names(one, kind)
    )


def _exclude(one: Condition, other: Condition) -> bool:
    """Whether the two can never both hold; False where that cannot be told."""
    return (
        any(_implies(one, part) for part in other.none or ())
        or any(_implies(other, part) for part in one.none or ())
        or any(_exclude(part, other) for part in one.all or ())
        or any(_exclude(one, part) for part in other.all or ())
        or (one.any is not None and all(_exclude(part, other) for part in one.any))
        or (other.any is not None and all(_exclude(one, part) for part in other.any))
    )


def _one_of(one: Condition, other: Condition) -> bool:
    """Whether `other` holds wherever `one` does not."""
    return other.none is not None and all(_implies(part, one) for part in other.none)
