"""The report as one HTML file. Whatever comes from calls, manifests or files is text in it, never markup."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup
from rich.console import Console

from wellheard.pipeline.morning.hear_first import Moment, Picked, ToHear
from wellheard.pipeline.morning.overview import AGENT, Group, Grouping, Overview
from wellheard.pipeline.morning.period import Gap, Material, reals, texts
from wellheard.pipeline.morning.summary import FEWEST_CALLS, Change
from wellheard.pipeline.records import clock
from wellheard.views.html import environment
from wellheard.views.report import charts
from wellheard.views.report.wording import KINDS, TEXTS, Names, Titles, gap_line, reason_lines
from wellheard.views.screen import counted, plain
from wellheard.views.texts import Language, Texts

FAILURES_SHOWN, EXAMPLES_SHOWN, NOTES_SHOWN = 12, 3, 5
GROUPS_SHOWN, AGENTS_SHOWN = 40, 40
QUOTE_LONG = 240
# Below this, who is who or the language is in doubt.
DOUBTFUL = 0.8


def report(
    material: Material,
    figures: Overview,
    picked: Picked,
    to_hear: Sequence[ToHear],
    titles: Titles,
    language: Language,
    folder: Path,
    made: datetime,
) -> str:
    """The page."""
    t, names = Texts(TEXTS, language), Names(titles)
    unsure = sum(one.unsure for one in figures.rubrics)
    asked = unsure + sum(one.counted for one in figures.rubrics)
    share = unsure / asked if asked else None
    failed = material.failures.num_rows
    failures, failures_left = _failures(material.failures)
    time_title, time_chart = _over_time(material, figures, t)
    values = {
        "t": t,
        "names": names,
        "o": figures,
        "title": _title(material, t),
        "made": t("made", when=f"{made:%Y-%m-%d %H:%M}", folder=folder),
        "compared": _compared(material, figures, t),
        "gaps": gap_lines(material, figures, t),
        "failed": failed,
        "unsure": share,
        "changes": list(_changes(figures, names, t)),
        "to_hear": [_card(one, names, t, folder) for one in to_hear],
        "hear_lead": t(
            "hear_lead",
            number=len(to_hear),
            length=clock(fsum(one.call["duration_s"] or 0 for one in to_hear)),
            critical=t.whole(picked.critical),
        ),
        "by_rubric": list(_by_rubric(figures, names, t)),
        "spread_chart": _spread_chart(figures, names, t),
        "days_chart": _days_chart(figures, names, t),
        "groupings": [_group_table(one, t) for one in figures.groupings],
        "footing": _footing(figures, t),
        "untrusted_line": _untrusted_line(figures, names, t),
        "sure_line": _sure_line(share, figures.confidence, t),
        "doubts": _doubts(material, t) if material.all_calls else [],
        "looked_at": material.calls.num_rows,
        "time_title": time_title,
        "time_chart": time_chart,
        "kinds": list(_kinds(material, t)) if material.all_calls and material.calls.num_rows else [],
        "failures": failures,
        "failures_left": failures_left,
        "failed_line": _failed_line(failed, figures.calls, t),
        "fewest": FEWEST_CALLS,
    }
    return environment("wellheard.views.report").get_template("report.html.j2").render(values)


def _title(material: Material, t: Texts) -> str:
    period = material.period
    if not period.dated:
        return t("title_undated")
    if period.first == period.last:
        return t("title", first=period.first)
    return t("title_period", first=period.first, last=period.last)


def _compared(material: Material, figures: Overview, t: Texts) -> str:
    before = material.period.before
    if before is None or not figures.calls_before:
        return ""
    key = "compared_day" if before.first == before.last else "compared"
    return t(key, first=before.first, last=before.last)


def gap_lines(material: Material, figures: Overview, t: Texts) -> list[str]:
    """What is missing or odd, a line each."""
    gaps = list(material.gaps)
    if figures.agents_gone and figures.agents:
        gaps.append(Gap("agents_gone", {"names": figures.agents_gone}))
    if figures.agents_failed:
        gaps.append(Gap("agents_failed", {"names": figures.agents_failed}))
    return [gap_line(gap, t) for gap in gaps]


def _changes(figures: Overview, names: Names, t: Texts) -> Iterable[str]:
    for one in figures.rubrics:
        if one.score.changed:
            yield _change_line(names.rubric(one.rubric), one.score.change, one.score.now, t)
    for criterion in figures.criteria:
        if criterion.share.changed:
            name = (
                f"{names.rubric(criterion.rubric)}: {names.criterion(criterion.rubric, criterion.criterion)}"
            )
            yield _change_line(name, criterion.share.change, criterion.share.now, t)


def _change_line(what: str, change: Change | None, now: Any, t: Texts) -> str:
    assert change is not None
    arrow = "↑" if change.difference > 0 else "↓"
    return f"{arrow} " + t(
        "changed_line",
        what=what,
        difference=t.points(change.difference),
        low=t.points(change.low),
        high=t.points(change.high),
        now=f"{t.share(now.value)} ({now.low * 100:.0f}–{now.high * 100:.0f})",
    )


def _card(one: ToHear, names: Names, t: Texts, folder: Path) -> dict[str, Any]:
    call = one.call
    agent = " ".join(filter(None, (call["agent_id"], call["agent_name"])))
    started = call["started_local"]
    when = f"{datetime.fromisoformat(started):%Y-%m-%d %H:%M}" if started else t("unknown_time")
    facts = [t("agent_named", name=agent), *filter(None, (call["team"], call["customer_segment"])), when]
    facts += [t("long", length=clock(call["duration_s"] or 0)), call["language"] or "–"]
    kinds = [KINDS[type(reason)] for reason in one.reasons]
    return {
        "name": call["call_id"],
        "agent": agent,
        "length": clock(call["duration_s"] or 0),
        "facts": facts,
        "kinds": kinds,
        "reasons": [line for reason in one.reasons for line in reason_lines(reason, names, t)],
        "scores": one.scores,
        "moments": [_moment(moment, t) for moment in one.moments],
        "paths": call["paths"] or [],
        "command": f"wellheard call {shlex.quote(call['call_id'])} --results {shlex.quote(str(folder))}",
    }


def _moment(moment: Moment, t: Texts) -> dict[str, Any]:
    time = t("whole_call")
    if moment.start_s is not None:
        time = clock(moment.start_s)
        if moment.missing and moment.end_s is not None:
            time += f"–{clock(moment.end_s)}"
    quote = moment.quote or ""
    return {
        "time": time,
        "listen_at": time if moment.quote_s is None else clock(moment.quote_s),
        "quote_time": "" if moment.quote_s is None else clock(moment.quote_s),
        "quote": quote if len(quote) <= QUOTE_LONG else quote[:QUOTE_LONG].rstrip() + " …",
        **{
            name: getattr(moment, name)
            for name in (
                "rubric",
                "criterion",
                "answer",
                "critical",
                "confidence",
                "speaker",
                "reason",
                "missing",
            )
        },
    }


def _by_rubric(figures: Overview, names: Names, t: Texts) -> Iterable[dict[str, Any]]:
    for rubric in dict.fromkeys(one.rubric for one in figures.criteria):
        order = list(names.criteria(rubric))
        own = [one for one in figures.criteria if one.rubric == rubric]
        own.sort(
            key=lambda one, order=order: order.index(one.criterion) if one.criterion in order else len(order)  # type: ignore[misc]
        )
        title = f"{names.rubric(rubric)}: {t('by_criterion')}"
        chart = charts.criteria(own, names.criteria(rubric), t, title)
        yield {"rubric": rubric, "criteria": own, "chart": chart}


def _rubric_titles(figures: Overview, names: Names) -> dict[str, str]:
    return {one.rubric: names.rubric(one.rubric) for one in figures.rubrics}


def _spread_chart(figures: Overview, names: Names, t: Texts) -> Markup | None:
    rubrics = [one for one in figures.rubrics if one.score.now is not None and one.score.now.enough]
    if not rubrics:
        return None
    return charts.scores_of_calls(rubrics, _rubric_titles(figures, names), t("score_of_calls"))


def _days_chart(figures: Overview, names: Names, t: Texts) -> Markup | None:
    if len(figures.days) < 2 or not figures.rubrics:
        return None
    titles = _rubric_titles(figures, names)
    return charts.scores_over_days(figures.days, figures.rubrics, titles, t("scores_per_day"))


def _over_time(material: Material, figures: Overview, t: Texts) -> tuple[str, Markup | None]:
    """Calls by day, or by hour where there is only one day."""
    if len(figures.days) > 1:
        bars = [charts.Bar(day.day[5:], day.calls, day.failures) for day in figures.days]
        return t("per_day"), charts.calls_over_time(bars, t, t("per_day"))
    hours = Counter(int(started[11:13]) for started in material.calls["started_local"].to_pylist() if started)
    if not hours or not material.all_calls:
        return "", None
    bars = [charts.Bar(str(hour), hours[hour]) for hour in range(min(hours), max(hours) + 1)]
    return t("per_hour"), charts.calls_over_time(bars, t, t("per_hour"))


def _group_table(grouping: Grouping, t: Texts) -> dict[str, Any]:
    column = grouping.column
    name = t(f"column_{column}") if t.has(f"column_{column}") else column
    groups, lead, lines = list(grouping.groups), "", []
    if column == AGENT and len(groups) > AGENTS_SHOWN:
        enough = [one for one in groups if one.calls >= FEWEST_CALLS]
        telling = [one for one in enough if one.apart or any(m.changed for m in one.scores.values())]
        lead = t(
            "agents_differ",
            alike=t.whole(len(enough) - len(telling)),
            few=t.whole(len(groups) - len(enough)),
        )
        groups = telling
    most = AGENTS_SHOWN if column == AGENT else GROUPS_SHOWN
    if len(groups) > most:
        lines.append(t("groups_left_out", number=t.whole(len(groups) - most)))
        kept = {id(one) for one in sorted(groups, key=_most_telling)[:most]}
        groups = [one for one in groups if id(one) in kept]
    if grouping.without:
        lines.append(t("without_value", number=t.whole(grouping.without)))
    return {"name": name, "groups": groups, "lead": lead, "lines": lines}


def _most_telling(group: Group) -> tuple[float, int]:
    return -max((abs(one.difference) for one in group.apart.values()), default=0.0), -group.calls


def _sure_line(unsure: float | None, confidence: float | None, t: Texts) -> str:
    if confidence is None or unsure is None:
        return t("sure_line_short", unsure=t.share(unsure))
    wrong = f"{(1 - confidence) * 100:.0f}"
    return t("sure_line", unsure=t.share(unsure), confidence=t.share(confidence), wrong=wrong)


def _footing(figures: Overview, t: Texts) -> str:
    """Whether scores stand on machine marks only."""
    reviewed = sum(one.reviewed for one in figures.rubrics)
    if not reviewed:
        return t("footing_machine")
    return t(
        "footing_reviewed",
        reviewed=t.whole(reviewed),
        corrected=t.whole(sum(one.corrected for one in figures.rubrics)),
        marks=t.whole(sum(one.yes + one.no + one.na + one.unsure for one in figures.criteria)),
    )


def _untrusted_line(figures: Overview, names: Names, t: Texts) -> str:
    told = [
        f"{names.rubric(one.rubric)}: {names.criterion(one.rubric, one.criterion)}"
        for one in figures.criteria
        if not one.trusted
    ]
    return t("untrusted_lead", criteria="; ".join(told)) if told else ""


def _doubts(material: Material, t: Texts) -> list[tuple[str, int]]:
    calls = material.calls
    given = texts(pc.is_valid(calls["language_given"])).astype(bool)
    scored = [
        any(entry["score"] is not None for entry in entries or ()) for entries in calls["scores"].to_pylist()
    ]
    rows = (
        ("roles_unsure", reals(calls["role_confidence"], 1.0) < DOUBTFUL),
        ("language_unsure", (reals(calls["language_probability"], 1.0) < DOUBTFUL) & ~given),
        ("grade_poor", texts(calls["grade"]) == "poor"),
        ("one_party", reals(pc.list_value_length(calls["unheard"]), 0) > 0),
        ("incomplete", ~np.isnan(reals(calls["expected_s"], np.nan))),
        ("no_score_at_all", ~np.array(scored, bool)),
    )
    found = [(t(key), int(which.sum())) for key, which in rows]
    return [(name, number) for name, number in found if number]


def _kinds(material: Material, t: Texts) -> Iterable[tuple[str, list[tuple[str, int]]]]:
    calls = material.calls
    languages = Counter(calls["language"].to_pylist())
    yield t("languages"), [(name or "–", number) for name, number in languages.most_common()]
    named = {1: t("one_channel"), 2: t("two_channels")}
    channels = Counter(calls["channels"].to_pylist())
    yield t("channels"), [(named.get(key or 0, str(key)), number) for key, number in channels.most_common()]
    notes = Counter(note for notes in calls["notes"].to_pylist() for note in notes or ())
    if notes:
        yield t("most_notes"), notes.most_common(NOTES_SHOWN)


def _failures(failures: pa.Table) -> tuple[list[dict[str, Any]], int]:
    """The reasons of failure, commonest first, with examples; and how many failures are left out."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in failures.to_pylist():
        key = (row["stage"] or "", row["reason"] or "", row["advice"] or "")
        found.setdefault(key, []).append(row["path"] or row["call_id"] or "–")
    commonest = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    shown = [
        {
            "stage": stage,
            "reason": reason,
            "advice": advice,
            "number": len(paths),
            "examples": paths[:EXAMPLES_SHOWN],
        }
        for (stage, reason, advice), paths in commonest[:FAILURES_SHOWN]
    ]
    return shown, sum(len(paths) for _, paths in commonest[FAILURES_SHOWN:])


def _failed_line(failed: int, scored: int, t: Texts) -> str:
    share = failed / (failed + scored) if failed else 0.0
    return t("failed_share", failed=t.whole(failed), all=t.whole(failed + scored), share=t.share(share))


def show(console: Console, material: Material, figures: Overview, out: Path) -> None:
    """What a run says once the report is written."""
    t = Texts(TEXTS, Language.EN)
    for line in gap_lines(material, figures, t):
        console.print(plain(line, "yellow"), soft_wrap=True)
    told = f"{counted(figures.calls, 'call')}, {counted(material.failures.num_rows, 'failure')}"
    console.print(plain(f"{_title(material, t)}: {told}; written to {out}"), soft_wrap=True)
