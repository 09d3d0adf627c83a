"""A mark that rests on words hardly understood is unsure, and says so. Acts are given by hand."""

import msgspec
from spoken_lines import tagged
from test_score import LINES, by_name, scored

from wellheard.pipeline.records import Conversation, Span

CONVERSATION = tagged(*LINES).conversation


def with_unsure_words(*numbers: int, probability: float = 0.4) -> Conversation:
    """The call, with these turns hardly understood."""
    turns = [
        msgspec.structs.replace(
            turn,
            words=tuple(msgspec.structs.replace(word, probability=probability) for word in turn.words),
        )
        if number in numbers
        else turn
        for number, turn in enumerate(CONVERSATION.turns)
    ]
    return msgspec.structs.replace(CONVERSATION, turns=tuple(turns))


def marks(conversation: Conversation):
    _, heard, acts = tagged(*LINES)
    return by_name(scored(tagged(*LINES)._replace(conversation=conversation, heard=heard, acts=acts)))


def test_words_that_prove_a_yes_must_be_understood():
    assert marks(CONVERSATION)["script.greeting"].answer == "yes"
    greeting = marks(with_unsure_words(0))["script.greeting"]
    assert (greeting.answer, greeting.leaning) == ("unsure", "yes")
    assert greeting.reason.startswith("The words at 0:00 are too unsure to say yes. There is the company")
    assert greeting.evidence, "what was heard is still shown"


def test_words_of_half_a_probability_are_enough():
    assert marks(with_unsure_words(0, probability=0.55))["script.greeting"].answer == "yes"


def test_what_is_hardly_understood_elsewhere_does_not_matter():
    assert marks(with_unsure_words(1, 2, 3))["script.greeting"].answer == "yes"


def test_something_missed_must_not_be_looked_for_in_words_that_nobody_understood():
    assert marks(CONVERSATION)["pec.empathy"].answer == "no"
    empathy = marks(with_unsure_words(0, 1, 2, 3, 4))["pec.empathy"]
    assert (empathy.answer, empathy.leaning) == ("unsure", "no")
    assert "the words are too unsure to say no" in empathy.reason
    assert empathy.absence is not None
    assert empathy.absence.intelligible == 0.4


def test_something_missed_may_lie_in_speech_without_a_word():
    """Case 33: what was not understood is no proof that nothing was said."""
    refund = CONVERSATION.turns[2]
    lost = Span(start_s=refund.end_s, end_s=refund.end_s + 2)
    empathy = marks(msgspec.structs.replace(CONVERSATION, not_understood=(lost,)))["pec.empathy"]
    assert (empathy.answer, empathy.leaning) == ("unsure", "no")
    assert "2 s of speech were not understood: too much to say no" in empathy.reason


def test_a_sound_that_was_not_understood_makes_no_doubt():
    lost = Span(start_s=0.0, end_s=0.8)
    assert marks(msgspec.structs.replace(CONVERSATION, not_understood=(lost,)))["pec.empathy"].answer == "no"
