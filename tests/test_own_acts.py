"""An act of a house's own, from ten examples and ten near misses, with the real sentence encoder."""

import pytest
from spoken_lines import call

from wellheard.models.sentences import SentenceEncoder
from wellheard.rubrics.own_acts import EVERYDAY, FEWEST_EXAMPLES, OwnAct, recognise

LOYALTY = OwnAct(
    by="agent",
    called="the loyalty card offered",
    like=(
        "would you like to join our loyalty programme",
        "do you have our loyalty card yet",
        "with our club card you collect points on every purchase",
        "i can sign you up for the bonus card right now, it's free",
        "shall i register you as a club member so you collect points",
        "have you heard about our points card",
        "members of our club get five percent back",
        "you could be collecting bonus points with our card",
        "i'd recommend our loyalty card, it costs nothing",
        "would you like a customer card to save points",
    ),
    unlike=(
        "can i have the last four digits of your card",
        "the payment by card did not go through",
        "your bank card has expired",
        "please put the card into the reader",
        "we sent the gift card by post",
        "we'll put the money back on your card",
        "which card did you pay with",
        "i've blocked your credit card",
        "the sim card comes in the box",
        "there's a warranty card in the parcel",
    ),
)
# What is said when it is offered, in words that no example has.
OFFERED = {
    "en": (
        "Are you a member of our rewards club already? You'd earn points on this order.",
        "By the way, it's free to get our bonus card, and you collect points each time you shop.",
        "Let me sign you up for the loyalty scheme, you will get points for every pound.",
        "Do you collect points with us? I could open a card for you in a minute.",
        "We also have a customer club, members get money back on everything they buy.",
        "If you took our loyalty card you'd have saved three pounds today.",
        "shall i send you one of our club cards it doesn't cost anything",
        "One more thing, have you got a rewards card with us?",
    ),
    "ru": (
        "Хотите, я оформлю вам бесплатную карту лояльности? Будете копить баллы.",
        "А у вас уже есть наша бонусная карта? С ней вы получаете баллы за каждую покупку.",
        "Могу зарегистрировать вас в нашей бонусной программе, это бесплатно.",
        "Вступайте в наш клуб, участникам возвращается пять процентов с покупок.",
        "Карта постоянного покупателя у вас есть?",
        "Давайте я вам заведу накопительную карту.",
    ),
    "pl": (
        "Czy ma pani już naszą kartę stałego klienta? Zbiera się na niej punkty za zakupy.",
        "Mogę panią zapisać do programu lojalnościowego, to nic nie kosztuje.",
        "Z naszą kartą klubową zbiera pan punkty przy każdym zakupie.",
        "Może założymy pani kartę lojalnościową?",
    ),
    "ro": (
        "Doriți să vă înscriu în programul nostru de fidelitate? Adunați puncte la fiecare cumpărătură.",
        "Aveți deja cardul nostru de fidelitate?",
        "Cu cardul nostru de client strângeți puncte la fiecare comandă.",
        "Vă pot face pe loc un card de membru, e gratuit.",
    ),
}
NOT_OFFERED = (
    "Could you read me the number on the front of your card?",
    "The refund goes back to the card you paid with, in three days.",
    "I see your card was declined by the bank.",
    "I've ordered a new SIM card for you.",
    "Good morning, Brightline, how can I help you?",
    "Would you like our protection plan for two pounds a month?",
    "Назовите последние четыре цифры карты.",
    "Деньги вернутся на вашу карту в течение трёх дней.",
    "Вам подключить страховку за двести рублей?",
)
CLEAR = "By the way, it's free to get our bonus card, and you collect points each time you shop."


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder(threads=1)


def found(encoder: SentenceEncoder, *texts: str, speaker: str = "agent") -> list[float]:
    """How likely each text, as a turn, shows the act."""
    conversation, _ = call(*(f"{speaker}: {text}" for text in texts))
    return [acts["loyalty"] for acts in recognise(conversation.turns, {"loyalty": LOYALTY}, encoder)]


def test_ten_examples_are_enough_to_be_an_act():
    assert len(LOYALTY.like) == len(LOYALTY.unlike) == FEWEST_EXAMPLES


@pytest.mark.parametrize("language", OFFERED)
def test_it_is_recognised_in_other_words_and_in_languages_without_examples(
    encoder: SentenceEncoder, language: str
):
    """Not always: it is to be missed now and then rather than seen where it is not."""
    sure = found(encoder, *OFFERED[language])
    assert sum(likelihood > 0.5 for likelihood in sure) >= len(sure) / 2
    assert max(sure) > 0.9


def test_it_is_recognised_in_the_midst_of_a_long_turn(encoder: SentenceEncoder):
    turn = (
        "I have found your order, it left the warehouse this morning. "
        f"{CLEAR} The courier comes between ten and twelve."
    )
    assert found(encoder, turn)[0] > 0.5


def test_near_misses_and_other_things_are_not_it(encoder: SentenceEncoder):
    assert max(found(encoder, *NOT_OFFERED)) < 0.5
    assert max(found(encoder, *LOYALTY.unlike)) < 0.5


def test_what_is_said_in_calls_anyway_is_not_it(encoder: SentenceEncoder):
    everyday = EVERYDAY.read_text("utf-8").splitlines()
    assert len(everyday) == 700
    assert max(found(encoder, *everyday)) < 0.5


def test_only_turns_of_the_one_who_can_do_it_show_it(encoder: SentenceEncoder):
    conversation, _ = call(f"agent: {CLEAR}", f"customer: {CLEAR}", "other: Please hold.")
    acts = recognise(conversation.turns, {"loyalty": LOYALTY}, encoder)
    assert [set(turn) for turn in acts] == [{"loyalty"}, set(), set()]


def test_nothing_is_recognised_where_there_is_nothing(encoder: SentenceEncoder):
    conversation, _ = call("agent: …", "agent: Hello.")
    assert recognise((), {"loyalty": LOYALTY}, encoder) == ()
    assert recognise(conversation.turns, {}, encoder) == ({}, {})
    assert max(found(encoder, "…", "?!")) < 0.5
