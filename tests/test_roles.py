"""Roles: the agent is found by what is said, the telephone system's word is final, doubt is shown."""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import pytest
from dialogues import dialogue

from wellheard.models.roles import FILE, AgentLikeness, Damping, Linear, Net
from wellheard.models.sentences import DIMENSION, SentenceEncoder
from wellheard.pipeline.errors import ModelDamaged
from wellheard.pipeline.records import Conversation
from wellheard.pipeline.roles import NOTE_GUESS, NOTE_SILENT_AGENT, NOTE_SWAPPED, PIECE_WORDS, assign, pieces

ROOT = Path(__file__).parent.parent

AGENT = "Thank you for calling. My name is Anna. How can I help you today? Please tell me your order number."
CUSTOMER = "Hello, I am calling about my order, it did not come."
ANNOUNCEMENT = (
    "Welcome to Brightline. Your call may be recorded for training purposes. Please stay on the line."
)


@pytest.fixture(scope="module")
def likeness() -> AgentLikeness:
    return AgentLikeness(SentenceEncoder())


def call(*turns: str, pause_s: float = 0.3) -> Conversation:
    """A call from "party text", with plausible times."""
    lines, at_s = [], 0.5
    for turn in turns:
        party, text = turn.split(" ", 1)
        end_s = at_s + 0.4 * len(text.split())
        lines.append(f"{party} {at_s:.2f}-{end_s:.2f} {text}")
        at_s = end_s + pause_s
    return msgspec.structs.replace(dialogue(*lines), role_confidence=0.0)


def speakers(conversation: Conversation) -> list[str]:
    return [turn.speaker for turn in conversation.turns]


# The customer speaks first (case 20)


def test_the_customer_who_speaks_first_is_still_the_customer(likeness: AgentLikeness) -> None:
    judged = assign(call(f"A {CUSTOMER}", f"B {AGENT}"), None, likeness)
    assert speakers(judged) == ["customer", "agent"]
    assert judged.role_confidence > 0.8
    assert judged.unheard == ()
    assert judged.notes == ()


def test_in_an_outbound_call_the_customer_says_hello_first(likeness: AgentLikeness) -> None:
    judged = assign(
        call(
            "A Hello?",
            "B Good morning, this is Anna from Brightline, I am calling about your order",
            "A Yes?",
        ),
        None,
        likeness,
    )
    assert speakers(judged) == ["customer", "agent", "customer"]


@pytest.mark.parametrize(
    "turns",
    [
        ("A Hello?", "B Hello?", "A Hello, can you hear me?", "B Hello?"),
        ("A Yes.", "B Okay.", "A Yes, yes.", "B Mm-hm."),
        ("A Алло?", "B Алло.", "A Да, да."),
    ],
)
def test_where_nobody_says_anything_telling_the_confidence_is_low(
    likeness: AgentLikeness, turns: tuple[str, ...]
) -> None:
    judged = assign(call(*turns), None, likeness)
    assert 0.5 <= judged.role_confidence < 0.75
    assert judged.notes == (NOTE_GUESS,)


def test_the_names_of_the_parties_do_not_matter(likeness: AgentLikeness) -> None:
    one = assign(call(f"A {AGENT}", f"B {CUSTOMER}"), None, likeness)
    other = assign(call(f"B {AGENT}", f"A {CUSTOMER}"), None, likeness)
    assert one == other


# The telephone system's word is final


def test_the_given_party_is_the_agent_whatever_is_said(likeness: AgentLikeness) -> None:
    judged = assign(call(f"A {CUSTOMER}", f"B {AGENT}", "A Number 4471."), "A", likeness)
    assert speakers(judged) == ["agent", "customer", "agent"]
    assert judged.role_confidence == 1.0


def test_a_given_party_that_talks_like_a_customer_all_along_is_pointed_out(likeness: AgentLikeness) -> None:
    turns = (f"A {CUSTOMER}", f"B {AGENT}", "A My order is 4471, I am really annoyed about it.") * 2
    assert assign(call(*turns), "A", likeness).notes == (NOTE_SWAPPED,)
    assert assign(call(*turns), "B", likeness).notes == ()


def test_a_silent_given_agent_is_unheard_and_nobody_takes_its_place(likeness: AgentLikeness) -> None:
    judged = assign(call(f"A {CUSTOMER}"), "B", likeness)
    assert speakers(judged) == ["customer"]
    assert judged.unheard == ("agent",)
    assert judged.role_confidence == 1.0
    assert judged.notes == ()


def test_an_agents_words_on_the_other_channel_than_given_are_pointed_out(likeness: AgentLikeness) -> None:
    judged = assign(call(f"A {AGENT}"), "B", likeness)
    assert speakers(judged) == ["customer"]
    assert judged.unheard == ("agent",)
    assert judged.notes == (NOTE_SILENT_AGENT,)


def test_a_given_agent_alone_leaves_the_customer_unheard(likeness: AgentLikeness) -> None:
    judged = assign(call(f"B {AGENT}"), "B", likeness)
    assert speakers(judged) == ["agent"]
    assert judged.unheard == ("customer",)


