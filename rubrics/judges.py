"""Judges: they answer one criterion of one call, from what was found in its turns."""

from collections.abc import Callable, Sequence

from wellheard.pipeline.records import Answer, Record, Turn, clock
from wellheard.rubrics.loader import Criterion
from wellheard.rubrics.rules import Finding, Findings, phrase, weigh
from wellheard.rubrics.signs import VERSION as SIGNS_VERSION

# A likelihood of a half is right a little less often than every second time (docs/agreement.md), so what is
# missing to certainty counts a little more.
CAUTION = 1.06
# More turns than this prove nothing more.
MOST_EVIDENCE = 4
CERTAIN = Finding(likelihood=1.0)


class Verdict(Record):
    """An answer, how sure it is (0 to 1), why, in a sentence, and the turns that prove it."""

    answer: Answer
    confidence: float
    reason: str
    turns: tuple[int, ...] = ()


class Judge(Record):
    """A way to answer a criterion, with the name and version that go with each mark."""

    name: str
    version: str
    answer: Callable[[Criterion, Findings, Sequence[Turn]], Verdict]


def by_rule(criterion: Criterion, call: Findings, turns: Sequence[Turn]) -> Verdict:
    """Weigh the criterion's rule: first whether it is asked at all, then yes or no."""
    rule = criterion.rule
    asked = CERTAIN if rule.asked_when is None else weigh(rule.asked_when, call)
    met = CERTAIN if rule.yes_when is None else weigh(rule.yes_when, call)
    broken = Finding(likelihood=0.0) if rule.no_when is None else weigh(rule.no_when, call)
    good = min(met.likelihood, 1 - broken.likelihood)
    if asked.likelihood < 0.5:
        answer: Answer = "na"
        confidence = 1 - asked.likelihood
    else:
        answer = "yes" if good >= 0.5 else "no"
        confidence = min(asked.likelihood, max(good, 1 - good))
    shown: tuple[tuple[int, str], ...] = ()
    if answer == "na":
        reason = f"Not asked: {criterion.not_asked}."
    elif answer == "yes":
        shown = met.shown
        seen = _seen(shown, turns) or _without(criterion)
        reason = f"There is {seen}."
    elif broken.likelihood >= 1 - met.likelihood:
        shown = broken.shown
        reason = f"There is {_seen(shown, turns) or 'something against it'}."
    else:
        shown = asked.shown
        lacking = " and ".join(dict.fromkeys(met.lacks)) or "what was asked for"
        occasion = _seen(shown, turns)
        reason = f"There is {occasion}, but not {lacking}." if occasion else f"Not heard: {lacking}."
    return Verdict(
        answer=answer,
        confidence=round(1 - CAUTION * (1 - confidence), 4),
        reason=reason,
        turns=tuple(sorted({turn for turn, _ in shown[:MOST_EVIDENCE]})),
    )


def _without(criterion: Criterion) -> str:
    """A yes since nothing speaks against it."""
    condition = criterion.rule.no_when
    names = sorted(condition.names()) if condition is not None else []
    unwanted = [name for name in names if condition is None or name != condition.unless]
    return f"no {' or '.join(_bare(phrase(name)) for name in unwanted)}" if unwanted else "nothing against it"


def _bare(text: str) -> str:
    return text.removeprefix("a ").removeprefix("an ").removeprefix("the ")


def _seen(shown: Sequence[tuple[int, str]], turns: Sequence[Turn]) -> str:
    """ "a personal cue at 1:02 and 2:10, an offer at 3:00"."""
    times: dict[str, list[str]] = {}
    for turn, name in sorted(shown[:MOST_EVIDENCE]):
        times.setdefault(phrase(name), []).append(clock(turns[turn].start_s))
    return ", ".join(f"{text} at {' and '.join(at)}" for text, at in times.items())


JUDGES = {"rules": Judge(name="rules", version=f"1+signs-{SIGNS_VERSION}", answer=by_rule)}
