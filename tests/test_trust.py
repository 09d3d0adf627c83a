"""Whether the marks can be trusted: audit samples heard blind, and what is not trusted does not count."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from asked_results import CommandLine
from stub_calls import result, source

from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.morning import audit, by_hand, reviews
from wellheard.pipeline.morning.audit import Sample
from wellheard.pipeline.morning.kappa import agreed
from wellheard.pipeline.morning.reviews import Review
from wellheard.pipeline.morning.trust import BELOW, NO_THRESHOLD, TOO_FEW, TRUSTED, Trust, chosen, trust
from wellheard.pipeline.records import CallResult
from wellheard.pipeline.store import Results

MORNING = datetime(2025, 2, 20, 9, 0, tzinfo=UTC)
CRITERIA = ("greets", "thanks")


@pytest.fixture(autouse=True)
def hasty_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power, so none waits for the disk."""
    monkeypatch.setattr("os.fsync", lambda file: None)


@pytest.fixture
def wellheard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


def call(number: int, answer: str = "yes", judge_version: str = "2", agent: str = "A1") -> CallResult:
    made = result(source(number, agent), answer, score=1.0 if answer == "yes" else 0.0)
    marks = tuple(msgspec.structs.replace(mark, judge_version=judge_version) for mark in made.scorecard.marks)
    return msgspec.structs.replace(made, scorecard=msgspec.structs.replace(made.scorecard, marks=marks))


def store(folder: Path, calls: Sequence[CallResult]) -> Results:
    with Results(folder).writer(UTC, print) as writer:
        for one in calls:
            writer.add(one)
    return Results(folder)


def review(number: int, criterion: str, answer: str, reviewer: str = "Ada", **more: Any) -> Review:
    known: dict[str, Any] = {
        "review_id": reviews.new_id(),
        "call_id": f"c{number:05}",
        "agent_id": "A1",
        "rubric": "pec",
        "rubric_version": "1.10",
        "criterion": criterion,
        "machine_answer": "yes",
        "machine_confidence": 0.9,
        "answer": answer,
        "comment": "",
        "reviewer": reviewer,
        "reviewed_at": MORNING,
        "blind": True,
    }
    return Review(**{**known, **more})


def add(folder: Path, found: Iterable[Review]) -> None:
    """All at once; `reviews.add` writes a file for each."""
    rows = [msgspec.structs.asdict(one) for one in found]
    by_hand.change(Results(folder), "reviews", "2025-02-20", lambda before: [*before, *rows])


def audited(folder: Path, calls: int, *found: Callable[[int], Review]) -> list[Sample]:
    """Results whose calls were all drawn, and reviews of each."""
    store(folder, [call(number) for number in range(calls)])
    audit.draw(folder, calls, MORNING)
    add(folder, [one(number) for number in range(calls) for one in found])
    return audit.samples(folder)


def of_criterion(found: Trust, name: str = "greets") -> Any:
    (one,) = [one for one in found.criteria if one.criterion == name]
    return one


def test_agreement_is_of_all_marks_heard_blind_with_its_interval(tmp_path: Path) -> None:
    samples = audited(tmp_path, 40, lambda n: review(n, "greets", "no" if n % 4 == 0 else "yes"))
    found = trust(Results(tmp_path), samples, None, None)
    machine = of_criterion(found).machine
    assert (machine.n, machine.share) == (40, 0.75)
    assert (round(machine.low, 3), round(machine.high, 3)) == (0.598, 0.858)  # Wilson (1927)
    assert machine.kappa == 0.0  # the machine answers yes whatever there is
    assert (found.drawn, found.heard, found.reviewers) == (40, 40, ("Ada",))
    assert of_criterion(found).verdict == NO_THRESHOLD
    assert of_criterion(found, "thanks").verdict == TOO_FEW


def test_below_the_threshold_a_criterion_does_not_count(tmp_path: Path) -> None:
    samples = audited(
        tmp_path,
        40,
        lambda n: review(n, "greets", "no" if n % 4 == 0 else "yes"),
        lambda n: review(n, "thanks", "no" if n % 20 == 0 else "yes"),
    )
    found = trust(Results(tmp_path), samples, 0.8, None)
    assert [one.verdict for one in found.criteria] == [BELOW, TRUSTED]
    assert found.untrusted == {("pec", "greets")}


