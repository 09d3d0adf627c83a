"""Whose voice is whose on one channel: stretches of one voice each, their voice prints, and the voices.

A segmentation model sees in windows who speaks beside whom; it is right about that, but its names hold for
one window only. A voice print of a stretch is surer the longer the stretch is. So the windows say where a
stretch ends, prints of whole stretches say how many voices there are and which is whose, and the windows
again say to whom a stretch belongs that is too short for a print.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
# How well it fits, the centres, and each print's group.
Grouping = tuple[float, Floats, Counts]

# Silence that ends a stretch; longer stretches are cut, as a change of voice may be overlooked in them.
PAUSE_S = 0.1
LONGEST_S = 3.0
# A word's end is known to about this, so no nearer to a stretch's end is it cut there.
BREAK_ACCURACY_S = 0.2
# Two changes of voice that windows see this near to each other are one.
SAME_CHANGE_S = 0.15
# From here on a print is always surer than what the windows say.
SURE_PRINT_S = 0.5
# Of two groups of prints that are liker than this, both are of one voice. Prints of 26 calls, each with two
# voices: the two came to at most 0.72, halves of one voice to 0.78 at least.
SAME_VOICE = 0.75
# How much the prints of one voice scatter, as a share of what they have in common: few prints are less alike.
SCATTER = 0.67
# Prints of shorter stretches scatter more. They are asked how many voices there are only where the longer
# ones know of one: the other may say nothing but "yes" and "thanks". Then it must be quite another voice.
LONG_PRINT_S = 1.0
OTHER_VOICE = 0.5
# How long the second voice must be heard to be one. There are always two parties, but seldom more: a further
# voice must be heard for longer, be less like the others, and explain the prints better than any other split.
SECOND_S = 1.5
FURTHER_S = 5.0
FURTHER_VOICE = 0.75
# What it says of a short stretch (log-odds) that windows always, and never, see it with a neighbour's voice.
ALWAYS_TOGETHER, NEVER_TOGETHER = 0.8, -2.5
PRINT_WORTH = 20.0
# A print nearer to one voice than to the others by this leaves no doubt; within a sentence the voice seldom
# changes.
CLEAR_LEAD = 0.15
SAME_SENTENCE = 4.0
NEIGHBOURS = 4
STARTS = 20
MOST_PRINTS = 1_500


@dataclass(frozen=True)
class Windows:
    """What a segmentation model sees: `active` (windows, frames, local voices), each window's first frame."""

    active: Flags
    first: Counts
    frame_s: float
    frames: int


@dataclass(frozen=True)
class Stretch:
    """Frames from `start` to before `end` in which one voice speaks."""

    start: int
    end: int


