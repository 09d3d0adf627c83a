"""Sounds behind the customer: what counts as one, on whose channel, and what it does to a mark."""

import csv
import wave

import msgspec
import numpy as np
import pytest
import torch
from conftest import ROOT
from dialogues import dialogue
from sounds import read
from spoken_lines import tagged
from test_score import by_name, scored

from wellheard.models import trained
from wellheard.models.sounds import (
    BANDS,
    BLOCK,
    KINDS,
    STEP,
    STEP_S,
    SoundDetector,
    SoundNet,
    events,
    features,
    probabilities,
)
from wellheard.pipeline import media
from wellheard.pipeline.errors import ModelDamaged, NoInput
from wellheard.pipeline.listen import listen, sounds_behind_customer
from wellheard.pipeline.records import SAMPLE_RATE, Recording, Sound
from wellheard.pipeline.settings import Listen
from wellheard.training.sound_mixes import Clip, Voices, mix, read_clips, read_voices

THRESHOLDS = [0.6] * len(KINDS)
DOG = Sound(kind="dog", start_s=0.0, end_s=100.0)


@pytest.fixture(scope="module")
def detector():
    return SoundDetector(threads=1)


def seconds(count, of=0.0):
    return np.full(round(count * SAMPLE_RATE), of)


def tone(count, hertz, loud=0.3):
    return loud * np.sin(2 * np.pi * hertz * np.arange(round(count * SAMPLE_RATE)) / SAMPLE_RATE)


def hiss(count, loud, seed=1):
    return loud * np.random.default_rng(seed).standard_normal(round(count * SAMPLE_RATE))


