"""Transcribe: words with their times, each channel by itself, on real speech and the real model."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sounds
from test_vocabulary import invented_names
from voices import say

from wellheard.models import store
from wellheard.models.whisper import Whisper, speech_spans
from wellheard.pipeline.errors import NoSpeech, UnknownLanguage
from wellheard.pipeline.records import Recording, Span, Word
from wellheard.pipeline.score import SURE_OF_LANGUAGE
from wellheard.pipeline.settings import House, Transcribe
from wellheard.pipeline.transcribe import transcribe, windows
from wellheard.pipeline.vocabulary import used

RATE = 16_000


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(store.locate("whisper-base", None), threads=2)


def clip(path: Path) -> np.ndarray:
    """A spoken clip of 8 kHz at 16 kHz."""
    return np.repeat(sounds.read(path), 2)


def silence(seconds: float) -> np.ndarray:
    return np.repeat(sounds.silence(seconds), 2)


def heard(
    whisper: Whisper,
    *channels: np.ndarray,
    language: str | None = "en",
    hot_words: Sequence[str] = (),
    **settings,
):
    recording = Recording(samples=np.stack(channels), audio_id="x")
    return transcribe(recording, language, hot_words, House(**settings), Transcribe(), speech_spans, whisper)


def text(words: tuple[Word, ...]) -> str:
    return " ".join(word.text for word in words).lower()


def test_words_carry_their_seconds_in_the_recording_also_after_a_long_silence(whisper, spoken):
    a, c = clip(spoken / "A.wav"), clip(spoken / "C.wav")
    (words,) = heard(whisper, np.concatenate([a, silence(40), c])).channels
    assert "thank you for calling" in text(words)
    assert "my order" in text(words)
    gap = (len(a) / RATE, len(a) / RATE + 40)
    assert all(0 <= w.start_s < w.end_s <= gap[1] + 3.4 for w in words)
    assert not [w for w in words if gap[0] + 0.3 < (w.start_s + w.end_s) / 2 < gap[1] - 0.3]


def test_each_channel_is_heard_by_itself(whisper, spoken):
    a, c = clip(spoken / "A.wav"), clip(spoken / "C.wav")
    agent, customer = heard(
        whisper,
        np.concatenate([a, silence(4)]),
        np.concatenate([silence(7), c, silence(4)])[: len(a) + 4 * RATE],
    ).channels
    assert "thank you" in text(agent)
    assert "thank" not in text(customer)
    assert "order" in text(customer)
    assert customer[0].start_s >= 6.6


def test_the_language_is_told_by_the_speech_not_by_the_tone_before_it(whisper, spoken):
    ringing = (8000 * np.sin(2 * np.pi * 425 * np.arange(20 * RATE) / RATE)).astype(np.int16)
    transcript = heard(whisper, np.concatenate([ringing, clip(spoken / "A.wav")]), language=None)
    assert transcript.language == "en"
    assert transcript.language_probability > 0.8
    assert transcript.channels[0][0].start_s >= 19.7


def test_a_language_that_the_house_does_not_speak_is_never_chosen(whisper, spoken):
    twice = np.tile(clip(spoken / "A.wav"), 2)
    with pytest.raises(UnknownLanguage, match="seems to be in 'en'"):
        heard(whisper, twice, language=None, languages=("pl", "ro"))


def test_a_given_language_that_the_model_does_not_know_is_said_not_guessed(whisper, spoken):
    with pytest.raises(UnknownLanguage, match="cannot write the language 'tlh'"):
        heard(whisper, clip(spoken / "A.wav"), language="tlh")


def tone(t: np.ndarray, *hertz: float, level: float = 0.2) -> np.ndarray:
    return level * np.sum([np.sin(2 * np.pi * h * t) for h in hertz], axis=0)


def nobody(sound: str, seconds: float = 30) -> np.ndarray:
    """Sounds of telephone lines on which nobody speaks."""
    t = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(1).normal(0, 1, len(t))
    chord = np.sum([2 / np.pi * np.arcsin(np.sin(2 * np.pi * h * t)) for h in (262, 330, 392)], axis=0)
    samples = {
        "zeros": np.zeros(len(t)),
        "noise": 0.01 * noise,
        "brown noise": 0.02 * np.cumsum(noise - noise.mean()) / np.std(np.cumsum(noise - noise.mean())),
        "ringing": tone(t, 440, 480) * (t % 4 < 1),
        "ringing in Poland": tone(t, 425, level=0.3) * (t % 5 < 1),
        "digits": tone(t, 697, 1209) * (t % 0.4 < 0.2) * (t < 8),
        "music": 0.15 * chord * (0.7 + 0.3 * np.sin(2 * np.pi * 5 * t)),
    }[sound]
    return (samples * 32767).astype(np.int16)


NOBODY = ("zeros", "noise", "ringing", "digits", "music")
LIST = ("Brightline Kettles", "agent Marta Kowalska", "model KX-200")


@pytest.mark.parametrize("sound", NOBODY)
@pytest.mark.parametrize("hot_words", [(), LIST])
def test_where_nobody_speaks_there_are_no_words_and_the_vocabulary_does_not_speak(whisper, sound, hot_words):
    """Cases 13 and 15."""
    with pytest.raises(NoSpeech, match="nobody says a word in 30 s"):
        heard(whisper, nobody(sound), language=None, hot_words=hot_words)


@pytest.mark.parametrize("sound", NOBODY)
def test_the_vocabulary_does_not_speak_where_the_voice_detector_errs(whisper, sound):
    """Case 15, as if the whole of it had been taken for speech."""
    [reading] = whisper.read([nobody(sound, 20)], "en", 5, LIST)
    said = {word.text.strip(".,").lower() for word in reading.words}
    assert not said & {"brightline", "kettles", "marta", "kowalska", "kx-200"}


def test_names_are_written_as_the_vocabulary_has_them(whisper):
    said = say("Thank you for calling Brightline, this is Marta Kowalska. How can I help you?", "en-us")
    plain, told = (text(heard(whisper, said, hot_words=hot).channels[0]) for hot in ((), LIST))
    assert [name in plain for name in ("brightline", "kowalska")] == [False, False]
    assert [name in told for name in ("brightline", "kowalska")] == [True, True]


@pytest.mark.parametrize("sound", ["zeros", "noise", "music"])
def test_nothing_is_invented_into_a_hold(whisper, sound):
    """Case 14."""
    before = say("Thank you for calling, one moment please, I will put you on hold.", "en-us")
    after = say("Thank you for holding. Your order was sent this morning.", "en-us")
    transcript = heard(whisper, np.concatenate([before, nobody(sound), after]), hot_words=LIST)
    [words] = transcript.channels
    start_s = len(before) / RATE
    assert "put you on hold" in text(words)
    assert "thank you for holding" in text(words)
    assert text(words).endswith("morning.")
    assert not [w for w in words if start_s + 0.3 < (w.start_s + w.end_s) / 2 < start_s + 29.7]
    assert not transcript.not_understood
    assert 29 <= max(after.start_s - before.end_s for before, after in pairwise(words)) <= 31.3


@pytest.mark.parametrize("seconds", [7.2, 30.3, 31.0])
def test_no_word_goes_beyond_the_recording(whisper, spoken, seconds):
    """Case 16."""
    samples = np.tile(clip(spoken / "A.wav"), 6)[: round(seconds * RATE)]
    [words] = heard(whisper, samples).channels
    assert all(0 <= word.start_s < word.end_s <= seconds for word in words)


def test_a_single_word_ends_within_its_recording(whisper):
    """Case 16."""
    samples = say("Алло.", "ru")
    [words] = heard(whisper, samples, language="ru").channels
    assert all(0 <= word.start_s < word.end_s <= len(samples) / RATE for word in words)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("ru", "Да, спасибо."),
        ("pl", "Tak, dziękuję."),
        ("ro", "Da, mulțumesc."),
        ("ro", "Bună ziua, cu ce vă pot ajuta?"),
    ],
)
def test_a_short_call_keeps_its_language_or_says_that_it_is_a_guess(whisper, language, said):
    """Case 17: never a language that the house does not speak, and a language given is used."""
    samples = say(said, language)
    guessed = heard(whisper, samples, language=None)
    assert guessed.language in House().languages
    assert guessed.language == language or guessed.language_probability < SURE_OF_LANGUAGE
    given = heard(whisper, samples, language=language)
    assert (given.language, given.language_probability) == (language, 1.0)
    assert "thank" not in text(given.channels[0])


@pytest.mark.parametrize("sound", ["ringing in Poland", "zeros", "brown noise"])
def test_what_comes_before_the_first_word_does_not_decide_the_language(whisper, sound):
    """Case 31."""
    said = say("Dzień dobry. Nazywam się Anna Nowak i dzwonię w sprawie zamówienia. W czym mogę pomóc?", "pl")
    transcript = heard(whisper, np.concatenate([nobody(sound, 40), said]), language=None)
    assert transcript.language == "pl"
    assert transcript.channels[0][0].start_s == pytest.approx(40, abs=0.5)


@pytest.mark.parametrize("names", [invented_names(3500), ["a" * 2000, *invented_names(3500)]])
def test_more_vocabulary_than_fits_changes_nothing_that_is_said(whisper, spoken, names):
    """Case 32."""
    plain, told = (
        text(heard(whisper, clip(spoken / "A.wav"), hot_words=hot).channels[0]) for hot in ((), used(names))
    )
    assert told == plain


@pytest.mark.parametrize("level_db", [-25, -35, -45])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_party_who_is_hardly_audible_is_heard_or_named(whisper, spoken, level_db, channels):
    """Case 33."""
    agent = clip(spoken / "A.wav")
    customer = (clip(spoken / "C.wav") * 10 ** (level_db / 20)).astype(np.int16)
    later = np.concatenate([np.zeros(len(agent), np.int16), customer])
    both = (
        [np.pad(agent, (0, len(customer))), later] if channels == 2 else [np.concatenate([agent, customer])]
    )
    transcript = heard(whisper, *both)
    first_s = len(agent) / RATE - 0.3 if channels == 1 else 0
    words = [word for word in transcript.channels[-1] if word.start_s >= first_s]
    if level_db == -25:
        assert text(words).startswith("hello")
        assert "did not come" in text(words)
    else:
        heard_s = sum(span.end_s - span.start_s for span in [*words, *transcript.not_understood])
        assert heard_s > 1.9


@pytest.mark.parametrize("answer", ["Yes.", "No."])
def test_a_quiet_answer_of_one_word_is_heard(whisper, answer):
    """Case 33."""
    question = say("Would you like me to send it again?", "en-us")
    quiet = (say(answer, "en-us+f3") * 10 ** (-25 / 20)).astype(np.int16)
    [words] = heard(whisper, np.concatenate([question, silence(1), quiet, silence(1)])).channels
    assert words[-1].text.lower().startswith(answer.lower().rstrip("."))


def test_windows_hold_whole_stretches_of_speech_and_no_more_than_fits():
    spans = [Span(start_s=s, end_s=s + 10) for s in (0, 20, 40, 60)]
    assert [[s.start_s for s in window] for window in windows(spans, 28)] == [[0, 20], [40, 60]]


def test_letters_and_numbers_stay_one_word_as_written(whisper, spoken):
    (words,) = heard(whisper, clip(spoken / "A.wav")).channels
    assert not [w for w in words if w.text.startswith("-")]
    assert all(any(c.isalnum() for c in w.text) for w in words)
