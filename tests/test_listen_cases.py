"""Listen: pauses and tones in real sound; what is measured is what was to be heard."""

import msgspec
import numpy as np
import pytest
import sounds
from voices import say

from wellheard.models import store
from wellheard.models.whisper import Whisper, speech_spans
from wellheard.pipeline.diarize import diarize
from wellheard.pipeline.listen import listen
from wellheard.pipeline.records import SAMPLE_RATE, Conversation, Heard, Recording
from wellheard.pipeline.settings import House, Listen, Transcribe
from wellheard.pipeline.transcribe import transcribe


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(store.locate("whisper-base", None), threads=2)


def hear(
    whisper: Whisper, *channels: np.ndarray, voices=(), settings: Listen | None = None
) -> tuple[Conversation, Heard]:
    """A call in which the first party is the agent."""
    samples = np.clip(np.stack(channels), -32768, 32767).astype(np.int16)
    recording = Recording(samples=samples, audio_id="x")
    transcript = transcribe(recording, "en", (), House(), Transcribe(), speech_spans, whisper)
    spoken = diarize(recording, transcript, lambda _: list(voices))
    names = {"A": "agent", "B": "customer"}
    turns = tuple(msgspec.structs.replace(turn, speaker=names[turn.speaker]) for turn in spoken.turns)
    talk = msgspec.structs.replace(spoken, turns=turns)
    return talk, listen(talk, settings or Listen(), recording)


def clip(path) -> np.ndarray:
    return np.repeat(sounds.read(path), 2).astype(float)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE))


def pink_noise(seconds: float) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(round(seconds * SAMPLE_RATE)))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, round(seconds * SAMPLE_RATE))
    return 0.02 * 32768 * noise / noise.std()


def spoken_part(text: str) -> np.ndarray:
    """The sentence without the silence before and after."""
    samples = say(text, "en-us")
    (loud,) = np.nonzero(np.abs(samples.astype(int)) > 200)
    return samples[loud[0] : loud[-1] + 1].astype(float)


@pytest.mark.parametrize("of", [silence, pink_noise], ids=["zeros", "pink noise"])
@pytest.mark.parametrize("pause_s", [3, 8, 20])
def test_a_pause_within_a_sentence_is_no_part_of_its_words(whisper, spoken, pause_s, of):
    """Case 21: and who answers after it interrupts nobody."""
    before, after = spoken_part("Just a moment, let me look"), spoken_part("it up. Yes, I can see it here.")
    agent = np.concatenate([before, of(pause_s), after])
    answer = clip(spoken / "C.wav")
    agent, customer = (
        np.concatenate([agent, silence(0.3), np.zeros_like(answer)]),
        np.concatenate([np.zeros_like(agent), silence(0.3), answer]),
    )
    talk, heard = hear(whisper, agent, customer, settings=Listen(silence_s=2, hold_s=15))
    assert [s.duration_s for s in heard.silences] == [pytest.approx(pause_s, abs=0.3)]
    assert max(word.end_s - word.start_s for turn in talk.turns for word in turn.words) <= 2
    assert len(heard.holds) == (pause_s == 20)
    assert heard.interruptions == ()


# Case 35: the notice tone, 0.4 s of 1400 Hz every 15 s


def with_notice_tone(samples: np.ndarray, first_s: float) -> np.ndarray:
    seconds = np.arange(len(samples)) / SAMPLE_RATE
    sounding = (seconds >= first_s) & ((seconds - first_s) % 15 < 0.4)
    return samples + 0.2 * 32768 * np.sin(2 * np.pi * 1400 * seconds) * sounding


@pytest.mark.parametrize("first_s", [2.0, 12.0], ids=["over speech", "in silence"])
def test_a_notice_tone_does_not_break_dead_air_nor_talk(whisper, spoken, first_s):
    a, c = clip(spoken / "A.wav"), clip(spoken / "C.wav")
    change_s = len(a) / SAMPLE_RATE + 20
    call = with_notice_tone(np.concatenate([a, silence(45), c]), first_s)
    talk, heard = hear(whisper, call, voices=[(0.0, change_s, "one"), (change_s, change_s + 40, "two")])
    assert [turn.speaker for turn in talk.turns] == ["agent", "customer"]
    assert [hold.duration_s for hold in heard.holds] == [pytest.approx(45, abs=0.5)]
    assert (heard.overlap_s, heard.interruptions, talk.not_understood) == (0, (), ())


def test_a_notice_tone_on_both_channels_is_nobody_s_talk(whisper, spoken):
    a, c = clip(spoken / "A.wav"), clip(spoken / "C.wav")
    agent = with_notice_tone(np.concatenate([a, silence(45), np.zeros_like(c)]), 2.0)
    customer = with_notice_tone(np.concatenate([np.zeros_like(a), silence(45), c]), 2.0)
    talk, heard = hear(whisper, agent, customer)
    assert [turn.speaker for turn in talk.turns] == ["agent", "customer"]
    assert [hold.duration_s for hold in heard.holds] == [pytest.approx(45, abs=0.5)]
    assert (heard.overlap_s, heard.interruptions) == (0, ())


def test_a_channel_with_nothing_but_a_notice_tone_is_empty(whisper, spoken):
    a = np.concatenate([clip(spoken / "A.wav"), silence(20)])
    talk, heard = hear(whisper, a, with_notice_tone(np.zeros_like(a), 2.0))
    assert {turn.speaker for turn in talk.turns} == {"agent"}
    assert [party.talk_s for party in heard.parties if party.speaker != "agent"] == [0, 0]