def melody(count):
    """A tune of half-second notes with overtones, as it is played to those who wait."""
    notes = [261.6, 329.6, 392.0, 523.3, 440.0, 349.2, 293.7, 392.0]
    each = [
        (tone(0.5, notes[n % 8]) + 0.5 * tone(0.5, 2 * notes[n % 8])) * np.linspace(1, 0.2, SAMPLE_RATE // 2)
        for n in range(round(2 * count))
    ]
    return np.concatenate(each)


def pcm(sound):
    return np.clip(32767 * np.asarray(sound), -32768, 32767).astype(np.int16)


# What is no alarm


@pytest.mark.parametrize(
    "sound",
    [
        seconds(20),
        seconds(20, of=0.2),
        hiss(30, 0.0003),
        hiss(30, 0.1),
        tone(20, 440),
        np.concatenate([tone(1, 425), seconds(4)] * 6),
        np.concatenate([tone(0.2, 697) + tone(0.2, 1209), seconds(0.3)] * 10),
        melody(20),
    ],
    ids=[
        "digital silence",
        "a constant",
        "an idle line",
        "loud noise",
        "a tone",
        "ringing",
        "keys",
        "hold music",
    ],
)
def test_no_alarm_without_a_sound_behind_anybody(detector, sound):
    assert detector(pcm(sound)) == ()


@pytest.mark.parametrize("clip", ["A.wav", "C.wav", "A22.wav"])
def test_no_alarm_from_speech(detector, spoken, clip):
    (samples,) = media.read(spoken / clip).tracks
    assert detector(samples[0]) == ()


@pytest.mark.parametrize(
    "call", ["en_refund.m4a", "en_return.wav", "en_wedding.mp3", "ru_desk.ogg", "ru_wardrobe_customer.wav"]
)
def test_no_alarm_in_a_sample_call(detector, call):
    (samples,) = media.read(ROOT / "data" / "calls" / call).tracks
    assert [detector(channel) for channel in samples] == [()] * len(samples)


@pytest.mark.parametrize("call", ["lca_auto40_stereo.flac", "lca_auto40_mono.mp3", "pca_auto0.wav"])
def test_no_alarm_in_calls_of_real_people(detector, shared, call):
    (samples,) = media.read(shared / "recordings" / "real" / call).tracks
    assert [detector(channel) for channel in samples] == [()] * len(samples)


def test_too_short_a_sound_is_none(detector):
    assert detector(pcm(hiss(0.01, 0.1))) == ()
    assert detector(np.zeros(0, np.int16)) == ()


# What is one


def test_barks_are_heard_behind_speech(detector, shared, spoken):
    """Ten bouts of three barks, each as loud as the speech, of which at least six must be heard."""
    speech = np.repeat(read(spoken / "A.wav"), 2).astype(np.float32)
    speech = np.resize(speech, 60 * SAMPLE_RATE)
    clips = sorted((shared / "sounds" / "dog").glob("*.opus"))
    starts = [3.0 + 5.5 * number for number in range(10)]
    for number, start in enumerate(starts):
        bark = media.read(clips[number * 20]).tracks[0][0].astype(np.float32)
        bout = np.concatenate([bark] * 3)
        bout *= np.sqrt(np.square(speech).mean() / np.square(bout).mean())
        at = round(start * SAMPLE_RATE)
        speech[at : at + len(bout)] += bout
    found = [d for d in detector(np.clip(speech, -32768, 32767).astype(np.int16)) if d.kind == "dog"]
    assert sum(any(d.start_s < start + 3 and start < d.end_s for d in found) for start in starts) >= 6
    assert all(0 <= d.start_s < d.end_s <= 60.1 and 0 < d.probability <= 1 for d in found)


def test_a_sound_reaches_as_far_as_the_net_is_half_as_sure_and_short_gaps_are_bridged():
    sure = np.zeros((200, len(KINDS)), np.float32)
    sure[40:60, 0] = 0.9
    sure[60:66, 0] = 0.4
    sure[80:100, 0] = 0.9
    sure[120:140, 1] = 0.9
    sure[150:170, 2] = 0.5
    dog, baby = events(sure, THRESHOLDS)
    assert (dog.kind, baby.kind) == ("dog", "baby")
    assert dog.start_s == pytest.approx(40 * STEP_S, abs=3 * STEP_S)
    assert dog.end_s == pytest.approx(100 * STEP_S, abs=3 * STEP_S)
    assert dog.probability == pytest.approx(0.9)


def test_a_third_of_a_second_is_no_sound():
    sure = np.zeros((100, len(KINDS)), np.float32)
    sure[50:55] = 1.0
    assert events(sure, THRESHOLDS) == ()


def test_a_long_call_is_heard_in_blocks_as_if_in_one():
    torch.manual_seed(1)
    net = SoundNet().eval()
    bands = np.random.default_rng(1).normal(-1, 0.5, (STEP * (BLOCK + 500), BANDS)).astype(np.float16)
    with torch.no_grad():
        whole = torch.softmax(net(torch.from_numpy(bands.astype(np.float32))[None])[0], 0)[1:].T.numpy()
    np.testing.assert_allclose(probabilities(net, bands), whole, atol=1e-5)


def test_how_loud_a_call_was_recorded_makes_no_difference():
    call = hiss(5, 0.1) * np.repeat([1, 0.1, 1, 0.01, 1], SAMPLE_RATE)
    loud, faint = features(pcm(call)), features(pcm(call / 8))
    assert np.abs(loud.astype(float) - faint)[loud > -1].max() < 0.05


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "sounds.safetensors").write_bytes(trained.SOUNDS.read_bytes()[:-100])
    with pytest.raises(ModelDamaged, match=r"sounds\.safetensors"):
        SoundDetector(threads=1, file=tmp_path / "sounds.safetensors")


def test_the_trained_file_says_from_what_it_comes_and_how_good_it_is(detector):
    about = detector.about
    assert set(about.thresholds) == set(about.scores) == set(KINDS)
    assert set(KINDS) < set(about.trained_on)
    assert any("CC BY-NC 3.0" in licence for licence in about.licences.values())
    for kind in ("dog", "baby"):
        assert about.scores[kind]["recall at 0 dB"] >= 0.6
        assert about.scores[kind]["precision at 0 dB"] >= 0.7
    assert sum(of_kind["false alarms an hour of speech"] for of_kind in about.scores.values()) <= 0.5


# On whose channel


class Listener:
    """A detector that hears a dog in whatever it is given, and keeps that."""

    def __init__(self):
        self.given = []

    def __call__(self, samples):
        self.given.append(samples)
        return events(np.pad(np.ones((10, 1), np.float32), ((20, 20), (0, 2))), THRESHOLDS)


TALK = dialogue("agent 0-2 good morning", "customer 3-5 hello there")


