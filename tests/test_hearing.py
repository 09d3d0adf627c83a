"""What transcribing does around the recogniser: names told, speech without words, times. Without a model."""

from collections.abc import Sequence

import numpy as np
import pytest

from wellheard.pipeline.diarize import diarize
from wellheard.pipeline.errors import NoSpeech
from wellheard.pipeline.listen import listen
from wellheard.pipeline.records import Reading, Recording, Span, Transcript, Word
from wellheard.pipeline.settings import House, Listen, Transcribe
from wellheard.pipeline.transcribe import transcribe

RATE = 16_000


def reading(*said: tuple[float, float, str], no_speech: float = 0.05, probability: float = 0.9) -> Reading:
    return Reading(
        words=tuple(Word(start_s=a, end_s=b, text=text, probability=probability) for a, b, text in said),
        log_probability=-0.3,
        no_speech=no_speech,
        compression=1.1,
    )


class Recogniser:
    """Gives out readings in turn, and remembers what it was asked."""

    def __init__(self, *readings: Reading) -> None:
        self._readings = list(readings)
        self.asked: list[tuple[list[float], tuple[str, ...]]] = []

    def knows(self, language: str) -> bool:
        return True

    def languages(self, window: np.ndarray) -> dict[str, float]:
        return {"en": 0.3, "ru": 0.1, "th": 0.6}

    def read(
        self, windows: Sequence[np.ndarray], language: str, beam_size: int, hot_words: Sequence[str]
    ) -> list[Reading]:
        if windows:
            self.asked.append(([round(len(window) / RATE, 2) for window in windows], tuple(hot_words)))
        return [self._readings.pop(0) for _ in windows]


def hear(
    recogniser: Recogniser, *speech: tuple[float, float], seconds: float = 60.0, hot_words: Sequence[str] = ()
) -> Transcript:
    """One channel on which somebody speaks there."""
    return transcribe(
        Recording(samples=np.zeros((1, round(seconds * RATE)), np.int16), audio_id="x"),
        "en",
        hot_words,
        House(),
        Transcribe(),
        lambda _: [Span(start_s=start_s, end_s=end_s) for start_s, end_s in speech],
        recogniser,
    )


def heard_language(recogniser: Recogniser, seconds: float, *languages: str) -> tuple[str, float]:
    """The language of one stretch of speech, and how sure that is."""
    transcript = transcribe(
        Recording(samples=np.zeros((1, round(seconds * RATE)), np.int16), audio_id="x"),
        None,
        (),
        House(languages=languages),
        Transcribe(),
        lambda _: [Span(start_s=0, end_s=seconds)],
        recogniser,
    )
    return transcript.language, transcript.language_probability


def test_with_little_speech_languages_outside_the_house_count_as_doubt():
    """Case 17."""
    assert heard_language(Recogniser(reading((0, 1, "yes"))), 1.0, "en") == ("en", 0.3)
    assert heard_language(Recogniser(reading((0, 1, "yes"))), 9.0, "en") == ("en", 1.0)


def hear_faint(recogniser: Recogniser, *spans: tuple[float, float]) -> Transcript:
    """Somebody speaks aloud in the first two seconds and, found only when raised, faintly after that."""
    faintly = np.random.default_rng(1).normal(0, 100, 8 * RATE).astype(np.int16)
    samples = np.concatenate([np.full(2 * RATE, 20_000, np.int16), faintly])[None]

    def find(sound: np.ndarray) -> list[Span]:
        if len(sound) == samples.size:
            return [Span(start_s=0, end_s=2)]
        return [Span(start_s=start_s, end_s=end_s) for start_s, end_s in spans]

    recording = Recording(samples=samples, audio_id="x")
    return transcribe(recording, "en", (), House(), Transcribe(), find, recogniser)


def test_a_faint_voice_is_looked_for_where_nobody_speaks_aloud():
    """Case 33."""
    transcript = hear_faint(Recogniser(reading((0, 1, "hello")), reading((1.2, 1.8, "yes"))), (3, 4))
    assert [(w.text, w.start_s) for w in transcript.channels[0]] == [("hello", 0.0), ("yes", 5.2)]


def test_a_faint_voice_that_is_not_understood_is_named_and_a_breath_is_not():
    """Case 33."""
    mumble = reading((0, 1, "mumble"), probability=0.3)
    heard = hear_faint(Recogniser(reading((0, 1, "hello")), mumble, mumble), (1, 3), (4, 5))
    assert [word.text for word in heard.channels[0]] == ["hello"]
    assert heard.not_understood == (Span(start_s=3, end_s=5),)


