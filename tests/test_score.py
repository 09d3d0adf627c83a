"""Scores, and when a mark is unsure rather than a guess. Acts are given by hand, and no model is needed."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from spoken_lines import Tagged, call, tagged

from wellheard.pipeline.errors import BadRubric, UnknownLanguage
from wellheard.pipeline.records import Acts, CallInfo, Conversation, Heard, Mark, Scorecard
from wellheard.pipeline.score import score, share_of_yes
from wellheard.pipeline.settings import Score
from wellheard.rubrics.judges import JUDGES
from wellheard.rubrics.loader import Rubric, for_training, load

INFO = CallInfo(call_id="1", agent_name="Anna Bell", company="Brightline", language="en")
LINES = (
    "agent: Good morning, Brightline, my name is Anna. [greet, company, own_name]",
    "customer: You charged me twice, I'm stuck here and really worried. [matter, feeling 0.9]",
    "agent: I've refunded the money. [solve, empathise 0.1]",
    "customer: Okay. [accept]",
    "agent: Goodbye. [farewell]",
)


def by_rules(rubric: Rubric) -> Rubric:
    """A built-in rubric that is judged by its rules alone, with nothing trained."""
    criteria = tuple(msgspec.structs.replace(own, judge="rules") for own in rubric.criteria)
    return msgspec.structs.replace(rubric, criteria=criteria)


RUBRICS = [by_rules(rubric) for rubric in for_training()]
PEC, SCRIPT, RESOLUTION = RUBRICS


def unasked(texts: Sequence[str]) -> np.ndarray:
    """A sentence encoder that nothing may ask, as no rubric here has acts of its own."""
    raise AssertionError(f"asked for {len(texts)} sentences")


def scored(
    spoken: Tagged | None = None,
    *,
    info: CallInfo = INFO,
    settings: Score | None = None,
    rubrics: Sequence[Rubric] = RUBRICS,
    **changed: object,
) -> Scorecard:
    conversation, heard, acts = spoken or tagged(*LINES)
    conversation = msgspec.structs.replace(conversation, **changed)
    settings = settings or Score(unsure_below=0.0)
    return score(conversation, heard, info, acts, rubrics, unasked, settings, language_model=None)


def by_name(card: Scorecard) -> dict[str, Mark]:
    return {f"{mark.rubric}.{mark.criterion}": mark for mark in card.marks}


def mark(answer: str, weight: float = 1.0) -> Mark:
    (first, *_) = scored().marks
    return msgspec.structs.replace(first, answer=answer, leaning=answer, weight=weight)


# Scores


def test_the_score_is_the_weight_of_yes_over_yes_and_no():
    assert share_of_yes([mark("yes", 3), mark("no", 1), mark("na", 5), mark("unsure", 5)]) == 0.75


@pytest.mark.parametrize("answer", ["na", "unsure"])
def test_where_nothing_counts_there_is_no_score(answer: str):
    assert share_of_yes([mark(answer), mark(answer)]) is None
    assert share_of_yes([]) is None
    assert share_of_yes([mark("no", 0)]) is None


def test_a_scorecard_has_every_mark_and_the_score_of_each_rubric():
    card = scored()
    assert len(by_name(card)) == len(card.marks) == 24
    assert list(card.scores) == ["pec", "script", "resolution"]
    script = [mark for mark in card.marks if mark.rubric == "script"]
    assert card.scores["script"] == share_of_yes(script)
    assert (card.tokens, card.complete) == (0, True), "no language model was asked"


# Marks


def test_a_mark_says_what_when_and_who_judged():
    greeting = by_name(scored())["script.greeting"]
    assert (greeting.answer, greeting.leaning, greeting.absence) == ("yes", "yes", None)
    assert "a greeting at 0:00" in greeting.reason
    assert [(evidence.speaker, evidence.start_s) for evidence in greeting.evidence] == [("agent", 0.0)]
    assert greeting.evidence[0].quote == "Good morning, Brightline, my name is Anna."
    assert (greeting.judge, greeting.judge_version) == ("rules", JUDGES["rules"].version)
    assert greeting.rubric_version == SCRIPT.version
    assert greeting.confidence == 0.95


def test_a_no_shows_the_turn_that_called_for_it():
    empathy = by_name(scored())["pec.empathy"]
    assert empathy.answer == "no"
    assert "worried" in empathy.evidence[0].quote
    assert "but not words of empathy" in empathy.reason


# Proof of absence


def test_a_no_for_something_not_said_shows_where_it_belonged_and_what_came_nearest():
    conversation, _, _ = tagged(*LINES)
    absence = by_name(scored())["pec.empathy"].absence
    assert absence is not None
    # The agent might have said it in any of their turns, from the first to the last.
    assert (absence.start_s, absence.end_s) == (0.0, conversation.turns[-1].end_s)
    assert [nearest.quote for nearest in absence.nearest] == ["I've refunded the money."]


def test_what_belonged_after_something_is_looked_for_after_it_alone():
    spoken = tagged(
        "agent: Good morning. [greet]",
        "customer: It's a cake for my daughter's birthday. [matter, cue]",
        "agent: The order number please. [ask_id]",
        "customer: Four four seven one.",
        "agent: It comes at six. [solve]",
    )
    absence = by_name(scored(spoken))["pec.cue_response"].absence
    turns = spoken.conversation.turns
    assert absence is not None
    assert (absence.start_s, absence.end_s) == (turns[2].start_s, turns[4].end_s)
    assert absence.nearest == (), "nothing came near"


def test_what_belonged_to_the_beginning_is_looked_for_in_the_opening():
    spoken = tagged("agent: Good morning. [greet]", "customer: Hello.", *["agent: Yes.", "customer: So."] * 4)
    absence = by_name(scored(spoken))["script.agent_intro"].absence
    turns = spoken.conversation.turns
    assert absence is not None
    assert (absence.start_s, absence.end_s) == (turns[0].start_s, turns[2].end_s), (
        "the agent's first two turns"
    )


def test_an_absence_says_how_well_the_stretch_was_understood():
    conversation, heard = call("agent: mumble mumble", "customer: What?", word_probability=0.35)
    acts = Acts(turns=({}, {"feeling": 0.9}), answers={})
    absence = by_name(scored(Tagged(conversation, heard, acts)))["pec.empathy"].absence
    assert absence is not None
    assert absence.intelligible == 0.35


@pytest.mark.parametrize(
    ("criterion", "answer"),
    [("script.greeting", "yes"), ("script.hold_procedure", "na"), ("pec.no_blame", "no")],
)
def test_only_a_no_that_rests_on_something_not_said_has_an_absence(criterion: str, answer: str):
    blamed = tagged(*LINES[:2], "agent: You should have read the contract. [blame]")
    mark = by_name(scored(blamed))[criterion]
    assert (mark.answer, mark.absence) == (answer, None)


# Unsure


def test_marks_below_the_bar_are_unsure_and_say_what_they_lean_to():
    sure = by_name(scored())
    bar = Score(unsure_below=0.93)
    unsure = [mark for mark in scored(settings=bar).marks if mark.answer == "unsure"]
    assert {f"{mark.rubric}.{mark.criterion}" for mark in unsure} >= {"pec.empathy"}
    for mark in scored(settings=bar).marks:
        assert (mark.answer == "unsure") == (mark.confidence < 0.93)
        assert mark.leaning == sure[f"{mark.rubric}.{mark.criterion}"].answer
    empathy = by_name(scored(settings=bar))["pec.empathy"]
    assert empathy.reason.startswith("Not sure enough to say no. There is a feeling")
    assert empathy.evidence == sure["pec.empathy"].evidence


def test_who_is_who_in_doubt_makes_all_marks_unsure():
    card = scored(role_confidence=0.6)
    assert {mark.answer for mark in card.marks} == {"unsure"}
    assert set(card.scores.values()) == {None}


def test_a_guessed_language_makes_all_marks_unsure_a_given_one_none():
    guessed = scored(language_probability=0.42, info=msgspec.structs.replace(INFO, language=None))
    assert {mark.answer for mark in guessed.marks} == {"unsure"}
    assert "unsure" not in {mark.answer for mark in scored(language_probability=0.42).marks}


def test_a_customer_who_was_not_recorded_is_never_held_against_the_agent():
    marks = by_name(scored(unheard=("customer",)))
    assert marks["script.greeting"].answer == "yes"
    needs_customer = (
        "pec.empathy",
        "pec.cue_response",
        "resolution.resolved",
        "resolution.confirmation",
        "pec.listening",
    )
    assert {marks[name].answer for name in needs_customer} == {"unsure"}


def test_an_agent_who_was_not_recorded_gets_no_answer():
    assert {mark.answer for mark in scored(unheard=("agent",)).marks} == {"unsure"}


def test_what_the_lost_end_may_have_held_is_unsure_not_no():
    whole = by_name(scored())
    cut = by_name(scored(notes=("incomplete: 4.5 of 6.4 seconds heard",)))
    assert whole["script.closing"].answer == "no"
    assert (cut["script.closing"].answer, cut["script.closing"].leaning) == ("unsure", "no")
    assert cut["script.greeting"].answer == cut["script.agent_intro"].answer == "yes"
    assert all(cut[name].answer in (whole[name].answer, "unsure") for name in whole)


# What cannot be scored, and what just can


def test_a_language_that_a_rubric_is_not_for_is_refused_by_name():
    english = msgspec.structs.replace(SCRIPT, languages=("en",))
    with pytest.raises(UnknownLanguage, match="script is not for calls in the language 'ru'"):
        scored(rubrics=[english], language="ru")


def test_two_rubrics_of_one_name_are_refused():
    with pytest.raises(BadRubric, match="Two rubrics are called pec"):
        scored(rubrics=[PEC, PEC])


def test_a_call_of_one_word_and_a_call_without_any_are_scored():
    assert len(scored(tagged("customer: Hello?")).marks) == 24
    empty = Conversation(
        language="en", language_probability=1.0, duration_s=5.0, turns=(), role_confidence=1.0
    )
    silent = Heard(waiting_s=5.0, parties=(), silences=(), holds=(), interruptions=(), overlap_s=0.0)
    assert len(scored(Tagged(empty, silent, Acts(turns=(), answers={}))).marks) == 24


# Acts of a house's own (how they are recognised: test_own_acts.py)

OWN = """\
id: house
version: 1.0
title: House
languages: [en]
acts:
  magnet:
    by: agent
    called: a fridge magnet offered
    like: [{like}]
    unlike: [{unlike}]