# One party, more than two, none


def test_an_agent_heard_alone_is_the_agent(likeness: AgentLikeness) -> None:
    judged = assign(call(f"A {AGENT} {AGENT} {AGENT}"), None, likeness)
    assert speakers(judged) == ["agent"]
    assert judged.unheard == ("customer",)
    assert judged.role_confidence > 0.8


def test_a_customer_heard_alone_is_the_customer(likeness: AgentLikeness) -> None:
    judged = assign(
        call("A Hi, my washing machine broke again and I'm fed up. I bought it from you in March."),
        None,
        likeness,
    )
    assert speakers(judged) == ["customer"]
    assert judged.unheard == ("agent",)


def test_an_announcement_is_nobodys_speech_and_a_second_agent_is_no_customer(likeness: AgentLikeness) -> None:
    judged = assign(
        call(
            f"A {ANNOUNCEMENT}",
            f"B {AGENT}",
            f"C {CUSTOMER}",
            "B One moment please, I will put you through to my colleague in dispatch.",
            "D Dispatch, this is Mark. I have your order in front of me. May I have your postcode, please?",
            "C Oh thank you, it is for my daughter's birthday and I was so worried.",
            pause_s=3.0,
        ),
        None,
        likeness,
    )
    assert speakers(judged)[:4] == ["other", "agent", "customer", "agent"]
    assert speakers(judged)[4] != "customer"
    assert speakers(judged)[5] == "customer"


def test_a_further_voice_that_says_nothing_telling_is_other(likeness: AgentLikeness) -> None:
    judged = assign(call(f"A {AGENT}", f"B {CUSTOMER}", "C Yes.", f"A {AGENT}"), None, likeness)
    assert speakers(judged) == ["agent", "customer", "other", "agent"]


def test_nobody_heard_is_no_error(likeness: AgentLikeness) -> None:
    silent = Conversation(language="en", language_probability=1.0, duration_s=3.0, turns=())
    judged = assign(silent, None, likeness)
    assert judged.unheard == ("agent", "customer")
    assert judged.role_confidence == 0.0


# Turns


def two_agents(pause_s: float) -> Conversation:
    return call(
        f"A {AGENT}",
        f"B {CUSTOMER}",
        f"A {AGENT}",
        "C Good morning, Mark here from dispatch. How can I help you? May I have your order number, please?",
        pause_s=pause_s,
    )


def test_neighbouring_turns_of_two_agents_become_one(likeness: AgentLikeness) -> None:
    before = two_agents(pause_s=0.3)
    judged = assign(before, None, likeness)
    assert speakers(judged) == ["agent", "customer", "agent"]
    assert [w for t in judged.turns for w in t.words] == [w for t in before.turns for w in t.words]


def test_a_pause_keeps_them_apart(likeness: AgentLikeness) -> None:
    assert speakers(assign(two_agents(pause_s=2.5), None, likeness)) == [
        "agent",
        "customer",
        "agent",
        "agent",
    ]


def test_long_turns_are_judged_in_pieces_and_nothing_is_lost() -> None:
    text = " ".join(str(i) for i in range(101))
    assert " ".join(pieces(text)) == text
    assert [len(piece.split()) for piece in pieces(text)] == [34, 34, 33]
    assert max(len(piece.split()) for piece in pieces(text)) <= PIECE_WORDS
    assert pieces("") == []


# Languages


@pytest.mark.parametrize(
    "turns",
    [
        (
            "A Добрый день. Я заказывала куртку неделю назад, а её всё нет, я уже волнуюсь.",
            "B Здравствуйте, компания «Ясень», меня зовут Ольга. Назовите, пожалуйста, номер заказа.",
            "A Сорок четыре семьдесят один.",
            "B Вижу. Курьер привезёт её завтра до двенадцати. Могу ещё чем-то помочь?",
        ),
        (
            "A Dzień dobry, czekam na paczkę od tygodnia i nikt do mnie nie dzwoni.",
            "B Dzień dobry, Kurier Jantar, mówi Marta. Proszę podać numer przesyłki.",
            "A Cztery, cztery, siedem, jeden.",
            "B Już widzę. Kurier przyjedzie jutro do dwunastej. Czy w czymś jeszcze mogę pomóc?",
        ),
        (
            "A Bună ziua, am comandat niște pantofi și mi-au venit alții, sunt foarte supărată.",
            "B Bună ziua, sunt Ioana de la Magazinul Verde. Îmi spuneți numărul comenzii, vă rog?",
            "A Patru, patru, șapte, unu.",
            "B Am găsit-o. Curierul vine mâine până la prânz cu cei buni. Vă mai pot ajuta cu ceva?",
        ),
    ],
    ids=["Russian", "Polish", "Romanian"],
)
def test_agents_are_found_in_other_languages(likeness: AgentLikeness, turns: tuple[str, ...]) -> None:
    judged = assign(call(*turns), None, likeness)
    assert speakers(judged) == ["customer", "agent", "customer", "agent"]
    assert judged.role_confidence > 0.8


