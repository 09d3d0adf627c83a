"""The way of one call through all stages, on real speech and the real models."""

from pathlib import Path

import numpy as np
import pytest
from sounds import RATE, read, silence, write

from wellheard.models.sounds import Detection
from wellheard.pipeline.call import CallScorer
from wellheard.pipeline.errors import NoSpeech
from wellheard.pipeline.records import SAMPLE_RATE, CallInfo, Source
from wellheard.pipeline.settings import House, Listen, Score, Settings
from wellheard.rubrics.acts import may_show


@pytest.fixture(scope="module")
def scorer(tmp_path_factory) -> CallScorer:
    return CallScorer(Settings(), tmp_path_factory.mktemp("cache"), threads=2)


def source(path: Path, **known) -> Source:
    return Source(paths=(str(path),), info=CallInfo(call_id="", agent_id="A1", agent_name="Anna", **known))


def test_a_mono_call_comes_out_with_agent_and_customer_told_apart_and_every_criterion_marked(
    scorer, spoken, tmp_path
):
    a, c = read(spoken / "A.wav"), read(spoken / "C.wav")
    call = write(tmp_path / "call.wav", np.concatenate([a, silence(0.5), c, silence(0.5)]))
    lengths: list[float] = []
    result = scorer(source(call, language="en"), lengths.append)
    assert lengths == [result.duration_s] == [pytest.approx(10.7, abs=0.05)]
    assert [t.speaker for t in result.conversation.turns] == ["agent", "customer"]
    assert result.info.call_id == result.audio_id[:16]
    assert {(m.rubric, m.criterion) for m in result.scorecard.marks} >= {
        ("script", "greeting"),
        ("pec", "empathy"),
    }
    assert len(result.scorecard.marks) == 24
    agent, customer = result.acts.turns
    assert agent["greet"] > 0.5
    assert all(may_show("customer", act) for act in customer)
    assert set(result.acts.answers) == {f"{m.rubric}.{m.criterion}" for m in result.scorecard.marks}
    [intro] = [m for m in result.scorecard.marks if m.criterion == "greeting"]
    assert all(
        0 <= e.start_s < e.end_s <= result.duration_s for m in result.scorecard.marks for e in m.evidence
    )
    assert intro.answer in ("yes", "no", "unsure")
    assert {m.judge for m in result.scorecard.marks} == {"trained"}


def test_two_channels_with_the_agent_known_need_no_guess(scorer, spoken, tmp_path):
    a, c = read(spoken / "A.wav"), read(spoken / "C.wav")
    call = write(
        tmp_path / "call.wav",
        np.concatenate([silence(7), c]),
        a,
    )
    result = scorer(source(call, language="en", agent_channel=1), lambda _: None)
    assert [(t.speaker, t.words[0].text) for t in result.conversation.turns] == [
        ("agent", "Thank"),
        ("customer", "Hello,"),
    ]
    assert result.conversation.role_confidence == 1.0


def test_a_recording_is_named_so_that_it_is_found_from_any_folder(scorer, spoken, tmp_path, monkeypatch):
    call = write(tmp_path / "call.wav", np.concatenate([read(spoken / "A.wav"), silence(0.5)]))
    monkeypatch.chdir(tmp_path)
    result = scorer(source(Path("call.wav"), language="en"), lambda _: None)
    assert result.paths == (str(call),)


def test_a_changed_rubric_scores_again_without_hearing_again(spoken, tmp_path, monkeypatch):
    a, c = read(spoken / "A.wav"), read(spoken / "C.wav")
    call = source(write(tmp_path / "call.wav", np.concatenate([a, silence(0.5), c])), language="en")
    first = CallScorer(Settings(), tmp_path / "cache", threads=2)(call, lambda _: None)
    again = CallScorer(Settings(score=Score(rubrics=("script",))), tmp_path / "cache", threads=2)

    def deaf(*_):
        raise AssertionError("heard or tagged again")

    monkeypatch.setattr("wellheard.pipeline.transcribe.transcribe", deaf)
    monkeypatch.setattr("wellheard.pipeline.diarize.diarize", deaf)
    monkeypatch.setattr("wellheard.pipeline.acts.tag", deaf)
    second = again(call, lambda _: None)
    assert second.conversation == first.conversation
    assert second.acts == first.acts
    assert {m.rubric for m in second.scorecard.marks} == {"script"}


def test_sounds_behind_the_customer_are_heard_unless_switched_off_or_untrained(spoken, tmp_path, monkeypatch):
    given = []

    def detector(threads):
        def hear(samples):
            given.append(samples)
            return (Detection(kind="dog", start_s=1.0, end_s=2.0, probability=0.95),)

        return hear

    monkeypatch.setattr("wellheard.models.sounds.SoundDetector", detector)
    a, c = read(spoken / "A.wav"), read(spoken / "C.wav")
    customer, agent = np.concatenate([silence(7), c]), a
    call = source(write(tmp_path / "call.wav", customer, agent), language="en", agent_channel=1)

    def sounds(**listen):
        settings = Settings(listen=Listen(**listen), score=Score(rubrics=("script",)))
        result = CallScorer(settings, tmp_path / "cache", threads=2)(call, lambda _: None)
        return [(sound.kind, sound.start_s, sound.end_s) for sound in result.heard.sounds]

    assert sounds() == [("dog", 1.0, 2.0)]
    [channel] = given
    assert np.abs(channel[: 6 * SAMPLE_RATE]).max() < np.abs(channel).max() / 10
    assert sounds(sounds=False) == []
    monkeypatch.setattr("wellheard.models.trained.SOUNDS", tmp_path / "none.safetensors")
    assert sounds() == []
    assert len(given) == 1


def test_the_same_sound_under_another_name_is_the_same_call(scorer, spoken, tmp_path):
    one = write(tmp_path / "one.wav", read(spoken / "A.wav"))
    two = write(tmp_path / "two.wav", read(spoken / "A.wav"))
    assert (
        scorer(source(one, language="en"), lambda _: None).info.call_id
        == scorer(source(two, language="en"), lambda _: None).info.call_id
    )


def test_a_call_without_speech_is_no_bad_call(scorer, tmp_path):
    noise = np.random.default_rng(1).normal(0, 300, 20 * RATE).astype(np.int16)
    with pytest.raises(NoSpeech):
        scorer(source(write(tmp_path / "noise.wav", noise)), lambda _: None)


def test_the_house_s_company_is_used_where_the_manifest_names_none(spoken, tmp_path):
    scorer = CallScorer(Settings(house=House(company="Brightline")), tmp_path / "cache", threads=2)
    call = source(write(tmp_path / "one.wav", read(spoken / "A.wav")), language="en")
    assert scorer(call, lambda _: None).info.company == "Brightline"


def test_a_worker_s_memory_does_not_grow_with_the_calls_it_scores(scorer, spoken, tmp_path):
    """Case 27, in small; benchmarks/memory.py does it with as many calls as one has time for."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    a = read(spoken / "A.wav")
    after = []
    for number in range(12):
        call = write(tmp_path / "call.wav", np.concatenate([a, silence(0.02 * (number + 1))]))
        scorer(source(call, language="en"), lambda _: None)
        after.append(resident())
    assert after[-1] < 1.1 * after[3]
