"""The rules of a rubric: what gives occasion for a criterion, what fulfils it and what violates it.

A rule is read by people in the YAML file and by `weigh` here. It speaks of acts (what is done in a turn,
`acts.py`) and facts (what can be checked in a turn without judging meaning, `facts.py`). Both come as
confidences from 0 to 1, so a rule does not answer yes or no but says how likely each is.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from math import exp
from typing import Literal

from wellheard.pipeline.records import Record, Speaker
from wellheard.rubrics.acts import ACTS
from wellheard.rubrics.facts import FACTS, IDENTIFIERS, NUMBER_AND_WORDS, OPENING_TURNS

Names = str | tuple[str, ...]

# "At the end" is within so many last turns.
ENDING_TURNS = 8
# Who thanks for a wait does so within so many turns of it.
BACK_WITHIN_TURNS = 4
# What a number with further words beside it counts for as identifiers.
ONE_AND_MORE = 1.7


class Condition(Record):
    """One thing to look for in a call.

    It has exactly one of `act`, `fact`, `identifiers`, `wait`, `all`, `any`, `none`.

    - `act`, `fact`: a name, or several of which one will do; `by` narrows whose turns count.
    - `identifiers`: the customer has given at least so many different ones (name, number, date …).
    - `wait`: `any` wait announced or long enough to be a hold; `handled` if each was asked and thanked for.
    - `all`, `any`, `none`: several conditions together.
    - `where`: `opening` (the agent's first two turns), `ending` (the last eight turns) or `anywhere`.
    - `after`: only turns after one with this act, `within` so many of it; `before`: only before the first.
    - `unless`: an act in the same or the agent's next turn that undoes it.
    - `times`: in at least so many turns.
    - `needs`: how sure an act must be to count as more likely than not.
    """

    act: Names | None = None
    fact: Names | None = None
    identifiers: int | None = None
    wait: Literal["any", "handled"] | None = None
    all: tuple["Condition", ...] | None = None
    any: tuple["Condition", ...] | None = None
    none: tuple["Condition", ...] | None = None
    by: Speaker | None = None
    where: Literal["anywhere", "opening", "ending"] = "anywhere"
    after: Names | None = None
    before: Names | None = None
    within: int | None = None
    unless: Names | None = None
    times: int = 1
    needs: float = 0.5

    def walk(self) -> Iterator["Condition"]:
        """The condition and those inside it."""
        yield self
        for parts in (self.all, self.any, self.none):
            for part in parts or ():
                yield from part.walk()

    def names(self) -> set[str]:
        """The acts and facts that this condition itself names."""
        named = (self.act, self.fact, self.after, self.before, self.unless)
        return {name for names in named if names is not None for name in as_names(names)}


class Rule(Record):
    """When a criterion is asked at all, and what answers it.

    Without `asked_when` it always is. `yes_when` must hold and `no_when` must not for a yes.
    """

    asked_when: Condition | None = None
    yes_when: Condition | None = None
    no_when: Condition | None = None

    def conditions(self) -> Iterator[Condition]:
        """All its conditions, those inside others too."""
        for condition in (self.asked_when, self.yes_when, self.no_when):
            if condition is not None:
                yield from condition.walk()

    def acts(self) -> set[str]:
        """The names of all acts that it uses."""
        names: set[str] = set()
        for condition in self.conditions():
            names.update(condition.names() - set(FACTS))
            if condition.wait is not None:
                names.update(("announce_wait", "after_wait"))
            if condition.identifiers is not None:
                names.add("give_id")
        return names


class Finding(Record):
    """How likely a condition holds, from 0 to 1.

    `shown` are the turns that show it, each with the act or fact it shows; `lacks` says what is missing.
    """

    likelihood: float
    shown: tuple[tuple[int, str], ...] = ()
    lacks: tuple[str, ...] = ()


class Findings(Record):
    """All that a rule may ask of a call: who speaks in each turn, and acts and facts of each turn.

    `holds` are the turns before and after each stretch of silence that is long enough to be a hold. `answers`
    is what the tagger makes of the whole call (`records.Acts`), `called` the names of a house's own acts.
    """

    speakers: tuple[str, ...]
    acts: tuple[dict[str, float], ...]
    facts: tuple[dict[str, float], ...]
    holds: tuple[tuple[int, int], ...]
    answers: dict[str, tuple[float, float, float]]
    called: dict[str, str]

    def phrase(self, name: str) -> str:
        """An act or fact in the words of a reason."""
        return self.called.get(name) or ACTS.get(name) or FACTS[name]

    @property
    def opening(self) -> int:
        """Where the agent's first turns end."""
        own = [i for i, speaker in enumerate(self.speakers) if speaker == "agent"][:OPENING_TURNS]
        return own[-1] + 1 if own else 0

    def sure_of(self, turn: int, names: Names, needs: float = 0.5) -> float:
        """How surely a turn shows one of the acts or facts, shifted so that `needs` becomes a half."""
        found = max(
            max(self.acts[turn].get(name, 0.0), self.facts[turn].get(name, 0.0)) for name in as_names(names)
        )
        return shifted(found, needs)

    def anchors(self, names: Names) -> list[int]:
        """The turns that show one of the acts; the likeliest one if none does for sure."""
        sure = [self.sure_of(i, names) for i in range(len(self.speakers))]
        best = max(sure, default=0.0)
        return [i for i, value in enumerate(sure) if value >= min(0.5, best) and value > 0]


def as_names(names: Names) -> tuple[str, ...]:
    """One name or several as several."""
    return (names,) if isinstance(names, str) else names


def shifted(confidence: float, needs: float) -> float:
    """The confidence on a scale on which `needs` is a half: odds divided by the odds of `needs`."""
    for_, against = confidence * (1 - needs), (1 - confidence) * needs
    return for_ / (for_ + against) if for_ + against else confidence


def weigh(condition: Condition, call: Findings) -> Finding:
    """How likely a condition holds in a call."""
    if condition.all is not None:
        parts = [weigh(part, call) for part in condition.all]
        return Finding(
            likelihood=min(part.likelihood for part in parts),
            shown=_together(part.shown for part in parts if part.likelihood >= 0.5),
            lacks=tuple(text for part in parts for text in part.lacks),
        )
    if condition.any is not None:
        parts = sorted((weigh(part, call) for part in condition.any), key=lambda part: -part.likelihood)
        return Finding(
            likelihood=max(part.likelihood for part in parts),
            shown=_together(part.shown for part in parts if part.likelihood >= 0.5),
            lacks=_either(part.lacks for part in parts),
        )
    if condition.none is not None:
        parts = [weigh(part, call) for part in condition.none]
        found = _together(part.shown for part in parts if part.likelihood >= 0.5)
        return Finding(
            likelihood=1 - max(part.likelihood for part in parts),
            lacks=tuple(f"a call without {call.phrase(name)}" for _, name in found),
        )
    if condition.wait is not None:
        return _weigh_waits(condition, call)
    if condition.identifiers is not None:
        return _weigh_identifiers(condition, call)
    return _weigh_act(condition, call)


def _together(parts: Iterable[tuple[tuple[int, str], ...]]) -> tuple[tuple[int, str], ...]:
    return tuple(dict.fromkeys(shown for part in parts for shown in part))


def _either(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """What is lacking where any one of the parts would do: nothing if one lacks nothing."""
    texts = list(parts)
    ways = dict.fromkeys(" and ".join(text) for text in texts)
    return (" or ".join(ways),) if all(texts) else ()


def _weigh_act(condition: Condition, call: Findings) -> Finding:
    named = condition.act if condition.act is not None else condition.fact
    assert named is not None
    names = as_names(named)
    sure = {
        i: _unless(condition, call, i, call.sure_of(i, names, condition.needs))
        for i in turns_of(condition, call)
    }
    ranked = sorted((i for i in sure if sure[i] > 0), key=lambda i: -sure[i])
    likelihood = sure[ranked[condition.times - 1]] if len(ranked) >= condition.times else 0.0
    where = " at the beginning" if condition.where == "opening" else ""
    where = " at the end" if condition.where == "ending" else where
    return Finding(
        likelihood=likelihood,
        shown=tuple(
            (i, max(names, key=lambda name: call.sure_of(i, name))) for i in ranked if sure[i] >= 0.5
        ),
        lacks=() if likelihood >= 0.5 else (" or ".join(map(call.phrase, names)) + where,),
    )


def _unless(condition: Condition, call: Findings, turn: int, sure: float) -> float:
    if condition.unless is None or not sure:
        return sure
    later = (i for i in range(turn + 1, len(call.speakers)) if call.speakers[i] == call.speakers[turn])
    here = [turn, *islice(later, 1)]
    return min(sure, 1 - max(call.sure_of(i, condition.unless) for i in here))


def turns_of(condition: Condition, call: Findings) -> list[int]:
    """The turns in which a condition about an act or fact looks."""
    count = len(call.speakers)
    turns: Iterable[int] = range(count)
    if condition.where == "opening":
        turns = range(call.opening)
    elif condition.where == "ending":
        turns = range(max(0, count - ENDING_TURNS), count)
    if condition.before is not None:
        anchors = call.anchors(condition.before)
        end = anchors[0] if anchors else count
        turns = [i for i in turns if i < end]
    if condition.after is not None:
        reach = condition.within if condition.within is not None else count
        anchors = call.anchors(condition.after)
        turns = [i for i in turns if any(a < i <= a + reach for a in anchors)]
    return [i for i in turns if condition.by in (None, call.speakers[i])]


def _weigh_waits(condition: Condition, call: Findings) -> Finding:
    """Whether the customer had to wait; `handled`: whether each wait was asked for and thanked for."""
    waits: list[tuple[float, float, tuple[int, ...]]] = []
    count = len(call.speakers)
    own = [i for i in range(count) if call.speakers[i] == "agent"]
    asked = {i: call.sure_of(i, "announce_wait", condition.needs) for i in own}
    thanked = {i: call.sure_of(i, "after_wait") for i in own}
    for hold, resumed in call.holds:
        before = max((i for i in asked if hold - 2 <= i <= hold), key=lambda i: asked[i], default=None)
        after = _thanks(thanked, resumed)
        handled = min(asked.pop(before) if before is not None else 0.0, thanked.get(after, 0.0))
        waits.append((1.0, handled, (hold if before is None else before, after)))
    for i, sure in asked.items():
        after = _thanks(thanked, i + 1)
        waits.append((sure, min(sure, thanked.get(after, 0.0)), (i, after)))
    if not waits:
        return Finding(likelihood=0.0, lacks=("a wait",))
    likely = [wait for wait in waits if wait[0] >= 0.5] or [max(waits)]
    if condition.wait == "any":
        return Finding(
            likelihood=max(wait[0] for wait in likely),
            shown=tuple((wait[2][0], "announce_wait") for wait in likely),
        )
    worst = max(likely, key=lambda wait: wait[0] * (1 - wait[1]))
    likelihood = 1 - worst[0] * (1 - worst[1])
    kept = likelihood >= 0.5
    return Finding(
        likelihood=likelihood,
        shown=tuple(
            shown
            for wait in (likely if kept else [worst])
            for shown in zip(wait[2], ("announce_wait", "after_wait"), strict=True)
            if shown[0] < count
        ),
        lacks=() if kept else ("a request before each wait and thanks after it",),
    )


def _thanks(thanked: Mapping[int, float], start: int) -> int:
    """The agent's turn soon after a wait that thanks for it most clearly."""
    near = [i for i in thanked if start <= i < start + BACK_WITHIN_TURNS]
    return max(near, key=lambda i: thanked[i], default=start)


def _weigh_identifiers(condition: Condition, call: Findings) -> Finding:
    """Whether the customer gave so many identifiers: each in a turn of its own or of its own kind."""
    assert condition.identifiers is not None
    total, turns = 0.0, []
    for i in turns_of(condition, call):
        sure = call.sure_of(i, "give_id", condition.needs)
        kinds = sum(1 for fact in IDENTIFIERS if fact in call.facts[i])
        likely = ONE_AND_MORE if NUMBER_AND_WORDS in call.facts[i] else 1.0
        total += sure * min(2.0, max(likely, kinds))
        if sure >= 0.5:
            turns.append(i)
    likelihood = 1 / (1 + exp(-3 * (total - condition.identifiers + 0.5)))
    enough = likelihood >= 0.5
    return Finding(
        likelihood=likelihood,
        shown=tuple((turn, "give_id") for turn in turns),
        lacks=() if enough else (f"{condition.identifiers} identifiers before that",),
    )
