"""Diarize: every word gets a party, and turns are built from word times alone."""

import numpy as np
from dialogues import turn

from wellheard.pipeline.diarize import breaks, diarize
from wellheard.pipeline.records import Recording, Transcript, Word
from wellheard.pipeline.settings import Settings, with_max_speakers


def words(line: str) -> tuple[Word, ...]:
    return turn(f"x {line}").words


def call(*channels: tuple[Word, ...], voices=()):
    recording = Recording(samples=np.zeros((len(channels), 16_000 * 60), np.int16), audio_id="x")
    transcript = Transcript(language="en", language_probability=1.0, channels=channels)
    conversation = diarize(recording, transcript, lambda _: list(voices))
    return [(t.speaker, t.start_s, t.end_s, t.text) for t in conversation.turns]


def test_two_channels_are_two_parties_and_need_no_model():
    assert call(words("0-2 hello there"), words("3-4 hi anna")) == [
        ("A", 0, 2, "hello there"),
        ("B", 3, 4, "hi anna"),
    ]


def test_a_long_silence_on_a_channel_lets_the_reply_come_between():
    agent = words("0-2 how are you") + words("8-9 good bye")
    assert [(s, text) for s, *_, text in call(agent, words("3-7 very well thank you"))] == [
        ("A", "how are you"),
        ("B", "very well thank you"),
        ("A", "good bye"),
    ]


def test_speech_over_each_other_does_not_mix_word_by_word():
    assert [
        (s, text) for s, *_, text in call(words("0-4 one two three four"), words("2-5 five six seven"))
    ] == [
        ("A", "one two three four"),
        ("B", "five six seven"),
    ]


def test_on_one_channel_each_word_goes_to_the_voice_at_its_middle():
    voices = [(0.0, 2.1, "S1"), (2.1, 5.0, "S0")]
    assert call(words("0-4 one two three four"), voices=voices) == [
        ("A", 0, 2, "one two"),
        ("B", 2, 4, "three four"),
    ]


def test_a_word_where_no_voice_was_found_goes_to_the_nearest():
    voices = [(0.0, 1.0, "S0"), (10.0, 11.0, "S1")]
    assert [
        s for s, *_ in call(words("0-1 hello") + words("3-4 yes") + words("9-9.5 no"), voices=voices)
    ] == ["A", "B"]


def test_without_any_voice_all_is_one_party_and_no_word_is_lost():
    assert call(words("0-1 hello") + words("3-4 yes")) == [("A", 0, 4, "hello yes")]


def test_an_empty_channel_is_a_party_without_turns():
    assert [s for s, *_ in call((), words("3-4 hi"))] == ["B"]


def test_a_change_of_voice_within_a_sentence_moves_to_the_sentence_end_nearby():
    voices = [(0.0, 2.1, "S0"), (2.1, 6.0, "S1")]
    assert call(words("0-6 how are you today. fine, thanks."), voices=voices) == [
        ("A", 0, 4, "how are you today."),
        ("B", 4, 6, "fine, thanks."),
    ]


def test_a_short_answer_is_never_swallowed_by_the_sentence_before_it():
    voices = [(0.0, 3.0, "S0"), (3.0, 4.0, "S1"), (4.0, 6.0, "S0")]
    assert [text for *_, text in call(words("0-6 is that you yes. good morning"), voices=voices)] == [
        "is that you",
        "yes.",
        "good morning",
    ]


# Case 19: words whose times are wrong


def test_times_that_run_backwards_lose_no_word_and_change_no_order():
    timed = [
        ("your", 1.0, 1.2),
        ("order", 1.2, 1.5),
        ("costs", 1.9, 2.2),
        ("$43,000", 2.2, 2.2),
        ("today", 2.1, 2.0),
        ("yes", 2.6, 2.8),
    ]
    said = tuple(Word(start_s=a, end_s=b, text=text, probability=0.9) for text, a, b in timed)
    turns = call(said, voices=[(0.0, 1.6, "S0"), (2.5, 3.0, "S1")])
    assert " ".join(text for *_, text in turns) == "your order costs $43,000 today yes"
    assert all(start <= end for _, start, end, _ in turns)
    assert {speaker for speaker, *_ in turns} == {"A", "B"}


def test_a_word_between_two_voices_goes_to_the_nearer():
    voices = [(0.0, 1.6, "S0"), (2.5, 3.0, "S1")]
    said = words("1-1.4 order") + words("1.7-1.9 costs") + words("2.2-2.4 yes")
    assert [(s, text) for s, *_, text in call(said, voices=voices)] == [("A", "order costs"), ("B", "yes")]


# Where the other party may begin


def test_the_other_party_may_begin_after_a_sentence_or_a_pause():
    said = words("0-2 how are you?") + words("2-3 fine thanks") + words("4-5 and you")
    transcript = Transcript(language="en", language_probability=1.0, channels=(said,))
    assert breaks(transcript) == [2.0, 3.5]


def test_how_many_voices_there_are_at_most_may_be_given():
    assert with_max_speakers(Settings(), 2).diarize.max_speakers == 2
    assert with_max_speakers(Settings(), None) == Settings()
