"""Voices that are hardly audible are made loud enough to be heard. A hum stands for a voice here."""

import numpy as np
import pytest

from wellheard.pipeline.faint import IDLE_DB, LEVEL_DB, QUIET_DB, between, raised
from wellheard.pipeline.records import Span

RATE = 16_000


def hum(seconds: float, level_db: float) -> np.ndarray:
    """A tone of this level (RMS, of full scale)."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (32768 * 10 ** (level_db / 20) * np.sqrt(2) * np.sin(2 * np.pi * 200 * t)).astype(np.int16)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.int16)


def level_db(samples: np.ndarray) -> float:
    return 10 * np.log10(np.square(samples.astype(float)).mean() / 32768**2)


@pytest.mark.parametrize("quiet_db", [-40, -50, -65])
def test_a_quiet_channel_is_raised_to_ordinary_speech(quiet_db):
    sound = np.concatenate([silence(50), hum(2, quiet_db)])
    assert level_db(raised(sound)[-RATE:]) == pytest.approx(LEVEL_DB, abs=1)
    assert not raised(sound)[: 50 * RATE].any()


@pytest.mark.parametrize("sound", [hum(2, QUIET_DB + 1), hum(2, IDLE_DB - 2), silence(2), silence(0)])
def test_what_is_loud_enough_or_only_a_line_stays_as_it_is(sound):
    assert raised(sound) is sound


def test_a_click_does_not_wrap_around():
    sound = hum(10, -50)
    sound[RATE] = -32768
    assert raised(sound)[RATE] == -32768


def test_what_is_faint_is_looked_for_only_outside_of_louder_speech():
    sound = np.concatenate([hum(5, -20), silence(1), hum(2, -50), hum(5, -20), silence(3), hum(2, -60)])
    speech = [Span(start_s=0, end_s=5.2), Span(start_s=7.9, end_s=13.1)]
    found = list(between(sound, speech))
    assert [start_s for start_s, _ in found] == [5.2, 13.1]
    assert [round(len(loud) / RATE, 1) for _, loud in found] == [2.7, 4.9]
    assert all(
        level_db(loud[-RATE // 2 : -RATE // 10]) == pytest.approx(LEVEL_DB, abs=1) for _, loud in found
    )


def test_between_loud_words_there_is_nothing_faint():
    assert not list(between(hum(9, -20), [Span(start_s=1, end_s=3), Span(start_s=2, end_s=4)]))
