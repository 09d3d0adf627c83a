"""`wellheard rubric rehearse`: stored calls and labelled calls under a new rubric. Acts are given by hand."""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import stub_calls
from conftest import ROOT
from spoken_lines import Tagged, tagged

from wellheard.models.act_tagger import Names
from wellheard.models.act_tagger import Tagged as LogOdds
from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.morning.rehearse import Rehearsal, rehearse
from wellheard.pipeline.morning.stored import StoredCall, StoredCalls
from wellheard.pipeline.records import Acts, CallResult, Mark, Sound, Span, TurnInput
from wellheard.pipeline.score import score
from wellheard.pipeline.settings import Score
from wellheard.pipeline.store import Results
from wellheard.rubrics.loader import Rubric, for_training, load
from wellheard.training import labelled
from wellheard.training import rehearse as labels
from wellheard.views import rehearsal as view
from wellheard.views.screen import screen

OLD = """\
id: house
version: 1.0
title: House rules
languages: [en]
criteria:
  - id: greets
    title: Greets
    means: the agent greets
    not_asked: never
    judge: rules
    rule:
      yes_when: {act: greet, where: opening}
  - id: lets_go
    title: Lets go
    means: the agent lets an offer go
    not_asked: no offer
    critical: true
    judge: rules
    rule:
      asked_when: {act: offer}
      yes_when: {act: let_go}
  - id: thanks
    title: Thanks
    means: the agent thanks
    not_asked: never
    judge: rules
    rule:
      yes_when: {act: thank}
"""
# Stricter on greetings, milder on offers; thanks are gone, a farewell has come.
NEW = (
    OLD.replace("1.0", "1.1")
    .replace("yes_when: {act: greet, where: opening}", "yes_when: {act: greet, needs: 0.7, where: opening}")
    .replace("asked_when: {act: offer}", "asked_when: {act: push}")
    .replace("id: thanks", "id: farewell")
    .replace("{act: thank}", "{act: farewell}")
)
WELL = tagged(
    "agent: Hello, Brightline. [greet, company]",
    "customer: I need a lamp. [matter]",
    "agent: Here you are, thank you. [solve, thank]",
)
SO_SO = tagged("agent: Yes? [greet 0.6]", "customer: A lamp. [matter]", "agent: Fancy two? [offer]")
BADLY = tagged(
    "agent: Yes?",
    "customer: A lamp. [matter]",
    "agent: Take two, you must. [offer, push]",
    "customer: No. [decline]",
)


def rubric(folder: Path, text: str) -> Rubric:
    (folder / "house.yaml").write_text(text, "utf-8")
    return load(str(folder / "house.yaml"))


def unasked(texts: Sequence[str]) -> np.ndarray:
    """A sentence encoder that nothing may ask, as the rubric has no acts of its own."""
    raise AssertionError(f"asked for {len(texts)} sentences")


def scored(
    number: int,
    spoken: Tagged,
    rubrics: Sequence[Rubric],
    agent_id: str = "A1",
    encoder: object = unasked,
    info: dict[str, object] | None = None,
    **changed: object,
) -> CallResult:
    """The result of scoring a call, as a night would store it."""
    conversation = msgspec.structs.replace(spoken.conversation, **changed)
    of = stub_calls.source(number, agent_id, **{"language": "en", **(info or {})})
    card = score(
        conversation, spoken.heard, of.info, spoken.acts, rubrics, encoder, Score(), language_model=None
    )
    return msgspec.structs.replace(
        stub_calls.result(of, turns=len(conversation.turns)),
        duration_s=conversation.duration_s,
        notes=(*of.info.notes, *conversation.notes),
        conversation=conversation,
        heard=spoken.heard,
        acts=spoken.acts,
        scorecard=card,
    )


def stored(folder: Path, results: Iterable[CallResult]) -> Results:
    found = Results(folder / "results")
    with found.writer(ZoneInfo("Europe/Warsaw"), print) as writer:
        for result in results:
            writer.add(result)
    return found


def rehearsed(results: Results, new: Rubric) -> Rehearsal:
    return rehearse(StoredCalls(results, new.id), new, unasked, Score(), None, lambda _: None)


def page(*shown: object, width: int = 100) -> list[str]:
    text = io.StringIO()
    console = screen(text)
    console.width = width
    view.show(console, *shown)
    return text.getvalue().splitlines()


# Stored calls come back as they were