criteria:
  - id: no_magnet
    title: Offers no magnet
    means: no fridge magnet is offered
    not_asked: never
    judge: rules
    rule:
      no_when: {{act: magnet}}
"""


def by_word(texts: Sequence[str]) -> np.ndarray:
    """Sentences that speak of a magnet point one way, all others another."""
    return np.array([[1.0, 0.0] if "magnet" in text else [0.0, 1.0] for text in texts], np.float32)


def test_a_house_s_own_acts_count_beside_the_built_in_ones(tmp_path: Path):
    like = ", ".join(f"have magnet {number}" for number in range(10))
    unlike = ", ".join(f"have nothing {number}" for number in range(10))
    path = tmp_path / "house.yaml"
    path.write_text(OWN.format(like=like, unlike=unlike), "utf-8")
    conversation, heard, acts = tagged(
        "customer: I'd like a magnet. [matter]", "agent: Take this magnet. [offer]"
    )
    rubrics = [load(str(path)), SCRIPT]
    card = score(conversation, heard, INFO, acts, rubrics, by_word, Score(), language_model=None)
    magnet = by_name(card)["house.no_magnet"]
    assert magnet.answer == "no"
    assert magnet.reason == "There is a fridge magnet offered at 0:02."
    assert [evidence.quote for evidence in magnet.evidence] == ["Take this magnet."], "it is the agent's act"
    assert len(card.marks) == 1 + 8