def stretches(seen: Windows, breaks: Sequence[float]) -> tuple[list[Stretch], Flags]:
    """Where one voice speaks on, in order of time; and in which frames more than one speaks.

    `breaks` are the moments, in seconds, at which a change of voice is likely: sentence ends, say.
    """
    who = _one_voice_a_frame(seen.active)
    watched, speech, several, changes = np.zeros((4, seen.frames))
    for window, spoken, first in zip(seen.active, who, seen.first, strict=True):
        here = slice(first, min(first + len(spoken), seen.frames))
        spoken = spoken[: here.stop - first]
        watched[here] += 1
        speech[here] += spoken >= 0
        several[here] += window[: len(spoken)].sum(1) > 1
        voiced = np.flatnonzero(spoken >= 0)
        changed = np.flatnonzero(np.diff(spoken[voiced]))
        np.add.at(changes, first + (voiced[changed] + voiced[changed + 1] + 1) // 2, 1)
    watched = np.maximum(watched, 1)
    reach = round(SAME_CHANGE_S / seen.frame_s)
    votes = np.convolve(changes / watched, np.ones(2 * reach + 1), "same")
    wanted = sorted(round(moment / seen.frame_s) for moment in breaks)
    found = []
    for start, end in _runs(speech / watched >= 0.5, round(PAUSE_S / seen.frame_s)):
        cuts = _with_breaks(
            [start, *_peaks(votes, start, end, reach), end],
            wanted,
            round(BREAK_ACCURACY_S / seen.frame_s),
        )
        for a, b in pairwise(cuts):
            parts = max(1, int(np.ceil((b - a) * seen.frame_s / LONGEST_S)))
            edges = np.linspace(a, b, parts + 1).round().astype(int).tolist()
            found += [Stretch(x, y) for x, y in pairwise(edges) if y > x]
    return found, several / watched >= 0.5


def _one_voice_a_frame(active: Flags) -> Counts:
    """Per window and frame the local voice, -1 in silence; where several speak, who spoke before goes on."""
    who = np.full(active.shape[:2], -1)
    before = np.full(len(active), -1)
    rows = np.arange(len(active))
    for frame in range(active.shape[1]):
        now = active[:, frame]
        goes_on = (before >= 0) & now[rows, before]
        voice = np.where(goes_on, before, np.where(now.any(1), now.argmax(1), -1))
        who[:, frame] = voice
        before = np.where(voice >= 0, voice, before)
    return who


def _runs(speech: Flags, pause: int) -> list[tuple[int, int]]:
    edges = np.diff(speech.astype(int), prepend=0, append=0)
    runs: list[tuple[int, int]] = []
    for start, end in zip(
        np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True
    ):
        if runs and start - runs[-1][1] < pause:
            runs[-1] = runs[-1][0], end
        else:
            runs.append((start, end))
    return runs


def _peaks(votes: npt.NDArray[np.float64], start: int, end: int, reach: int) -> list[int]:
    """Where at least half of the windows see a change of voice."""
    left = votes[start:end].copy()
    peaks = []
    while left.max() >= 0.5:
        top = int(left.argmax())
        last = top
        while last + 1 < len(left) and left[last + 1] == left[top]:
            last += 1
        middle = (top + last) // 2
        peaks.append(start + middle)
        left[max(0, middle - 2 * reach) : middle + 2 * reach + 1] = 0
    return sorted({peak for peak in peaks if start < peak < end})


def _with_breaks(cuts: list[int], wanted: Sequence[int], accuracy: int) -> list[int]:
    more = [
        moment
        for a, b in pairwise(cuts)
        for moment in wanted[bisect_right(wanted, a + accuracy) : bisect_left(wanted, b - accuracy)]
    ]
    return sorted({*cuts, *more})


def voices(
    found: Sequence[Stretch], prints: Floats, seen: Windows, breaks: Sequence[float], most: int
) -> list[int]:
    """The number of each stretch's voice; at most `most` voices are told apart.

    `prints` has a row a stretch, NaN where it is too short for one; `breaks` as above.
    """
    seconds = np.array([(stretch.end - stretch.start) * seen.frame_s for stretch in found])
    known: Flags = np.asarray(np.isfinite(prints).all(1))
    units = np.where(known[:, None], prints, 0)
    units = units / np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-9)
    sure: Flags = known & (seconds >= SURE_PRINT_S)
    long: Flags = known & (seconds >= LONG_PRINT_S)
    if not known.any():
        return [0] * len(found)
    centres = _centres(units, seconds, [long, sure, known], most)
    likeness = PRINT_WORTH * units @ centres.T
    voice = likeness.argmax(1)
    if len(centres) > 1:
        best, next_best = np.partition(likeness, -2, axis=1)[:, [-1, -2]].T
        unsure = np.flatnonzero(~sure | (best - next_best < PRINT_WORTH * CLEAR_LEAD))
        _settle(voice, likeness, unsure, _neighbours(found, seen), _one_sentence(found, seen, breaks))
    return [int(number) for number in voice]


def _centres(units: Floats, seconds: npt.NDArray[np.float64], asked: Sequence[Flags], most: int) -> Floats:
    """The mean print of each voice; of the prints `asked`, the first are the surest."""
    first, *others = [which & _spread(which) for which in asked if which.any()]
    centres = _clearly_different(units[first], seconds[first], most, SAME_VOICE)
    for which in others:
        if len(centres) == 1:
            centres = _clearly_different(units[which], seconds[which], min(most, 2), OTHER_VOICE)
    return centres