def test_of_few_reviews_nothing_is_said(tmp_path: Path) -> None:
    samples = audited(tmp_path, 19, lambda n: review(n, "greets", "no"))
    found = trust(Results(tmp_path), samples, 0.8, None)
    assert of_criterion(found).verdict == TOO_FEW
    assert found.untrusted == frozenset()


def test_answers_given_with_the_machines_in_sight_are_left_out(tmp_path: Path) -> None:
    samples = audited(
        tmp_path, 20, lambda n: review(n, "greets", "no"), lambda n: review(n, "thanks", "yes", blind=False)
    )
    found = trust(Results(tmp_path), samples, None, None)
    assert found.in_sight == 20
    assert of_criterion(found, "thanks").machine is None


def test_calls_that_people_have_picked_say_nothing_of_the_others(tmp_path: Path) -> None:
    """Whoever hears the worst calls finds the machine wrong more often than it is."""
    store(tmp_path, [call(number) for number in range(60)])
    drawn = audit.draw(tmp_path, 30, MORNING)
    in_sample = {call_id for call_id, _ in drawn.calls}
    add(
        tmp_path,
        [review(n, "greets", "yes" if f"c{n:05}" in in_sample else "no") for n in range(60)],
    )
    machine = of_criterion(trust(Results(tmp_path), [drawn], None, None)).machine
    assert (machine.n, machine.share) == (30, 1.0)


def test_reviewers_who_differ_count_half_each_and_show_how_far_people_agree(tmp_path: Path) -> None:
    samples = audited(
        tmp_path,
        40,
        lambda n: review(n, "greets", "yes"),
        lambda n: review(n, "greets", "no" if n < 10 else "yes", "Ben"),
    )
    one = of_criterion(trust(Results(tmp_path), samples, None, None))
    assert one.machine.share == 0.875
    assert (one.people.n, one.people.share) == (40, 0.75)


def test_who_cannot_tell_and_marks_left_unsure_are_in_no_agreement(tmp_path: Path) -> None:
    store(tmp_path, [call(n, "unsure" if n < 5 else "yes") for n in range(30)])
    drawn = audit.draw(tmp_path, 30, MORNING)
    add(tmp_path, [review(n, "greets", "cannot_tell" if n == 29 else "yes") for n in range(30)])
    one = of_criterion(trust(Results(tmp_path), [drawn], None, None))
    assert (one.machine.n, one.unsure) == (24, 5)


def test_kappa_of_simulated_reviewers_is_near_the_truth_and_within_its_interval() -> None:
    """Two who err in one of ten answers, at random, over answers that are yes as often as no."""
    random = np.random.default_rng(5)
    within = 0
    for _ in range(40):
        truth = random.random(120) < 0.5
        first, second = (truth ^ (random.random(120) < 0.1) for _ in range(2))
        named = [
            [("yes" if one else "no", "yes" if two else "no")] for one, two in zip(first, second, strict=True)
        ]
        found = agreed(named)
        assert found is not None
        assert found.kappa_interval is not None
        within += found.kappa_interval[0] <= 0.64 <= found.kappa_interval[1]
    assert within >= 36


def test_the_truth_lies_within_the_interval_of_a_sample(tmp_path: Path) -> None:
    """Of 200 calls the machine is wrong on 30; samples of 40 are drawn again and again."""
    wrong = set(range(30))
    within = 0
    for seed in range(30):
        order = np.random.default_rng(seed).permutation(200)[:40]
        found = agreed([[("no" if n in wrong else "yes", "yes")] for n in order])
        assert found is not None
        within += found.low <= 0.85 <= found.high
    assert within >= 27


def test_a_judge_is_not_tested_on_calls_that_it_has_learnt_from(tmp_path: Path) -> None:
    store(tmp_path, [call(n, judge_version="abc+def" if n < 10 else "abc") for n in range(30)])
    drawn = audit.draw(tmp_path, 30, MORNING)
    add(tmp_path, [review(n, "greets", "yes") for n in range(30)])
    found = trust(Results(tmp_path), [drawn], None, None)
    assert found.learnt == 20  # both criteria of ten calls
    assert of_criterion(found).machine.n == 20


