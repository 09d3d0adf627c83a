"""What people answered: nothing is ever lost, and what the scores come to with it."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any

import pyarrow.compute as pc
import pytest
from msgspec.structs import replace
from stub_calls import result, source

from wellheard.pipeline.datasets import SCHEMAS
from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.morning import audit, reviews
from wellheard.pipeline.morning.corrected import Corrected
from wellheard.pipeline.morning.reviews import Review
from wellheard.pipeline.records import CallResult
from wellheard.pipeline.store import Results

MORNING = datetime(2025, 2, 20, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def hasty_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power, so none waits for the disk."""
    monkeypatch.setattr("os.fsync", lambda file: None)


def store(folder: Path, calls: Sequence[CallResult]) -> Results:
    with Results(folder).writer(UTC, print) as writer:
        for one in calls:
            writer.add(one)
    return Results(folder)


def review(
    call_id: str = "c00000", criterion: str = "greets", answer: str = "no", minute: int = 0, **more: Any
) -> Review:
    known: dict[str, Any] = {
        "review_id": reviews.new_id(),
        "call_id": call_id,
        "agent_id": "A1",
        "rubric": "pec",
        "rubric_version": "1.10",
        "criterion": criterion,
        "machine_answer": "yes",
        "machine_confidence": 0.9,
        "answer": answer,
        "comment": "",
        "reviewer": "Ada",
        "reviewed_at": MORNING + timedelta(minutes=minute),
    }
    return Review(**{**known, **more})


# Keeping reviews