def test_a_stored_call_comes_back_record_by_record(tmp_path: Path):
    of = stub_calls.source(
        7,
        "agent 007/ü",
        agent_name="Anna",
        team="blue",
        region="north",
        customer_segment="gold",
        direction="inbound",
        language="en",
        agent_channel=1,
        company="Brightline",
        extra={"customer_name": "Cole", "queue": "1"},
    )
    result = stub_calls.result(of, "no", turns=12)
    result = msgspec.structs.replace(
        result,
        heard=msgspec.structs.replace(result.heard, sounds=(Sound(start_s=1.0, end_s=2.0, kind="dog"),)),
        conversation=msgspec.structs.replace(
            result.conversation,
            unheard=("customer",),
            not_understood=(Span(start_s=50.0, end_s=52.0),),
            notes=("one party was not recorded",),
        ),
    )
    other = stub_calls.result(stub_calls.source(8))
    calls = StoredCalls(stored(tmp_path, [result, other]), "pec")
    assert len(calls) == 2
    (call,) = (call for call in calls if call.info.call_id == "c00007")
    assert call == StoredCall(
        date="2025-02-19",
        info=result.info,
        conversation=result.conversation,
        heard=result.heard,
        acts=result.acts,
        marks=result.scorecard.marks,
        score=0.5,
    )
    assert call.info.started_at.isoformat() == "2025-02-19T06:07:00+01:00"


def test_what_is_not_known_comes_back_as_not_known(tmp_path: Path):
    result = stub_calls.result(stub_calls.source(1, started_at=None), score=None)
    result = msgspec.structs.replace(result, acts=Acts(turns=({},) * 4, answers={}), notes=())
    (call,) = StoredCalls(stored(tmp_path, [result]), "pec")
    assert (call.info, call.acts, call.score) == (result.info, result.acts, None)
    (call,) = StoredCalls(Results(tmp_path / "results"), "script")
    assert (call.marks, call.score) == ((), None)


def by_criterion(marks: Iterable[Mark]) -> dict[tuple[str, str], Mark]:
    return {(mark.rubric, mark.criterion): mark for mark in marks}


def test_the_same_rubric_gives_exactly_the_marks_that_were_stored(tmp_path: Path):
    rubrics = [
        msgspec.structs.replace(
            own, criteria=tuple(msgspec.structs.replace(c, judge="rules") for c in own.criteria)
        )
        for own in for_training()
    ]
    waiting = tagged(
        "agent: Hello, Anna here. [greet 0.93, own_name]",
        "customer: Cole, 4 1 1 1 2, it broke and I am alone. [give_id, matter, feeling 0.71]",
        "agent: One moment, please. [announce_wait]",
        "[30 s]",
        "agent: Thanks, Ms Cole, I see it. [after_wait, use_name, disclose, empathise 0.44]",
        "customer: Good. [accept]",
    )
    dog = tagged("agent: Yes?", "customer: A lamp. [cue]", "agent: Fine.")
    dog = dog._replace(
        heard=msgspec.structs.replace(dog.heard, sounds=(Sound(start_s=0.0, end_s=9.0, kind="dog"),))
    )
    results = [
        scored(1, WELL, rubrics),
        scored(2, waiting, rubrics, info={"extra": {"customer_name": "Cole"}, "agent_name": "Anna"}),
        scored(3, waiting, rubrics, info={"language": None}, language_probability=0.4),
        scored(4, waiting, rubrics, "A2", role_confidence=0.6),
        scored(5, BADLY, rubrics, "A2", unheard=("customer",)),
        scored(6, BADLY, rubrics, info={"notes": ("incomplete: the file promises more",)}),
        scored(7, SO_SO, rubrics, notes=("cut off at the end",)),
        scored(8, SO_SO, rubrics, not_understood=(Span(start_s=0.0, end_s=60.0),)),
        scored(9, dog, rubrics),
    ]
    folder = stored(tmp_path, results)
    answers = set()
    for own in rubrics:
        calls = {call.info.call_id: call for call in StoredCalls(folder, own.id)}
        assert len(calls) == len(results)
        for call in calls.values():
            card = score(call.conversation, call.heard, call.info, call.acts, [own], unasked, Score(), None)
            assert by_criterion(card.marks) == by_criterion(call.marks)
            assert card.scores[own.id] == call.score
            answers |= {mark.answer for mark in card.marks}
        assert not [call.info.call_id for call in calls.values() if not call.marks]
    assert answers == {"yes", "no", "na", "unsure"}