def recording(*channels, agent_channel=None, empty_channels=()):
    samples = np.stack([pcm(channel) for channel in channels])
    return Recording(
        samples=samples, audio_id="x", agent_channel=agent_channel, empty_channels=empty_channels
    )


EARLY = np.concatenate([hiss(2.5, 0.1), hiss(3.5, 0.001)])
LATE = np.concatenate([hiss(2.5, 0.02), hiss(3.5, 0.2)])


@pytest.mark.parametrize(
    ("call", "channel"),
    [
        (recording(EARLY), 0),
        (recording(LATE, EARLY, agent_channel=0), 1),
        (recording(LATE, EARLY, agent_channel=1), 0),
        (recording(LATE, EARLY), 0),
        (recording(EARLY, LATE), 1),
    ],
    ids=[
        "mono",
        "agent left",
        "agent right",
        "customer loudest on the left",
        "customer loudest on the right",
    ],
)
def test_sounds_are_those_on_the_customers_channel(call, channel):
    ear = Listener()
    (sound,) = sounds_behind_customer(TALK, call, ear)
    assert type(sound) is Sound
    assert sound.kind == "dog"
    (given,) = ear.given
    assert np.array_equal(given, call.samples[channel])


def test_nothing_is_heard_behind_a_customer_who_was_not_recorded():
    ear = Listener()
    call = recording(EARLY, seconds(6), agent_channel=0, empty_channels=(1,))
    assert sounds_behind_customer(TALK, call, ear) == ()
    assert ear.given == []


def test_what_was_heard_is_kept_beside_the_rest():
    assert listen(TALK, Listen(), sounds=[DOG]).sounds == (DOG,)
    assert listen(TALK, Listen()).sounds == ()


# What it does to a mark

MISSED = (
    "agent: Good morning. [greet]",
    "customer: My order is late. [matter]",
    "agent: What is its number? [ask_id]",
    "customer: It's a present for my daughter's wedding, one two three. [fact, cue 0.9]",
    "agent: Thank you, it comes tomorrow. [solve]",
)


def cue_response(sounds, lines=MISSED):
    spoken = tagged(*lines)
    heard = msgspec.structs.replace(spoken.heard, sounds=tuple(sounds))
    return by_name(scored(spoken._replace(heard=heard)))["pec.cue_response"]


def behind(turn, kind="dog", lines=MISSED):
    of = tagged(*lines).conversation.turns[turn]
    return Sound(kind=kind, start_s=of.start_s, end_s=of.start_s + 0.5)


def test_a_cue_in_words_that_is_passed_over_is_a_no_whatever_else_is_heard():
    assert cue_response([]).answer == "no"
    assert cue_response([behind(1)]).answer == "no"


@pytest.mark.parametrize(
    ("kind", "words"),
    [("dog", "A dog was heard"), ("baby", "A baby was heard"), ("child_laughter", "Children were heard")],
)
def test_where_the_only_cue_is_a_sound_no_becomes_unsure(kind, words):
    mark = cue_response([behind(3, kind)])
    assert (mark.answer, mark.leaning) == ("unsure", "no")
    assert mark.reason.startswith(f"{words} at 0:0")


NO_CUE = (*MISSED[:3], "customer: It is one two three. [fact]", MISSED[4])
TAKEN_UP = (*NO_CUE, "agent: Is that a puppy I hear? How old is he? [take_up]")


@pytest.mark.parametrize("kind", ["dog", "baby"])
def test_where_no_words_are_a_cue_a_sound_asks_for_an_ear(kind):
    assert cue_response([], NO_CUE).answer == "na"
    assert cue_response([behind(3, kind, NO_CUE)], NO_CUE).answer == "unsure"
    assert cue_response([behind(3, "child_laughter", NO_CUE)], NO_CUE).answer == "na"


def test_a_sound_that_is_taken_up_is_a_yes():
    mark = cue_response([behind(3, lines=TAKEN_UP)], TAKEN_UP)
    assert mark.answer == "yes"
    assert "puppy" in mark.evidence[-1].quote


def test_a_sound_while_the_agent_talks_is_still_no_proof_against_them():
    mark = cue_response([behind(4, lines=NO_CUE)], NO_CUE)
    assert mark.answer == "unsure"
    assert "A dog was heard" in mark.reason


