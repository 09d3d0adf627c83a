"""Each criterion answered: by its rule from acts given by hand, and as shipped, by what was trained.

The rules' cases show what proves an answer: the turns that begin with ">".
"""

from collections.abc import Sequence
from math import log

import pytest
from spoken_lines import call, tagged

from wellheard.models.act_tagger import ActTagger
from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline import acts
from wellheard.pipeline.records import Acts, CallInfo, Mark
from wellheard.pipeline.score import find, score
from wellheard.pipeline.settings import Score
from wellheard.rubrics.combination import OF_WHOLE_CALL, Combination, Weights, features, rule_hash
from wellheard.rubrics.judges import Verdict, by_rule, by_training
from wellheard.rubrics.loader import BUILT_IN, Criterion, for_training, load

INFO = CallInfo(call_id="1", agent_name="Anna Bell", company="Brightline", language="en")
CRITERIA = {f"{rubric.id}.{own.id}": own for rubric in for_training() for own in rubric.criteria}

Lines = tuple[str, ...]
Cases = dict[str, dict[str, Lines]]


# By rule, from acts given by hand

RULES: Cases = {
    "pec.cue_response": {
        "yes": (
            "customer: It's a cake for my daughter's birthday. [matter, cue]",
            "> agent: How lovely, how old is she turning? [take_up]",
        ),
        "no": (
            "> customer: It's a cake for my daughter's birthday. [matter, cue]",
            "agent: The order number please. [ask_id]",
        ),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "pec.empathy": {
        "yes": (
            "customer: Four days without heating, I'm worried about the baby. [feeling]",
            "> agent: Four days in the cold with a baby, that must be frightening. [empathise]",
        ),
        "no": (
            "> customer: Four days without heating, I'm worried about the baby. [feeling]",
            "agent: Sorry for the inconvenience. [formula]",
        ),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "pec.name_use": {
        "yes": (
            "customer: My name is Robert Miller. [give_id]",
            "> agent: Thank you, Mr Miller. [use_name]",
        ),
        "no": ("> customer: My name is Robert Miller. [give_id]", "agent: And the date of birth? [ask_id]"),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "pec.listening": {
        "yes": (
            "customer: The shoes are too small and we fly on Friday. [matter, fact]",
            "> agent: So you need them in another size before you fly. [restate]",
        ),
        "no": (
            "customer: The shoes are too small and we fly on Friday. [matter, fact]",
            "agent: Order number. [ask_id]",
        ),
    },
    "pec.not_pushy": {
        "yes": (
            "agent: Would you like our protection plan? [offer]",
            "customer: No, thanks. [decline]",
            "agent: No problem. [let_go]",
        ),
        "no": (
            "agent: Would you like our protection plan? [offer]",
            "customer: No, thanks. [decline]",
            "> agent: You really don't want to miss this. [push]",
        ),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "pec.beyond": {
        "yes": (
            "customer: I need to send the kettle back. [matter]",
            "> agent: Keep the box, they will ask for it. [extra]",
        ),
        "no": ("customer: I need to send the kettle back. [matter]", "agent: Here is a label. [solve]"),
    },
    "pec.personal_close": {
        "yes": (
            "customer: I have an exam tomorrow. [cue]",
            "> agent: Good luck with the exam, bye! [personal_wish, farewell]",
        ),
        "no": ("customer: I have an exam tomorrow. [cue]", "> agent: Have a nice day, bye. [farewell]"),
        "na": ("customer: Hello? Can you hear me?", "agent: And the order number? [ask_id]"),
    },
    "pec.no_blame": {
        "yes": ("customer: The jumper shrank. [matter]", "agent: That wasn't your fault. [own_up]"),
        "no": (
            "customer: The jumper shrank. [matter]",
            "> agent: You should have read the label. [blame]",
            "customer: How dare you! [upset]",
            "> agent: Next time read the instructions. [blame]",
        ),
    },
    "script.greeting": {
        "yes": (
            "> agent: Good morning. [greet]",
            "customer: Hello?",
            "> agent: This is Brightline. [company]",
        ),
        "no": ("> agent: Yes, how can I help? [ask_matter]", "customer: My bill. [matter]"),
        "na": ("customer: And then it stopped again. [matter]", "agent: Is the light red? [diagnose]"),
    },
    "script.agent_intro": {
        "yes": ("> agent: Good morning, this is Anna. [greet, own_name]", "customer: Hello."),
        "no": (
            "> agent: Good morning, Brightline. [greet, company]",
            "customer: My bill. [matter]",
            "agent: Go ahead. [diagnose]",
            "customer: It's too high. [matter]",
            "agent: By the way, I'm Anna. [own_name]",
        ),
        "na": ("customer: And then it stopped again. [matter]", "agent: Is the light red? [diagnose]"),
    },
    "script.recording_notice": {
        "yes": (
            "> other: Calls are recorded for training. [recording]",
            "agent: Your date of birth? [ask_id]",
            "customer: Third of May, eighty two. [give_id, personal_data]",
        ),
        "no": (
            "agent: Your date of birth? [ask_id]",
            "customer: Third of May, eighty two. [give_id, personal_data]",
            "agent: I should say that we record our calls. [recording]",
        ),
    },
    "script.verification": {
        "yes": (
            "> customer: Robert Miller. [give_id]",
            "agent: And the postcode? [ask_id]",
            "> customer: SE one nine. [give_id, personal_data]",
            "agent: Your balance is two hundred pounds. [disclose]",
        ),
        "no": (
            "customer: Robert Miller. [give_id]",
            "> agent: Your balance is two hundred pounds. [disclose]",
            "customer: SE one nine. [give_id, personal_data]",
        ),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "script.hold_procedure": {
        "yes": (
            "> agent: Can you hold on while I look? [announce_wait]",
            "customer: Sure.",
            "[45 s]",
            "> agent: Thank you for holding. [after_wait]",
        ),
        "no": (
            "> agent: Can you hold on while I look? [announce_wait]",
            "customer: Sure.",
            "[45 s]",
            "agent: It left this morning. [solve]",
        ),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "script.recap": {
        "yes": (
            "customer: Yes, let's do that. [accept]",
            "> agent: So you are booked for Tuesday at two. [recap]",
            "agent: Bye. [farewell]",
        ),
        "no": ("> customer: Yes, let's do that. [accept]", "> agent: Bye. [farewell]"),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "script.closing": {
        "yes": (
            "> agent: Is there anything else? [anything_else]",
            "customer: No.",
            "> agent: Thank you for calling, bye. [thank, farewell]",
        ),
        "no": (
            "agent: Is there anything else? [anything_else]",
            "customer: No.",
            "> agent: Bye. [farewell]",
        ),
        "na": ("customer: Hello? Can you hear me?", "agent: And the order number? [ask_id]"),
    },
    "script.no_forbidden": {
        "yes": (
            "customer: Can you change it? [matter]",
            "agent: Not from here. [shut_out 0.6]",
            "customer: Oh.",
            "agent: But I'll put you through. [way_forward]",
        ),
        "no": ("customer: Can you change it? [matter]", "> agent: That's our policy. [shut_out]"),
    },
    "resolution.diagnosis": {
        "yes": (
            "customer: My internet is down. [matter]",
            "> agent: Is the light red? [diagnose]",
            "customer: It is. [fact]",
            "agent: Then restart it. [solve]",
        ),
        "no": (
            "customer: My internet is down. [matter]",
            "> agent: We had a fault here. Restart it. [cause, solve]",
            "> agent: Is the light red? [diagnose]",
        ),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "resolution.resolved": {
        "yes": (
            "customer: I'd like an appointment. [matter]",
            "agent: Thursday at ten? [offer]",
            "> customer: Perfect. [accept]",
        ),
        "no": (
            "customer: My jacket never came. [matter]",
            "agent: We can't do anything. [refuse]",
            "> customer: Then I'll go elsewhere. [reject]",
        ),
        "na": ("agent: Good morning. [greet]", "customer: Oh, sorry, wrong number."),
    },
    "resolution.ownership": {
        "yes": ("customer: My parcel never came. [matter]", "agent: Leave it with me. [take_on]"),
        "no": ("customer: My parcel never came. [matter]", "> agent: Call the courier. [send_away]"),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "resolution.timeline": {
        "yes": ("customer: When? [matter]", "> agent: By Friday noon. [definite_time]"),
        "no": ("customer: When? [matter]", "> agent: As soon as possible. [vague_time]"),
        "na": ("customer: Do you have it in blue? [matter]", "agent: Yes, we do. [solve]"),
    },
    "resolution.no_repeat": {
        "yes": ("customer: Order four four seven one. [fact]", "agent: I'll send a new one. [solve]"),
        "no": (
            "customer: Order four four seven one. [fact]",
            "> agent: What was the number? [ask_again]",
            "> customer: I told you: four four seven one. [repeats]",
        ),
        "na": ("customer: No, sorry.", "agent: Okay."),
    },
    "resolution.root_cause": {
        "yes": (
            "customer: You charged me twice. [matter, upset]",
            "> agent: The system hung overnight, that's why. [cause]",
        ),
        "no": ("> customer: You charged me twice. [matter, upset]", "agent: I've refunded it. [solve]"),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "resolution.deescalated": {
        "yes": (
            "customer: You people are useless! [upset]",
            *("agent: I see.", "customer: Well.") * 3,
            "agent: It's refunded. [solve]",
            "> customer: That's a relief, sorry for shouting. [calmer]",
            "> customer: Thank you. [thanks]",
        ),
        "no": (
            "customer: This is ridiculous! [matter]",
            "agent: He's not here.",
            "> customer: You people are useless! [upset]",
        ),
        "na": ("customer: When do you close? [matter]", "agent: At six. [solve]"),
    },
    "resolution.confirmation": {
        "yes": (
            "agent: I've reset it. [solve]",
            "> agent: Try it now, can you get in? [check]",
            "> customer: Yes, I'm in. [works]",
        ),
        "no": ("> agent: I've reset it. [solve]", "customer: Okay."),
        "na": ("customer: Is this the dentist?", "agent: No, it isn't."),
    },
}


def by_the_rule(name: str, lines: Sequence[str]) -> Verdict:
    conversation, heard, found = tagged(*lines)
    call_found = find(conversation, heard, INFO, found)
    return by_rule(name, CRITERIA[name], call_found, conversation.turns)


def cases(written: Cases) -> list[tuple[str, str, Lines]]:
    return [(name, answer, lines) for name, of_name in written.items() for answer, lines in of_name.items()]


@pytest.mark.parametrize(("criterion", "answer", "lines"), cases(RULES), ids=lambda value: str(value)[:30])
def test_the_rule_of_every_criterion_answers_and_shows_the_turns_that_prove_it(
    criterion: str, answer: str, lines: Lines
):
    verdict = by_the_rule(criterion, [line.removeprefix("> ") for line in lines])
    assert verdict.answer == answer, verdict.reason
    assert 0.5 <= verdict.confidence <= 1
    turns = [line for line in lines if ": " in line]
    assert [turns[turn] for turn in verdict.turns] == [turn for turn in turns if turn.startswith("> ")]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_has_a_yes_a_no_and_where_there_is_one_an_na(criterion: str):
    always = CRITERIA[criterion].rule.asked_when is None
    for written in (RULES, CASES):
        assert list(written[criterion]) == (["yes", "no"] if always else ["yes", "no", "na"])


def test_a_reason_says_what_was_heard_and_when():
    yes = by_the_rule("script.greeting", ("agent: Good morning. [greet]", "agent: Brightline. [company]"))
    assert yes.reason == "There is a greeting at 0:00, the company's name at 0:01."
    no = by_the_rule("pec.empathy", ("customer: I'm so worried. [feeling]", "agent: Your name? [ask_id]"))
    assert no.reason == "There is a feeling or hardship voiced at 0:00, but not words of empathy."
    na = by_the_rule("pec.empathy", ("customer: When do you close? [matter]",))
    assert na.reason == "Not asked: no feeling or hardship voiced."
    clean = by_the_rule("pec.not_pushy", ("agent: Would you like our plan? [offer]",))
    assert clean.reason == "There is no pressure to take an offer."
    unsaid = by_the_rule("script.recording_notice", ("agent: Good morning. [greet]",))
    assert unsaid.reason == "Not heard: a notice that the call is recorded."


def test_a_verdict_is_as_sure_as_what_it_rests_on_least():
    lines = ("customer: I'm so worried. [feeling 0.7]", "agent: That must be hard. [empathise 0.9]")
    assert by_the_rule("pec.empathy", lines).confidence == 0.7
    lines = ("customer: I'm so worried. [feeling 0.9]", "agent: That must be hard. [empathise 0.6]")
    assert by_the_rule("pec.empathy", lines).confidence == 0.6
    assert by_the_rule("pec.empathy", ("customer: Well. [feeling 0.2]",)).confidence == 0.8


def test_many_turns_prove_no_more_than_four():
    lines = ("agent: You should have read it. [blame]",) * 6
    assert len(by_the_rule("pec.no_blame", lines).turns) == 4


def test_a_no_says_where_what_is_missing_belonged_and_what_came_nearest():
    verdict = by_the_rule(
        "pec.cue_response",
        (
            "agent: Good morning. [greet, take_up 0.4]",
            "customer: It's for my daughter's birthday. [cue]",
            "agent: I see. [take_up 0.2]",
            "customer: Yes.",
            "agent: The number please. [ask_id]",
            "customer: Four.",
        ),
    )
    assert verdict.answer == "no"
    assert verdict.missed is not None
    assert (verdict.missed.first, verdict.missed.last) == (2, 4), "the agent's turns after the cue"
    assert verdict.missed.nearest == (2,), "the greeting came before the cue"


def test_what_speaks_against_an_agent_is_no_absence():
    assert by_the_rule("pec.no_blame", ("agent: You should have read it. [blame]",)).missed is None
    assert by_the_rule("pec.no_blame", ("agent: At six.",)).missed is None


# By training: the rule and the tagger's view of the whole call, weighed by a file made by hand


NOTHING_DONE = Acts(turns=({},), answers={})


def trained(criterion: Criterion, name: str) -> Combination:
    """Trusts the tagger's view alone."""
    view = {"na": 5, "no": 4, "yes": 3}
    numbers = len(features(name, criterion.rule, find(*call("agent: Hello."), INFO, NOTHING_DONE)))
    own = Weights(
        rule=rule_hash(criterion.rule),
        answers=tuple(view),
        weights=tuple(tuple(float(place == at) for place in range(numbers)) for at in view.values()),
        bias=(0.0, 0.0, 0.0),
    )
    return Combination(about={}, criteria={name: own})


def test_the_trained_judge_may_see_more_than_the_rule_and_shows_the_likeliest_turn():
    name = "pec.empathy"
    combination = trained(CRITERIA[name], name)
    conversation, heard, found = tagged(
        "customer: It has been four days. [feeling 0.4]",
        "agent: In this cold! [empathise 0.3]",
    )
    call_found = find(conversation, heard, INFO, found)
    assert by_rule(name, CRITERIA[name], call_found, conversation.turns).answer == "na"
    for view, answer in {(0.8, 0.15, 0.05): "yes", (0.1, 0.7, 0.2): "no", (0.1, 0.3, 0.6): "na"}.items():
        call_found = find(conversation, heard, INFO, type(found)(turns=found.turns, answers={name: view}))
        verdict = by_training(combination, name, CRITERIA[name], call_found, conversation.turns)
        assert (verdict.answer, verdict.confidence) == (answer, pytest.approx(max(view), abs=1e-4))
        assert verdict.turns == {"yes": (1,), "no": (0,), "na": ()}[answer]
        assert (verdict.missed is not None) == (answer == "no")


def test_the_combination_weighs_likelihoods_views_and_the_acts_of_the_rule():
    name = "resolution.timeline"
    conversation, heard, found = tagged("customer: When? [matter]", "agent: By Friday. [definite_time 0.8]")
    call_found = find(conversation, heard, INFO, found)
    rule = CRITERIA[name].rule
    numbers = features(name, rule, call_found)
    occasion, for_yes, for_no, yes, no, na = numbers[:OF_WHOLE_CALL]
    assert occasion == for_yes == pytest.approx(1.386, abs=0.001), "ln 0.8/0.2"
    assert for_no == pytest.approx(-6.907, abs=0.001), "never further than 0.001 from certainty"
    assert yes == no == na, "a call that the tagger gave no view of"
    of_acts = dict(
        zip(sorted(rule.acts()), zip(*[iter(numbers[OF_WHOLE_CALL:])] * 2, strict=True), strict=True)
    )
    never = pytest.approx(log(0.01 / 1.01))
    once = pytest.approx(log(0.81 / 0.21))
    # The clearest turn, and how often.
    assert of_acts["definite_time"] == (once, pytest.approx(0.8))
    assert of_acts["vague_time"] == (never, 0)


def test_what_was_trained_for_another_rule_is_not_used():
    name = "pec.empathy"
    combination = trained(CRITERIA[name], name)
    assert combination.knows(name, CRITERIA[name].rule)
    assert not combination.knows(name, CRITERIA["pec.beyond"].rule)
    assert not combination.knows("pec.beyond", CRITERIA[name].rule)


# As shipped: what is said, tagged by the trained net and judged by the trained judge


@pytest.fixture(scope="module")
def tagger() -> ActTagger:
    return ActTagger(threads=2)


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder(threads=2)


def marks(
    tagger: ActTagger, encoder: SentenceEncoder, lines: Lines, language: str = "en", info: CallInfo = INFO
) -> dict[str, Mark]:
    conversation, heard = call(*lines, language=language)
    done = acts.tag(conversation, heard, info, tagger)
    # Unsure is tested elsewhere (test_score.py); here every criterion shall say what it takes to be likelier.
    settings = Score(unsure_below=0.0)
    rubrics = [load(name) for name in BUILT_IN]
    card = score(conversation, heard, info, done, rubrics, encoder, settings, language_model=None)
    return {f"{mark.rubric}.{mark.criterion}": mark for mark in card.marks}


HELLO = "agent: Good morning, thank you for calling Brightline, my name is Anna. How can I help you?"
BYE = "agent: Thank you for calling. Goodbye, have a nice day."

CASES: Cases = {
    "pec.cue_response": {
        "yes": (
            HELLO,
            "customer: I ordered a cake for my daughter's birthday on Sunday and it hasn't come.",
            "agent: Oh how lovely, how old is she turning?",
            "customer: She'll be six.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: I ordered a cake for my daughter's birthday on Sunday and it hasn't come.",
            "agent: What's the order number please?",
            "customer: Four four seven one two.",
            BYE,
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "pec.empathy": {
        "yes": (
            HELLO,
            "customer: We have had no heating for four days and I haven't slept, I'm really worried "
            "about the baby.",
            "agent: Four days without heating with a little baby, that must be really exhausting and "
            "frightening.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: We have had no heating for four days and I haven't slept, I'm really worried "
            "about the baby.",
            "agent: Your postcode please.",
            "customer: SE one nine.",
            BYE,
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "pec.name_use": {
        "yes": (
            HELLO,
            "customer: Hi, my name is Robert Miller, I want to change my address.",
            "agent: Of course, Mr Miller, I will change that for you.",
            "customer: Thanks.",
            "agent: Thank you, Mr Miller, goodbye.",
        ),
        "no": (
            HELLO,
            "customer: Hi, my name is Robert Miller, I want to change my address.",
            "agent: What is the new address?",
            "customer: Twelve Station Road.",
            BYE,
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "pec.listening": {
        "yes": (
            HELLO,
            "customer: The parcel came yesterday but the shoes are the wrong size and we fly on Friday.",
            "agent: So if I understand you right, the shoes came but in the wrong size, and you need "
            "them before you "
            "fly on Friday.",
            "customer: Exactly.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: The parcel came yesterday but the shoes are the wrong size and we fly on Friday.",
            "agent: Order number please.",
            "customer: Four four seven one.",
            BYE,
        ),
    },
    "pec.not_pushy": {
        "yes": (
            HELLO,
            "customer: I'd like to pay my bill.",
            "agent: It's paid now. Would you like to add our protection plan for two pounds a month?",
            "customer: No thanks, I'm not interested.",
            "agent: No problem at all, I'll leave it.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: I'd like to pay my bill.",
            "agent: Would you like to add our protection plan for two pounds a month?",
            "customer: No thanks, I'm not interested.",
            "agent: But this price is only available today, you really don't want to miss this, "
            "everybody takes it.",
            "customer: No, I already said no.",
            BYE,
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "pec.beyond": {
        "yes": (
            HELLO,
            "customer: I need to send the kettle back.",
            "agent: I'll send you a label. And by the way, a little tip: don't throw away the box, "
            "they'll ask for the "
            "receipt too. I've also put a note on your file so you don't have to explain it again.",
            "customer: That's very kind.",
            BYE,
        ),
        "no": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "pec.personal_close": {
        "yes": (
            HELLO,
            "customer: I have an exam tomorrow and need my password reset.",
            "agent: It's reset now.",
            "customer: Thank you.",
            "agent: Good luck with the exam tomorrow, bye!",
        ),
        "no": (
            HELLO,
            "customer: I have an exam tomorrow and need my password reset.",
            "agent: It's reset now.",
            "customer: Thank you.",
            "agent: Have a nice day, goodbye.",
        ),
        "na": (
            HELLO,
            "customer: I need my password reset.",
            "agent: What's your date of birth please?",
            "customer: Third of May nineteen eighty two.",
            "agent: And the order number?",
            "customer: Four four seven one.",
            "agent: When did it stop working?",
            "customer: Hello? Can you hear me?",
            "customer: Hello?",
        ),
    },
    "pec.no_blame": {
        "yes": (
            HELLO,
            "customer: The jumper shrank.",
            "agent: That wasn't your fault, I'll send you a new one.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: The jumper shrank in the wash, this is ridiculous!",
            "agent: Well, you should have read the label, that's your own fault.",
            "customer: How dare you!",
            "agent: Next time read the instructions before you wash it.",
            BYE,
        ),
    },
    "script.greeting": {
        "yes": (HELLO, "customer: Hi, I'd like to pay my bill.", BYE),
        "no": (
            "agent: Yes, how can I help?",
            "customer: Hi, I'd like to pay my bill.",
            "agent: Go ahead.",
            BYE,
        ),
        "na": (
            "customer: and then it stopped again, like I said.",
            "agent: Is there a red light on the front?",
            "customer: Yes, there is.",
            "agent: Press the button for ten seconds.",
            BYE,
        ),
    },
    "script.agent_intro": {
        "yes": (HELLO, "customer: Hi, I'd like to pay my bill.", BYE),
        "no": (
            "agent: Good morning, Brightline, how can I help you?",
            "customer: Hi, I'd like to pay my bill.",
            "agent: Sure, go ahead.",
            BYE,
        ),
        "na": (
            "customer: and then it stopped again, like I said.",
            "agent: Is there a red light on the front?",
            "customer: Yes, there is.",
            "agent: Press the button for ten seconds.",
            BYE,
        ),
    },
    "script.recording_notice": {
        "yes": (
            "other: Please note that calls are recorded for training and quality purposes.",
            HELLO,
            "customer: My card ends in three three one zero.",
            BYE,
        ),
        "no": (HELLO, "customer: My card ends in three three one zero.", BYE),
    },
    "script.verification": {
        "yes": (
            HELLO,
            "customer: What is my balance?",
            "agent: Can I have your full name and date of birth please?",
            "customer: Robert Miller, third of May nineteen eighty two.",
            "agent: And your postcode?",
            "customer: SE one nine, twelve Station Road.",
            "agent: Thank you. I can see your account here, your balance is two hundred and ten pounds.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: What is my balance?",
            "agent: I can see your account here, your balance is two hundred and ten pounds.",
            "customer: Okay.",
            BYE,
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: Until six.", BYE),
    },
    "script.hold_procedure": {
        "yes": (
            HELLO,
            "customer: Where is my parcel?",
            "agent: Can you hold on for a moment please while I look that up?",
            "customer: Sure.",
            "[45 s]",
            "agent: Thank you for holding. It left the depot this morning.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: Where is my parcel?",
            "agent: Can you hold on for a moment please while I look that up?",
            "customer: Sure.",
            "[45 s]",
            "agent: It left the depot this morning.",
            BYE,
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "script.recap": {
        "yes": (
            HELLO,
            "customer: I'd like to move my appointment.",
            "agent: I can move it to Tuesday at two, does that work for you?",
            "customer: Yes, let's do that.",
            "agent: So to sum up, I've cancelled the old appointment and you are booked for Tuesday at "
            "two, and you get "
            "a text the day before.",
            "customer: Perfect.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: I'd like to move my appointment.",
            "agent: I'll take care of it and call you back myself tomorrow.",
            "customer: Okay, that works, I'll wait for the call then.",
            "agent: Goodbye.",
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "script.closing": {
        "yes": (
            HELLO,
            "customer: I'd like to pay my bill.",
            "agent: That's paid now. Is there anything else I can help you with?",
            "customer: No, that's all.",
            "agent: Thank you for calling, goodbye.",
        ),
        "no": (
            HELLO.replace("thank you for calling ", ""),
            "customer: I'd like to pay my bill.",
            "agent: That's paid now.",
            "customer: Okay.",
            "agent: Bye.",
        ),
        "na": (
            HELLO.replace("thank you for calling ", ""),
            "customer: I need my password reset.",
            "agent: What's your date of birth please?",
            "customer: Third of May nineteen eighty two.",
            "agent: And the order number?",
            "customer: Four four seven one.",
            "agent: When did it stop working?",
            "customer: Hello? Can you hear me?",
            "customer: Hello?",
        ),
    },
    "script.no_forbidden": {
        "yes": (
            HELLO,
            "customer: Can you change the delivery?",
            "agent: I can't do it from here, but I'll put you through to someone who can.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: Can you change the delivery?",
            "agent: That's not our department. There's nothing I can do.",
            "customer: Then who can?",
            "agent: I don't know.",
        ),
    },
    "resolution.diagnosis": {
        "yes": (
            HELLO,
            "customer: My internet isn't working.",
            "agent: When did it start, and is there a red light on the front?",
            "customer: Yesterday, and yes, a red one.",
            "agent: Press the button for ten seconds and it will restart.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: My internet isn't working, it keeps dropping.",
            "agent: I'll send you a new router free of charge.",
            "customer: It's the third time it has failed, it broke last month too.",
            "agent: You'll get the new one on Monday.",
            BYE,
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "resolution.resolved": {
        "yes": (
            HELLO,
            "customer: I'd like to book an appointment.",
            "agent: I can book you in on Thursday at ten, does that work for you?",
            "customer: Yes, Thursday is fine, perfect, thank you.",
            "agent: You're booked. Anything else I can help you with?",
            "customer: No, thanks for your help.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: I ordered a jacket three weeks ago and it never came.",
            "agent: Can I have the order number?",
            "customer: Four four seven one two.",
            "agent: It says delivered. I'm afraid we can't do anything about that.",
            "customer: So you're not going to do anything? That's not good enough, this is ridiculous.",
            "agent: No, that's our policy.",
            "customer: I'm not happy with that at all. Then I'll go somewhere else. You people are useless.",
            "agent: That's up to you. Goodbye.",
        ),
        "na": (
            "agent: Good morning, Brightline.",
            "customer: Oh, sorry.",
            "agent: Okay.",
            "customer: Bye.",
        ),
    },
    "resolution.ownership": {
        "yes": (
            HELLO,
            "customer: My parcel never arrived.",
            "agent: Leave it with me, I'll speak to the warehouse and call you back myself.",
            "customer: Great, thank you.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: My parcel never arrived.",
            "agent: You'll have to call the courier yourself, or fill in the form on the website.",
            "customer: Why me?",
            "agent: Just write an email to the complaints office.",
            BYE,
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "resolution.timeline": {
        "yes": (
            HELLO,
            "customer: When will I get the refund?",
            "agent: The money will be on your account within three to five working days, by Friday at "
            "the latest.",
            "customer: Okay, thank you.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: When will I get the refund?",
            "agent: As soon as possible. Somebody will be in touch with you shortly.",
            "customer: Okay.",
            BYE,
        ),
        "na": (HELLO, "customer: Do you have this in blue?", "agent: Yes, we do have it in blue.", BYE),
    },
    "resolution.no_repeat": {
        "yes": (
            HELLO,
            "customer: My order four four seven one two never came.",
            "agent: I'll send you a new one free of charge.",
            "customer: Thank you.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: My order four four seven one two never came.",
            "agent: What was the order number again?",
            "customer: I already told you that. Four four seven one two.",
            BYE,
        ),
        "na": (HELLO, "customer: No, sorry.", "agent: Okay.", BYE),
    },
    "resolution.root_cause": {
        "yes": (
            HELLO,
            "customer: You charged me twice, there's a mistake on my bill.",
            "agent: I can see what went wrong there. The first payment hung when the system updated "
            "overnight, and that's "
            "why it was charged a second time. We've changed that so it won't happen again.",
            "customer: I see.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: You charged me twice, there's a mistake on my bill.",
            "agent: I've refunded the money.",
            "customer: And my parcel arrived broken.",
            BYE,
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "resolution.deescalated": {
        "yes": (
            HELLO,
            "customer: This is ridiculous, it's the third time I've called and nobody does anything!",
            "agent: Three calls, no wonder you're angry.",
            "customer: You people are useless, I want to speak to your manager right now!",
            "agent: I'll sort it out myself.",
            "customer: I've had enough, this is an absolute disgrace, I'm going to another company!",
            "agent: I have refunded it and the new one is on its way, you get it tomorrow by noon.",
            "customer: Oh. Okay.",
            "agent: You will get a text in the morning.",
            "customer: Okay, that's a relief, thank you so much.",
            "agent: Is there anything else?",
            "customer: No. Sorry for shouting earlier, you've been very helpful.",
            "agent: Not at all.",
            "customer: Thanks, bye.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: This is ridiculous, it's the third time I've called and nobody does anything!",
            "agent: Your order number.",
            "customer: You people are useless, I want to speak to your manager right now!",
            "agent: He's not here.",
            "customer: I've had enough, this is an absolute disgrace, I'm going to another company!",
            "agent: That's how it is.",
            "customer: Are you kidding me? I'll get a lawyer, that's outrageous!",
        ),
        "na": (HELLO, "customer: Until what time are you open?", "agent: We're open until six.", BYE),
    },
    "resolution.confirmation": {
        "yes": (
            HELLO,
            "customer: Hi, I can't log in to my account since this morning, it says wrong password.",
            "agent: Can I take your name and your customer number?",
            "customer: Peter Miller, four four seven one two.",
            "agent: Thank you. I've reset your password and sent you a new one. Can you try it now and "
            "tell me if you can get in?",
            "customer: One second. Yes, it's working now, I'm in.",
            "agent: Lovely. Is there anything else I can help you with?",
            "customer: No, that's all, thank you.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: Hi, I'd like to move my appointment from Friday, please.",
            "agent: Can I take your name and date of birth?",
            "customer: Peter Miller, third of March eighty one.",
            "agent: Thank you. I've moved it to Tuesday at ten, and I'll send you the form by post.",
            "customer: Right.",
            "agent: I'll let the office know as well. You should have the form by Thursday.",
            "customer: Hm.",
            BYE,
        ),
        "na": (HELLO, "customer: Is this the dentist?", "agent: No, it isn't.", "customer: Oh.", BYE),
    },
}

RUSSIAN: Cases = {
    "script.greeting": {
        "yes": (
            "agent: Добрый день, компания Brightline, меня зовут Анна, чем могу помочь?",
            "customer: Хочу оплатить счёт.",
        ),
        "no": ("agent: Да, чем могу помочь?", "customer: Хочу оплатить счёт.", "agent: Слушаю."),
    },
    "script.hold_procedure": {
        "yes": (
            "customer: Где моя посылка?",
            "agent: Оставайтесь на линии, я сейчас посмотрю.",
            "[40 s]",
            "agent: Спасибо за ожидание. Она уехала утром.",
        ),
        "no": (
            "customer: Где моя посылка?",
            "agent: Оставайтесь на линии, я сейчас посмотрю.",
            "[40 s]",
            "agent: Она уехала утром.",
        ),
    },
    "pec.cue_response": {
        "yes": (
            "agent: Слушаю вас.",
            "customer: Заказала торт дочке на день рождения, а его всё нет.",
            "agent: Ой, поздравляю с днём рождения! А сколько ей лет, первый раз торт со свечками?",
        ),
        "no": (
            "agent: Слушаю вас.",
            "customer: Заказала торт дочке на день рождения, а его всё нет.",
            "agent: Назовите номер заказа.",
        ),
    },
    "resolution.timeline": {
        "yes": (
            "customer: Когда вернутся деньги?",
            "agent: Деньги вернутся в течение трёх рабочих дней, не позже пятницы.",
            "customer: Хорошо.",
        ),
        "no": (
            "customer: Когда вернутся деньги?",
            "agent: Как можно скорее, с вами свяжутся в ближайшее время.",
            "customer: Хорошо.",
        ),
    },
}


# In calls as short as these, whether there was occasion is where the shipped judge is weakest.
HARD_TO_TELL = (("resolution.diagnosis", "no"), ("resolution.root_cause", "no"))


@pytest.mark.parametrize(("criterion", "answer", "lines"), cases(CASES), ids=lambda value: str(value)[:30])
def test_english(tagger: ActTagger, encoder: SentenceEncoder, criterion: str, answer: str, lines: Lines):
    mark = marks(tagger, encoder, lines)[criterion]
    if (criterion, answer) in HARD_TO_TELL:
        assert mark.answer != "yes", mark.reason
    else:
        assert mark.answer == answer, mark.reason


@pytest.mark.parametrize(("criterion", "answer", "lines"), cases(RUSSIAN), ids=lambda value: str(value)[:30])
def test_russian(tagger: ActTagger, encoder: SentenceEncoder, criterion: str, answer: str, lines: Lines):
    mark = marks(tagger, encoder, lines, language="ru")[criterion]
    assert mark.answer == answer, mark.reason


def test_a_name_that_the_manifest_does_not_tell_is_not_missed_in_the_opening(
    tagger: ActTagger, encoder: SentenceEncoder
):
    lines = (
        "agent: Thank you for calling Big Jim's Auto. This is Travis. How can I help you today?",
        "customer: Hello, a light is coming on in my car.",
        "agent: Goodbye.",
    )
    nameless = marks(tagger, encoder, lines, info=CallInfo(call_id="1", language="en"))
    assert nameless["script.agent_intro"].answer == nameless["script.greeting"].answer == "yes"