def bag_of_words(texts: Sequence[str]) -> np.ndarray:
    """An encoder for which texts are near that share words."""
    vectors = np.full((len(texts), 384), 1e-3, dtype=np.float32)
    for vector, text in zip(vectors, texts, strict=True):
        for word in text.split():
            vector[int(hashlib.sha256(word.encode()).hexdigest(), 16) % 384] += 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_acts_of_ones_own_are_recognised_anew_in_the_stored_words(tmp_path: Path):
    like = "".join(f"      - fancy a fridge magnet number {number}\n" for number in range(10))
    own = rubric(
        tmp_path,
        OLD.replace("{act: thank}", "{act: magnet}")
        + f"acts:\n  magnet:\n    by: agent\n    called: a magnet\n    like:\n{like}    unlike:\n"
        + like.replace("fancy a", "no such"),
    )
    spoken = tagged("agent: Fancy a fridge magnet?", "customer: Fancy a fridge magnet?")
    results = stored(
        tmp_path,
        [scored(1, spoken, [own], encoder=bag_of_words), scored(2, WELL, [own], encoder=bag_of_words)],
    )
    found = rehearse(StoredCalls(results, "house"), own, bag_of_words, Score(), None, lambda _: None)
    assert [call.moved for call in found.calls] == [(), ()]
    answers = [{pair.criterion: pair.new for pair in call.pairs}["thanks"] for call in found.calls]
    assert answers == ["yes", "no"]


def test_thousands_of_calls_are_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("wellheard.pipeline.morning.stored._READ_AT_ONCE", 3)
    sources = [stub_calls.source(i, f"A{i % 4}", f"2025-02-{10 + i % 3}") for i in range(11)]
    calls = [*StoredCalls(stored(tmp_path, map(stub_calls.result, sources)), "pec")]
    assert sorted(call.info.call_id for call in calls) == [f"c{i:05}" for i in range(11)]
    assert all(len(call.marks) == 2 and len(call.conversation.turns) == 4 for call in calls)


def test_a_folder_without_results_is_refused(tmp_path: Path):
    with pytest.raises(NoResults):
        StoredCalls(Results(tmp_path / "nothing"), "house")


# What moves


@pytest.fixture
def night(tmp_path: Path) -> Results:
    """Three kinds of calls, by two agents, of whom A1 has ten."""
    old = rubric(tmp_path, OLD)
    calls = [scored(i, (WELL, SO_SO)[i % 2], [old]) for i in range(10)]
    return stored(tmp_path, [*calls, scored(10, BADLY, [old], "A2")])


def test_moved_marks_are_one_row_each(tmp_path: Path, night: Results):
    rows = view.rows(rehearsed(night, rubric(tmp_path, NEW))).to_pylist()
    moves = [(row["call_id"], row["criterion"], row["old"], row["new"]) for row in rows]
    so_so = [f"c{i:05}" for i in range(1, 10, 2)]
    assert [move for move in moves if move[1] == "greets"] == [
        (name, "greets", "yes", "no") for name in so_so
    ]
    assert [move for move in moves if move[1] == "lets_go"] == [
        (name, "lets_go", "no", "na") for name in so_so
    ]
    assert len(moves) == 10
    assert rows[0] == {
        "call_id": "c00001",
        "agent_id": "A1",
        "date": "2025-02-19",
        "rubric": "house",
        "criterion": "greets",
        "old": "yes",
        "new": "no",
        "label": None,
        "old_confidence": 0.6,
        "new_confidence": rows[0]["new_confidence"],
        "old_version": "1.0",
        "new_version": "1.1",
    }


def test_people_see_criteria_calls_and_agents_that_move(tmp_path: Path, night: Results):
    lines = page(rehearsed(night, rubric(tmp_path, NEW)))
    text = "\n".join(lines)
    assert lines[0] == "house 1.1 against marks of version 1.0"
    assert lines[1] == "10 of 22 marks would move, in 5 of 11 calls."
    assert "Calls with a critical no: 6, now 1." in text
    assert "Nothing was stored." in text
    table = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert table["greets"][:3] == ["11", "5", "5"]
    assert table["lets_go"][:3] == ["11", "5", "5"]
    assert table["farewell"] == ["11"]
    assert table["thanks:"] == ["gone"]
    assert "c00001" in table
    assert "c00000" in table  # thanks no longer counts there, a farewell does
    assert table["A1"][0] == "10"
    assert "A2" not in {line.split()[0] for line in lines[lines.index("Agents") :] if line}
    assert "Mean scores of agents with 10 or more calls that have a score: 1 of 2 agents." in text


