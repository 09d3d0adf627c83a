"""Acts: what the tagger is shown, what is kept of its answer, and what the trained one recognises."""

from collections.abc import Sequence
from math import log

import msgspec
import pytest
from dialogues import dialogue
from spoken_lines import call, tagged

from wellheard.models.act_tagger import ActTagger, Names, Tagged
from wellheard.pipeline.acts import FAINTEST, as_acts, tag, turn_inputs
from wellheard.pipeline.errors import UnknownLanguage
from wellheard.pipeline.listen import listen
from wellheard.pipeline.records import Acts, CallInfo, Conversation, Sound, TurnInput
from wellheard.pipeline.settings import Listen
from wellheard.rubrics.acts import ACTS
from wellheard.rubrics.facts import FACTS
from wellheard.rubrics.loader import for_training

INFO = CallInfo(call_id="1", agent_name="Anna Bell", company="Brightline", language="en")
NAMES = Names(
    acts=("greet", "offer", "matter", "recording"),
    facts=("gives_time",),
    criteria=("pec.empathy", "pec.beyond"),
)


class Stub:
    """A tagger that finds the same in every turn, and remembers what it was shown."""

    names = NAMES

    def __init__(self, *log_odds: float) -> None:
        self._log_odds = log_odds or (5.0, 5.0, 5.0, 5.0)
        self.shown: Sequence[TurnInput] = ()

    def __call__(self, turns: Sequence[TurnInput]) -> Tagged:
        self.shown = turns
        return Tagged(acts=(self._log_odds,) * len(turns), answers=((2.0, 0.0, 0.0), (-50.0, 0.0, -50.0)))


def found(*log_odds: float, lines: Sequence[str] = ("agent: hello",)) -> Acts:
    conversation, heard = call(*lines)
    return tag(conversation, heard, INFO, Stub(*log_odds))


# What is kept


def test_an_act_s_probability_is_that_of_its_log_odds():
    (turn,) = found(0.0, log(3), log(3), -log(3)).turns
    assert turn == {"greet": 0.5, "offer": 0.75, "recording": 0.25}


def test_a_turn_shows_only_what_its_speaker_can_do():
    lines = ("other: welcome", "agent: hello", "customer: hi")
    assert [set(turn) for turn in found(lines=lines).turns] == [
        {"greet", "recording"},
        {"greet", "offer", "recording"},
        {"matter"},
    ]


def test_acts_that_are_next_to_nothing_are_left_out():
    faint = log(FAINTEST / (1 - FAINTEST))
    (turn,) = found(faint + 0.1, faint - 0.1, -30.0, -30.0).turns
    assert list(turn) == ["greet"]
    assert turn["greet"] >= FAINTEST


def test_the_view_of_the_whole_call_is_a_probability_of_yes_no_and_na_for_each_criterion():
    answers = found().answers
    assert list(answers) == ["pec.empathy", "pec.beyond"]
    assert answers["pec.empathy"] == (pytest.approx(0.787, abs=1e-3), *[pytest.approx(0.1065, abs=1e-3)] * 2)
    assert answers["pec.beyond"] == (0.0, 1.0, 0.0)
    assert all(sum(shares) == pytest.approx(1, abs=1e-3) for shares in answers.values())


def test_log_odds_however_large_are_a_probability():
    (turn,) = found(700.0, -700.0, 0.0, 0.0).turns
    assert turn["greet"] == 1.0
    assert "offer" not in turn


def test_what_was_tagged_elsewhere_becomes_acts_in_the_same_way():
    conversation, heard = call("agent: hello", "customer: hi")
    stub = Stub()
    turns = turn_inputs(conversation, heard, INFO)
    assert as_acts(turns, stub(turns), stub.names) == tag(conversation, heard, INFO, stub)


# What the tagger is shown


def shown(
    conversation: Conversation, info: CallInfo = INFO, sounds: tuple[Sound, ...] = ()
) -> list[TurnInput]:
    heard = msgspec.structs.replace(listen(conversation, Listen()), sounds=sounds)
    stub = Stub()
    tag(conversation, heard, info, stub)
    assert list(stub.shown) == turn_inputs(conversation, heard, info)
    return list(stub.shown)


def test_it_is_shown_who_says_what_in_the_order_of_turns():
    turns = shown(dialogue("agent 0-1 hello there", "other 2-3 please wait", "customer 4-5 hi"))
    assert [(turn.speaker, turn.text) for turn in turns] == [
        ("agent", "hello there"),
        ("other", "please wait"),
        ("customer", "hi"),
    ]


def test_it_is_shown_the_silence_before_a_turn_or_how_far_it_overlaps_the_turn_before():
    turns = shown(dialogue("agent 3-5 hello there", "customer 7.5-9 hi you", "agent 8.2-10 well so"))
    assert [(turn.pause_s, turn.overlap_s) for turn in turns] == [
        (0.0, 0.0),  # what is before the first word is no pause
        (pytest.approx(2.5), 0.0),
        (0.0, pytest.approx(0.8)),
    ]


def test_it_is_shown_what_is_heard_behind_a_turn():
    conversation = dialogue("agent 0-2 hello there", "customer 3-5 hi you", "agent 6-8 well so")
    dog = Sound(start_s=4.5, end_s=5.5, kind="dog")
    assert [turn.sound for turn in shown(conversation, sounds=(dog,))] == [None, "dog", None]


