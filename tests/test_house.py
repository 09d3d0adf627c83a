"""A house's own judge: adapted to its reviews where that helps, left as shipped where it does not."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from asked_results import CommandLine
from stub_calls import result, source

from wellheard.pipeline.errors import BadSettings
from wellheard.pipeline.morning import by_hand, reviews
from wellheard.pipeline.morning.reviews import Review
from wellheard.pipeline.morning.stored import StoredCalls
from wellheard.pipeline.records import CallResult
from wellheard.pipeline.score import score
from wellheard.pipeline.settings import Score
from wellheard.pipeline.store import Results
from wellheard.rubrics import house as house_judge
from wellheard.rubrics import loader
from wellheard.rubrics.combination import COMBINATION, OF_WHOLE_CALL, Combination
from wellheard.rubrics.house import HouseJudge
from wellheard.training import house
from wellheard.training.house import ADAPTED, NO_HELP, TOO_FEW, Lesson

RUBRIC = loader.load("pec")
EMPATHY = "pec.empathy"
MORNING = datetime(2025, 2, 20, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def hasty_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power, so none waits for the disk."""
    monkeypatch.setattr("os.fsync", lambda file: None)


@pytest.fixture
def wellheard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


# Houses that are made up: numbers at random, and what this house answers to them


def shares(numbers: np.ndarray, criterion: str = EMPATHY, of: Combination = COMBINATION) -> np.ndarray:
    weights = of.criteria[criterion]
    logits = numbers @ np.array(weights.weights).T + np.array(weights.bias)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def numbers(calls: int, seed: int, criterion: str = EMPATHY) -> np.ndarray:
    """Numbers as calls have them: log-odds, logarithms of shares, and acts."""
    random = np.random.default_rng(seed)
    width = len(COMBINATION.criteria[criterion].weights[0])
    made = random.normal(0, 2, (calls, width))
    made[:, 3:OF_WHOLE_CALL] = np.log(random.dirichlet([1, 1, 1], calls).clip(0.001))
    return made


def as_shipped(made: np.ndarray, seed: int, criterion: str = EMPATHY) -> list[str]:
    """A house that answers as the shipped judge expects, so that there is nothing to learn."""
    random = np.random.default_rng(seed)
    answers = COMBINATION.criteria[criterion].answers
    return [str(random.choice(answers, p=share)) for share in shares(made, criterion)]


def stricter(made: np.ndarray, seed: int) -> list[str]:
    """A house for which empathy without a clear act of it is none."""
    answers = as_shipped(made, seed)
    return [
        "no" if answer == "yes" and act < 1 else answer
        for answer, act in zip(answers, made[:, OF_WHOLE_CALL], strict=True)
    ]


def lessons(made: np.ndarray, answers: Sequence[str], criterion: str = EMPATHY) -> list[Lesson]:
    return [
        Lesson(criterion, f"c{place}", f"A{place % 12}", answer, tuple(own))
        for place, (own, answer) in enumerate(zip(made.tolist(), answers, strict=True))
    ]


def adapt(found: Sequence[Lesson]) -> tuple[HouseJudge, tuple[house.Outcome, ...]]:
    return house.adapt(found, {"made": "by a test"}, lambda *_: None)


def right(made: np.ndarray, answers: Sequence[str], of: Combination) -> float:
    places = of.criteria[EMPATHY].answers
    given = [places[place] for place in shares(made, of=of).argmax(axis=1)]
    return float(np.mean([one == other for one, other in zip(given, answers, strict=True)]))


def test_a_house_that_means_something_else_gets_a_judge_of_its_own() -> None:
    made = numbers(80, 1)
    judge, (outcome,) = adapt(lessons(made, stricter(made, 2)))
    assert (outcome.verdict, outcome.answers) == (ADAPTED, 80)
    assert outcome.right_after > outcome.right_before
    assert outcome.gain.low > 0
    further = numbers(400, 3)
    answers = stricter(further, 4)
    assert right(further, answers, judge.combination) > right(further, answers, COMBINATION) + 0.05


def test_what_does_not_help_undoes_itself() -> None:
    """Of 12 houses that answer as the shipped judge expects, hardly any gets weights of its own."""
    kept = 0
    for seed in range(12):
        made = numbers(60, seed)
        judge, (outcome,) = adapt(lessons(made, as_shipped(made, seed + 100)))
        kept += bool(judge.criteria)
        assert (outcome.verdict == ADAPTED) == bool(judge.criteria)
    assert kept <= 1