def test_who_changes_their_mind_adds_a_review_and_the_last_one_is_theirs(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    first, second = review(answer="no"), review(answer="yes", minute=3)
    of_other = review(answer="no", reviewer="Ben", minute=1)
    for one in (second, first, of_other):
        reviews.add(tmp_path, one)
    assert reviews.read(tmp_path) == [first, of_other, second]
    last = reviews.latest(reviews.read(tmp_path))
    assert last == {("c00000", "pec", "greets"): {"Ada": second, "Ben": of_other}}


def test_a_review_that_is_sent_twice_is_kept_once(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    one = review()
    reviews.add(tmp_path, one)
    reviews.add(tmp_path, replace(one, answer="yes"))
    assert reviews.read(tmp_path) == [one]


def test_a_comment_is_kept_as_it_was_written(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    comment = "=cmd|' /C calc'!A0 <script>alert(1)</script> \u202e\x1b[2J\ud800"
    reviews.add(tmp_path, review(comment=comment))
    (one,) = reviews.read(tmp_path)
    assert one.comment == comment.replace("\ud800", "\\ud800")


def test_scoring_anew_leaves_reviews_alone(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    reviews.add(tmp_path, review())
    store(tmp_path, [result(source(0), "no")])
    assert len(reviews.read(tmp_path)) == 1


def test_reviews_are_for_their_owner_alone(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    reviews.add(tmp_path, review())
    (file,) = (tmp_path / "reviews").rglob("*.parquet")
    assert file.stat().st_mode & 0o077 == 0


def test_there_are_none_before_the_first_and_none_without_results(tmp_path: Path) -> None:
    with pytest.raises(NoResults):
        reviews.add(tmp_path, review())
    with pytest.raises(NoResults):
        reviews.read(tmp_path)
    store(tmp_path, [result(source(0))])
    assert reviews.read(tmp_path) == []


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        reviews.add(tmp_path, review(reviewed_at=datetime(2025, 2, 20, 9, 0)))


_ADDS_TWENTY = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from wellheard.pipeline.morning import reviews
for minute in range(20):
    reviews.add(Path(sys.argv[1]), reviews.Review(
        review_id=reviews.new_id(), call_id="c00000", agent_id="A1", rubric="pec", rubric_version="1.10",
        criterion="greets", machine_answer="yes", machine_confidence=0.9, answer="no", comment="",
        reviewer=sys.argv[2], reviewed_at=datetime(2025, 2, 20, 9, minute, tzinfo=UTC)))
"""


def test_two_reviewers_at_once_lose_nothing(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0))])
    both = [Popen([sys.executable, "-c", _ADDS_TWENTY, str(tmp_path), who]) for who in ("Ada", "Ben")]
    assert [one.wait(60) for one in both] == [0, 0]
    found = reviews.read(tmp_path)
    assert [sum(one.reviewer == who for one in found) for who in ("Ada", "Ben")] == [20, 20]


# Drawing audit samples


def test_a_sample_is_drawn_without_doubles_and_kept(tmp_path: Path) -> None:
    store(tmp_path, [result(source(number, f"A{number % 3}")) for number in range(30)])
    drawn = audit.draw(tmp_path, 12, MORNING)
    assert len({call_id for call_id, _ in drawn.calls}) == 12
    assert all(agent_id == f"A{int(call_id[1:]) % 3}" for call_id, agent_id in drawn.calls)
    assert audit.samples(tmp_path) == [drawn]
    assert drawn.of == 30


def test_each_call_is_as_likely_as_any_other(tmp_path: Path) -> None:
    """Agents with few calls and many calls, on days with few and many: only the number of calls counts."""
    stored = [
        result(source(n, "A1" if n < 16 else "A2", "2025-02-19" if n < 4 else "2025-02-20"))
        for n in range(20)
    ]
    times = dict.fromkeys((one.info.call_id for one in stored), 0)
    for seed in range(60):
        folder = tmp_path / str(seed)
        store(folder, stored)
        for call_id, _ in audit.draw(folder, 5, MORNING, seed=seed).calls:
            times[call_id] += 1
    chi_square = sum((drawn - 15) ** 2 / 15 for drawn in times.values())
    assert chi_square < 40  # 19 degrees of freedom: more once in 300


def test_what_was_drawn_once_is_not_drawn_again(tmp_path: Path) -> None:
    store(tmp_path, [result(source(number)) for number in range(5)])
    first, second = (audit.draw(tmp_path, 3, MORNING + timedelta(hours=hour)) for hour in (0, 1))
    assert len({*first.calls, *second.calls}) == 5
    assert [sample.sample for sample in audit.samples(tmp_path)] == [first.sample, second.sample]
    with pytest.raises(NoResults, match="5 are stored, all were drawn before"):
        audit.draw(tmp_path, 3, MORNING)


def test_a_sample_may_be_of_some_days_only(tmp_path: Path) -> None:
    store(tmp_path, [result(source(n, day=f"2025-02-{10 + n}")) for n in range(10)])
    drawn = audit.draw(tmp_path, 10, MORNING, "2025-02-12", "2025-02-14")
    assert sorted(call_id for call_id, _ in drawn.calls) == ["c00002", "c00003", "c00004"]


# What counts with them


def scores(folder: Path, call_id: str = "c00000") -> dict[str, Any]:
    only = pc.field("call_id") == call_id
    (call,) = Corrected(folder).table("calls", filter=only).to_pylist()
    (entry,) = call["scores"]
    return entry


def marks(folder: Path) -> dict[str, dict[str, Any]]:
    found = Corrected(folder).table("marks", filter=pc.field("call_id") == "c00000").to_pylist()
    return {mark["criterion"]: mark for mark in found}


def test_without_reviews_scores_stand_on_machine_marks_only(tmp_path: Path) -> None:
    store(tmp_path, [result(source(n), score=1.0) for n in range(3)])
    assert scores(tmp_path) == {
        "rubric": "pec",
        "score": 1.0,
        "counted": 2,
        "unsure": 0,
        "reviewed": 0,
        "corrected": 0,
    }
    names = Corrected(tmp_path).table("marks").column_names
    assert names == [*SCHEMAS["marks"].names, "machine_answer", "review", "reviewers", "counts"]


def test_a_correction_counts_in_the_score_and_the_machines_mark_stays(tmp_path: Path) -> None:
    stored = store(tmp_path, [result(source(n), score=1.0) for n in range(3)])
    reviews.add(tmp_path, review(answer="no"))
    reviews.add(tmp_path, review(criterion="thanks", answer="yes"))
    entry = scores(tmp_path)
    assert (entry["score"], entry["counted"], entry["reviewed"], entry["corrected"]) == (0.5, 2, 2, 1)
    assert scores(tmp_path, "c00001")["score"] == 1.0
    found = marks(tmp_path)
    assert [found[name]["review"] for name in ("greets", "thanks")] == ["corrected", "confirmed"]
    greets = found["greets"]
    assert (greets["answer"], greets["machine_answer"], greets["confidence"]) == ("no", "yes", 1.0)
    assert greets["reviewers"] == ["Ada"]
    assert greets["evidence"] == []  # what the machine took for a greeting
    assert found["thanks"]["evidence"] != []
    assert set(stored.table("marks")["answer"].to_pylist()) == {"yes"}


def test_an_unsure_mark_counts_once_somebody_has_heard_the_call(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0), "unsure", score=None)])
    reviews.add(tmp_path, review(answer="yes", machine_answer="unsure"))
    entry = scores(tmp_path)
    assert (entry["score"], entry["counted"], entry["unsure"], entry["corrected"]) == (1.0, 1, 1, 1)


def test_a_mark_that_was_not_asked_at_all_leaves_no_score(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0), score=1.0)])
    for criterion in ("greets", "thanks"):
        reviews.add(tmp_path, review(criterion=criterion, answer="na"))
    assert (scores(tmp_path)["score"], scores(tmp_path)["counted"]) == (None, 0)


def test_where_reviewers_differ_the_mark_is_disputed_and_unsure(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0), score=1.0)])
    reviews.add(tmp_path, review(answer="no"))
    reviews.add(tmp_path, review(answer="yes", reviewer="Ben"))
    greets = marks(tmp_path)["greets"]
    assert (greets["answer"], greets["review"], greets["reviewers"]) == ("unsure", "disputed", ["Ada", "Ben"])
    entry = scores(tmp_path)
    assert (entry["score"], entry["counted"], entry["unsure"], entry["corrected"]) == (1.0, 1, 1, 1)
    reviews.add(tmp_path, review(answer="no", reviewer="Ben", minute=5))  # Ben has heard it again
    assert marks(tmp_path)["greets"]["review"] == "corrected"


def test_who_cannot_tell_leaves_the_mark_to_the_machine_or_to_who_can(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0), score=1.0)])
    reviews.add(tmp_path, review(answer="cannot_tell"))
    greets = marks(tmp_path)["greets"]
    assert (greets["answer"], greets["review"], greets["confidence"]) == ("yes", "cannot tell", 0.9)
    assert scores(tmp_path)["reviewed"] == 0
    reviews.add(tmp_path, review(answer="no", reviewer="Ben"))
    greets = marks(tmp_path)["greets"]
    assert (greets["answer"], greets["review"], greets["reviewers"]) == ("no", "corrected", ["Ben"])


def test_a_review_of_another_version_of_the_rubric_no_longer_counts(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0), score=1.0)])
    reviews.add(tmp_path, review(answer="no", rubric_version="1.9"))
    assert marks(tmp_path)["greets"]["review"] == ""
    assert scores(tmp_path)["score"] == 1.0


def test_an_agents_day_is_summed_up_anew(tmp_path: Path) -> None:
    calls = [result(source(n, f"A{n % 2}", f"2025-02-{18 + n // 4}"), score=1.0) for n in range(8)]
    stored = store(tmp_path, calls)
    reviews.add(tmp_path, review("c00005", "greets", "no"))
    days = Corrected(tmp_path).table("agents")
    assert days.drop_columns(["rubrics", "criteria"]) == stored.table("agents").drop_columns(
        ["rubrics", "criteria"]
    )
    of_day = {(row["agent_id"], row["date"]): row for row in days.to_pylist()}
    (entry,) = of_day["A1", "2025-02-19"]["rubrics"]
    assert (entry["score"], entry["scores"], entry["corrected"]) == (0.75, [0.5, 1.0], 1)
    greets = of_day["A1", "2025-02-19"]["criteria"][0]
    assert (greets["yes"], greets["no"]) == (1, 1)
    (other,) = of_day["A1", "2025-02-18"]["rubrics"]
    assert (other["score"], other["corrected"]) == (1.0, 0)


def test_what_cannot_be_trusted_is_shown_and_not_counted(tmp_path: Path) -> None:
    store(tmp_path, [result(source(n), score=1.0) for n in range(2)])
    reviews.add(tmp_path, review(answer="no"))
    counted = Corrected(tmp_path, [("pec", "greets")])
    (first, second) = (call["scores"][0] for call in counted.table("calls").to_pylist())
    assert (first["score"], first["counted"]) == (1.0, 1)
    assert (second["score"], second["counted"]) == (1.0, 1)
    of_greets = [mark for mark in counted.table("marks").to_pylist() if mark["criterion"] == "greets"]
    assert [(mark["answer"], mark["weight"], mark["counts"]) for mark in of_greets] == [
        ("no", 0.0, False),
        ("yes", 0.0, False),
    ]
    (day,) = counted.table("agents").to_pylist()
    assert day["rubrics"][0]["counted"] == 2
    assert {one["criterion"] for one in day["criteria"]} == {"greets", "thanks"}


def test_reviews_of_calls_that_are_gone_change_nothing(tmp_path: Path) -> None:
    stored = store(tmp_path, [result(source(0), score=1.0)])
    reviews.add(tmp_path, review("gone"))
    assert Corrected(tmp_path).table("agents").to_pylist()[0]["rubrics"][0]["score"] == 1.0
    assert Corrected(tmp_path).table("marks", SCHEMAS["marks"].names) == stored.table("marks")


def test_a_call_that_is_stored_under_another_agent_since_keeps_its_reviews(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0, "A1"), score=1.0)])
    reviews.add(tmp_path, review())
    store(tmp_path, [result(source(0, "A2"), score=1.0)])
    (day,) = Corrected(tmp_path).table("agents").to_pylist()
    assert (day["agent_id"], day["rubrics"][0]["score"]) == ("A2", 0.5)


@pytest.mark.parametrize("untrusted", [[], [("pec", "greets")]])
def test_it_is_the_same_whichever_columns_are_read(tmp_path: Path, untrusted: list[tuple[str, str]]) -> None:
    store(tmp_path, [result(source(n, f"A{n % 2}"), score=1.0) for n in range(4)])
    reviews.add(tmp_path, review())
    counted = Corrected(tmp_path, untrusted)
    for dataset in ("calls", "marks", "agents"):
        whole = counted.table(dataset)
        for name in whole.column_names:
            assert counted.table(dataset, [name])[name] == whole[name], (dataset, name)


def test_a_list_of_calls_that_was_lost_is_no_matter(tmp_path: Path) -> None:
    store(tmp_path, [result(source(0), score=1.0)])
    reviews.add(tmp_path, review())
    (tmp_path / ".wellheard" / "whereabouts.json").unlink()
    (day,) = Corrected(tmp_path).table("agents").to_pylist()
    assert day["rubrics"][0]["corrected"] == 1
