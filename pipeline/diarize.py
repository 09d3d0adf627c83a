"""Diarize: the words of a call to turns, each of one party.

Two channels hold one party each and need no model. On one channel, a diarizer tells the voices apart and
each word goes to the voice that speaks at its middle. Turns are built from word times alone.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from string import ascii_uppercase
from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from wellheard.pipeline.records import Conversation, Recording, Span, Transcript, Turn, Word, clock

VERSION = "4"
# A pause after which a party's next words are a new utterance, so that a reply can come between.
UTTERANCE_PAUSE_S = 0.7
# Voices are told apart to about a third of a second: a change of party so near to a sentence's end is there.
MOVED_WORDS = 3
SENTENCE_PAUSE_S = 0.25

Voice = tuple[float, float, str]


class VoiceSeparator(Protocol):
    """Tells voices apart; `wellheard.models.diarizer` has one."""

    def __call__(self, samples: npt.NDArray[np.int16], /) -> list[Voice]:
        """Who speaks when: (start_s, end_s, label), in order of time, not overlapping."""


def diarize(recording: Recording, transcript: Transcript, separate: VoiceSeparator) -> Conversation:
    """Give each word to a party, named A, B, … (on two channels: A is channel 0, B channel 1)."""
    channels = [_forwards(words) for words in transcript.channels]
    if len(channels) == 1:
        spoken = _by_voice(channels[0], separate(recording.samples[0]))
    else:
        spoken = [
            (party, word) for party, words in zip(ascii_uppercase, channels, strict=False) for word in words
        ]
    return Conversation(
        language=transcript.language,
        language_probability=transcript.language_probability,
        duration_s=recording.duration_s,
        turns=turns(spoken),
        not_understood=transcript.not_understood,
        notes=(*recording.notes, *_note(transcript.not_understood)),
    )


def breaks(transcript: Transcript) -> list[float]:
    """Where on one channel the other party may well begin, in seconds: after sentences and before pauses."""
    return [
        (word.end_s + following.start_s) / 2
        for word, following in pairwise(transcript.channels[0])
        if _ends_sentence(word) or following.start_s - word.end_s > SENTENCE_PAUSE_S
    ]


def _note(not_understood: Sequence[Span]) -> list[str]:
    if not not_understood:
        return []
    speech_s = sum(span.duration_s for span in not_understood)
    return [f"speech was not understood: {speech_s:.1f} s, first at {clock(not_understood[0].start_s)}"]


def turns(spoken: Iterable[tuple[str, Word]]) -> tuple[Turn, ...]:
    """Words with their parties to turns in order of their start; turns of two parties may overlap."""
    by_party: dict[str, list[Word]] = {}
    for party, word in spoken:
        by_party.setdefault(party, []).append(word)
    utterances = sorted(
        (
            (words[0].start_s, party, words)
            for party, all_words in by_party.items()
            for words in _utterances(sorted(all_words, key=lambda word: word.start_s))
        ),
        key=lambda utterance: utterance[:2],
    )
    return tuple(
        Turn(speaker=party, words=tuple(word for _, _, words in group for word in words))
        for party, group in groupby(utterances, key=lambda utterance: utterance[1])
    )


def _utterances(words: Sequence[Word]) -> Iterable[list[Word]]:
    utterance = [words[0]]
    for word in words[1:]:
        if word.start_s - utterance[-1].end_s > UTTERANCE_PAUSE_S:
            yield utterance
            utterance = []
        utterance.append(word)
    yield utterance


def _forwards(words: Sequence[Word]) -> list[Word]:
    """The words with times that never run backwards: some recognisers' do."""
    mended: list[Word] = []
    for word in words:
        start_s = max(word.start_s, mended[-1].start_s) if mended else word.start_s
        if start_s > word.start_s or word.end_s < start_s:
            word = replace(word, start_s=start_s, end_s=max(word.end_s, start_s))
        mended.append(word)
    return mended


def _by_voice(words: Sequence[Word], voices: Sequence[Voice]) -> list[tuple[str, Word]]:
    """Each word with the voice at its middle, or the nearest; parties are lettered as they come to speak."""
    letters: dict[str, str] = {}
    parties = []
    starts, ends = np.array([v[0] for v in voices]), np.array([v[1] for v in voices])
    for word in words:
        label = ""
        if voices:
            middle_s = (word.start_s + word.end_s) / 2
            distance_s = np.maximum(np.maximum(starts - middle_s, middle_s - ends), 0.0)
            label = voices[int(np.argmin(distance_s))][2]
        parties.append(letters.setdefault(label, ascii_uppercase[min(len(letters), 25)]))
    return list(zip(_change_at_sentence_ends(words, parties), words, strict=True))


def _change_at_sentence_ends(words: Sequence[Word], parties: Sequence[str]) -> list[str]:
    """Move a change of party that falls within a sentence, without a pause, to a sentence end nearby.

    No party loses all of a turn by that, so short answers stay whose they are.
    """
    mended = list(parties)
    runs = [len(list(group)) for _, group in groupby(parties)]
    at = 0
    for before, after in pairwise(runs):
        at += before
        if _ends_sentence(words[at - 1]) or words[at].start_s - words[at - 1].end_s > SENTENCE_PAUSE_S:
            continue
        reach = range(max(1 - before, -MOVED_WORDS), min(after - 1, MOVED_WORDS) + 1)
        ends = [shift for shift in reach if _ends_sentence(words[at + shift - 1])]
        if ends:
            shift = min(ends, key=abs)
            mended[at + min(shift, 0) : at + max(shift, 0)] = [
                parties[at] if shift < 0 else parties[at - 1]
            ] * abs(shift)
    return mended


def _ends_sentence(word: Word) -> bool:
    return word.text.endswith((".", "?", "!", "…"))
