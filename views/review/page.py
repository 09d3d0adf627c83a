"""The review page's HTML. Whatever comes from calls, manifests or reviewers is text in it, never markup."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import urlencode

from jinja2 import Environment
from markupsafe import Markup, escape

from wellheard.pipeline.morning.reviewers import Reviewers
from wellheard.pipeline.morning.reviews import Review, Reviewed
from wellheard.pipeline.morning.to_review import OpenCall, Queue, Waiting
from wellheard.pipeline.records import clock
from wellheard.rubrics.loader import Criterion, Rubric
from wellheard.views.html import environment
from wellheard.views.report.wording import KINDS, TEXTS, Names, gap_line, reason_lines
from wellheard.views.screen import percent
from wellheard.views.texts import Language, Texts

ROWS = 50
Latest: TypeAlias = Mapping[Reviewed, Mapping[str, Review]]
ANSWERS = {"yes": "Yes", "no": "No", "na": "No occasion", "cannot_tell": "Cannot tell"}
KEYS = {"yes": "y", "no": "n", "na": "a", "cannot_tell": "u"}
SHOWS = {
    "first": "To hear first",
    "all": "All calls",
    "unsure": "Unsure",
    "critical": "Critical failures",
    "sample": "Samples",
    "mine": "Reviewed by me",
}
_TEXTS = Texts(TEXTS, Language.EN)


@dataclass(frozen=True)
class How:
    """How a call is opened: whether blind, and as part of which sample."""

    blind: bool = False
    sample: str = ""

    def address(self, call_id: str) -> str:
        """Where the call is, opened this way."""
        values = {"id": call_id} | ({"blind": "1"} if self.blind else {})
        return "/call?" + urlencode(values | ({"sample": self.sample} if self.sample else {}))


class Questions(Names):
    """What the built-in checklists and criteria are called and ask; others go by their id."""

    def __init__(self, rubrics: Iterable[Rubric]) -> None:
        known = list(rubrics)
        super().__init__(
            {
                rubric.id: (rubric.title["en"], {one.id: one.title["en"] for one in rubric.criteria})
                for rubric in known
            }
        )
        self._asked = {
            (rubric.id, rubric.version, one.id): one for rubric in known for one in rubric.criteria
        }
        self._order = [(rubric.id, one.id) for rubric in known for one in rubric.criteria]

    def question(self, mark: Mapping[str, Any]) -> Criterion | None:
        """What a mark answers; None if that is not known of its version."""
        return self._asked.get((mark["rubric"], mark["rubric_version"], mark["criterion"]))

    def place(self, rubric: str, criterion: str) -> tuple[int, str, str]:
        """In which order criteria are shown."""
        which = rubric, criterion
        return self._order.index(which) if which in self._order else len(self._order), *which


def fingerprint(mark: Mapping[str, Any]) -> str:
    """Changes when a mark does: who answers a mark must have seen the one that is stored."""
    return hashlib.sha256(repr(sorted(mark.items())).encode()).hexdigest()[:16]


def queue(waiting: Queue, latest: Latest, names: Questions, me: str, show: str, page: int) -> str:
    """A page of the queue."""
    done = _progress(latest)
    mine = {call_id for call_id, people in done.items() if me in people}
    shown = list(_shown(waiting, show, mine))
    pages = max(-(-len(shown) // ROWS), 1)
    page = min(max(page, 1), pages)
    part = shown[(page - 1) * ROWS : page * ROWS]
    how = {one.call_id: How(True, waiting.sampled[one.call_id]) for one in part} if show == "sample" else {}
    values = {
        "period": _period(waiting),
        "gaps": [gap_line(gap, _TEXTS) for gap in waiting.gaps if gap.kind != "no_before"],
        "everything": waiting.everything,
        "tabs": [
            (key, title, sum(1 for _ in _shown(waiting, key, mine)), key == show)
            for key, title in SHOWS.items()
        ],
        "show": show,
        "blind": show == "sample",
        "rows": [
            _row(one, how.get(one.call_id, How()), done.get(one.call_id, {}), names, me) for one in part
        ],
        "first": (page - 1) * ROWS,
        "found": len(shown),
        "page": page,
        "pages": pages,
    }
    return _render("queue.html.j2", me=me, **values)


def _shown(waiting: Queue, show: str, mine: Set[str]) -> Iterable[Waiting]:
    calls = waiting.calls
    match show:
        case "first":
            return (one for one in calls.values() if one.reasons)
        case "unsure":
            unsure = [one for one in calls.values() if one.unsure]
            return sorted(unsure, key=lambda one: (-one.unsure / max(one.marks, 1), one.call_id))
        case "critical":
            return (one for one in calls.values() if one.failed)
        case "sample":
            return (calls[call_id] for call_id in waiting.sampled)
        case "mine":
            return (one for one in calls.values() if one.call_id in mine)
    return calls.values()


def _progress(latest: Latest) -> dict[str, Counter[str]]:
    """For each call how many of its marks each reviewer has answered."""
    done: dict[str, Counter[str]] = {}
    for (call_id, _, _), people in latest.items():
        done.setdefault(call_id, Counter()).update(people.keys())
    return done


def _period(waiting: Queue) -> str:
    period = waiting.period
    if not period.dated:
        return "calls without a day"
    return period.first if period.first == period.last else f"{period.first} to {period.last}"


def _row(one: Waiting, how: How, done: Mapping[str, int], names: Questions, me: str) -> dict[str, Any]:
    others = [name for name in sorted(done) if name != me]
    return {
        "call": one.call_id,
        "address": how.address(one.call_id),
        "agent": _agent(one.call),
        "when": _when(one.call),
        "length": clock(one.call["duration_s"] or 0),
        "score": percent(one.score),
        "marks": one.marks,
        "unsure": one.unsure,
        "tags": [_TEXTS(f"why_{KINDS[type(reason)]}") for reason in one.reasons],
        "critical": bool(one.failed),
        "lines": [line for reason in one.reasons for line in reason_lines(reason, names, _TEXTS)],
        "mine": done.get(me, 0),
        "others": others,
        "sample": how.sample,
    }


def call(
    opened: OpenCall,
    waiting: Waiting,
    latest: Latest,
    names: Questions,
    me: str,
    how: How,
    following: str | None,
    nonce: str,
) -> str:
    """The page of one call; `following` is the next one in the queue."""
    row = opened.call
    facts = [_agent(row), *filter(None, (row["team"], row["customer_segment"])), _when(row)]
    facts += [clock(row["duration_s"] or 0), row["language"] or "–"]
    marks = _marks(opened, latest, names, me, how)
    values = {
        "call": row["call_id"],
        "facts": facts,
        "notes": row["notes"] or [],
        "lines": []
        if how.blind
        else [line for reason in waiting.reasons for line in reason_lines(reason, names, _TEXTS)],
        "turns": [_turn(turn) for turn in opened.turns],
        "duration": row["duration_s"] or 0,
        "groups": [(names.rubric(rubric), own) for rubric, own in _by_rubric(marks).items()],
        "marks": len(marks),
        "how": how,
        "other_way": How(not how.blind, how.sample).address(row["call_id"]),
        "following": How(how.blind, how.sample).address(following) if following else "",
        "nonce": nonce,
    }
    return _render("call.html.j2", me=me, **values)


def marks_alone(opened: OpenCall, latest: Latest, names: Questions, me: str, how: How) -> str:
    """The marks without the page around them."""
    return "".join(_mark_html(mark) for mark in _marks(opened, latest, names, me, how))


def mark_alone(
    opened: OpenCall, mark: Mapping[str, Any], latest: Latest, names: Questions, me: str, how: How
) -> str:
    """One mark without the page around it."""
    return _mark_html(_mark(mark, latest, names, me, how, opened.call["call_id"]))


def _mark_html(mark: Mapping[str, Any]) -> str:
    return _environment().get_template("mark.html.j2").module.mark(mark, ANSWERS, KEYS)  # type: ignore[attr-defined, no-any-return]


def _marks(opened: OpenCall, latest: Latest, names: Questions, me: str, how: How) -> list[dict[str, Any]]:
    marks = sorted(opened.marks, key=lambda mark: names.place(mark["rubric"], mark["criterion"]))
    return [_mark(mark, latest, names, me, how, opened.call["call_id"]) for mark in marks]


def _by_rubric(marks: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for mark in marks:
        found.setdefault(mark["rubric"], []).append(mark)
    return found


def _mark(
    mark: Mapping[str, Any], latest: Latest, names: Questions, me: str, how: How, call_id: str
) -> dict[str, Any]:
    rubric, criterion = mark["rubric"], mark["criterion"]
    people = latest.get((call_id, rubric, criterion), {})
    mine = people.get(me)
    asked = names.question(mark)
    hidden = how.blind and mine is None
    spoken = {one.answer for one in people.values() if one.answer != "cannot_tell"}
    return {
        "rubric": rubric,
        "title": names.criterion(rubric, criterion),
        "means": asked.means if asked else "",
        "not_asked": asked.not_asked if asked else "",
        "critical": bool(mark["critical"]),
        "seen": fingerprint(mark),
        "hidden": hidden,
        "machine": None if hidden else _machine(mark),
        "mine": _said(mine, mark) if mine else None,
        "others": [] if hidden else [_said(one, mark) for name, one in sorted(people.items()) if name != me],
        "disputed": not hidden and len(spoken) > 1,
    }


def _machine(mark: Mapping[str, Any]) -> dict[str, Any]:
    answer, leaning, sure = mark["answer"], mark["leaning"], percent(mark["confidence"])
    absence = mark["absence"] if not mark["evidence"] else None
    told = f"{_called(answer)}, {sure} sure"
    if answer == "unsure":
        told = "too unsure to count" + (f", leans to {_called(leaning)} ({sure})" if leaning else "")
    return {
        "answer": answer if answer in KEYS else "",
        "told": told,
        "reason": mark["reason"] or "",
        "evidence": [_words(one) for one in mark["evidence"] or ()],
        "belonged": absence and (absence["start_s"], absence["end_s"]),
        "nearest": [_words(one) for one in (absence["nearest"] or ())] if absence else [],
    }


def _called(answer: str) -> str:
    return ANSWERS.get(answer, answer).lower()


def _words(evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {name: evidence[name] for name in ("start_s", "end_s", "speaker", "quote")}


def _said(review: Review, mark: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reviewer": review.reviewer,
        "answer": review.answer,
        "told": _called(review.answer),
        "when": f"{review.reviewed_at.astimezone():%Y-%m-%d %H:%M}",
        "comment": review.comment,
        "blind": review.blind,
        "before": review.machine_answer != mark["answer"] or review.rubric_version != mark["rubric_version"],
    }


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {name: turn[name] for name in ("speaker", "start_s", "end_s", "text")}


def _agent(call: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (call["agent_id"], call["agent_name"])))


def _when(call: Mapping[str, Any]) -> str:
    started = call["started_local"]
    return f"{datetime.fromisoformat(started):%Y-%m-%d %H:%M}" if started else "time unknown"


def agreement(found: Sequence[Reviewers], names: Questions, me: str, blind: bool) -> str:
    """How far reviewers and machine agree."""
    ordered = sorted(found, key=lambda one: names.place(one.rubric, one.criterion))
    rows = [((names.rubric(one.rubric), names.criterion(one.rubric, one.criterion)), one) for one in ordered]
    return _render("agreement.html.j2", me=me, rows=rows, blind=blind)


def message(told: str, me: str) -> str:
    """A page that only says something."""
    return _render("message.html.j2", me=me, told=told)


def _render(name: str, **values: Any) -> str:
    page = _environment().get_template(name)
    return page.render(answers=ANSWERS, keys=KEYS, **values)


@cache
def _environment() -> Environment:
    made = environment("wellheard.views.review")
    made.filters |= {"clock": clock, "percent": percent, "signed": _signed, "exact": _exact}
    return made


def _signed(number: float) -> str:
    return f"{number:.2f}".replace("-", "−")


def _exact(text: str) -> Markup:
    """Text that is edited, as it is: it stays text, but keeps its line breaks."""
    return escape(text)
