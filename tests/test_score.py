"""Scores, and when a mark is unsure rather than a guess."""

from pathlib import Path

import msgspec
import pytest
from spoken_lines import call

from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline.errors import BadRubric, UnknownLanguage
from wellheard.pipeline.records import CallInfo, Conversation, Heard, Mark, Scorecard
from wellheard.pipeline.score import score, share_of_yes
from wellheard.pipeline.settings import Score
from wellheard.rubrics.loader import BUILT_IN, load

INFO = CallInfo(call_id="1", agent_name="Anna Bell", company="Brightline", language="en")
LINES = (
    "agent: Good morning, thank you for calling Brightline, my name is Anna. How can I help you?",
    "customer: You charged me twice. I haven't slept all night because of it, "
    "I'm stuck here without any money and I'm really worried.",
    "agent: I've refunded the money.",
    "customer: Okay.",
    "agent: Goodbye.",
)


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


def scored(
    encoder: SentenceEncoder, *, info: CallInfo = INFO, settings: Score | None = None, **changed: object
) -> Scorecard:
    conversation, heard = call(*LINES)
    conversation = msgspec.structs.replace(conversation, **changed)
    return score(
        conversation, heard, info, [load(n) for n in BUILT_IN], encoder, settings or Score(unsure_below=0.0)
    )


def by_name(card: Scorecard) -> dict[str, Mark]:
    return {f"{mark.rubric}.{mark.criterion}": mark for mark in card.marks}


def mark(answer: str, weight: float = 1.0) -> Mark:
    return msgspec.convert(
        {
            "rubric": "house",
            "rubric_version": "1.0",
            "criterion": "greets",
            "answer": answer,
            "confidence": 0.9,
            "weight": weight,
            "critical": False,
            "reason": "",
            "evidence": [],
            "judge": "rules",
            "judge_version": "1",
        },
        Mark,
    )


def test_the_score_is_the_weight_of_yes_over_yes_and_no():
    assert share_of_yes([mark("yes", 3), mark("no", 1), mark("na", 5), mark("unsure", 5)]) == 0.75


@pytest.mark.parametrize("answer", ["na", "unsure"])
def test_where_nothing_counts_there_is_no_score(answer: str):
    assert share_of_yes([mark(answer), mark(answer)]) is None
    assert share_of_yes([]) is None
    assert share_of_yes([mark("no", 0)]) is None


def test_a_mark_says_what_when_and_who_judged(encoder: SentenceEncoder):
    marks = by_name(scored(encoder))
    assert len(marks) == 24
    greeting = marks["script.greeting"]
    assert greeting.answer == "yes"
    assert "a greeting at 0:00" in greeting.reason
    assert [(evidence.speaker, evidence.start_s) for evidence in greeting.evidence] == [("agent", 0.0)]
    assert (greeting.judge, greeting.rubric_version) == ("rules", "1.0")
    assert all(0 <= mark.confidence <= 1 for mark in marks.values())


def test_a_no_shows_the_turn_that_called_for_it(encoder: SentenceEncoder):
    empathy = by_name(scored(encoder))["pec.empathy"]
    assert empathy.answer == "no"
    assert "worried" in empathy.evidence[0].quote
    assert "but not words of empathy" in empathy.reason


def test_marks_below_the_bar_are_unsure(encoder: SentenceEncoder):
    for answer in scored(encoder, settings=Score(unsure_below=0.8)).marks:
        assert (answer.answer == "unsure") == (answer.confidence < 0.8)


def test_who_is_who_in_doubt_makes_all_marks_unsure(encoder: SentenceEncoder):
    card = scored(encoder, role_confidence=0.6)
    assert {mark.answer for mark in card.marks} == {"unsure"}
    assert set(card.scores.values()) == {None}


def test_a_guessed_language_makes_all_marks_unsure_a_given_one_none(encoder: SentenceEncoder):
    guessed = scored(encoder, language_probability=0.42, info=msgspec.structs.replace(INFO, language=None))
    assert {mark.answer for mark in guessed.marks} == {"unsure"}
    assert "unsure" not in {mark.answer for mark in scored(encoder, language_probability=0.42).marks}


