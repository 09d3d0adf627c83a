"""The pack as one HTML page with sound. What comes from calls or manifests is text in it, never markup."""

import base64
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from wellheard.pipeline.morning import clips
from wellheard.pipeline.morning.coach import Clips, Pack, Topic
from wellheard.pipeline.morning.examples import Example
from wellheard.pipeline.morning.standing import STRONGER, WEAKER
from wellheard.pipeline.records import clock
from wellheard.views import weak_spots
from wellheard.views.html import environment
from wellheard.views.texts import Language, Texts

Titles = Mapping[tuple[str, str], Mapping[str, str]]
"""Of a rubric and criterion: its title in each language."""

TEXTS = Path(__file__).with_name("texts.yaml")


def page(pack: Pack, sound: Clips, titles: Titles, language: Language, results: Path, made: datetime) -> str:
    """The page; `sound` are the clips of `pack`."""
    t = Texts(TEXTS, language)
    names = _Names(titles, language)
    agent = " ".join(filter(None, (pack.agent_id, pack.agent_name)))
    weak = sum(row["verdict"] == WEAKER for row in pack.rows)
    command = ["wellheard", "coach", "--agent", pack.agent_id, "--results", str(results)]
    values = {
        "t": t,
        "names": names,
        "title": t("title", agent=agent),
        "facts": [*_about(pack, t), t("made", when=f"{made:%Y-%m-%d %H:%M}")],
        "goals": [_goal(goal, names, t) for goal in pack.goals],
        "weak": [_topic(topic, pack, sound, names, t) for topic in pack.weak],
        "weak_left": weak - len(pack.weak),
        "strong": [_topic(topic, pack, sound, names, t) for topic in pack.strong],
        "rows": [_row(row, names, t) for row in sorted(pack.rows, key=weak_spots.weakest_first)],
        "command": f"{shlex.join(command)} --plan … --target 70%",
    }
    return environment("wellheard.views.coach").get_template("coach.html.j2").render(values)


class _Names:
    """What criteria are called; by their id where no title is known."""

    def __init__(self, titles: Titles, language: Language) -> None:
        self._titles = titles
        self._language = language

    def __call__(self, of: Mapping[str, Any]) -> str:
        title = self._titles.get((of["rubric"], of["criterion"]))
        return title.get(self._language, title["en"]) if title else self.short(of)

    @staticmethod
    def short(of: Mapping[str, Any]) -> str:
        return f"{of['rubric']}.{of['criterion']}"


def _about(pack: Pack, t: Texts) -> Iterable[str]:
    of = pack.period
    if of.since is not None:
        yield t("calls_since", calls=t.whole(of.calls), since=of.since, until=of.until)
    else:
        yield t("calls_undated", calls=t.whole(of.calls))
    yield t("past_calls", calls=t.whole(of.past_calls))
    if of.undated:
        yield t("undated", calls=t.whole(of.undated))
    colleagues, own_team = len(pack.team.colleagues(pack.agent_id)), pack.team.team_of(pack.agent_id)
    if own_team is not None:
        yield t("against_team", colleagues=t.whole(colleagues), team=own_team)
    else:
        yield t("against_all", colleagues=t.whole(colleagues)) if colleagues else t("against_none")
    footing = pack.footing
    if footing.reviewed:
        yield t("footing_reviewed", **{name: t.whole(number) for name, number in asdict(footing).items()})
    else:
        yield t("footing_machine")


def _goal(goal: Mapping[str, Any], names: _Names, t: Texts) -> dict[str, Any]:
    return {
        "title": names(goal),
        "short": names.short(goal),
        "date": goal["date"],
        "target": t.share(goal["target"]),
        "before": _of(goal["before_yes"], goal["before_asked"], t),
        "since": _of(goal["yes"], goal["asked"], t),
        "team": " → ".join(t.share(goal.get(name)) for name in ("before_team_rate", "team_rate")),
        "moved": t(goal["moved"]) + _points(goal, "change", t),
        "state": t(goal["state"]),
    }


