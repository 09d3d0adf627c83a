"""Faint: voices that are hardly audible, made loud enough to be found and read.

A whole channel that is quiet is raised as it is. Where two voices share a channel, or one fades, what is
faint between louder speech is looked at again by itself.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from wellheard.pipeline.records import SAMPLE_RATE, Span

# The level (RMS of 20 ms, of full scale) that the louder frames (percent) of a channel or stretch come up to;
# those of ordinary telephone speech have -15 to -30 dB.
LEVEL_DB = -22.0
QUIET_DB = -34.0
LOUDER = 95
# Below this there is only the noise of an idle line.
IDLE_DB = -70.0
SHORTEST_S = 0.3
_FRAME = SAMPLE_RATE // 50
_BLOCK = 3000 * _FRAME
_FULL_SCALE = 32768.0

Samples = npt.NDArray[np.int16]


def raised(samples: Samples) -> Samples:
    """One channel, made louder if it is quiet; else as it was."""
    level_db = _level_db(samples)
    if not IDLE_DB < level_db < QUIET_DB:
        return samples
    loud = np.empty_like(samples)
    for start in range(0, len(samples), _BLOCK):
        part = samples[start : start + _BLOCK] * np.float32(10 ** ((LEVEL_DB - level_db) / 20))
        loud[start : start + _BLOCK] = np.clip(part.round(), -_FULL_SCALE, _FULL_SCALE - 1)
    return loud


def between(samples: Samples, speech: Iterable[Span]) -> Iterator[tuple[float, Samples]]:
    """The faint stretches of a channel outside of `speech`, raised, each with its start in seconds."""
    end = 0
    edges = [(round(span.start_s * SAMPLE_RATE), round(span.end_s * SAMPLE_RATE)) for span in speech]
    for start, following in [*sorted(edges), (len(samples), len(samples))]:
        stretch = samples[end:start]
        if len(stretch) >= SHORTEST_S * SAMPLE_RATE:
            loud = raised(stretch)
            if loud is not stretch:
                yield end / SAMPLE_RATE, loud
        end = max(end, following)


def _level_db(samples: Samples) -> float:
    """How loud the louder of those frames are that hold any sound."""
    powers: Sequence[npt.NDArray[np.float32]] = [
        np.square(samples[start : start + _BLOCK][: _whole(len(samples) - start)].astype(np.float32))
        .reshape(-1, _FRAME)
        .mean(axis=1)
        for start in range(0, len(samples), _BLOCK)
    ]
    power = np.concatenate(powers) if powers else np.zeros(0, np.float32)
    power = power[power > 1.0]
    if not len(power):
        return -np.inf
    return float(10 * np.log10(np.percentile(power, LOUDER) / _FULL_SCALE**2))


def _whole(length: int) -> int:
    return min(length, _BLOCK) // _FRAME * _FRAME
