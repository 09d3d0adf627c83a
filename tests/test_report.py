"""The report: what a QA lead reads in the morning, and that nothing in it is more than text."""

import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from ruamel.yaml import YAML
from stub_calls import result, source
from typer.testing import CliRunner

from wellheard.cli import app
from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.morning import hear_first, period
from wellheard.pipeline.morning.overview import Overview, overview
from wellheard.pipeline.morning.period import Material, NoPeriod, Period
from wellheard.pipeline.morning.summary import (
    Change,
    Spread,
    Sums,
    against,
    beyond_chance,
    change,
    level,
    own_level,
    spread,
)
from wellheard.pipeline.records import CallResult, Evidence, Failure, Mark
from wellheard.pipeline.store import Results
from wellheard.views.report.wording import TEXTS
from wellheard.views.texts import Language, Texts

WARSAW = ZoneInfo("Europe/Warsaw")
DAY, DAY_BEFORE = "2025-02-20", "2025-02-19"


@pytest.fixture(autouse=True)
def hasty_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power, so none waits for the disk."""
    monkeypatch.setattr("os.fsync", lambda file: None)


def call(
    number: int, agent: str = "A1", score: float | None = 0.5, day: str = DAY, **info: Any
) -> CallResult:
    """A call with five marks, as many of them yes as the score says; without a score, all are unsure."""
    made = result(source(number, agent, day, **info), score=score)
    marks = []
    for place in range(5):
        answer = "unsure" if score is None else "yes" if place < score * 5 else "no"
        (pattern, *_) = result(source(number, agent, day, **info), answer).scorecard.marks
        marks.append(marked(pattern, f"c{place}", answer))
    card = msgspec.structs.replace(made.scorecard, marks=tuple(marks), scores={"pec": score})
    return msgspec.structs.replace(made, scorecard=card)


def marked(mark: Mark, criterion: str, answer: str, **change: Any) -> Mark:
    return msgspec.structs.replace(mark, criterion=criterion, answer=answer, **change)


def with_mark(made: CallResult, mark: Mark) -> CallResult:
    card = msgspec.structs.replace(made.scorecard, marks=(*made.scorecard.marks, mark))
    return msgspec.structs.replace(made, scorecard=card)


def store(folder: Path, *results: CallResult, failures: tuple[Failure, ...] = ()) -> Results:
    stored = Results(folder)
    with stored.writer(WARSAW, print) as writer:
        for one in results:
            writer.add(one)
        for failure in failures:
            writer.fail(failure)
    return stored


def read(stored: Results, *by: str, first: str | None = None, last: str | None = None) -> Material:
    days = period.stored_days(stored)
    wanted = period.choose(days, first and date.fromisoformat(first), last and date.fromisoformat(last))
    return period.read(stored, wanted, days, by, hear_first.where_to_look)


def chosen(material: Material, stored: Results) -> dict[str, hear_first.ToHear]:
    picked = hear_first.pick(material)
    proofs = period.proofs(stored, material, hear_first.named(material, picked))
    return {one.call["call_id"]: one for one in hear_first.to_hear(material, picked, proofs)}


def kinds(one: hear_first.ToHear) -> list[str]:
    return [type(reason).__name__ for reason in one.reasons]


def run(folder: Path, *options: str) -> tuple[str, str]:
    """The page, and what was said on the way."""
    out = folder.parent / "report.html"
    done = CliRunner().invoke(app, ["report", "--results", str(folder), "--out", str(out), *options])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return out.read_text(encoding="utf-8"), done.output


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(html: str) -> _Words:
    page = _Words()
    page.feed(html)
    return page


def words(html: str) -> str:
    return " ".join(" ".join(parsed(html).words).split())


# Means and their intervals


def test_calls_of_few_agents_prove_less_than_as_many_calls_of_many() -> None:
    random = np.random.default_rng(1)
    true = random.normal(0.6, 0.15, 40)
    everyone = Sums.of_scores(
        np.repeat(np.arange(40), 20), np.clip(np.repeat(true, 20) + random.normal(0, 0.1, 800), 0, 1), 40
    )
    house = spread(everyone)
    few = Sums(everyone.numbers[:2], everyone.totals[:2], everyone.squares[:2])
    many = Sums(everyone.numbers / 20, everyone.totals / 20, everyone.squares / 20)
    narrow, wide = level(many, house), level(few, house)
    assert narrow is not None
    assert wide is not None
    assert narrow.calls == wide.calls == 40
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


@pytest.mark.parametrize(("agents", "calls"), [(5, 20), (40, 5), (200, 1)])
@pytest.mark.parametrize("shares", [True, False])
def test_intervals_hold_the_truth_as_often_as_they_say(agents: int, calls: int, shares: bool) -> None:
    random = np.random.default_rng(3)
    within = unmoved = 0
    for _ in range(300):
        true = random.normal(0.7, 0.08, agents)
        now, before = (_drawn(random, true, calls, shares) for _ in range(2))
        estimate, moved = level(now, spread(now)), change(now, before)
        assert estimate is not None
        assert moved is not None
        within += estimate.low <= 0.7 <= estimate.high
        unmoved += moved.low <= 0 <= moved.high
    assert within >= 0.88 * 300
    assert unmoved >= 0.91 * 300


def _drawn(random: np.random.Generator, true: Any, calls: int, shares: bool) -> Sums:
    agent = np.repeat(np.arange(len(true)), calls)
    if shares:
        yes = (random.random(len(agent)) < true[agent]).astype(float)
        return Sums.of_answers(agent, yes, 1 - yes, len(true))
    return Sums.of_scores(agent, np.clip(true[agent] + random.normal(0, 0.1, len(agent)), 0, 1), len(true))


def test_all_yes_has_an_interval_too() -> None:
    ones = Sums.of_answers(np.arange(10) % 3, np.ones(10), np.zeros(10), 3)
    estimate = level(ones, spread(ones))
    assert estimate is not None
    assert estimate.value == 1
    assert 0.6 < estimate.low < 0.8
    alike = Sums.of_scores(np.arange(10) % 3, np.full(10, 0.5), 3)
    same = own_level(alike.of(0), spread(alike))
    assert same is not None
    assert same.low < 0.5 < same.high


def test_a_real_change_is_found_and_a_difference_within_chance_is_not() -> None:
    random = np.random.default_rng(5)
    true = random.normal(0.6, 0.1, 30)
    before, same = _drawn(random, true, 20, False), _drawn(random, true, 20, False)
    better = _drawn(random, true + 0.05, 20, False)
    changes = [change(same, before), change(better, before), None]
    assert beyond_chance(changes) == [False, True, False]


def test_of_many_comparisons_by_chance_alone_hardly_any_is_named() -> None:
    random = np.random.default_rng(6)
    nights = 0
    for _ in range(100):
        by_chance = [Change(0.0, 0.0, 0.0, float(chance)) for chance in random.random(24)]
        nights += any(beyond_chance(by_chance))
    assert nights <= 12


def test_one_of_a_thousand_agents_is_named_only_if_he_really_differs() -> None:
    random = np.random.default_rng(7)
    scores = np.clip(random.normal(0.7, 0.15, 5000), 0, 1)
    scores[:5] = 0.05
    agent = np.repeat(np.arange(1000), 5)
    everyone = Sums.of_scores(agent, scores, 1000)
    found = []
    for one in range(1000):
        rest = Sums(everyone.numbers.copy(), everyone.totals.copy(), everyone.squares.copy())
        rest.numbers[one] = rest.totals[one] = rest.squares[one] = 0
        found.append(against(everyone.of(one), rest, spread(everyone), alone=True))
    named = np.flatnonzero(beyond_chance(found))
    assert 0 in named
    assert len(named) <= 3


def test_of_nothing_nothing_is_said() -> None:
    nothing = Sums(np.zeros(2), np.zeros(2), np.zeros(2))
    assert spread(nothing) == Spread(0.0, 0.0, 0, 0)
    assert level(nothing, spread(nothing)) is None
    four = Sums.of_scores(np.zeros(4, int), np.ones(4), 2)
    assert change(four, four) is None


# The period


@pytest.mark.parametrize(
    ("first", "last", "meant"),
    [
        (None, None, ("2025-02-20", "2025-02-20")),
        ("2025-02-18", None, ("2025-02-18", "2025-02-20")),
        (None, "2025-02-19", ("2025-02-17", "2025-02-19")),
        ("2025-03-01", None, ("2025-03-01", "2025-03-01")),
    ],
)
def test_the_period_is_the_last_night_or_the_days_asked_for(first, last, meant) -> None:
    stored = ["2025-02-17", "2025-02-20", "unknown"]
    days = [day and date.fromisoformat(day) for day in (first, last)]
    assert period.choose(stored, *days) == Period(*meant)


def test_the_time_before_is_as_long() -> None:
    assert Period("2025-03-01", "2025-03-07").before == Period("2025-02-22", "2025-02-28")
    assert Period("unknown", "unknown").before is None


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(NoPeriod, match="2025-03-02 is after 2025-03-01"):
        period.choose([], date(2025, 3, 2), date(2025, 3, 1))


# The figures


def night(folder: Path) -> Results:
    """Two nights of three agents; B2 has got better, C3 has only two calls."""
    calls = [call(number, "A1", 0.8, DAY_BEFORE, team="Sales", extra={"queue": "x"}) for number in range(10)]
    calls += [call(100 + n, "B2", 0.2 * (n % 2), DAY_BEFORE, team="Sales") for n in range(10)]
    calls += [call(200 + n, "A1", 0.8, team="Sales", extra={"queue": "xy"[n % 2]}) for n in range(10)]
    calls += [call(300 + n, "B2", 0.8 + 0.2 * (n % 2), team="Sales") for n in range(10)]
    calls += [call(400 + n, "C3", 0.4, team="Night", customer_segment="gold") for n in range(2)]
    return store(folder, *calls)


def figures_of(material: Material) -> Overview:
    return overview(material)


def test_scores_and_shares_are_those_that_are_stored(tmp_path: Path) -> None:
    figures = figures_of(read(night(tmp_path)))
    assert (figures.calls, figures.calls_before, figures.agents) == (22, 20, 3)
    (pec,) = figures.rubrics
    assert pec.score.now is not None
    assert pec.score.before is not None
    assert pec.score.now.value == pytest.approx((10 * 0.8 + 5 * 0.8 + 5 * 1.0 + 2 * 0.4) / 22)
    assert pec.score.before.value == pytest.approx((10 * 0.8 + 5 * 0.2) / 20)
    last = next(one for one in figures.criteria if one.criterion == "c4")
    assert (last.yes, last.no, last.na, last.unsure) == (5, 17, 0, 0)
    assert last.confidence == pytest.approx(0.9)


def test_groups_come_from_the_manifest_and_its_further_columns(tmp_path: Path) -> None:
    figures = figures_of(read(night(tmp_path), "queue"))
    found = {one.column: one for one in figures.groupings}
    assert [(group.name, group.calls) for group in found["team"].groups] == [("Night", 2), ("Sales", 20)]
    assert [(group.name, group.calls) for group in found["queue"].groups] == [("x", 5), ("y", 5)]
    assert found["queue"].without == 12
    agents = {group.name: group for group in found["agent_id"].groups}
    assert agents["B2"].scores["pec"].changed
    assert not agents["A1"].scores["pec"].changed


def test_a_column_that_no_call_has_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(NoResults, match=r"no column 'shift'.*queue"):
        read(night(tmp_path), "shift")


def test_few_calls_are_no_figure(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    night(folder)
    html, _ = run(folder)
    (row,) = re.findall(r"<tr><th scope=\"row\">C3.*?</tr>", html, flags=re.DOTALL)
    assert "not enough calls" in row
    assert "%" not in row


def test_no_score_of_agents_and_groups_stands_without_its_interval(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    night(folder)
    html, _ = run(folder, "--by", "queue")
    tables = html[html.index("<h2>Scores") : html.index("<h2>How sure")]
    for share in re.finditer(r'<span class="nowrap">\d+\u00a0% ', tables):
        assert tables[share.end() :].startswith("<small>(")


# The calls to hear first


def test_critical_failures_come_first_with_their_second(tmp_path: Path) -> None:
    pattern = call(0).scorecard.marks[0]
    proof = Evidence(start_s=65.0, end_s=68.0, speaker="agent", quote="that is not my problem")
    failed = marked(pattern, "no_forbidden", "no", critical=True, evidence=(proof,), absence=None)
    calls = [call(number, score=0.6) for number in range(12)] + [with_mark(call(50, "Z", 1.0), failed)]
    stored = store(tmp_path / "results", *calls)
    found = chosen(read(stored), stored)
    assert next(iter(found)) == "c00050"
    assert kinds(found["c00050"]) == ["Critical"]
    moment = found["c00050"].moments[0]
    assert (moment.criterion, moment.start_s, moment.quote) == (
        "no_forbidden",
        65.0,
        "that is not my problem",
    )
    html, _ = run(tmp_path / "results")
    assert "1:05" in html
    assert "that is not my problem" in html


def test_the_worst_and_the_most_unsure_are_named(tmp_path: Path) -> None:
    calls = [call(number, f"A{number}", 0.8) for number in range(20)]
    stored = store(tmp_path, *calls, call(50, "B", 0.0), call(60, "C", None))
    found = chosen(read(stored), stored)
    assert "Worst" in kinds(found["c00050"])
    assert {moment.answer for moment in found["c00050"].moments} == {"no"}
    assert kinds(found["c00060"]) == ["Unsure"]
    assert "c00003" not in found


def test_a_score_of_one_mark_is_not_worse_than_a_bad_score_of_many(tmp_path: Path) -> None:
    single = call(70, "C", 0.0)
    card = msgspec.structs.replace(single.scorecard, marks=single.scorecard.marks[:1])
    single = msgspec.structs.replace(single, scorecard=card)
    calls = [call(number, f"A{number}", 0.8) for number in range(20)]
    stored = store(tmp_path, *calls, call(50, "B", 0.0), single)
    worst = [name for name, one in chosen(read(stored), stored).items() if "Worst" in kinds(one)]
    assert worst == ["c00050", "c00070"]


def test_a_call_unlike_its_agents_others_surprises_though_it_is_usual_for_the_house(tmp_path: Path) -> None:
    good = [call(number, "A1", 1.0 - 0.2 * (number % 2)) for number in range(20)]
    poor = [call(100 + number, "B2", 0.2 * (number % 3)) for number in range(20)]
    stored = store(tmp_path, *good, *poor, call(60, "A1", 0.2))
    surprising = {name for name, one in chosen(read(stored), stored).items() if "Surprising" in kinds(one)}
    assert surprising == {"c00060"}


def test_what_was_not_said_is_named_with_where_it_belonged_and_what_came_nearest(tmp_path: Path) -> None:
    calls = [call(number, f"A{number}", 0.8) for number in range(10)]
    stored = store(tmp_path, *calls, call(50, "B", 0.0))
    moment = chosen(read(stored), stored)["c00050"].moments[0]
    assert moment.missing
    assert (moment.start_s, moment.end_s, moment.quote_s) == (0.0, 6.8, 6.0)
    assert moment.quote == "how may I help you"


# A large period


def test_of_a_large_period_only_the_days_that_matter_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = call(0).scorecard.marks[0]
    failed = marked(pattern, "c9", "no", critical=True)
    calls = [call(number, f"A{number:03}", 0.8) for number in range(40)]
    calls += [call(900, "B", 0.0), with_mark(call(901, "C", 0.8), failed)]
    stored = store(tmp_path / "results", *calls)
    monkeypatch.setattr(period, "MOST_FILES", 30)
    monkeypatch.setattr(hear_first, "_DAYS_EACH", 10)
    material = read(stored)
    assert 2 <= material.calls.num_rows < 42
    assert [gap.kind for gap in material.gaps] == ["large", "no_before"]
    found = chosen(material, stored)
    assert kinds(found["c00901"]) == ["Critical"]
    assert "Worst" in kinds(found["c00900"])
    assert figures_of(material).calls == 42
    html, _ = run(tmp_path / "results")
    assert "The period is large" in html


# Bad input


def test_a_period_without_data_is_said_and_the_page_is_still_written(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    night(folder)
    html, said = run(folder, "--from", "2025-05-01")
    told = f"No call is stored for this period. There are calls or failures from {DAY_BEFORE} to {DAY}."
    assert told in words(html)
    assert told in said


def test_a_night_on_which_everything_failed_is_told_of(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    gone = Failure(
        call_id="", agent_id="D4", path="/calls/x.wav", stage="decode", reason="no sound", advice="Check it."
    )
    failures = [
        msgspec.structs.replace(gone, path=f"/calls/{n}.wav", started_at=source(1).info.started_at)
        for n in range(5)
    ]
    store(folder, failures=tuple(failures))
    html = words(run(folder)[0])
    assert "5 of 5 calls could not be scored" in html
    assert "5 decode no sound Check it." in html
    assert "Agents of whom no call could be scored: D4." in html


def test_half_a_folder_gives_half_a_report_that_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    night(folder)
    (folder / "calls" / "agent_id=A1").rename(tmp_path / "away")
    (folder / ".wellheard" / "half-done.json").write_text("[]")
    html = words(run(folder)[0])
    assert "Agents' days sum up 22 calls, but 12 are stored" in html
    assert "was cut off" in html
    assert "By agent" in html


@pytest.mark.parametrize("dataset", ["calls", "marks", "agents", "failures", "turns"])
def test_a_dataset_that_is_gone_leaves_the_rest(tmp_path: Path, dataset: str) -> None:
    folder = tmp_path / "results"
    night(folder)
    if (folder / dataset).exists():
        (folder / dataset).rename(tmp_path / "away")
    html = words(run(folder)[0])
    assert "22" in html
    if dataset in ("calls", "marks"):
        assert f"These datasets are not in the folder: {dataset}." in html


def test_agents_who_had_calls_and_have_none_now_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    store(
        folder, *(call(n, "Gone", day=DAY_BEFORE) for n in range(6)), *(call(50 + n, "A1") for n in range(6))
    )
    assert "none now: Gone." in words(run(folder)[0])


def test_calls_without_a_day_have_a_report_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    store(folder, *(call(n, started_at=None) for n in range(6)))
    html = words(run(folder)[0])
    assert "Calls without a day" in html
    assert "Calls to hear first" in html or "The calls to hear first" in html


def test_an_empty_folder_is_an_error_with_an_advice(tmp_path: Path) -> None:
    with pytest.raises(NoResults, match="wellheard score"):
        run(tmp_path / "nothing")


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&\x1b]0;owned\x07\u202e{{ 7*7 }}$\\frac{$"


def test_names_and_words_that_would_do_something_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    proof = Evidence(start_s=1.0, end_s=2.0, speaker="agent", quote=HOSTILE)
    calls = [
        call(
            number,
            HOSTILE,
            0.0,
            agent_name=HOSTILE,
            team=HOSTILE,
            region=HOSTILE,
            customer_segment=HOSTILE,
            extra={HOSTILE: HOSTILE},
        )
        for number in range(8)
    ]
    bad = marked(calls[0].scorecard.marks[0], HOSTILE, "no", critical=True, evidence=(proof,), reason=HOSTILE)
    calls[0] = with_mark(calls[0], bad)
    calls[0] = msgspec.structs.replace(calls[0], notes=(HOSTILE,), paths=(HOSTILE,))
    failure = Failure(
        call_id=HOSTILE,
        agent_id=HOSTILE,
        path=HOSTILE,
        stage=HOSTILE,
        reason=HOSTILE,
        advice=HOSTILE,
        started_at=calls[0].info.started_at,
    )
    store(folder, *calls, failures=(failure,))
    html, said = run(folder, "--by", HOSTILE)
    page = parsed(html)
    assert not page.tags & {"script", "img", "iframe", "link", "object", "base", "form"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in " ".join(page.words)
    assert "{{ 7*7 }}" in " ".join(page.words)
    for text in (html, said):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_nothing_is_fetched_and_nothing_can_run(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    night(folder)
    html, _ = run(folder)
    page = parsed(html)
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "action")]
    assert all(str(value).startswith("#") for value in links)
    assert "script" not in page.tags
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert not re.search(r"url\((?!#)|@import", html)


# The page


def test_charts_follow_the_page_in_light_and_dark_and_share_no_id(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    night(folder)
    html, _ = run(folder, "--from", DAY_BEFORE)
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 4  # spread, days, criteria, time
    colours = {colour for drawing in drawings for colour in re.findall(r"#[0-9a-f]{6}\b", drawing)}
    assert colours == set()
    assert all('role="img" aria-label="' in drawing for drawing in drawings)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert len(html) < 400_000


def test_a_report_can_be_russian(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    night(folder)
    html = words(run(folder, "--language", "ru")[0])
    assert "Что прослушать в первую очередь" in html
    assert "мало звонков" in html
    for english in ("not enough calls", "Calls to hear", "Mark", "Unsure"):
        assert english not in html


def test_every_text_is_there_in_every_language_with_the_same_names() -> None:
    for key, text in YAML(typ="safe").load(TEXTS).items():
        assert set(text) == {language.value for language in Language}, key
        named = {language: sorted(re.findall(r"\{\w+\}", str(text[language]))) for language in text}
        assert named["en"] == named["ru"], key


def test_numbers_are_written_as_the_language_does() -> None:
    english, russian = Texts(TEXTS, Language.EN), Texts(TEXTS, Language.RU)
    assert (english.whole(12345), russian.whole(12345)) == ("12,345", "12\u00a0345")
    assert (english.tenths(1.25), russian.tenths(1.75)) == ("1.2", "1,8")
    points = [english.points(difference) for difference in (0.05, -0.05, 0.004, -0.0001)]
    assert points == ["+5", "−5", "+0.4", "0"]
    assert russian.points(-0.004) == "−0,4"


def test_the_same_results_make_the_same_page(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    night(folder)
    first, second = (re.sub(r"Made .*? from", "", run(folder)[0]) for _ in range(2))
    assert first == second


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    night(folder)
    run(folder)
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o600