# Calls that people held, and calls of writers whom the model has not seen


def as_parties(path: Path) -> list[tuple[Conversation, str]]:
    """Each call with parties for speakers (the customer A in every second call), and its agent's party."""
    calls = []
    for i, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        agent, customer = "AB" if i % 2 else "BA"
        turns = [
            f"{agent if t['speaker'].startswith('agent') else customer} {t['text']}"
            for t in json.loads(line)["turns"]
            if t["speaker"] != "system"
        ]
        calls.append((call(*turns, pause_s=2.5), agent))
    return calls


def share_right(calls: list[tuple[Conversation, str]], likeness: AgentLikeness) -> float:
    right = 0
    for conversation, agent in calls:
        agents_turn = next(i for i, turn in enumerate(conversation.turns) if turn.speaker == agent)
        right += assign(conversation, None, likeness).turns[agents_turn].speaker == "agent"
    return right / len(calls)


def test_real_calls_come_out_the_right_way_round(likeness: AgentLikeness, shared: Path) -> None:
    calls = as_parties(shared / "calls" / "en_real.jsonl")
    assert share_right(calls, likeness) >= 15 / 16


@pytest.mark.parametrize("writer", ["en_a", "ru_a"])
def test_calls_of_an_unseen_writer_come_out_the_right_way_round(likeness: AgentLikeness, writer: str) -> None:
    path = ROOT / "data" / "labelled" / f"{writer}.jsonl"
    if not path.exists():
        pytest.skip("the labelled calls (data/labelled) are not here")
    assert share_right(as_parties(path)[::4], likeness) == 1.0


# The file of weights


@pytest.fixture(scope="module")
def training() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_roles", ROOT / "benchmarks" / "train_roles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not module.LABELLED.is_dir():
        pytest.skip("the labelled calls (data/labelled) are not here")
    return module


def test_the_weights_are_plain_json_and_say_where_they_come_from(likeness: AgentLikeness) -> None:
    model = json.loads(FILE.read_text(encoding="utf-8"))
    assert {len(weights) for weights in model["agent"]["hidden_weights"]} == {DIMENSION}
    assert len(model["announcement"]["weights"]) == DIMENSION
    assert set(model["training"]["trained_on"]) == {
        "en_b.jsonl",
        "en_c.jsonl",
        "ru_b.jsonl",
        "pl_a.jsonl",
        "ro_a.jsonl",
        "stock_phrases.json",
    }
    assert set(model["training"]["never_trained_on"]) == {"en_a.jsonl", "ru_a.jsonl"}
    assert {"python", "scikit-learn", "numpy", "encoder"} <= set(model["training"]["versions"])
    assert model["scores"]["unseen_writers_of_all_seven"]["whole"]["calls"] == 148
    assert AgentLikeness.fingerprint == "roles-" + hashlib.sha256(FILE.read_bytes()).hexdigest()[:12]


def test_the_weights_were_trained_on_the_labelled_calls_that_are_here(training: ModuleType) -> None:
    trained_on = json.loads(FILE.read_text(encoding="utf-8"))["training"]["trained_on"]
    for name, digest in trained_on.items():
        folder = training.LABELLED if name.endswith(".jsonl") else training.PHRASES.parent
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_weights_for_another_encoder_are_refused(
    likeness: AgentLikeness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SentenceEncoder, "fingerprint", "another-1.0")
    with pytest.raises(ModelDamaged, match="another sentence encoder"):
        AgentLikeness(SentenceEncoder.__new__(SentenceEncoder))


def test_many_texts_of_one_call_are_worth_less_than_as_many_witnesses() -> None:
    damping = Damping(scale=0.5, power=0.5)
    assert damping(4.0, 4) == 1.0
    assert damping(16.0, 16) == 2.0


def test_a_linear_model_is_a_weighted_sum() -> None:
    linear = Linear(bias=0.5, weights=[1.0, 0.0, -2.0])
    assert linear(np.array([[1.0, 5.0, 0.25]], dtype=np.float32)).tolist() == [1.0]


def test_a_net_counts_only_what_its_hidden_units_let_through() -> None:
    net = Net(
        hidden_biases=[0.0, -1.0],
        hidden_weights=[[1.0, 0.0], [0.0, 1.0]],
        output_bias=0.25,
        output_weights=[2.0, 8.0],
    )
    vectors = np.array([[1.0, 0.5], [-3.0, 1.5]], dtype=np.float32)
    assert net(vectors).tolist() == [2.25, 4.25]


def test_training_twice_gives_the_same_weights(training: ModuleType) -> None:
    encode = training.Memory(SentenceEncoder())
    calls = [call for call in training.read_writers(["ro_a"]) if "system" in dict(call.turns)]
    once, again = training.fit(calls, encode), training.fit(calls[:], encode)
    assert once == again
    assert training.dump({"agent": once[0]}) == training.dump({"agent": again[0]})
