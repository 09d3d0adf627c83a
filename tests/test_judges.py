"""Each criterion in a few spoken lines: a yes, a no, and an na where there is one. With the real encoder."""

import pytest
from spoken_lines import call

from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline.records import CallInfo, Mark
from wellheard.pipeline.score import score
from wellheard.pipeline.settings import Score
from wellheard.rubrics.loader import BUILT_IN, load

RUBRICS = [load(name) for name in BUILT_IN]
INFO = CallInfo(call_id="1", agent_name="Anna Bell", company="Brightline", language="en")


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


def marks(encoder: SentenceEncoder, lines: tuple[str, ...], language: str = "en") -> dict[str, Mark]:
    conversation, heard = call(*lines, language=language)
    # Unsure is tested elsewhere (test_score.py); here every criterion shall say what it takes to be likelier.
    card = score(conversation, heard, INFO, RUBRICS, encoder, Score(unsure_below=0.0))
    return {f"{mark.rubric}.{mark.criterion}": mark for mark in card.marks}


HELLO = "agent: Good morning, thank you for calling Brightline, my name is Anna. How can I help you?"
BYE = "agent: Thank you for calling. Goodbye, have a nice day."

CASES = {
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
            "customer: I ordered a jacket and it never came.",
            "agent: I'm afraid we can't do anything about that.",
            "customer: So you're not going to do anything? That's not good enough, this is ridiculous.",
            "agent: No, that's our policy.",
            "customer: Then I'll go somewhere else. You people are useless.",
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
            "customer: I can't log in.",
            "agent: I've reset it. Try it now, can you get in?",
            "customer: Yes, it's working now, I'm in.",
            BYE,
        ),
        "no": (
            HELLO,
            "customer: I'd like to move my appointment.",
            "agent: I've moved it to Tuesday, and I'll take care of the rest and send you the form.",
            "customer: Okay.",
            "agent: I'll speak to the office and let you know.",
            BYE,
        ),
        "na": (HELLO, "customer: Is this the dentist?", "agent: No, it isn't.", "customer: Oh.", BYE),
    },
}

RUSSIAN = {
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


def cases(written: dict[str, dict[str, tuple[str, ...]]]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(name, answer, lines) for name, of_name in written.items() for answer, lines in of_name.items()]


@pytest.mark.parametrize(("criterion", "answer", "lines"), cases(CASES), ids=lambda value: str(value)[:30])
def test_english(encoder: SentenceEncoder, criterion: str, answer: str, lines: tuple[str, ...]):
    mark = marks(encoder, lines)[criterion]
    assert mark.answer == answer, mark.reason


@pytest.mark.parametrize(("criterion", "answer", "lines"), cases(RUSSIAN), ids=lambda value: str(value)[:30])
def test_russian(encoder: SentenceEncoder, criterion: str, answer: str, lines: tuple[str, ...]):
    mark = marks(encoder, lines, language="ru")[criterion]
    assert mark.answer == answer, mark.reason


def test_every_criterion_has_its_cases():
    assert list(CASES) == [
        f"{rubric.id}.{criterion.id}" for rubric in RUBRICS for criterion in rubric.criteria
    ]