def _points(row: Mapping[str, Any], name: str, t: Texts) -> str:
    if row.get(name) is None:
        return ""
    low, high = t.points(row[f"{name}_low"]), t.points(row[f"{name}_high"])
    return f": {t.points(row[name])} ({low}…{high})"


def _of(yes: int, asked: int, t: Texts) -> str:
    return f"{t.share(yes / asked)} ({t('of', yes=yes, asked=asked)})" if asked else "–"


def _topic(topic: Topic, pack: Pack, sound: Clips, names: _Names, t: Texts) -> dict[str, Any]:
    return {
        **_row(topic.row, names, t),
        "figures": list(_figures(topic.row, t)),
        "bar": _bar(topic.row),
        "examples": [_example(example, pack, sound, t) for example in topic.examples],
        "well": [_example(example, pack, sound, t) for example in topic.well],
    }


def _figures(row: Mapping[str, Any], t: Texts) -> Iterable[str]:
    yield t("figure", yes=row["yes"], asked=row["asked"], rate=t.share(row["rate"]))
    low, high = t.share(row["likely_low"]), t.share(row["likely_high"])
    yield t("likely", rate=t.share(row["likely"]), low=low, high=high, team=t.share(row["team_rate"]))
    yield t("chance", share=weak_spots.chance(row["chance"]).replace(" ", "\u00a0"))
    if row["past_asked"]:
        verdict = t(row["change_verdict"]) + _points(row, "change", t)
        yield t("past", rate=t.share(row["past_rate"]), asked=row["past_asked"], verdict=verdict)


def _bar(row: Mapping[str, Any]) -> dict[str, float]:
    """Where the rate, its interval and the team lie, in per cent of the width."""
    return {name: 100 * row[key] for name, key in _BAR.items()}


_BAR = {"low": "likely_low", "high": "likely_high", "rate": "likely", "team": "team_rate"}


def _row(row: Mapping[str, Any], names: _Names, t: Texts) -> dict[str, Any]:
    likely = t.share(row.get("likely"))
    if row.get("likely") is not None:
        likely += f" ({row['likely_low'] * 100:.0f}–{row['likely_high'] * 100:.0f})"
    before = "–"
    if row["past_asked"]:
        before = f"{t.share(row['past_rate'])}, {t(row['change_verdict'])}"
    return {
        "title": names(row),
        "short": names.short(row),
        "yes": t("of", yes=row["yes"], asked=row["asked"]),
        "likely": likely,
        "team": t.share(row.get("team_rate")),
        "before": before,
        "verdict": t(row["verdict"]),
        "named": row["verdict"] in (WEAKER, STRONGER),
    }


def _example(example: Example, pack: Pack, sound: Clips, t: Texts) -> dict[str, Any]:
    clip = sound.get(example)
    who = " ".join(filter(None, (example.agent_id, example.agent_name)))
    own = example.agent_id == pack.agent_id
    return {
        "call_id": example.call_id,
        "whose": t("own") if own else t("colleague", agent=who),
        "when": _when(example),
        "time": "–".join(map(clock, example.stretch)) if example.stretch else "",
        "missing": example.missing,
        "reason": example.reason,
        "lines": _lines(example, t),
        "sound": _as_uri(clip) if isinstance(clip, bytes) else None,
        "gone": t("gone", why=clip.reason) if clip is not None and not isinstance(clip, bytes) else "",
    }


def _when(example: Example) -> str:
    if example.started_local:
        return f"{datetime.fromisoformat(example.started_local):%Y-%m-%d %H:%M}"
    return example.date


def _lines(example: Example, t: Texts) -> Sequence[dict[str, str]]:
    return [
        {
            "time": clock(line.start_s),
            "speaker": t(line.speaker) if t.has(line.speaker) else line.speaker,
            "text": ("… " if line.cut[0] else "") + line.text + (" …" if line.cut[1] else ""),
        }
        for line in example.lines
    ]


def _as_uri(clip: bytes) -> Markup:
    return Markup(f"data:{clips.TYPE};base64,{base64.b64encode(clip).decode()}")  # noqa: S704 - letters alone