def test_a_sample_is_named_or_all_are_meant(tmp_path: Path) -> None:
    store(tmp_path, [call(number) for number in range(4)])
    with pytest.raises(NoResults, match=r"No audit sample was drawn yet.*wellheard review --sample"):
        chosen(audit.samples(tmp_path), None)
    first, second = (audit.draw(tmp_path, 2, MORNING) for _ in range(2))
    both = audit.samples(tmp_path)
    assert chosen(both, None) == both
    assert chosen(both, first.sample) == [first]
    with pytest.raises(NoResults, match=second.sample):
        chosen(both, "another")


# On the command line

SETTINGS = "[trust]\nleast_agreement = 0.8\n"


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """Results in which people disagree with every fourth `greets`."""
    audited(
        tmp_path / "results",
        40,
        lambda n: review(n, "greets", "no" if n % 4 == 0 else "yes"),
        lambda n: review(n, "thanks", "yes"),
    )
    (tmp_path / "house.toml").write_text(SETTINGS)
    return tmp_path


def test_trust_tells_what_is_below_the_threshold(doubtful: Path, wellheard: CommandLine) -> None:
    settings = doubtful / "house.toml"
    code, said, _ = wellheard("trust", "--results", doubtful / "results", "--settings", settings)
    assert code == 0
    assert "40 calls drawn at random, 40 heard blind by Ada" in said
    assert re.search(r"pec.greets +40 75 % \(60-86\) .* not counted *$", said, re.M)
    code, csv, _ = wellheard(
        "trust", "--results", doubtful / "results", "--settings", settings, "--format", "csv"
    )
    head, greets, thanks = csv.splitlines()
    assert head.startswith("rubric,criterion,verdict,n,agreement,agreement_low,agreement_high,kappa")
    assert greets.startswith('pec,greets,"below the threshold, not counted",40,0.75,')
    assert thanks.startswith("pec,thanks,trusted,40,1.0,")


def test_trust_without_a_sample_says_how_to_draw_one(tmp_path: Path, wellheard: CommandLine) -> None:
    store(tmp_path, [call(0)])
    code, _, error = wellheard("trust", "--results", tmp_path)
    assert (code, "wellheard review --sample 30" in error) == (2, True)


def test_every_command_says_what_its_scores_stand_on(doubtful: Path, wellheard: CommandLine) -> None:
    results, settings = doubtful / "results", doubtful / "house.toml"
    _, said, _ = wellheard("agents", "--results", results)
    assert "10 marks corrected, 70 more reviewed" in said
    assert "not counted" not in said
    _, said, _ = wellheard("agents", "--results", results, "--settings", settings)
    assert "1 criterion shown and not counted, as `wellheard trust` says: pec.greets" in said
    _, said, _ = wellheard("call", "c00000", "--results", results)
    assert "1 of 2 marks corrected, 1 more reviewed" in said
    assert "corrected by Ada: the machine answered yes" in said
    _, said, _ = wellheard("call", "c00000", "--results", results, "--settings", settings)
    assert "not counted" in said
    _, said, _ = wellheard("weak-spots", "--agent", "A1", "--results", results, "--settings", settings)
    assert "10 of 80 marks corrected, 70 more reviewed" in " ".join(said.split())
    assert "Marks not trusted, not counted" in said
    out = doubtful / "report.html"
    code, _, _ = wellheard("report", "--results", results, "--settings", settings, "--out", out)
    page = " ".join(out.read_text().split())
    assert code == 0
    assert "people have reviewed 80 of 80 marks and corrected 10 of them" in page
    assert "counted in no score, since people agree with the machine too seldom there: pec: greets" in page
    html = doubtful / "pack.html"
    code, said, _ = wellheard(
        "coach", "--agent", "A1", "--results", results, "--settings", settings, "--html", html
    )
    assert code == 0
    assert "10 of 80 marks corrected by people, 80 reviewed" in html.read_text()


def test_machine_marks_only_is_said_as_well(tmp_path: Path, wellheard: CommandLine) -> None:
    results = tmp_path / "results"
    store(results, [call(n, agent=f"A{n % 2}") for n in range(4)])
    for command in (("agents",), ("call", "c00000"), ("weak-spots", "--agent", "A1")):
        _, said, _ = wellheard(*command, "--results", results)
        assert "machine marks only" in " ".join(said.split())
    wellheard("report", "--results", results, "--out", tmp_path / "report.html")
    assert "stand on machine marks only" in (tmp_path / "report.html").read_text()