def test_a_judge_that_has_learnt_nothing_is_the_shipped_one() -> None:
    made = numbers(60, 5)
    judge, (outcome,) = adapt(lessons(made, as_shipped(made, 105)))
    assert outcome.verdict == NO_HELP
    assert judge.criteria == {}
    assert judge.combination == COMBINATION


def test_of_few_answers_nothing_is_learnt() -> None:
    made = numbers(19, 6)
    judge, (outcome,) = adapt(lessons(made, stricter(made, 7)))
    assert (outcome.verdict, outcome.gain, judge.criteria) == (TOO_FEW, None, {})


def test_it_is_checked_on_agents_it_has_not_learnt_from() -> None:
    """Who agrees with one agent's odd ways only has learnt that agent, not what the house means."""
    made = numbers(60, 8)
    made[:, OF_WHOLE_CALL + 1] = np.where(np.arange(60) % 12 == 0, 5.0, -5.0)  # tells agent A0 apart
    answers = ["no" if n % 12 == 0 else answer for n, answer in enumerate(as_shipped(made, 9))]
    judge, _ = adapt(lessons(made, answers))
    assert judge.criteria == {}


def test_the_same_reviews_give_the_same_judge() -> None:
    made = numbers(80, 1)
    found = lessons(made, stricter(made, 2))
    assert house.written(adapt(found)[0]) == house.written(adapt(found)[0])


# What can be learnt from


def review(call_id: str, criterion: str, answer: str, reviewer: str = "Ada", **more: object) -> Review:
    known = {
        "review_id": reviews.new_id(),
        "call_id": call_id,
        "agent_id": "A1",
        "rubric": RUBRIC.id,
        "rubric_version": RUBRIC.version,
        "criterion": criterion,
        "machine_answer": "yes",
        "machine_confidence": 0.9,
        "answer": answer,
        "comment": "",
        "reviewer": reviewer,
        "reviewed_at": MORNING,
    }
    return Review(**{**known, **more})  # type: ignore[arg-type]


def store(folder: Path, calls: Sequence[CallResult]) -> Results:
    with Results(folder).writer(UTC, print) as writer:
        for one in calls:
            writer.add(one)
    return Results(folder)


def learnt(folder: Path, *found: Review) -> house.Lessons:
    return house.lessons(found, StoredCalls(Results(folder), "", only={"c00000"}), [RUBRIC])


def test_answers_given_blind_are_learnt_from(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0)), result(source(1))])
    (lesson,) = learnt(tmp_path, review("c00000", "empathy", "no", blind=True)).lessons
    assert (lesson.criterion, lesson.call_id, lesson.answer) == (EMPATHY, "c00000", "no")
    assert len(lesson.numbers) == len(COMBINATION.criteria[EMPATHY].weights[0])