def test_it_is_shown_facts_of_names_numbers_times_and_pauses():
    turns = shown(
        dialogue(
            "agent 0-3 Good morning, Brightline, Anna speaking.",
            "customer 4-8 My number is 4 4 7 1, can I come at six?",
            "agent 20-24 It is ready tomorrow.",
        )
    )
    assert set(turns[0].facts) == {"says_company", "says_agent_name"}
    assert set(turns[1].facts) >= {"gives_number", "gives_time", "asks_question", "pause_after"}
    assert set(turns[2].facts) == {"gives_time", "pause_before"}


def test_a_name_that_nobody_told_is_a_half_in_the_opening_and_nothing_later():
    conversation = dialogue("agent 0-1 Hello.", "customer 2-3 Hi.", "agent 4-5 Well.", "agent 6-7 So.")
    turns = shown(conversation, CallInfo(call_id="1"))
    assert [turn.facts.get("says_agent_name") for turn in turns] == [0.5, None, 0.5, None]


def test_a_call_in_a_language_without_words_for_facts_is_refused_by_name():
    conversation, heard = call("agent: hallo", language="nl")
    stub = Stub()
    with pytest.raises(UnknownLanguage, match=r"the language 'nl'\. It knows: en, pl, ro, ru"):
        tag(conversation, heard, INFO, stub)
    assert stub.shown == ()


# The trained tagger, on plain turns whose acts anyone would name

PLAIN = {
    "en": (
        "agent: Good morning, thank you for calling Brightline, my name is Anna. [greet, company, own_name]",
        "customer: Hi, my parcel never arrived, and it was a present for my mother. [matter]",
        "agent: Can I have your order number, please? [ask_id]",
        "customer: It's four four seven one two. [give_id]",
        "agent: Could you hold on for a moment while I check? [announce_wait]",
        "customer: Okay.",
        "agent: Thank you for waiting. It will be with you tomorrow by noon. [definite_time]",
        "customer: Wonderful, thank you. [thanks]",
        "agent: Is there anything else I can help you with? [anything_else]",
        "customer: No, that's all.",
        "agent: Thank you for calling, goodbye. [thank, farewell]",
    ),
    "ru": (
        "agent: Добрый день, компания Брайтлайн, меня зовут Анна. [greet, company, own_name]",
        "customer: Здравствуйте, у меня не работает интернет со вчерашнего дня. [matter]",
        "agent: Скажите, пожалуйста, номер договора. [ask_id]",
        "customer: Сорок четыре семьдесят один. [give_id]",
        "agent: Какой индикатор горит на роутере? [diagnose]",
        "customer: Красный.",
        "agent: Мастер приедет завтра с десяти до двенадцати. [definite_time]",
        "customer: Спасибо вам большое. [thanks]",
        "agent: Спасибо за звонок, до свидания. [thank, farewell]",
    ),
    "pl": (
        "agent: Dzień dobry, Brightline, nazywam się Anna, w czym mogę pomóc? [greet, company, own_name]",
        "customer: Dzień dobry, czekam na paczkę od tygodnia i nadal jej nie ma. [matter]",
        "agent: Poproszę numer zamówienia. [ask_id]",
        "customer: Cztery cztery siedem jeden. [give_id]",
        "agent: Kurier przyjedzie jutro do dwunastej. [definite_time]",
        "customer: Dziękuję bardzo. [thanks]",
        "agent: Czy mogę jeszcze w czymś pomóc? [anything_else]",
        "customer: Nie, to wszystko.",
        "agent: Dziękuję za telefon, do widzenia. [thank, farewell]",
    ),
    "ro": (
        "agent: Bună ziua, Brightline, mă numesc Ana, cu ce vă pot ajuta? [greet, company, own_name]",
        "customer: Bună ziua, coletul meu nu a ajuns de o săptămână. [matter]",
        "agent: Îmi spuneți, vă rog, numărul comenzii? [ask_id]",
        "customer: Patru patru șapte unu. [give_id]",
        "agent: Curierul vine mâine până la ora douăsprezece. [definite_time]",
        "customer: Mulțumesc frumos. [thanks]",
        "agent: Vă mai pot ajuta cu altceva? [anything_else]",
        "customer: Nu, atât.",
        "agent: Vă mulțumesc pentru apel, la revedere. [thank, farewell]",
    ),
}


@pytest.fixture(scope="module")
def tagger() -> ActTagger:
    return ActTagger(threads=2)


@pytest.mark.parametrize("language", PLAIN)
def test_what_anyone_would_name_is_recognised(tagger: ActTagger, language: str):
    conversation, heard, named = tagged(*PLAIN[language], language=language)
    done = tag(conversation, heard, CallInfo(call_id="1", language=language), tagger)
    for turn, acts, found in zip(conversation.turns, named.turns, done.turns, strict=True):
        assert {act for act in acts if found.get(act, 0) < 0.5} == set(), turn.text


def test_what_nobody_would_name_is_not(tagger: ActTagger):
    conversation, heard, _ = tagged(*PLAIN["en"])
    done = tag(conversation, heard, INFO, tagger)
    never = {"push", "blame", "shut_out", "transfer", "upset", "reject", "ask_again", "recording"}
    assert not [acts for acts in done.turns if any(acts.get(act, 0) >= 0.5 for act in never)]


def test_it_was_trained_for_the_acts_facts_and_criteria_that_there_are(tagger: ActTagger):
    assert tagger.names == Names(
        acts=tuple(ACTS),
        facts=tuple(FACTS),
        criteria=tuple(f"{rubric.id}.{own.id}" for rubric in for_training() for own in rubric.criteria),
    )


def test_the_same_call_gets_the_same_acts(tagger: ActTagger):
    conversation, heard, _ = tagged(*PLAIN["ru"], language="ru")
    assert tag(conversation, heard, INFO, tagger) == tag(conversation, heard, INFO, tagger)