def test_the_names_of_a_call_are_told_to_the_recogniser():
    recogniser = Recogniser(reading((0, 1, "hello")))
    hear(recogniser, (0, 2), hot_words=("Marta Kowalska", "Brightline"))
    assert recogniser.asked == [([2.0], ("Marta Kowalska", "Brightline"))]


def test_words_are_placed_in_their_stretch_of_speech_and_their_passage_with_its_measures():
    transcript = hear(
        Recogniser(reading((0.5, 1.0, "one"), (1.9, 2.4, "two"))), (10.0, 12.0), (30.0, 31.0), seconds=40
    )
    assert [(w.start_s, w.end_s) for w in transcript.channels[0]] == [(10.5, 11.0), (30.0, 30.4)]
    [passage] = transcript.passages[0]
    assert (passage.start_s, passage.end_s) == (10.0, 31.0)
    assert (passage.log_probability, passage.no_speech, passage.compression) == (-0.3, 0.05, 1.1)


def test_every_word_has_a_length_and_none_ends_after_the_recording():
    """Case 16: Whisper's times run to the end of its thirty seconds, or stand still."""
    end_s = 7.19994
    transcript = hear(
        Recogniser(reading((1, 1, "a"), (7.1, 8.5, "b"), (9, 9, "c"))), (0, end_s), seconds=end_s
    )
    assert all(0 <= word.start_s < word.end_s <= end_s for word in transcript.channels[0])


def test_a_stretch_without_a_word_is_heard_again_by_itself_and_without_names():
    """With a second of silence on either side."""
    recogniser = Recogniser(reading((0, 1, "hello")), reading((1.2, 2.0, "yes")))
    transcript = hear(recogniser, (0, 2), (20, 22), hot_words=("Brightline",))
    assert recogniser.asked == [([4.0], ("Brightline",)), ([4.0], ())]
    assert [(word.text, word.start_s) for word in transcript.channels[0]] == [("hello", 0.0), ("yes", 20.2)]
    assert transcript.not_understood == ()


@pytest.mark.parametrize("second", [reading(), reading((0, 1, "mumble"), probability=0.3)])
def test_speech_of_which_no_word_is_known_is_named(second):
    """Case 33: it is neither words nor silence."""
    transcript = hear(Recogniser(reading((0, 1, "hello")), second), (0, 2), (20, 22))
    assert [word.text for word in transcript.channels[0]] == ["hello"]
    assert transcript.not_understood == (Span(start_s=20, end_s=22),)


def test_what_the_recogniser_takes_for_no_speech_is_none():
    """Case 14: music that the voice detector takes for a voice."""
    music = reading((0, 1, "you"), no_speech=0.9)
    transcript = hear(Recogniser(reading((0, 1, "hello")), music), (0, 2), (20, 22))
    assert (len(transcript.channels[0]), transcript.not_understood) == (1, ())


def test_a_breath_is_not_heard_again():
    recogniser = Recogniser(reading((0, 1, "hello")))
    assert hear(recogniser, (0, 2), (20, 21)).not_understood == ()


def test_speech_that_was_not_understood_is_no_silence_and_the_call_says_so():
    transcript = hear(
        Recogniser(reading((0, 1, "hello"), (4.1, 4.9, "bye")), reading()), (0, 2), (20, 22), (50, 53)
    )
    recording = Recording(samples=np.zeros((2, 60 * RATE), np.int16), audio_id="x")
    both = Transcript(
        language="en",
        language_probability=1.0,
        channels=(*transcript.channels, ()),
        passages=(*transcript.passages, ()),
        not_understood=transcript.not_understood,
    )
    conversation = diarize(recording, both, lambda _: [])
    assert conversation.notes == ("speech was not understood: 2.0 s, first at 0:20",)
    silences = listen(conversation, Listen()).silences
    assert [(s.start_s, s.end_s) for s in silences] == [(1.0, 20.0), (22.0, 50.1)]


def test_a_call_of_which_no_word_is_known_is_not_called_silent():
    with pytest.raises(NoSpeech, match="no word can be understood in 2 s of what seems to be speech"):
        hear(Recogniser(reading(), reading()), (20, 22))