def test_a_sound_of_another_kind_changes_nothing():
    assert cue_response([behind(3, "traffic")]).answer == "no"


def test_a_sound_leaves_a_yes_and_other_criteria_alone():
    taken_up = (*MISSED[:4], "agent: How lovely, congratulations to your daughter! [take_up]")
    assert cue_response([behind(3, lines=taken_up)], taken_up).answer == "yes"
    spoken = tagged(*MISSED)
    with_dog = spoken._replace(heard=msgspec.structs.replace(spoken.heard, sounds=(behind(3),)))
    quiet, loud = by_name(scored(spoken)), by_name(scored(with_dog))
    assert {name for name in quiet if quiet[name].answer != loud[name].answer} == {"pec.cue_response"}


# What it is trained on


def noise_clip(kind, fold=0):
    return Clip(kind=kind, samples=hiss(1.5, 0.1).astype(np.float32), fold=fold)


def write(path):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(pcm(hiss(1, 0.1)).tobytes())


def test_the_same_seed_makes_the_same_mix_and_labels_lie_where_the_sounds_are():
    clips = [noise_clip(kind) for kind in (*KINDS, "other", "noise")]
    voices = [Voices(agent="A1", call="a", samples=hiss(20, 0.05).astype(np.float32), fold=0)]
    first, again = (mix(clips, voices, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.samples, again.samples)
    for number, kind in enumerate(KINDS, start=1):
        for step in np.flatnonzero(first.labels == number):
            assert any(
                e.kind == kind and e.start_s - 0.5 < step * STEP_S < e.end_s + 0.5 for e in first.events
            )
    judged = [event for event in first.events if event.kind in KINDS]
    assert judged
    for event in judged:
        middle = round((event.start_s + event.end_s) / 2 / STEP_S)
        assert first.labels[middle] == KINDS.index(event.kind) + 1


def test_clips_of_one_recording_are_all_in_one_fold(tmp_path):
    sources = {
        "baby": ["1-1001-A.ogg", "1-1001-B.ogg", "2-1002-A.ogg", "3-1003-A.ogg", "Home_1.wav", "Home_2.wav"],
        "dog": ["bark_1.wav", "bark_3.wav", "bark_30.wav", "bark_60.wav", "bark_99.wav"],
        "laughter": ["laugh_1.m4a_0.wav", "laugh_1.m4a_40.wav"],
    }
    write(tmp_path / "clip.wav")
    rows = [("clip.wav", sound, source) for sound, own in sources.items() for source in own]
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "sound", "source_file"), *rows])
    fold = {source: clip.fold for (_, _, source), clip in zip(rows, read_clips(tmp_path), strict=True)}
    assert fold["1-1001-A.ogg"] == fold["1-1001-B.ogg"]
    assert fold["Home_1.wav"] == fold["Home_2.wav"]
    assert fold["bark_1.wav"] == fold["bark_3.wav"]
    assert len({fold[name] for name in ("1-1001-A.ogg", "2-1002-A.ogg", "3-1003-A.ogg", "Home_1.wav")}) > 1


def test_an_agents_calls_are_all_in_one_fold_and_the_sample_with_a_dog_in_none(tmp_path):
    (tmp_path / "speech").mkdir()
    (tmp_path / "calls").mkdir()
    for name in ("A1_one.opus", "A1_two.opus", "A2_one.opus", "K1_af_nova.opus"):
        write(tmp_path / "speech" / name)
    for name in ("en_boots.wav", "en_refund.wav", "en_return.wav", "ru_desk.wav"):
        write(tmp_path / "calls" / name)
    fold = {(voices.agent, voices.call): voices.fold for voices in read_voices(tmp_path)}
    assert fold["A1", "one"] == fold["A1", "two"] != fold["A2", "one"]
    assert fold["samples en", "en_refund"] == fold["samples en", "en_return"]
    assert len(fold) == 7


def test_a_folder_without_a_list_of_clips_is_named(tmp_path):
    with pytest.raises(NoInput, match=r"clips\.csv"):
        read_clips(tmp_path)
    (tmp_path / "clips.csv").write_text("path,sound,source_file\n")
    with pytest.raises(NoInput, match="dog, baby, laughter"):
        read_clips(tmp_path)