def _spread(which: Flags) -> Flags:
    """So many of them, over the whole call, as tell its voices."""
    few = np.zeros_like(which)
    few[np.flatnonzero(which)[:: 1 + int(which.sum()) // MOST_PRINTS]] = True
    return few


def _clearly_different(
    units: Floats, seconds: npt.NDArray[np.float64], most: int, same_voice: float
) -> Floats:
    """The mean print of each voice: as many voices as are clearly not the same."""
    chance = np.random.default_rng(0)
    best = _normed((units * seconds[:, None]).sum(0, keepdims=True))
    for count in range(2, min(most, len(units)) + 1):
        tries = [_grouped(units, seconds, count, chance) for _ in range(STARTS)]
        if count == 2:
            fits = [one for one in tries if _are_voices(one, seconds, SECOND_S, same_voice)]
        else:
            fits = [max(tries, key=lambda one: one[0])]
            fits = [one for one in fits if _are_voices(one, seconds, FURTHER_S, FURTHER_VOICE)]
        if not fits:
            break
        best = max(fits, key=lambda one: one[0])[1]
    return best


def _grouped(
    units: Floats, seconds: npt.NDArray[np.float64], count: int, chance: np.random.Generator
) -> Grouping:
    """One run of spherical k-means."""
    chosen = [int(chance.choice(len(units), p=seconds / seconds.sum()))]
    while len(chosen) < count:
        far = np.maximum(1 - (units @ units[chosen].T).max(1), 1e-9) * seconds
        chosen.append(int(chance.choice(len(units), p=far / far.sum())))
    centres = units[chosen]
    for _ in range(50):
        group = (units @ centres.T).argmax(1)
        sums = ((group == np.arange(count)[:, None]) * seconds).astype(np.float32) @ units
        moved = np.where(np.linalg.norm(sums, axis=1, keepdims=True) > 0, _normed(sums), centres)
        if np.allclose(moved, centres):
            break
        centres = moved
    fit = float((seconds * (units @ centres.T).max(1)).sum())
    return fit, centres, (units @ centres.T).argmax(1)


def _are_voices(
    grouping: Grouping, seconds: npt.NDArray[np.float64], fewest_s: float, same_voice: float
) -> bool:
    _, centres, group = grouping
    spoken_s = np.bincount(group, weights=seconds, minlength=len(centres))
    return bool(spoken_s.min() >= fewest_s) and _most_alike(centres, group) < same_voice


def _most_alike(centres: Floats, group: Counts) -> float:
    """How like the two nearest groups are, allowing for what few prints scatter."""
    scatter = np.sqrt(1 + SCATTER / np.bincount(group, minlength=len(centres)).clip(1))
    likeness = centres @ centres.T * np.outer(scatter, scatter)
    return float(likeness[np.triu_indices(len(centres), 1)].max())


def _neighbours(found: Sequence[Stretch], seen: Windows) -> dict[int, dict[int, float]]:
    """For stretches that windows see together: in which share of them they have the same local voice."""
    starts, ends = (np.array([getattr(one, edge) for one in found]) for edge in ("start", "end"))
    totals: dict[tuple[int, int], list[float]] = {}
    for window, first in zip(seen.active, seen.first, strict=True):
        inside = np.flatnonzero((starts < first + len(window)) & (ends > first))
        shares = []
        for i in inside.tolist():
            share = window[max(starts[i] - first, 0) : ends[i] - first].mean(0)
            if share.sum() > 0.2:
                shares.append((i, share / share.sum()))
        for at, (i, one) in enumerate(shares):
            for j, other in shares[at + 1 :]:
                totals.setdefault((i, j), []).append(float(one @ other))
    near: dict[int, dict[int, float]] = {}
    for (i, j), values in totals.items():
        near.setdefault(i, {})[j] = near.setdefault(j, {})[i] = float(np.mean(values))
    return near


def _one_sentence(found: Sequence[Stretch], seen: Windows, breaks: Sequence[float]) -> Flags:
    """Of each stretch but the last, whether the next goes on with it: no pause and no break between them."""
    moments = np.asarray(breaks)
    goes_on = np.zeros(max(len(found) - 1, 0), bool)
    if not len(moments):
        return goes_on
    for i, (one, following) in enumerate(pairwise(found)):
        end_s, start_s = one.end * seen.frame_s, following.start * seen.frame_s
        near = (moments > end_s - BREAK_ACCURACY_S) & (moments < start_s + BREAK_ACCURACY_S)
        goes_on[i] = start_s - end_s < PAUSE_S and not near.any()
    return goes_on


def _settle(
    voice: Counts, likeness: Floats, unsure: Counts, near: dict[int, dict[int, float]], goes_on: Flags
) -> None:
    """Give stretches whose prints say little to the voice that the windows, and the sentence, give them."""
    for _ in range(3):
        for i in unsure.tolist():
            mates = sorted(near.get(i, {}).items(), key=lambda mate: abs(mate[0] - i))[:NEIGHBOURS]
            odds = likeness[i].copy()
            for j, together in mates:
                odds[voice[j]] += NEVER_TOGETHER + (ALWAYS_TOGETHER - NEVER_TOGETHER) * together
            if i > 0 and goes_on[i - 1]:
                odds[voice[i - 1]] += SAME_SENTENCE
            if i < len(goes_on) and goes_on[i]:
                odds[voice[i + 1]] += SAME_SENTENCE
            voice[i] = int(odds.argmax()) if odds.any() else voice[max(i - 1, 0)]


def _normed(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9), np.float32)
