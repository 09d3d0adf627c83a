"""Where an agent differs from the team and from before: who the team is, which calls, what is said of few."""

import io

import pyarrow as pa
import pytest
from rich.console import Console

from wellheard.pipeline.datasets import SCHEMAS
from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.morning import standing
from wellheard.pipeline.morning.corrected import Footing
from wellheard.pipeline.morning.standing import Goal, Team
from wellheard.views import weak_spots as view
from wellheard.views.screen import screen


def day(agent: str, date: str = "2025-02-19", team: str | None = None, **answers: tuple[int, int]) -> dict:
    """A row of the dataset `agents`: of each criterion so many yes and so many no."""
    return {
        "agent_id": agent,
        "date": date,
        "agent_name": f"Name of {agent}",
        "team": team,
        "region": None,
        "calls": max((yes + no for yes, no in answers.values()), default=1),
        "seconds": 600.0,
        "rubrics": [],
        "criteria": [
            {"rubric": "pec", "criterion": name, "yes": yes, "no": no, "na": 1, "unsure": 2}
            for name, (yes, no) in answers.items()
        ],
    }


def team_of(*days: dict) -> Team:
    return Team(pa.Table.from_pylist(list(days), schema=SCHEMAS["agents"]))


def rows(team: Team, agent: str, since: str | None = None) -> dict[str, dict]:
    found = standing.standing(team, agent, standing.period(team, agent, since))
    return {row["criterion"]: row for row in found}


def mark(number: int, answer: str, criterion: str = "greets", **more: object) -> dict:
    proof = [{"start_s": 60.0 + number, "end_s": 62.0, "speaker": "agent", "quote": "…"}]
    known = {"call_id": f"c{number:02}", "rubric": "pec", "criterion": criterion, "answer": answer}
    known |= {"agent_id": "A1", "confidence": 0.5 + number / 100, "evidence": proof, "absence": None}
    return known | more


# Ten agents who do alike; A1 seldom greets, always thanks, and had three occasions for a recap.
TEAM = team_of(
    day("A1", greets=(8, 32), thanks=(40, 0), recap=(1, 2), wait=(21, 19)),
    *(
        day(f"B{i}", greets=(32 + i % 2, 8), thanks=(20 - i % 3, 20), recap=(30, 10), wait=(20, 20))
        for i in range(9)
    ),
)


def test_weak_spots_strengths_and_what_cannot_be_told_are_named_as_such():
    assert {name: row["verdict"] for name, row in rows(TEAM, "A1").items()} == {
        "greets": "weaker than the team",
        "thanks": "stronger than the team",
        "recap": "not enough calls",
        "wait": "no clear difference",
    }


def test_a_rate_is_of_the_calls_that_gave_occasion_and_is_drawn_towards_the_team():
    recap = rows(TEAM, "A1")["recap"]
    assert (recap["asked"], recap["yes"], recap["team_asked"], recap["team_yes"]) == (3, 1, 360, 270)
    assert recap["rate"] == pytest.approx(1 / 3)
    assert recap["rate"] < recap["likely_low"] < recap["likely"] < recap["likely_high"]
    assert recap["unsure"] == 2


def test_a_weak_spot_says_how_likely_it_is_chance():
    greets = rows(TEAM, "A1")["greets"]
    assert greets["chance"] < 0.01
    assert greets["difference_low"] < greets["difference"] < greets["difference_high"] < -0.2


def test_a_criterion_without_occasion_has_no_row():
    team = team_of(day("A1", greets=(3, 1), empathy=(0, 0)), day("A2", greets=(3, 1), empathy=(5, 5)))
    assert list(rows(team, "A1")) == ["greets"]


def test_an_agent_alone_is_shown_without_a_verdict():
    (row,) = rows(team_of(day("A1", greets=(1, 1))), "A1").values()
    assert (row["verdict"], row["rate"], row.get("team_rate")) == ("no team to compare with", 0.5, None)


def test_agents_of_a_team_are_compared_with_that_team():
    sales = [day(f"S{i}", team="Sales", greets=(36, 4)) for i in range(5)]
    support = [day(f"T{i}", team="Support", greets=(12, 28)) for i in range(5)]
    team = team_of(*sales, *support)
    assert team.colleagues("S0") == ["S1", "S2", "S3", "S4"]
    assert rows(team, "S0")["greets"]["team_rate"] == 0.9
    assert rows(team, "T0")["greets"]["team_rate"] == 0.3


def test_a_team_of_three_is_too_small_to_compare_with():
    team = team_of(*(day(f"S{i}", team="Sales", greets=(9, 1)) for i in range(3)), day("B", greets=(1, 9)))
    assert team.team_of("S0") is None
    assert team.colleagues("S0") == ["B", "S1", "S2"]


# --- periods

PAST = [day(f"B{i}", date, greets=(16, 4)) for i in range(9) for date in ("2025-01-02", "2025-03-01")]


def test_the_last_thirty_days_with_calls_are_looked_at_and_held_against_all_before():
    team = team_of(day("A1", "2025-01-02", greets=(4, 36)), day("A1", "2025-03-01", greets=(34, 6)), *PAST)
    greets = rows(team, "A1")["greets"]
    assert (greets["asked"], greets["past_asked"]) == (40, 40)
    assert greets["change_verdict"] == "better than before"
    assert greets["change_low"] > 0.3
    assert standing.period(team, "A1").since == "2025-01-31"


def test_a_change_that_may_be_chance_is_none():
    team = team_of(day("A1", "2025-01-02", greets=(3, 3)), day("A1", "2025-03-01", greets=(5, 1)), *PAST)
    assert rows(team, "A1")["greets"]["change_verdict"] == "not enough calls"