def test_a_rubric_that_only_has_another_version_moves_nothing(tmp_path: Path, night: Results):
    found = rehearsed(night, rubric(tmp_path, OLD.replace("1.0", "2.0")))
    assert view.rows(found).num_rows == 0
    lines = page(found)
    assert lines[0] == "house 2.0 against marks of version 1.0"
    assert "0 of 33 marks would move, in 0 of 11 calls." in lines
    assert not {"Marks that move", "Calls that move most", "Agents"} & set(lines)


def test_a_changed_rubric_of_the_same_version_is_told_of(tmp_path: Path, night: Results):
    said = "The stored marks have the same version: raise `version` before you use this."
    assert said in page(rehearsed(night, rubric(tmp_path, NEW.replace("1.1", "1.0"))))
    assert said not in page(rehearsed(night, rubric(tmp_path, OLD)))


def test_other_weights_move_scores_but_no_marks(tmp_path: Path, night: Results):
    heavier = OLD.replace("    critical: true\n", "    weight: 3\n")
    found = rehearsed(night, rubric(tmp_path, heavier))
    assert view.rows(found).num_rows == 0
    lines = page(found)
    assert "lets_go: weight 1, now 3" in lines
    assert "lets_go: no longer critical" in lines
    assert "Calls that move most" in lines
    assert "Calls with a critical no: 6, now 0." in lines


def test_rehearsing_changes_nothing_in_the_results(tmp_path: Path, night: Results):
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted(night.folder.rglob("*")) if path.is_file()}

    before = content()
    rehearsed(night, rubric(tmp_path, NEW))
    assert content() == before


def test_calls_that_cannot_be_compared_are_counted(tmp_path: Path):
    old = rubric(tmp_path, OLD)
    foreign = msgspec.structs.replace(old, languages=("en", "pl"))
    other = msgspec.structs.replace(old, id="other")
    results = stored(
        tmp_path,
        [
            scored(1, WELL, [old]),
            scored(2, WELL, [foreign], language="pl"),
            scored(3, WELL, [other]),
            scored(4, WELL, [old], "A2"),
        ],
    )
    (early,) = results.folder.glob("calls/agent_id=A2/*/*.parquet")
    table = pq.read_table(early, partitioning=None)
    pq.write_table(table.drop_columns(["answers", "sounds"]), early)
    found = rehearsed(results, rubric(tmp_path, NEW))
    assert [call.call_id for call in found.calls] == ["c00001"]
    assert [call.call_id for call in found.never_scored] == ["c00003"]
    assert (found.without_acts, found.other_language) == (("c00004",), ("c00002",))
    lines = page(found)
    assert "1 call not scored with this rubric before." in lines
    assert "1 call left out: the rubric is not for the call's language." in lines
    assert "1 call left out: stored by an early version without acts; score again." in lines


def test_a_rubric_that_nothing_was_scored_with_shows_how_its_marks_fall(tmp_path: Path, night: Results):
    found = rehearsed(night, rubric(tmp_path, OLD.replace("id: house", "id: fresh")))
    assert not found.calls
    table = {line.split()[0]: line.split()[1:] for line in page(found) if line}
    assert table["greets"] == ["10", "1"]


def test_each_part_fits_a_terminal(tmp_path: Path):
    criteria = "".join(
        OLD[OLD.index("  - id: greets") : OLD.index("  - id: lets_go")].replace("greets", f"greets_{i}")
        for i in range(30)
    )
    head = OLD[: OLD.index("  - id: greets")]
    old = rubric(tmp_path, head + criteria + OLD[OLD.index("  - id: lets_go") :])
    calls = [scored(i, (WELL, SO_SO)[i % 2], [old], f"agent-{i % 17}-of-a-long-name") for i in range(170)]
    renamed = "".join(criteria.replace("greets_", f"new_{i}_") for i in range(2))
    new = rubric(
        tmp_path, head.replace("1.0", "1.1") + criteria.replace("act: greet,", "act: offer,") + renamed
    )
    found = rehearsed(stored(tmp_path, calls), new)
    for width in (80, 100):
        lines = page(found, width=width)
        assert all(len(line) <= width for line in lines)
        parts = "\n".join(lines).split("\n\n")
        assert len(parts) == 6
        assert all(len(part.splitlines()) <= 20 for part in parts)
        assert sum("… and " in part for part in parts) == 4


