"""How much like an agent's a text is: a small net over sentence vectors; and how like an announcement's.

The weights lie beside this file in `roles.json`, with what they were trained on and how well they did;
`benchmarks/train_roles.py` makes that file. It is plain numbers: nothing in it can run.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from wellheard.models.sentences import DIMENSION, SentenceEncoder
from wellheard.pipeline.errors import ModelDamaged

FILE = Path(__file__).with_name("roles.json")

LogOdds = npt.NDArray[np.float64]


class Linear(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log-odds as a weighted sum of a sentence vector."""

    bias: float
    weights: list[float]

    def __call__(self, vectors: npt.NDArray[np.float32]) -> LogOdds:
        """Log-odds of each of `vectors` (n, 384); returns shape (n,)."""
        return np.asarray(vectors @ np.asarray(self.weights) + self.bias, dtype=np.float64)


class Net(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log-odds by a net with one hidden layer of rectified units; `hidden_weights` has a row a unit."""

    hidden_biases: list[float]
    hidden_weights: list[list[float]]
    output_bias: float
    output_weights: list[float]

    def __call__(self, vectors: npt.NDArray[np.float32]) -> LogOdds:
        """Log-odds of each of `vectors` (n, 384); returns shape (n,)."""
        hidden = np.maximum(vectors @ np.asarray(self.hidden_weights).T + self.hidden_biases, 0)
        return np.asarray(hidden @ np.asarray(self.output_weights) + self.output_bias, dtype=np.float64)


class Damping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sum of log-odds is worth: the texts of one call are no independent witnesses."""

    scale: float
    power: float

    def __call__(self, total: float, texts: int) -> float:
        """Calibrated log-odds from the sum over `texts` texts."""
        return float(self.scale * total / max(texts, 1) ** self.power)


class RoleModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of `roles.json`.

    `agent` tells an agent's text from a customer's, `announcement` a recorded announcement from both.
    `pair` damps what two parties say, `single` what one says. `training` and `scores` are for people.
    """

    encoder: str
    agent: Net
    announcement: Linear
    pair: Damping
    single: Damping
    training: dict[str, Any]
    scores: dict[str, Any]


def _load(content: bytes) -> RoleModel:
    model = msgspec.json.decode(content, type=RoleModel)
    if model.encoder != SentenceEncoder.fingerprint or not all(
        len(weights) == DIMENSION for weights in (*model.agent.hidden_weights, model.announcement.weights)
    ):
        raise ModelDamaged(
            f"{FILE.name} was trained for another sentence encoder ({model.encoder})",
            "Install wellheard again; those who work on it run benchmarks/train_roles.py.",
        )
    return model


class AgentLikeness:
    """Judges texts; the more above 0 the log-odds, the more like an agent's, below 0 a customer's."""

    fingerprint = "roles-" + hashlib.sha256(FILE.read_bytes()).hexdigest()[:12]

    def __init__(self, encoder: SentenceEncoder) -> None:
        """Load the weights.

        Raises:
            ModelDamaged: they belong to another sentence encoder.
        """
        self._encoder = encoder
        self.model = _load(FILE.read_bytes())

    def __call__(self, texts: Sequence[str]) -> LogOdds:
        """Log-odds, one a text, that an agent and not a customer says it. Sums of them need damping."""
        return self.model.agent(self._encoder(texts))

    def announcement(self, texts: Sequence[str]) -> LogOdds:
        """Log-odds, one a text, that it is a recorded announcement and not a person."""
        return self.model.announcement(self._encoder(texts))