def test_a_customer_who_was_not_recorded_is_never_held_against_the_agent(encoder: SentenceEncoder):
    marks = by_name(scored(encoder, unheard=("customer",)))
    assert marks["script.greeting"].answer == "yes"
    needs_customer = (
        "pec.empathy",
        "pec.cue_response",
        "resolution.resolved",
        "resolution.confirmation",
        "pec.listening",
    )
    assert {marks[name].answer for name in needs_customer} == {"unsure"}


def test_an_agent_who_was_not_recorded_gets_no_answer(encoder: SentenceEncoder):
    assert {mark.answer for mark in scored(encoder, unheard=("agent",)).marks} == {"unsure"}


def test_what_the_lost_end_may_have_held_is_unsure_not_no(encoder: SentenceEncoder):
    whole = by_name(scored(encoder))
    cut = by_name(scored(encoder, notes=("incomplete: 4.5 of 6.4 seconds heard",)))
    assert whole["script.closing"].answer == "no"
    assert cut["script.closing"].answer == "unsure"
    assert cut["script.greeting"].answer == cut["script.agent_intro"].answer == "yes"
    assert all(cut[name].answer in (whole[name].answer, "unsure") for name in whole)


def test_a_language_without_wording_is_refused_by_name(encoder: SentenceEncoder):
    with pytest.raises(UnknownLanguage, match="no wording for the language 'de'"):
        scored(encoder, language="de")


def test_two_rubrics_of_one_name_are_refused(encoder: SentenceEncoder):
    conversation, heard = call(*LINES)
    with pytest.raises(BadRubric, match="Two rubrics are called pec"):
        score(conversation, heard, INFO, [load("pec"), load("pec")], encoder, Score())


def test_a_call_of_one_word_and_a_call_without_any_are_scored(encoder: SentenceEncoder):
    rubrics = [load(name) for name in BUILT_IN]
    conversation, heard = call("customer: Hello?")
    assert len(score(conversation, heard, INFO, rubrics, encoder, Score()).marks) == 24
    empty = Conversation(
        language="en", language_probability=1.0, duration_s=5.0, turns=(), role_confidence=1.0
    )
    silent = Heard(waiting_s=5.0, parties=(), silences=(), holds=(), interruptions=(), overlap_s=0.0)
    assert len(score(empty, silent, INFO, rubrics, encoder, Score()).marks) == 24


def test_a_house_adds_wording_that_is_then_recognised(encoder: SentenceEncoder, tmp_path: Path):
    plain = """\
id: house
version: 1.0
title: House
languages: [en]
criteria:
  - id: no_offer
    title: Offers nothing
    means: nothing is offered
    not_asked: never
    judge: rules
    rule:
      no_when: {sign: offer}
"""
    (tmp_path / "plain.yaml").write_text(plain, "utf-8")
    (tmp_path / "own.yaml").write_text(
        plain + "wording:\n  en:\n    offer:\n      like: [shall i pop a zingo tub on the van for you]\n",
        "utf-8",
    )
    conversation, heard = call("customer: Where is the van?", "agent: Shall I pop a zingo tub on the van?")
    confidence = {}
    for name in ("plain", "own"):
        (answer,) = score(
            conversation, heard, INFO, [load(str(tmp_path / f"{name}.yaml"))], encoder, Score()
        ).marks
        confidence[name] = answer.confidence if answer.answer == "no" else 1 - answer.confidence
    assert confidence["own"] > confidence["plain"]


def test_a_name_that_the_manifest_does_not_tell_is_not_missed_in_the_opening(encoder: SentenceEncoder):
    conversation, heard = call(
        "agent: Thank you for calling Big Jim's Auto. This is Travis. How can I help you today?",
        "customer: Hello, a light is coming on in my car.",
        "agent: Goodbye.",
    )
    nameless = CallInfo(call_id="1", language="en")
    card = score(conversation, heard, nameless, [load("script")], encoder, Score())
    assert by_name(card)["script.agent_intro"].answer == "yes"
    assert by_name(card)["script.greeting"].answer == "yes"
