"""How well recordings were heard, in figures: what is stored of them against what is known to be there.

Each figure is counted over a call first and summed up after that, so that long calls weigh more than short.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import jiwer
import msgspec
import numpy as np
from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate

from wellheard.models.sounds import KINDS, Detection
from wellheard.pipeline.listen import listen
from wellheard.pipeline.records import Conversation, Heard, Record, Span, Turn, Word
from wellheard.pipeline.settings import Listen
from wellheard.training.normalise import normalise
from wellheard.training.references import Reference, ReferenceTurn, key
from wellheard.training.sound_mixes import Event
from wellheard.training.sounds import count

# A word this far from every referenced turn belongs to none.
SLACK_S = 0.5
# An interruption is found if one is heard so near to it.
NEAR_S = 1.5
# The seconds on either side of where a speaker starts or ends that are not counted, as NIST does with 0.25.
COLLARS_S = (0.0, 0.25)
# Words of one speaker with no longer pause between them are one stretch of speech.
SPEECH_PAUSE_S = 0.5
INTERVAL_PERCENT = (2.5, 97.5)
SAMPLES = 2000


class Moments(Record):
    """How many there are, how many of them are found, how many are said, and how many of these are right."""

    there: int = 0
    found: int = 0
    said: int = 0
    right: int = 0


class CallHearing(Record):
    """One call's counts.

    `words` are referenced, and `errors` of them substituted, left out or put in; both None where the
    reference does not say what is said. Of `judged` heard words it is known who says them: `right` are with
    the right party, `in_role` have the right role. `speech_s` and `wrong_s` are the seconds of referenced
    speech and those missed, put in or given to another, one for each of `COLLARS_S`. `hold_errors_s` are the
    distances of the found holds' starts and ends from where they are. `sounds` are by kind, and None where
    it is not known which there are.
    """

    call_id: str
    folder: str
    language: str
    channels: int
    hours: float
    words: int | None
    errors: int | None
    judged: int
    right: int
    in_role: int
    speech_s: tuple[float, ...]
    wrong_s: tuple[float, ...]
    holds: Moments
    hold_errors_s: tuple[float, ...]
    interruptions: Moments
    sounds: dict[str, Moments] | None


class Share(Record):
    """A share and its 95 % bootstrap interval over calls; None for what has no interval (a single call)."""

    share: float
    interval: tuple[float, float] | None


class Hearing(Record):
    """The figures of a group of calls; None where nothing was to be counted.

    `word_error_rate`: errors by referenced words. `right_party`: words that are with the right one of the
    parties, whatever these are called. `roles_right`: calls in which most words have the right role.
    `diarization`: the diarization error rate at each of `COLLARS_S`. `hold_error_s`: the median and the
    largest distance of a hold's start or end from where it is.
    """

    calls: int
    hours: float
    word_error_rate: Share | None
    right_party: Share | None
    roles_right: int
    diarization: tuple[float, ...] | None
    holds: Moments
    hold_error_s: tuple[float, float] | None
    interruptions: Moments
    sounds: dict[str, Moments]
    sound_hours: float


def of_calls(
    calls: Iterable[Mapping[str, Any]],
    turns: Iterable[Mapping[str, Any]],
    references: Mapping[str, tuple[str, Reference]],
    settings: Listen,
) -> list[CallHearing]:
    """Compare each call whose recording (its first path) has a reference; in order of call_id.

    `calls` and `turns` are rows of these datasets.
    """
    turns_of: dict[str, list[Mapping[str, Any]]] = {}
    for turn in turns:
        turns_of.setdefault(turn["call_id"], []).append(turn)
    known = [(key(call["paths"][0]), call) for call in sorted(calls, key=lambda call: str(call["call_id"]))]
    return [
        of_call(*references[recording], call, turns_of.get(call["call_id"], []), settings)
        for recording, call in known
        if recording in references
    ]


def of_call(
    folder: str,
    reference: Reference,
    call: Mapping[str, Any],
    turns: Sequence[Mapping[str, Any]],
    settings: Listen,
) -> CallHearing:
    """Compare a call's rows in the datasets `calls` and `turns` with its reference.

    `folder` is what the recordings that it is summed up with are called.
    """
    said = [
        Turn(speaker=row["speaker"], words=tuple(msgspec.convert(row["words"], list[Word])))
        for row in sorted(turns, key=lambda row: row["turn"])
    ]
    language = reference.language or call["language"]
    words, errors = word_errors(reference, said, call["channels"], language)
    judged, right, in_role = _parties(reference.turns, said)
    rates = [_diarization(reference.turns, said, call["duration_s"], collar_s) for collar_s in COLLARS_S]
    expected = _expected(reference.turns, call["duration_s"], settings)
    holds, hold_errors_s = _holds(expected.holds, msgspec.convert(call["holds"], list[Span]))
    return CallHearing(
        call_id=call["call_id"],
        folder=folder,
        language=language,
        channels=call["channels"],
        hours=call["duration_s"] / 3600,
        words=words,
        errors=errors,
        judged=judged,
        right=right,
        in_role=in_role,
        speech_s=tuple(total_s for _, total_s in rates),
        wrong_s=tuple(wrong_s for wrong_s, _ in rates),
        holds=holds,
        hold_errors_s=hold_errors_s,
        interruptions=_near(
            [(i.at_s, i.by) for i in expected.interruptions],
            [(i["at_s"], i["by"]) for i in call["interruptions"]],
        ),
        sounds=None if reference.sounds is None else _sounds(reference, call["sounds"]),
    )


def of_group(calls: Sequence[CallHearing]) -> Hearing:
    """Sum up the counts of some calls."""
    spoken = [call for call in calls if call.words]
    with_voices = [call for call in calls if call.judged]
    seconds = [sum(call.speech_s[i] for call in calls) for i in range(len(COLLARS_S))]
    known = [call for call in calls if call.sounds is not None]
    apart_s = [distance for call in calls for distance in call.hold_errors_s]
    return Hearing(
        calls=len(calls),
        hours=sum(call.hours for call in calls),
        word_error_rate=_share([(call.errors or 0, call.words or 0) for call in spoken]),
        right_party=_share([(call.right, call.judged) for call in with_voices]),
        roles_right=sum(2 * call.in_role > call.judged for call in with_voices),
        diarization=tuple(
            sum(call.wrong_s[i] for call in calls) / total_s for i, total_s in enumerate(seconds)
        )
        if all(seconds)
        else None,
        holds=_sum(call.holds for call in calls),
        hold_error_s=(float(np.median(apart_s)), max(apart_s)) if apart_s else None,
        interruptions=_sum(call.interruptions for call in calls),
        sounds={kind: _sum((call.sounds or {})[kind] for call in known) for kind in KINDS} if known else {},
        sound_hours=sum(call.hours for call in known),
    )


def word_errors(
    reference: Reference, said: Sequence[Turn], channels: int, language: str
) -> tuple[int, int] | tuple[None, None]:
    """How many words are referenced, and how many of them were heard wrongly, left out or put in.

    On one channel, all words in order of time; on two, each channel's by themselves.
    """
    if not reference.verbatim:
        return None, None
    sides = [("agent", "other"), ("customer",)] if channels == 2 else [("agent", "other", "customer")]
    spoken = [
        normalise(" ".join(turn.text or "" for turn in reference.turns if turn.role in side), language)
        for side in sides
    ]
    heard = [
        normalise(" ".join(turn.text for turn in said if (turn.speaker in side)), language) for side in sides
    ]
    ways = [heard, heard[::-1]]  # which channel is the agent's is measured as the roles are
    return (
        sum(len(text.split()) for text in spoken),
        min(sum(_errors(a, b) for a, b in zip(spoken, way, strict=True)) for way in ways),
    )


def text_errors(reference: Reference, heard: str, language: str) -> tuple[int, int]:
    """The same for a text as a whole, whoever says what."""
    spoken = normalise(" ".join(turn.text or "" for turn in reference.turns), language)
    return len(spoken.split()), _errors(spoken, normalise(heard, language))


def _errors(spoken: str, heard: str) -> int:
    if not spoken or not heard:
        return len(spoken.split()) + len(heard.split())
    found = jiwer.process_words(spoken, heard)
    return found.substitutions + found.deletions + found.insertions


def _parties(reference: Sequence[ReferenceTurn], said: Sequence[Turn]) -> tuple[int, int, int]:
    """How many heard words can be judged, are with the right party, and have the right role.

    A word is with the right party if that party speaks at its middle. An announcement is nobody's speech, or
    the agent's side's. Which party is whose is as fits best: a call whose roles are swapped has all its words
    with the right parties.
    """
    swapped = {"agent": "customer", "customer": "agent"}
    judged = in_role = in_swapped = 0
    for turn in said:
        for word in turn.words:
            speaking = _speaking(reference, (word.start_s + word.end_s) / 2)
            if speaking:
                judged += 1
                in_role += turn.speaker in speaking
                in_swapped += swapped.get(turn.speaker, turn.speaker) in speaking
    return judged, max(in_role, in_swapped), in_role


def _speaking(reference: Sequence[ReferenceTurn], at_s: float) -> set[str]:
    """The roles of those who speak then, or nearest to it."""
    away_s = [(max(turn.start_s - at_s, at_s - turn.end_s, 0.0), turn.role) for turn in reference]
    nearest_s = min(away_s)[0]
    if nearest_s > SLACK_S:
        return set()
    roles: set[str] = {role for distance_s, role in away_s if distance_s <= nearest_s + 1e-6}
    return roles | {"agent"} if "other" in roles else roles


def _diarization(
    reference: Sequence[ReferenceTurn], said: Sequence[Turn], duration_s: float, collar_s: float
) -> tuple[float, float]:
    """Seconds of speech missed, put in or with another speaker, and of referenced speech."""
    there, heard = Annotation(), Annotation()
    for number, turn in enumerate(reference):
        there[Segment(turn.start_s, turn.end_s), number] = turn.role
    spoken = [(own.speaker, span) for own in said for span in _stretches(own.words)]
    for number, (speaker, span) in enumerate(spoken):
        heard[Segment(span.start_s, span.end_s), number] = speaker
    # pyannote's collar is the width on both sides together.
    rate = DiarizationErrorRate(collar=2 * collar_s)
    found = rate(there, heard, uem=Timeline([Segment(0.0, duration_s)]), detailed=True)
    return found["missed detection"] + found["false alarm"] + found["confusion"], found["total"]


def _stretches(words: Sequence[Word]) -> Iterable[Span]:
    start_s = words[0].start_s
    for word, following in pairwise(words):
        if following.start_s - word.end_s > SPEECH_PAUSE_S:
            yield Span(start_s=start_s, end_s=word.end_s)
            start_s = following.start_s
    yield Span(start_s=start_s, end_s=words[-1].end_s)


def _expected(reference: Sequence[ReferenceTurn], duration_s: float, settings: Listen) -> Heard:
    """What should be heard besides words: what `listen` makes of the referenced turns."""
    turns = []
    for turn in reference:
        texts = (turn.text or "").split() or ["…"]
        edges_s = np.linspace(turn.start_s, turn.end_s, len(texts) + 1).tolist()
        words = [
            Word(start_s=start_s, end_s=end_s, text=text, probability=1.0)
            for text, (start_s, end_s) in zip(texts, pairwise(edges_s), strict=True)
        ]
        turns.append(Turn(speaker=turn.role, words=tuple(words)))
    conversation = Conversation(
        language="en",
        language_probability=1.0,
        duration_s=duration_s,
        turns=tuple(turns),
        role_confidence=1.0,
    )
    return listen(conversation, settings)


def _holds(there: Sequence[Span], said: Sequence[Span]) -> tuple[Moments, tuple[float, ...]]:
    """Compare holds: the same one if more than half of both is common; and how far their ends are apart."""
    pairs = [(a, b) for a in there for b in said if _common_s(a, b) > 0.5 * max(a.duration_s, b.duration_s)]
    apart_s = [abs(x - y) for a, b in pairs for x, y in ((a.start_s, b.start_s), (a.end_s, b.end_s))]
    moments = Moments(there=len(there), found=len(pairs), said=len(said), right=len(pairs))
    return moments, tuple(round(distance, 3) for distance in apart_s)


def _common_s(one: Span, other: Span) -> float:
    return min(one.end_s, other.end_s) - max(one.start_s, other.start_s)


def _near(there: Sequence[tuple[float, str]], said: Sequence[tuple[float, str]]) -> Moments:
    """Compare moments, each with who causes it."""
    near = [[abs(a - b) <= NEAR_S and who == by for a, who in there] for b, by in said]
    return Moments(
        there=len(there),
        found=sum(any(row[i] for row in near) for i in range(len(there))),
        said=len(said),
        right=sum(any(row) for row in near),
    )


def _sounds(reference: Reference, said: Sequence[Mapping[str, Any]] | None) -> dict[str, Moments]:
    there = [Event(kind=own.sound, start_s=own.start_s, end_s=own.end_s) for own in reference.sounds or ()]
    found = [Detection(**sound, probability=1.0) for sound in said or ()]
    counts = {kind: count(kind, found, there, 0.0) for kind in KINDS}
    return {
        kind: Moments(there=c.there, found=c.found, said=c.said, right=c.right) for kind, c in counts.items()
    }


def _sum(moments: Iterable[Moments]) -> Moments:
    listed = list(moments)
    return Moments(
        **{name: sum(getattr(each, name) for each in listed) for name in Moments.__struct_fields__}
    )


def _share(counts: Sequence[tuple[int, int]]) -> Share | None:
    """A share over all calls' counts (part, whole), and its interval."""
    if not counts:
        return None
    part, whole = np.array(counts, float).T
    share = float(part.sum() / whole.sum())
    if len(counts) == 1:
        return Share(share=share, interval=None)
    drawn = np.random.default_rng(0).integers(0, len(counts), (SAMPLES, len(counts)))
    low, high = np.percentile(part[drawn].sum(1) / whole[drawn].sum(1), INTERVAL_PERCENT)
    return Share(share=share, interval=(float(low), float(high)))


def grouped(
    calls: Iterable[CallHearing], by: Callable[[CallHearing], tuple[str, ...]]
) -> dict[tuple[str, ...], Hearing]:
    """The figures of each group of calls."""
    groups: dict[tuple[str, ...], list[CallHearing]] = {}
    for call in calls:
        groups.setdefault(by(call), []).append(call)
    return {name: of_group(group) for name, group in sorted(groups.items())}
