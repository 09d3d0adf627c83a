"""Echo (case 9): the agent's voice on the customer's channel is not the customer speaking."""

import numpy as np
import pytest
from sounds import RATE, read, silence

from wellheard.models import store
from wellheard.models.whisper import Whisper, speech_spans
from wellheard.pipeline.echo import without_echo
from wellheard.pipeline.records import Recording
from wellheard.pipeline.settings import House, Transcribe
from wellheard.pipeline.transcribe import transcribe


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(store.locate("whisper-base", None), threads=2)


def two_channels(agent: np.ndarray, customer: np.ndarray) -> np.ndarray:
    """Both at 16 kHz, equally long."""
    both = np.zeros((2, 2 * max(len(agent), len(customer))), np.int16)
    for row, channel in zip(both, (agent, customer), strict=True):
        row[: 2 * len(channel)] = np.repeat(channel, 2)
    return both


def echoing(spoken, level_db: float) -> np.ndarray:
    """A on the left; on the right C from second 7, and the left channel 60 ms later at this level."""
    a, c = read(spoken / "A.wav"), read(spoken / "C.wav")
    customer = np.concatenate([silence(7), c]).astype(np.float64)
    delay = round(0.06 * RATE)
    customer[delay : delay + len(a)] += a * 10 ** (level_db / 20)
    return two_channels(a, customer.astype(np.int16))


@pytest.mark.parametrize("level_db", [-12, -18, -30])
def test_the_agent_s_sentences_are_heard_once_and_the_customer_s_whole(whisper, spoken, level_db):
    recording = Recording(samples=echoing(spoken, level_db), audio_id="x")
    agent, customer = transcribe(recording, "en", (), House(), Transcribe(), speech_spans, whisper).channels
    assert "number" in " ".join(word.text for word in agent)
    said = " ".join(word.text for word in customer).lower()
    assert said.startswith("hello")
    assert "did not come" in said
    assert customer[0].start_s >= 6.6


def test_a_customer_who_repeats_the_agent_s_words_is_no_echo(spoken):
    a = read(spoken / "A.wav")
    question = a[round(4.5 * RATE) :]
    slower = np.interp(np.arange(0, len(question), 0.93), np.arange(len(question)), question)
    both = two_channels(a, np.concatenate([silence(7), 0.5 * slower]).astype(np.int16))
    assert np.array_equal(without_echo(both), both)


def test_two_people_who_talk_at_once_are_both_kept(spoken):
    a, c = read(spoken / "A.wav"), read(spoken / "C.wav")
    both = two_channels(a, (0.3 * c).astype(np.int16))
    kept = without_echo(both).astype(np.float64)
    assert (kept**2).sum() >= 0.97 * (both.astype(np.float64) ** 2).sum()
