"""Judges: they answer one criterion of one call, from what was found in its turns."""

from collections.abc import Callable, Sequence
from functools import partial

from wellheard.pipeline.records import Answer, Record, Turn, clock
from wellheard.rubrics.acts import may_show
from wellheard.rubrics.combination import COMBINATION, Combination
from wellheard.rubrics.house import HouseJudge
from wellheard.rubrics.loader import Criterion
from wellheard.rubrics.rules import Condition, Finding, Findings, as_names, turns_of, weigh

# More turns than this prove nothing more.
MOST_EVIDENCE = 4
# A turn that shows what an answer rests on may be shown though it was not sure enough by itself.
WORTH_SHOWING = 0.15
MOST_NEAREST = 2
CERTAIN = Finding(likelihood=1.0)


class Verdict(Record):
    """An answer, how sure it is (0 to 1), why, in a sentence, and the turns that prove it."""

    answer: Answer
    confidence: float
    reason: str
    turns: tuple[int, ...] = ()
    missed: "Missed | None" = None


class Missed(Record):
    """Something that was not said: the first and last turn where it belonged, and those nearest to it."""

    first: int
    last: int
    nearest: tuple[int, ...]


class Judge(Record):
    """A way to answer a criterion, with the name and version that go with each mark."""

    name: str
    version: str
    answer: Callable[[str, Criterion, Findings, Sequence[Turn]], Verdict]


class _Weighed(Record):
    """What the three parts of a rule come to in a call."""

    asked: Finding
    met: Finding
    broken: Finding

    @property
    def good(self) -> float:
        return min(self.met.likelihood, 1 - self.broken.likelihood)


def by_rule(_: str, criterion: Criterion, call: Findings, turns: Sequence[Turn]) -> Verdict:
    """Weigh the criterion's rule: first whether it is asked at all, then yes or no."""
    weighed = _weigh(criterion, call)
    asked, good = weighed.asked.likelihood, weighed.good
    if asked < 0.5:
        return _verdict("na", 1 - asked, criterion, weighed, call, turns)
    answer: Answer = "yes" if good >= 0.5 else "no"
    return _verdict(answer, min(asked, max(good, 1 - good)), criterion, weighed, call, turns)


def by_training(
    combination: Combination, name: str, criterion: Criterion, call: Findings, turns: Sequence[Turn]
) -> Verdict:
    """Weigh the rule and the tagger's view of the whole call together, as training found best."""
    shares = combination.shares(name, criterion.rule, call)
    answer = max(shares, key=lambda key: shares[key])
    return _verdict(
        answer,  # type: ignore[arg-type]
        shares[answer],
        criterion,
        _weigh(criterion, call),
        call,
        turns,
    )


def _weigh(criterion: Criterion, call: Findings) -> _Weighed:
    rule = criterion.rule
    return _Weighed(
        asked=CERTAIN if rule.asked_when is None else weigh(rule.asked_when, call),
        met=CERTAIN if rule.yes_when is None else weigh(rule.yes_when, call),
        broken=Finding(likelihood=0.0) if rule.no_when is None else weigh(rule.no_when, call),
    )


def _verdict(
    answer: Answer,
    confidence: float,
    criterion: Criterion,
    weighed: _Weighed,
    call: Findings,
    turns: Sequence[Turn],
) -> Verdict:
    rule = criterion.rule
    shown: tuple[tuple[int, str], ...] = ()
    missed = None
    if answer == "na":
        reason = f"Not asked: {criterion.not_asked}."
    elif answer == "yes":
        shown = weighed.met.shown or _best(rule.yes_when, call)
        reason = f"There is {_seen(shown, call, turns) or _without(criterion, call)}."
    elif rule.no_when is not None and (weighed.broken.likelihood >= 0.5 or rule.yes_when is None):
        shown = weighed.broken.shown or _best(rule.no_when, call)
        reason = f"There is {_seen(shown, call, turns) or 'something against it'}."
    else:
        shown = weighed.asked.shown or _best(rule.asked_when, call)
        lacking = " and ".join(dict.fromkeys(weighed.met.lacks)) or "all that was asked for, for sure"
        occasion = _seen(shown, call, turns)
        reason = f"There is {occasion}, but not {lacking}." if occasion else f"Not heard: {lacking}."
        missed = _missed(rule.yes_when, call)
    return Verdict(
        answer=answer,
        confidence=round(confidence, 4),
        reason=reason,
        turns=tuple(sorted({turn for turn, _ in shown[:MOST_EVIDENCE]})),
        missed=missed,
    )


def _best(condition: Condition | None, call: Findings) -> tuple[tuple[int, str], ...]:
    """The turn that shows most of what a condition looks for, if any does to speak of."""
    parts = [] if condition is None else [p for p in condition.walk() if p.act is not None]
    candidates = [
        (call.sure_of(turn, name), turn, name)
        for part in parts
        for name in as_names(part.act or ())
        for turn in range(len(call.speakers))
    ]
    sure, turn, name = max(candidates, default=(0.0, 0, ""))
    return ((turn, name),) if sure >= WORTH_SHOWING else ()


def _missed(condition: Condition | None, call: Findings) -> Missed | None:
    """Where the first act that a condition lacks belonged."""
    for part in condition.walk() if condition is not None else ():
        if part.act is None or weigh(part, call).likelihood >= 0.5:
            continue
        names = as_names(part.act)
        turns = [
            turn
            for turn in turns_of(part, call)
            if any(may_show(call.speakers[turn], name) for name in names)
        ]
        if turns:
            nearest = sorted(turns, key=lambda turn: -call.sure_of(turn, names))[:MOST_NEAREST]
            return Missed(
                first=turns[0],
                last=turns[-1],
                nearest=tuple(sorted(turn for turn in nearest if call.sure_of(turn, names) > 0)),
            )
    return None


def _without(criterion: Criterion, call: Findings) -> str:
    """A yes since nothing speaks against it."""
    condition = criterion.rule.no_when
    parts = condition.walk() if condition is not None else ()
    unwanted = sorted({name for part in parts for name in as_names(part.act or part.fact or ())})
    if not unwanted:
        return "nothing against it"
    return f"no {' or '.join(_bare(call.phrase(name)) for name in unwanted)}"


def _bare(text: str) -> str:
    return text.removeprefix("a ").removeprefix("an ").removeprefix("the ")


def _seen(shown: Sequence[tuple[int, str]], call: Findings, turns: Sequence[Turn]) -> str:
    """ "a personal cue at 1:02 and 2:10, an offer at 3:00"."""
    times: dict[str, list[str]] = {}
    for turn, name in sorted(shown[:MOST_EVIDENCE]):
        times.setdefault(call.phrase(name), []).append(clock(turns[turn].start_s))
    return ", ".join(f"{text} at {' and '.join(at)}" for text, at in times.items())


JUDGES = {
    "rules": Judge(name="rules", version="2", answer=by_rule),
    "trained": Judge(
        name="trained", version=COMBINATION.fingerprint, answer=partial(by_training, COMBINATION)
    ),
}


def of_house(house: HouseJudge) -> Judge:
    """The trained judge with a house's own weights."""
    return Judge(name="trained", version=house.version, answer=partial(by_training, house.combination))