def test_the_command_gives_out_the_moved_marks(tmp_path: Path, night: Results):
    rubric(tmp_path, NEW)

    def wellheard(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, ROOT / "cli.py", "rubric", "rehearse", tmp_path / "house.yaml", *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)

    ran = wellheard("--results", night.folder, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert len(json.loads(ran.stdout)) == 10
    calls = ROOT / "data" / "labelled" / "en_e.jsonl"
    settings = tmp_path / "wellheard.toml"
    settings.write_text("[score]\nrubrics = []\n", "utf-8")
    ran = wellheard("--results", night.folder, "--labels", calls, "--settings", settings)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert "The settings name no rubric house" in line


# Labelled calls


class Tagger:
    """Finds a greeting, an offer and a thank-you by a word each; counts the calls that it is asked for."""

    names = Names(acts=("greet", "offer", "thank"), facts=(), criteria=())

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, turns: Sequence[TurnInput]) -> LogOdds:
        self.asked += 1
        sure = {"hello": 4.0, "hi": 0.5, "fancy": 4.0, "thank": 4.0}
        words = (("hello", "hi"), ("fancy",), ("thank",))
        return LogOdds(
            acts=tuple(
                tuple(max(sure[word] if word in turn.text else -4.0 for word in own) for own in words)
                for turn in turns
            ),
            answers=(),
        )


@pytest.fixture
def judged(tmp_path: Path) -> tuple[labels.LabelledPair, ...]:
    lines = [
        {
            "call_id": name,
            "language": language,
            "turns": [{"speaker": "agent", "text": text}, {"speaker": "customer", "text": "yes"}],
            "marks": {f"house.{criterion}": {"answer": answer} for criterion, answer in marks.items()},
        }
        for name, language, text, marks in (
            ("breaks", "en", "hi", {"greets": "yes"}),
            ("mends", "en", "hi again", {"greets": "no", "thanks": "no"}),
            ("stays", "en", "hello fancy", {"greets": "yes", "lets_go": "yes"}),
            ("foreign", "pl", "hi", {"greets": "yes"}),
        )
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    old, new = rubric(tmp_path, OLD), rubric(tmp_path, NEW)
    criteria = [f"house.{criterion.id}" for own in (old, new) for criterion in own.criteria]
    tagger = Tagger()
    found = labels.rehearse(
        labelled.read(path, criteria), old, new, tagger, unasked, Score(), None, lambda _: None
    )
    assert tagger.asked == 3  # once a call, though both rubrics judge it
    return found


def test_labelled_calls_that_break_or_mend_are_told_apart(judged: tuple[labels.LabelledPair, ...]):
    assert [(pair.call_id, pair.criterion) for pair in judged if pair.breaks] == [("breaks", "greets")]
    assert [(pair.call_id, pair.criterion) for pair in judged if pair.mends] == [("mends", "greets")]
    still = [(pair.call_id, pair.criterion, pair.old, pair.new) for pair in judged if pair.old == pair.new]
    assert still == [("stays", "greets", "yes", "yes")]
    # Wrong before and wrong now is neither; a criterion that is gone has no answer now.
    assert ("stays", "lets_go", "no", "na") in [(p.call_id, p.criterion, p.old, p.new) for p in judged]
    assert "thanks" not in {pair.criterion for pair in judged}


def test_labelled_calls_are_shown_by_criterion_and_given_out_with_their_label(
    tmp_path: Path, night: Results, judged: tuple[labels.LabelledPair, ...]
):
    found = rehearsed(night, rubric(tmp_path, NEW))
    lines = page(found, judged)
    part = lines[lines.index("Labelled calls") :]
    assert part[2].split() == ["greets", "1", "breaks", "1", "mends"]
    assert part[-1] == "4 labels of 3 calls: 2 were right, 2 are right now."
    rows = [row for row in view.rows(found, judged).to_pylist() if row["label"]]
    assert [(row["call_id"], row["agent_id"], row["label"], row["new"]) for row in rows] == [
        ("breaks", None, "yes", "no"),
        ("mends", None, "no", "no"),
        ("stays", None, "yes", "na"),
    ]


def test_labels_that_nothing_becomes_of_say_so(tmp_path: Path, night: Results):
    assert (
        page(rehearsed(night, rubric(tmp_path, OLD)), ())[-1]
        == "0 labels of 0 calls: 0 were right, 0 are right now."
    )
