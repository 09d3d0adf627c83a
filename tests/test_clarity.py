"""Clarity: what the sound and the recogniser tell of how well a turn was to be heard."""

import msgspec
import numpy as np
import pytest
from scipy.signal import butter, sosfilt
from sounds import read

from wellheard.pipeline.clarity import measure
from wellheard.pipeline.records import (
    SAMPLE_RATE,
    CallClarity,
    Conversation,
    Passage,
    Recording,
    Transcript,
    Turn,
    Word,
)

# A.wav is 6.35 s of speech; a second of pause goes before and after it.
SAID = (1.0, 7.3)


@pytest.fixture(scope="module")
def speech(spoken) -> np.ndarray:
    """A greeting over a telephone line, with a faint noise, float64 at 16 kHz."""
    clip = np.repeat(read(spoken / "A.wav"), 2).astype(np.float64)
    line = sosfilt(butter(8, [300, 3400], "bandpass", fs=SAMPLE_RATE, output="sos"), clip)
    return np.pad(line, SAMPLE_RATE) + np.random.default_rng(1).normal(0, 10, len(clip) + 2 * SAMPLE_RATE)


def said(probability: float = 0.9, **passage: float) -> tuple[tuple[Word, ...], Passage]:
    starts = np.arange(SAID[0], SAID[1] - 0.3, 0.3)
    words = tuple(Word(start_s=s, end_s=s + 0.3, text="word", probability=probability) for s in starts)
    measures = {"log_probability": -0.2, "no_speech": 0.02, "compression": 1.4} | passage
    return words, Passage(start_s=0.0, end_s=8.3, **measures)


def heard(*channels: np.ndarray, probability: float = 0.9, **passage: float) -> CallClarity:
    """One turn on each channel: the agent's, then the customer's."""
    samples = np.stack([np.clip(channel, -32768, 32767).astype(np.int16) for channel in channels])
    words, around = said(probability, **passage)
    # The channels' words differ, as they would.
    of_channels = [
        tuple(msgspec.structs.replace(word, text=f"{word.text}{number}") for word in words)
        for number in range(len(channels))
    ]
    return measure(
        Conversation(
            language="en",
            language_probability=1.0,
            duration_s=8.3,
            turns=tuple(
                Turn(speaker=speaker, words=own)
                for speaker, own in zip(("agent", "customer"), of_channels, strict=False)
            ),
        ),
        Recording(samples=samples, audio_id="x"),
        Transcript(
            language="en",
            language_probability=1.0,
            channels=tuple(of_channels),
            passages=((around,),) * len(channels),
        ),
    )


def test_plain_telephone_speech_is_good(speech):
    [turn] = heard(speech).turns
    assert (turn.grade, turn.faults) == ("good", ())
    assert turn.level_db == pytest.approx(-23, abs=2)
    assert turn.snr_db > 30
    assert turn.bandwidth_hz == pytest.approx(3400, abs=300)
    assert (turn.log_probability, turn.no_speech, turn.compression) == (-0.2, 0.02, 1.4)


def test_a_quiet_party_is_named_with_its_level(speech):
    """Case 33: the customer 35 dB under the agent, each on a channel."""
    quiet = speech * 10 ** (-35 / 20)
    clarity = heard(speech, quiet)
    assert clarity.speakers["agent"].grade == "good"
    assert "quiet" in clarity.speakers["customer"].faults
    apart = clarity.speakers["agent"].level_db - clarity.speakers["customer"].level_db
    assert apart == pytest.approx(35, abs=0.5)
    assert clarity.grade == "fair"


def test_noise_is_measured_where_nobody_speaks(speech):
    loud = np.sqrt((speech[SAMPLE_RATE:-SAMPLE_RATE] ** 2).mean())
    noise = np.random.default_rng(2).normal(0, loud / 10 ** (6 / 20), len(speech))
    [turn] = heard(speech + noise).turns
    assert turn.snr_db == pytest.approx(6, abs=1)
    assert "noisy" in turn.faults


def test_clipping_is_the_share_of_samples_at_full_scale(speech):
    [turn] = heard(speech * 12).turns
    assert turn.clipped > 0.02
    assert "clipped" in turn.faults


def test_a_muffled_voice_has_a_narrow_band(speech):
    [turn] = heard(sosfilt(butter(8, 1200, fs=SAMPLE_RATE, output="sos"), speech)).turns
    assert turn.bandwidth_hz < 1600
    assert "muffled" in turn.faults


def test_words_of_which_the_recogniser_is_not_sure_are_poor(speech):
    clarity = heard(speech, probability=0.45)
    assert clarity.grade == "poor"
    assert clarity.turns[0].faults == ("unsure words",)
    assert heard(speech, probability=0.65).grade == "fair"


@pytest.mark.parametrize(
    ("passage", "fault"),
    [
        ({"log_probability": -1.2}, "improbable"),
        ({"no_speech": 0.8}, "perhaps no speech"),
        ({"compression": 2.6}, "repeats itself"),
    ],
)
def test_what_whisper_doubts_is_a_fault(speech, passage, fault):
    assert heard(speech, **passage).turns[0].faults == (fault,)


def test_digital_silence_has_no_level_and_no_noise():
    [turn] = heard(np.zeros(9 * SAMPLE_RATE)).turns
    assert (turn.level_db, turn.snr_db, turn.bandwidth_hz) == (-96.0, 0.0, 0.0)


def test_a_word_after_the_end_of_the_sound_does_no_harm(speech):
    [turn] = heard(speech[: 2 * SAMPLE_RATE]).turns
    assert turn.level_db < 0