def test_without_earlier_calls_no_change_is_told():
    assert rows(TEAM, "A1")["greets"]["change_verdict"] == "no earlier calls"


def test_calls_of_an_unknown_day_are_counted_in_and_never_as_earlier_ones():
    team = team_of(day("A1", "unknown", greets=(2, 3)), day("A1", "2025-03-01", greets=(1, 1)), *PAST)
    period = standing.period(team, "A1", "2025-02-01")
    assert (period.calls, period.past_calls, period.undated) == (7, 0, 5)
    assert rows(team, "A1", "2025-02-01")["greets"]["asked"] == 7


def test_a_period_without_calls_is_said_with_the_last_day_that_has_some():
    with pytest.raises(NoResults, match="since 2025-03-01; the last is of 2025-02-19"):
        standing.period(TEAM, "A1", "2025-03-01")


# --- goals


def progress(after: tuple[int, int], target: float) -> dict:
    days = [day("A1", "2025-02-20", greets=(8, 32)), day("A1", "2025-03-01", greets=after)]
    others = [day(f"B{i}", date, greets=(32, 8)) for i in range(9) for date in ("2025-02-20", "2025-03-01")]
    (found,) = standing.progress(team_of(*days, *others), "A1", [Goal("2025-02-20", "pec", "greets", target)])
    return found


@pytest.mark.parametrize(
    ("after", "target", "moved", "state"),
    [
        ((38, 2), 0.7, "better than before", "reached"),
        ((30, 10), 0.7, "better than before", "reached, not sure yet"),
        ((26, 14), 0.7, "better than before", "not reached, not sure yet"),
        ((8, 32), 0.7, "no clear change", "not reached"),
        ((2, 1), 0.7, "not enough calls", "not reached, not sure yet"),
        ((0, 0), 0.7, "no calls yet", "no calls yet"),
    ],
)
def test_a_goal_is_followed(after, target, moved, state):
    found = progress(after, target)
    assert (found["moved"], found["state"]) == (moved, state)
    assert (found["before_yes"], found["before_asked"]) == (8, 40)
    assert found["before_team_rate"] == 0.8


def test_a_goal_agreed_anew_is_followed_up_to_that_day():
    days = [day("A1", f"2025-02-{number:02}", greets=(number, 20)) for number in (1, 5, 9)]
    old = Goal("2025-02-01", "pec", "greets", 0.5, until="2025-02-05")
    new = Goal("2025-02-05", "pec", "greets", 0.7)
    followed = standing.progress(team_of(*days, *PAST), "A1", [new, old])
    assert [(found["before_yes"], found["yes"]) for found in followed] == [(6, 9), (1, 5)]


def test_a_goal_on_what_no_call_has_is_kept_and_said():
    (found,) = standing.progress(TEAM, "A1", [Goal("2025-02-19", "own", "gone", 0.7)])
    assert (found["moved"], found["state"]) == ("no calls yet", "no calls yet")


# --- how they are shown


def shown(spots: pa.Table, team: Team = TEAM, agent: str = "A1") -> str:
    console = screen(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    console.width = 100
    view.show(console, view.heading(team, agent, standing.period(team, agent), Footing(0, 0, 0)), spots)
    return written(console)


def written(console: Console) -> str:
    console.file.flush()
    return console.file.buffer.getvalue().decode()


def spots_of(team: Team = TEAM, agent: str = "A1", marks: tuple[dict, ...] = ()) -> pa.Table:
    return view.weak_spots(rows(team, agent).values(), list(marks))


def test_weak_spots_come_first_and_strengths_last():
    assert spots_of()["criterion"].to_pylist() == ["greets", "recap", "wait", "thanks"]


def test_a_weak_spot_names_the_two_surest_calls_that_show_it():
    marks = (
        *(mark(i, "no") for i in range(5)),
        mark(9, "yes"),
        *(mark(i, "yes", "thanks") for i in range(3)),
    )
    greets, *_, thanks = spots_of(marks=marks).to_pylist()
    assert greets["calls"] == [
        {"call_id": "c04", "answer": "no", "at_s": 64.0},
        {"call_id": "c03", "answer": "no", "at_s": 63.0},
    ]
    assert [(call["call_id"], call["answer"]) for call in thanks["calls"]] == [("c02", "yes"), ("c01", "yes")]


def test_calls_without_a_place_or_hard_to_understand_come_after_the_others():
    absence = {"start_s": 0.0, "end_s": 9.0, "nearest": [], "intelligible": 0.9}
    marks = (
        mark(8, "no", evidence=[]),
        mark(7, "no", evidence=[], absence={**absence, "intelligible": 0.3}),
        mark(1, "no", evidence=[], absence={**absence, "start_s": 5.0}),
    )
    assert spots_of(marks=marks).to_pylist()[0]["calls"] == [
        {"call_id": "c01", "answer": "no", "at_s": 5.0},
        {"call_id": "c07", "answer": "no", "at_s": 0.0},
    ]


def test_weak_spots_read_well():
    text = shown(spots_of(marks=(mark(17, "no"),)))
    assert text.index("Weak spots") < text.index("greets") < text.index("Strengths") < text.index("thanks")
    assert "Agent A1 Name of A1 against 9 other agents" in text
    assert "c17 1:17" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_an_agent_without_any_answer_is_said():
    team = team_of(day("A1"), day("A2", greets=(1, 1)))
    assert "No criterion was answered yes or no" in shown(spots_of(team), team)
