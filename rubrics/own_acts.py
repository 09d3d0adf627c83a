"""Acts of a house's own: taught by some examples and near misses in a rubric, without training.

A turn shows such an act if one of its sentences is nearer in meaning to an example than to any near miss and
to anything that is said in calls anyway (`everyday.txt`).
"""

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wellheard.pipeline.records import Record, Speaker, Turn
from wellheard.rubrics.text import pieces, plain

EVERYDAY = Path(__file__).with_name("everyday.txt")
FEWEST_EXAMPLES = 10
# So much nearer (in cosine) makes an act e times as likely as not.
SHARPNESS = 0.04
# As near to an example as to the everyday is not yet enough.
MARGIN = 0.08

Vectors = npt.NDArray[np.float32]


class OwnAct(Record):
    """An act that a rubric defines: whose it is, what a reason calls it, examples and near misses."""

    by: Speaker
    called: str
    like: tuple[str, ...]
    unlike: tuple[str, ...]


class Encoder(Hashable, Protocol):
    """Texts to unit vectors, shape (n, dimension)."""

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Encode."""
        ...


def recognise(
    turns: Sequence[Turn], acts: Mapping[str, OwnAct], encoder: Encoder
) -> tuple[dict[str, float], ...]:
    """How likely, from 0 to 1, each turn shows each of the acts that its speaker can show."""
    found: tuple[dict[str, float], ...] = tuple({} for _ in turns)
    if not acts or not turns:
        return found
    everyday = _everyday(encoder)
    centre = everyday.mean(axis=0)
    cut = [[plain(piece) or "…" for piece in pieces(turn.text)] for turn in turns]
    spoken = _unit(encoder([text for texts in cut for text in texts]) - centre)
    starts = np.cumsum([0, *map(len, cut)])[:-1]
    usual = (spoken @ _unit(everyday - centre).T).max(axis=1)
    for name, act in acts.items():
        like = (spoken @ _unit(encoder(list(map(plain, act.like))) - centre).T).max(axis=1)
        unlike = usual
        if act.unlike:
            near_miss = spoken @ _unit(encoder(list(map(plain, act.unlike))) - centre).T
            unlike = np.maximum(usual, near_miss.max(axis=1))
        odds = np.maximum.reduceat((like - unlike - MARGIN) / SHARPNESS, starts)
        for turn, of_turn, log_odds in zip(turns, found, odds, strict=True):
            if turn.speaker == act.by:
                of_turn[name] = round(float(1 / (1 + np.exp(-log_odds))), 4)
    return found


@lru_cache(maxsize=1)
def _everyday(encoder: "Encoder") -> Vectors:
    """Some seconds of work, once for all calls of a worker."""
    return encoder(EVERYDAY.read_text("utf-8").splitlines())


def _unit(vectors: Vectors) -> Vectors:
    length = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return np.asarray(vectors / length, dtype=np.float32)
