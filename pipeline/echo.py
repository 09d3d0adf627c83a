"""Echo: takes the other party's voice off one's own channel, before anybody is heard.

On a telephone line the agent's voice comes back, weaker and a little later, on the customer's channel. The
sound decides, not the words: a customer who repeats a sentence is not the agent's echo.
"""

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve

from wellheard.pipeline.records import SAMPLE_RATE

LONGEST_DELAY = SAMPLE_RATE // 2
FRAME = SAMPLE_RATE // 4
# A frame is echo if it follows the other channel this closely (correlation) and is this much weaker (power).
ALIKE = 0.7
WEAKER = 4.0
# The delay of a line is one for the call; ten minutes of speech are enough to find it.
_BLOCK = 30 * SAMPLE_RATE
_BLOCKS = 20

Samples = npt.NDArray[np.int16]


def without_echo(samples: Samples) -> Samples:
    """The channels, int16 of shape (2, n), with silence where one only carries the other's echo."""
    clean = samples.copy()
    for own, other in ((0, 1), (1, 0)):
        delay = _delay(samples[own], samples[other])
        for start in range(0, samples.shape[1] - FRAME + 1, _BLOCK):
            end = min(start + _BLOCK, samples.shape[1])
            for frame in _echo_frames(samples[own], samples[other], start, end, delay):
                clean[own, frame : frame + FRAME] = 0
    return clean


def _delay(own: Samples, other: Samples) -> int:
    """By how many samples `own` follows `other` best, if it follows it at all."""
    total = np.zeros(LONGEST_DELAY)
    for start in range(0, min(len(own), _BLOCKS * _BLOCK), _BLOCK):
        ours = own[start : start + _BLOCK].astype(np.float64)
        theirs = other[start : start + _BLOCK].astype(np.float64)
        if len(ours) < 2 * LONGEST_DELAY or not ours.any() or not theirs.any():
            ours, theirs = (np.pad(x, (0, max(0, 2 * LONGEST_DELAY - len(x)))) for x in (ours, theirs))
        both = fftconvolve(ours, theirs[::-1])[len(theirs) - 1 :][:LONGEST_DELAY]
        scale = np.sqrt((ours**2).sum() * (theirs**2).sum())
        total += both / scale if scale else 0.0
    return int(np.argmax(np.abs(total)))


def _echo_frames(own: Samples, other: Samples, start: int, end: int, delay: int) -> list[int]:
    """The first samples of the frames between `start` and `end` that are echo."""
    count = (end - start) // FRAME
    length = count * FRAME
    ours = own[start : start + length].astype(np.float64).reshape(count, FRAME)
    late = np.zeros(length)
    first = max(start - delay, 0)
    heard = other[first : start - delay + length]
    late[length - len(heard) :] = heard
    theirs = late.reshape(count, FRAME)
    power, louder = (ours**2).sum(axis=1), (theirs**2).sum(axis=1)
    alike = np.abs((ours * theirs).sum(axis=1)) >= ALIKE * np.sqrt(power * louder)
    found = alike & (power > 0) & (louder >= WEAKER * power)
    return [start + int(frame) * FRAME for frame in np.flatnonzero(found)]