def test_from_corrections_alone_one_would_learn_that_the_machine_is_always_wrong(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    found = learnt(tmp_path, review("c00000", "empathy", "no"))
    assert found.lessons == ()
    assert found.left_out == {house.PICKED: 1}


def test_a_checklist_answered_from_end_to_end_is_learnt_from(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    every = [review("c00000", criterion.id, "no") for criterion in RUBRIC.criteria]
    assert len(learnt(tmp_path, *every).lessons) == len(RUBRIC.criteria)


def test_a_mark_that_was_left_unsure_is_learnt_from(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    found = learnt(tmp_path, review("c00000", "empathy", "no", machine_answer="unsure"))
    assert len(found.lessons) == 1


def test_what_nobody_could_tell_and_what_reviewers_dispute_teaches_nothing(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    found = learnt(
        tmp_path,
        review("c00000", "empathy", "no", blind=True),
        review("c00000", "empathy", "yes", "Ben", blind=True),
        review("c00000", "beyond", "cannot_tell", blind=True),
        review("c00000", "no_blame", "no", rubric_version="0.1", blind=True),
        review("gone", "empathy", "no", blind=True),
    )
    assert found.lessons == ()
    assert found.left_out == {house.DISPUTED: 1, house.CANNOT_TELL: 1, house.OTHER_RUBRIC: 1, house.GONE: 1}


# Using it


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The file of a house that is stricter about empathy."""
    made = numbers(80, 1)
    file = tmp_path / "house.json"
    file.write_text(house.written(adapt(lessons(made, stricter(made, 2)))[0]))
    return file


def test_scoring_uses_it_and_every_mark_says_so(own: Path) -> None:
    judge = house_judge.read(str(own))
    assert judge is not None
    of = result(source(0))
    card = score(of.conversation, of.heard, of.info, of.acts, [RUBRIC], None, Score(), None, judge)  # type: ignore[arg-type]
    versions = {mark.criterion: mark.judge_version for mark in card.marks}
    assert versions["empathy"] == judge.version
    assert versions["beyond"] == COMBINATION.fingerprint
    assert judge.version.startswith(f"{COMBINATION.fingerprint}+")
    assert house_judge.is_adapted(judge.version)
    assert not house_judge.is_adapted(COMBINATION.fingerprint)


def test_without_a_file_there_is_no_such_judge() -> None:
    assert house_judge.read(None) is None


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[:40], "no file that `wellheard train --reviews` has written"),
        (
            lambda text: text.replace(COMBINATION.fingerprint, "0" * 16),
            "made with another version of wellheard",
        ),
        (
            lambda text: text.replace('"pec.empathy"', '"pec.patience"'),
            "the weights of pec.patience do not fit",
        ),
        (lambda text: text.replace('"weights": [\n', '"weights": [[1, 2],\n'), "do not fit"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(own: Path, damage, said: str) -> None:  # type: ignore[no-untyped-def]
    own.write_text(damage(own.read_text()))
    with pytest.raises(BadSettings, match=said):
        house_judge.read(str(own))


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="Check `house` in"):
        house_judge.read(str(tmp_path / "house.json"))


# On the command line


def test_scoring_refuses_a_file_that_does_not_fit_before_any_work(
    tmp_path: Path, wellheard: CommandLine
) -> None:
    (tmp_path / "house.toml").write_text(f'[score]\nhouse = "{tmp_path / "house.json"}"\n')
    (tmp_path / "house.json").write_text("{}")
    code, _, error = wellheard("score", tmp_path, "--settings", tmp_path / "house.toml")
    assert (code, "no file that `wellheard train --reviews` has written" in error) == (2, True)


def with_acts(number: int, sure: float) -> CallResult:
    """A call whose agent shows this much empathy, by one of six agents."""
    made = result(source(number, f"A{number % 6}"))
    acts = msgspec.structs.replace(
        made.acts,
        turns=({"empathy": sure, "cue": 0.9}, {"cue": 0.9}, {}, {}),
        answers={EMPATHY: (0.6, 0.3, 0.1)},
    )
    return msgspec.structs.replace(made, acts=acts)


def reviewed(folder: Path, calls: int, answer_of: dict[bool, str]) -> None:
    """Calls heard blind; what people answer depends on whether there is much empathy."""
    random = np.random.default_rng(1)
    sure = random.random(calls)
    store(folder, [with_acts(number, one) for number, one in enumerate(sure.tolist())])
    rows = [
        msgspec.structs.asdict(review(f"c{number:05}", "empathy", answer_of[bool(one > 0.5)], blind=True))
        for number, one in enumerate(sure)
    ]
    by_hand.change(Results(folder), "reviews", "2025-02-20", lambda before: [*before, *rows])


def test_train_reviews_writes_a_file_for_the_settings(tmp_path: Path, wellheard: CommandLine) -> None:
    reviewed(tmp_path, 60, {True: "na", False: "no"})
    code, said, _ = wellheard("train", "--reviews", tmp_path)
    assert code == 0
    assert "Learnt from 60 answers of 60 reviewed calls." in said
    assert "1 criterion is adapted" in said
    assert f'house = "{tmp_path / "house.json"}"' in said
    written = json.loads((tmp_path / "house.json").read_text())
    assert list(written["criteria"]) == [EMPATHY]
    assert len(written["learnt_from"]) == 60
    assert written["shipped"] == COMBINATION.fingerprint
    assert (tmp_path / "house.json").stat().st_mode & 0o077 == 0


def test_an_earlier_adaptation_is_undone_once_it_does_not_help(
    tmp_path: Path, own: Path, wellheard: CommandLine
) -> None:
    results = tmp_path / "results"
    reviewed(results, 10, {True: "yes", False: "no"})
    code, said, _ = wellheard("train", "--reviews", results, "--out", own)
    assert code == 0
    assert "all judges stay as shipped" in " ".join(said.split())
    assert json.loads(own.read_text())["criteria"] == {}


def test_without_reviews_there_is_nothing_to_learn(tmp_path: Path, wellheard: CommandLine) -> None:
    store(tmp_path, [result(source(0))])
    code, _, error = wellheard("train", "--reviews", tmp_path)
    assert (code, "There are no reviews" in error) == (2, True)
