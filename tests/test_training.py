"""Training: what is learnt from, what is kept apart, and that the same material gives the same files."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from spoken_lines import tagged

from wellheard.models import trained
from wellheard.models.act_tagger import Names, Tagged, pack
from wellheard.models.multilingual_e5 import MultilingualE5
from wellheard.pipeline.errors import NoInput
from wellheard.pipeline.records import Acts, CallInfo, Speaker, TurnInput
from wellheard.pipeline.score import find
from wellheard.rubrics import combination as combination_file
from wellheard.rubrics.loader import Rubric, for_training
from wellheard.rubrics.rules import Findings
from wellheard.training import acts, bank, combination, folds, samples, train
from wellheard.training.acts import TrainSettings
from wellheard.training.labelled import Label, LabelledCall, read
from wellheard.training.samples import Sample, of_bank, of_calls, varied

PEC = for_training()[0]
EMPATHY, NO_BLAME = (own for own in PEC.criteria if own.id in ("empathy", "no_blame"))
TWO = msgspec.structs.replace(PEC, criteria=(EMPATHY, NO_BLAME))


# Labelled calls as samples

CALL = {
    "call_id": "c1",
    "writer": "en_x",
    "language": "en",
    "company": "Brightline",
    "agent_name": "Anna Bell",
    "customer_name": "Tom Reed",
    "turns": [
        {"speaker": "system", "text": "This call is recorded."},
        {"speaker": "agent", "text": "Brightline, Anna here."},
        {
            "speaker": "customer",
            "text": "Tom Reed. It's freezing in here!",
            "pause_before_s": 7.0,
            "sound": "dog",
        },
        {"speaker": "agent2", "text": "Oh no, in this cold!", "overlap_s": 0.5},
    ],
    "marks": {"pec.empathy": {"answer": "yes", "evidence": [3]}, "pec.no_blame": {"answer": "yes"}},
}
DONE = [["recording"], ["company", "own_name"], ["feeling"], ["empathise"]]


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    (tmp_path / "calls.jsonl").write_text(json.dumps(CALL))
    (tmp_path / "acts.jsonl").write_text(json.dumps({"call_id": "c1", "acts": DONE}))
    calls = read(tmp_path / "calls.jsonl", list(CALL["marks"]), tmp_path / "acts.jsonl")
    (found,) = of_calls(calls)
    return found


def test_a_labelled_call_is_learnt_from_as_the_tagger_will_see_it(sample: Sample):
    assert [turn.speaker for turn in sample.turns] == ["other", "agent", "customer", "agent"]
    assert sample.turns[2].text == "Tom Reed. It's freezing in here!"
    assert (sample.turns[2].pause_s, sample.turns[2].sound) == (pytest.approx(7), "dog")
    assert sample.turns[3].overlap_s == pytest.approx(0.5)
    assert sample.turns[1].facts == {"says_company": 1.0, "says_agent_name": 1.0, "pause_after": 1.0}


def test_a_labelled_call_has_its_writer_acts_and_answers(sample: Sample):
    assert (sample.writer, sample.whole) == ("en_x", True)
    assert sample.acts == tuple(map(frozenset, DONE))
    assert sample.answers == {"pec.empathy": "yes", "pec.no_blame": "yes"}


def test_a_snippet_of_the_bank_is_no_whole_call_and_its_first_turns_lack_no_names(tmp_path: Path):
    (tmp_path / "en_1.txt").write_text(
        "== take_up | bakery\n"
        "C: It's for my daughter's birthday on Friday. [matter cue]\n"
        "A: How lovely, how old is she? [take_up]\n"
    )
    (found,) = of_bank(tmp_path)
    assert (found.writer, found.whole, found.answers) == ("bank en_1", False, {})
    assert [turn.speaker for turn in found.turns] == ["customer", "agent"]
    assert found.acts == (frozenset({"matter", "cue"}), frozenset({"take_up"}))
    assert found.turns[0].facts == {"gives_time": 1.0}
    assert found.turns[1].facts == {"asks_question": 1.0}


# The same turns as they might have come too


def forms(sample: Sample, count: int = 200) -> list[list[TurnInput]]:
    chance = random.Random(1)
    return [varied(sample, chance) for _ in range(count)]


def test_variants_are_the_same_for_the_same_seed(sample: Sample):
    assert forms(sample) == forms(sample)
    assert varied(sample, random.Random(1)) != varied(sample, random.Random(2))


def test_variants_keep_turns_speakers_timing_and_acts(sample: Sample):
    before = msgspec.json.encode(sample.turns), sample.acts
    kept = [(turn.speaker, turn.pause_s, turn.overlap_s, turn.sound) for turn in sample.turns]
    for turns in forms(sample):
        assert [(turn.speaker, turn.pause_s, turn.overlap_s, turn.sound) for turn in turns] == kept
    assert (msgspec.json.encode(sample.turns), sample.acts) == before


def test_variants_lose_punctuation_and_some_words_and_never_gain_any(sample: Sample):
    text = sample.turns[2].text
    texts = [turns[2].text for turns in forms(sample)]
    assert text in texts
    assert "tom reed it's freezing in here" in texts
    assert any(len(found.split()) < len(text.split()) for found in texts)
    assert all(found for found in texts)
    plain = set(text.lower().replace(".", "").replace("!", "").split())
    assert all(set(found.lower().replace(".", "").replace("!", "").split()) <= plain for found in texts)


def test_in_some_variants_nobody_told_the_names(sample: Sample):
    told = sample.turns[1].facts
    untold = {"says_company": 0.5, "says_agent_name": 0.5, "pause_after": 1.0}
    found = [turns[1].facts for turns in forms(sample)]
    assert 0.2 < found.count(untold) / len(found) < 0.4
    assert found.count(told) + found.count(untold) == len(found)


# Folds: judged by a net that never saw the writer


def test_no_writer_is_in_two_folds_and_every_labelled_writer_is_in_one():
    writers = [writer for fold in folds.FOLDS for writer in fold]
    assert len(writers) == len(set(writers))
    labelled = {
        json.loads(line)["writer"]
        for path in samples.FOLDER.glob("*.jsonl")
        for line in path.read_text("utf-8").splitlines()
    }
    assert set(writers) == labelled


def test_every_fold_leaves_out_some_english_and_some_russian():
    assert all({"en", "ru"} <= {writer[:2] for writer in fold} for fold in folds.FOLDS)


def made(writer: str, whole: bool = True) -> Sample:
    turn = TurnInput(speaker="agent", text=writer, pause_s=0.0, overlap_s=0.0, sound=None, facts={})
    return Sample(writer=writer, turns=(turn,), acts=(frozenset(),), answers={}, whole=whole)


def test_a_call_is_judged_by_a_net_that_saw_no_call_of_its_writer(monkeypatch: pytest.MonkeyPatch):
    calls = {f"{writer}_{i}": made(writer) for fold in folds.FOLDS for writer in fold for i in range(2)}
    snippet = made("bank en_1", whole=False)
    seen: list[set[str]] = []

    def learn(learnt: Sequence[Sample], *_) -> set[str]:
        seen.append({sample.writer for sample in learnt})
        assert snippet in learnt
        return seen[-1]

    def judge(net: set[str], judged: Sequence[Sample], _: Names) -> list[Tagged]:
        assert not net & {sample.writer for sample in judged}
        return [Tagged(acts=((1.0,),), answers=()) for _ in judged]

    monkeypatch.setattr(acts, "train", learn)
    monkeypatch.setattr(acts, "tag", judge)
    tagged_calls: dict[str, Tagged] = {}
    for fold in range(len(folds.FOLDS)):
        found = folds.run(fold, calls, [snippet], NAMES, TrainSettings(), 1, lambda *_: None)
        assert not set(found) & set(tagged_calls)
        tagged_calls |= found
    assert set(tagged_calls) == set(calls), "every call is judged once"


def test_what_the_folds_made_is_kept(tmp_path: Path):
    made_of_calls = {
        "c2": Tagged(acts=((1.5, -2.25, 0.5),), answers=((0.5, 0.25, -1.0),)),
        "c1": Tagged(acts=((3.0, 0.0, 1.0), (-8.0, 0.1, 2.0)), answers=((1.0, 2.0, 3.0),)),
    }
    folds.keep(made_of_calls, NAMES, tmp_path / "kept.parquet")
    found = dict(folds.kept(tmp_path / "kept.parquet"))
    assert list(found) == ["c1", "c2"]
    assert found["c2"] == made_of_calls["c2"]
    assert found["c1"].acts[1] == pytest.approx((-8.0, 0.1, 2.0), abs=1e-3), "in 16 bits"
    about = pq.read_schema(tmp_path / "kept.parquet").metadata
    assert about[b"acts"].decode().split(",") == list(NAMES.acts)


# A small training

NAMES = Names(
    acts=("greet", "empathise", "feeling"), facts=("asks_question",), criteria=("pec.empathy", "pec.no_blame")
)
SMALL = TrainSettings(passes=1, turns_a_step=4)


def small_calls() -> list[Sample]:
    lines = (
        (
            "agent: Good morning. [greet]",
            "customer: I'm so worried. [feeling]",
            "agent: Poor you! [empathise]",
        ),
        ("agent: Hello. [greet]", "customer: I haven't slept. [feeling]", "agent: Your name?"),
        ("agent: Добрый день. [greet]", "customer: До скольких вы?", "agent: До шести."),
    )
    found = []
    for turns, answer in zip(lines, ("yes", "no", "na"), strict=True):
        conversation, _, done = tagged(*turns)
        found.append(
            Sample(
                writer="x",
                turns=tuple(
                    TurnInput(
                        speaker=turn.speaker, text=turn.text, pause_s=0.4, overlap_s=0.0, sound=None, facts={}
                    )
                    for turn in conversation.turns
                ),
                acts=tuple(map(frozenset, done.turns)),
                answers={"pec.empathy": answer},
                whole=True,
            )
        )
    return found


def packed(settings: TrainSettings, told: list[tuple[int, int, float]]) -> bytes:
    net = acts.train(small_calls(), NAMES, settings, 1, lambda *step: told.append(step))
    base = {f"encoder.{name}": part for name, part in MultilingualE5().named_parameters()}
    return pack(net, base, torch.ones(3), torch.zeros(3), "{}")


def test_training_twice_gives_the_same_file_to_the_byte_and_another_seed_another():
    first: list[tuple[int, int, float]] = []
    again: list[tuple[int, int, float]] = []
    file = packed(SMALL, first)
    assert packed(SMALL, again) == file
    assert first == again
    assert [step for step, _, _ in first] == [1, 2]
    assert all(0 < loss < 100 for _, _, loss in first)
    assert packed(msgspec.structs.replace(SMALL, seed=1), []) != file


# Calibration


def spoken(count: int, speaker: Speaker, acts_of_turn: frozenset[str]) -> Sample:
    turn = TurnInput(speaker=speaker, text="-", pause_s=0.0, overlap_s=0.0, sound=None, facts={})
    return Sample(writer="x", turns=(turn,) * count, acts=(acts_of_turn,) * count, answers={}, whole=True)


def test_calibrated_log_odds_are_worth_what_they_say():
    """A net that says 20 to 1 for greetings and is right in three of four."""
    calls = [spoken(300, "agent", frozenset({"greet"})), spoken(100, "agent", frozenset())]
    calls += [spoken(400, "agent", frozenset())]
    said = [
        Tagged(acts=((sure, 0.0, 0.0),) * len(call.turns), answers=())
        for call, sure in zip(calls, (3.0, 3.0, -3.0), strict=True)
    ]
    scale, shift = acts.calibrate(calls, said, NAMES)
    right = acts.calibrated(said[0], scale, shift)
    assert 1 / (1 + np.exp(-right.acts[0][0])) == pytest.approx(0.75, abs=0.02)
    wrong = acts.calibrated(said[2], scale, shift)
    assert 1 / (1 + np.exp(-wrong.acts[0][0])) < 0.03


def test_an_act_that_nobody_did_or_everybody_stays_as_it_is():
    call = spoken(10, "agent", frozenset({"greet"}))
    said = Tagged(acts=((1.0, 1.0, 1.0),) * 10, answers=())
    scale, shift = acts.calibrate([call], [said], NAMES)
    assert scale.tolist() == [1, 1, 1]
    assert shift.tolist() == [0, 0, 0]


def test_turns_that_cannot_show_an_act_do_not_count_for_it():
    agents = [spoken(50, "agent", frozenset({"greet"})), spoken(50, "agent", frozenset())]
    customers = [spoken(900, "customer", frozenset({"feeling"}))]
    said = [
        Tagged(acts=((sure, 0.0, 0.0),) * len(call.turns), answers=())
        for call, sure in zip([*agents, *customers], (2.0, -2.0, 2.0), strict=True)
    ]
    with_customers = acts.calibrate([*agents, *customers], said, NAMES)
    without = acts.calibrate(agents, said[:2], NAMES)
    assert with_customers[0][0] == without[0][0]
    assert with_customers[1][0] == without[1][0]


# The combination of rule and view


def labelled(number: int, answer: str, blamed: bool) -> tuple[LabelledCall, Findings]:
    """A call whose feeling is met, not met, or not there."""
    feeling = "customer: I'm so worried. [feeling 0.9]"
    turns = {
        "yes": (feeling, "agent: That must be hard. [empathise 0.8]"),
        "no": (feeling, "agent: Your name? [empathise 0.1]"),
        "na": ("customer: When do you close? [matter, feeling 0.1]", "agent: At six. [solve]"),
    }[answer]
    conversation, heard, done = tagged(
        *turns, *(["agent: You should have asked. [blame 0.9]"] if blamed else [])
    )
    view = {"yes": (0.8, 0.1, 0.1), "no": (0.1, 0.8, 0.1), "na": (0.1, 0.1, 0.8)}[answer]
    call = LabelledCall(
        call_id=f"c{number}",
        writer=("en_y", "en_x")[number % 2],
        conversation=conversation,
        heard=heard,
        info=CallInfo(call_id=f"c{number}"),
        marks={
            "pec.empathy": Label(answer=answer),
            "pec.no_blame": Label(answer="no" if blamed else "yes"),
        },
        acts=None,
        sounds=(None,) * len(conversation.turns),
    )
    found = Acts(turns=done.turns, answers={"pec.empathy": view})
    return call, find(conversation, heard, call.info, found)


@pytest.fixture(scope="module")
def judged() -> tuple[list[LabelledCall], dict[str, Findings]]:
    made = [labelled(i, ("yes", "no", "na")[i % 3], blamed=i % 2 == 0) for i in range(30)]
    return [call for call, _ in made], {call.call_id: found for call, found in made}


def test_the_combination_learns_what_people_answered(judged):
    calls, found = judged
    learnt = combination.fit(calls, found, [TWO])
    assert list(learnt.criteria) == ["pec.empathy", "pec.no_blame"]
    for call in calls:
        for criterion in TWO.criteria:
            name = f"pec.{criterion.id}"
            assert learnt.knows(name, criterion.rule)
            shares = learnt.shares(name, criterion.rule, found[call.call_id])
            assert sum(shares.values()) == pytest.approx(1)
            assert max(shares, key=lambda answer: shares[answer]) == call.marks[name].answer


def test_it_says_what_it_was_trained_on_and_is_never_certain(judged):
    calls, found = judged
    learnt = combination.fit(calls, found, [TWO])
    assert "30 labelled calls of en_x, en_y" in learnt.about["trained on"]
    assert "scikit-learn" in learnt.about
    assert set(learnt.criteria["pec.no_blame"].answers) == {"no", "yes"}, "nobody answered na"
    for call in calls:
        assert max(learnt.shares("pec.empathy", EMPATHY.rule, found[call.call_id]).values()) < 0.999


def test_the_same_calls_give_the_same_combination_and_other_calls_another(judged):
    calls, found = judged
    learnt = combination.fit(calls, found, [TWO])
    assert combination.fit(calls, found, [TWO]).fingerprint == learnt.fingerprint
    fewer = combination.fit(calls[:20], found, [TWO])
    assert fewer.fingerprint != learnt.fingerprint


def test_a_combination_is_kept_as_plain_numbers(judged, tmp_path: Path):
    calls, found = judged
    learnt = combination.fit(calls, found, [TWO])
    (tmp_path / "combination.json").write_bytes(msgspec.json.encode(learnt))
    assert combination_file.read(tmp_path / "combination.json") == learnt
    assert combination_file.read(tmp_path / "nothing.json").criteria == {}


# All of it


def test_without_the_labelled_calls_nothing_is_trained(tmp_path: Path):
    with pytest.raises(NoInput, match="Train in a clone of the project"):
        train.material(tmp_path)


def test_all_labelled_calls_and_the_bank_are_learnt_from():
    known = train.material()
    lines = [path.read_text("utf-8").splitlines() for path in samples.FOLDER.glob("*.jsonl")]
    assert len(known.calls) == len(known.samples) == sum(map(len, lines))
    assert len(known.bank) == sum(len(list(bank.read(path))) for path in bank.FOLDER.glob("*.txt"))
    assert all(sample.answers for sample in known.samples.values())
    assert {sample.whole for sample in known.bank} == {False}
    assert len(known.names.criteria) == 24


def test_the_unseen_calls_stay_unseen():
    known = train.material()
    criteria, folder = known.names.criteria, samples.FOLDER.parent / "unseen"
    unseen = [
        call
        for path in sorted(folder.glob("*.jsonl"))
        for call in read(path, criteria, folder / "acts" / path.name)
    ]
    assert len(unseen) == 74
    assert all(len(call.marks) == 24 and call.acts for call in unseen)
    assert not {call.call_id for call in unseen} & {name for name, _ in folds.kept()}
    assert not {call.writer for call in unseen} & {call.writer for call in known.calls.values()}
    assert not {call.info.company for call in unseen} & {call.info.company for call in known.calls.values()}


# What ships


@pytest.fixture(scope="module")
def material() -> train.Material:
    return train.material()


def test_the_trained_tagger_says_what_it_was_trained_on_and_how_well_it_does():
    with safe_open(str(trained.ACTS), framework="np") as stored:
        about = json.loads(stored.metadata()["about"])
    assert set(about) >= {"names", "settings", "trained on", "libraries"}
    assert about["micro F1 of acts, writers not trained on"] > 0.5
    assert set(about["libraries"]) == set(train.LIBRARIES)


def test_every_call_was_judged_by_a_net_that_never_saw_its_writer_and_that_is_kept(material: train.Material):
    kept = dict(folds.kept())
    assert set(kept) == set(material.calls)
    for name, call in kept.items():
        assert len(call.acts) == len(material.samples[name].turns)
        assert len(call.answers) == len(material.names.criteria)


def test_calibration_and_combination_made_anew_give_the_same_marks(material: train.Material):
    kept = dict(folds.kept())
    scale, shift = train.calibration(material, kept)
    with safe_open(str(trained.ACTS), framework="np") as stored:
        assert np.allclose(stored.get_tensor("calibration.scale"), scale, atol=1e-3)
        assert np.allclose(stored.get_tensor("calibration.shift"), shift, atol=1e-3)
    calls = list(material.calls.values())
    found = combination.findings(calls, train.held_out_acts(material, kept, scale, shift))
    rubrics = for_training()
    anew, shipped = combination.fit(calls, found, rubrics), combination_file.read()
    assert marks(anew, rubrics, found) == marks(shipped, rubrics, found)


def marks(
    learnt: combination_file.Combination, rubrics: Sequence[Rubric], found: dict[str, Findings]
) -> dict[str, list[str]]:
    """By criterion the likeliest answer for each call."""
    answers: dict[str, list[str]] = {}
    for rubric in rubrics:
        for criterion in rubric.criteria:
            name = f"{rubric.id}.{criterion.id}"
            shares = [learnt.shares(name, criterion.rule, call) for call in found.values()]
            answers[name] = [max(share, key=lambda answer, share=share: share[answer]) for share in shares]
    return answers
