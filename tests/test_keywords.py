"""The keyword baseline: what counting words makes of a call."""

import pytest
from dialogues import dialogue

from wellheard.pipeline.records import CallInfo
from wellheard.rubrics.loader import BUILT_IN, load
from wellheard.training import keywords
from wellheard.training.keywords import answer

INFO = CallInfo(call_id="c1", company="Harbour Gas", agent_name="Nadia Okoro")


def said(*turns, language="en"):
    """A call from "agent hello" and the like."""
    lines = []
    for i, turn in enumerate(turns):
        speaker, text = turn.split(" ", 1)
        lines.append(f"{speaker} {2 * i}-{2 * i + 1} {text}")
    return dialogue(*lines, language=language)


def marked(criterion, *turns, language="en", info=INFO):
    return answer(criterion, said(*turns, language=language), info)


def test_every_criterion_has_words_in_every_language():
    names = [f"{rubric.id}.{criterion.id}" for rubric in map(load, BUILT_IN) for criterion in rubric.criteria]
    assert sorted(keywords.shipped()) == sorted(names)
    for name, criterion in keywords.shipped().items():
        assert sorted(criterion.lists) == ["en", "pl", "ro", "ru"], name
        for lists in criterion.lists.values():
            assert lists.words or lists.against, name


def test_without_its_occasion_a_criterion_is_not_asked():
    assert marked("pec.empathy", "customer I want to order a boiler", "agent I can imagine") == "na"


def test_a_word_makes_a_yes_and_its_absence_a_no():
    worried = "customer I am worried, it is freezing here"
    assert marked("pec.empathy", worried, "agent I can imagine, in this cold!") == "yes"
    assert marked("pec.empathy", worried, "agent What is your postcode?") == "no"


def test_only_the_right_party_counts():
    assert marked("pec.empathy", "customer I am worried. I can imagine.", "agent Your postcode?") == "no"
    assert marked("pec.empathy", "agent I am worried", "customer A boiler, please") == "na"


def test_one_word_too_many_makes_a_no_where_a_yes_is_usual():
    assert marked("pec.no_blame", "agent Let me see") == "yes"
    assert marked("pec.no_blame", "agent You should have read the letter") == "no"


def test_both_halves_are_needed_where_two_are_asked():
    assert marked("script.closing", "agent Is there anything else? Thank you for calling") == "yes"
    assert marked("script.closing", "agent Is there anything else?", "customer No, thank you") == "no"


def test_where_a_word_is_said_counts():
    early = ["agent Thank you! Anything else?", *["customer Yes", "agent Right"] * 4]
    assert marked("script.closing", *early) == "no"
    late = [*["agent Right", "customer Yes"] * 2, "agent Harbour Gas, good morning"]
    assert marked("script.greeting", *late) == "no"
    assert marked("script.greeting", "other You may be recorded", "agent Harbour Gas, good morning") == "yes"


def test_the_names_that_the_telephone_system_gives_are_words():
    assert marked("script.agent_intro", "agent Harbour Gas, Nadia, hello") == "yes"
    unknown = CallInfo(call_id="c1")
    assert marked("script.agent_intro", "agent Harbour Gas, Nadia, hello", info=unknown) == "no"
    assert marked("script.greeting", "agent Harbour Gas, hello", info=unknown) == "no"


def test_a_time_a_vague_time_and_none():
    assert marked("resolution.timeline", "agent You have it within two hours") == "yes"
    assert marked("resolution.timeline", "agent You have it soon") == "no"
    assert marked("resolution.timeline", "agent The shop is in Hill Street") == "na"


def test_words_are_whole_unless_they_end_in_a_star():
    assert marked("script.recording_notice", "agent This call is recorded") == "yes"
    assert marked("resolution.timeline", "agent Todays paper has it") == "na"
    assert marked("pec.empathy", "customer So frustrating!", "agent Your postcode?") == "no"


def test_case_punctuation_and_ways_to_write_a_letter_do_not_matter():
    assert marked("script.hold_procedure", "agent ONE MOMENT…", "agent Thanks, for waiting!") == "yes"
    assert (
        marked(
            "script.hold_procedure", "agent Un moment", "agent Vă mulţumesc că aţi aşteptat", language="ro"
        )
        == "yes"
    )
    assert (
        marked("resolution.root_cause", "customer Всё сломалось", "agent Из-за аварии", language="ru")
        == "yes"
    )
    assert marked("resolution.no_repeat", "customer I’ve already said so") == "no"


@pytest.mark.parametrize(
    ("language", "notice"),
    [
        ("en", "Calls are recorded"),
        ("ru", "Разговор записывается"),
        ("pl", "Rozmowa jest nagrywana"),
        ("ro", "Convorbirea este înregistrată"),
    ],
)
def test_each_language_has_its_own_words(language, notice):
    assert marked("script.recording_notice", f"other {notice}", language=language) == "yes"
    assert marked("script.recording_notice", "agent Hm", language=language) == "no"


def test_without_a_list_there_is_no_answer():
    assert marked("house.own_criterion", "agent Hello") is None
    assert marked("pec.empathy", "agent Hallo", language="de") is None
