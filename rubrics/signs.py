"""Signs: what is done in each turn, recognised by likeness to example wordings.

A sign is an act of a turn ("asks to wait", "voices a feeling"). A turn shows it the more, the nearer one of
its sentences comes to the sign's examples, compared with the examples of all other signs. How near is near
enough, and what else speaks for the sign (where in the call, after what, which facts), stands for each sign
in `signs.yaml`. Anything that yields the same record, such as a trained tagger, can take this module's place.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from wellheard.pipeline.records import Record, Turn
from wellheard.rubrics.facts import FACTS, FactsOfTurn, Words
from wellheard.rubrics.text import pieces, plain

VERSION = "1"
FOLDER = Path(__file__).parent

AGENT_ACTS = (
    *("greet", "company", "own_name", "recording", "ask_matter", "ask_id", "use_name", "diagnose", "restate"),
    *("take_up", "empathise", "formula", "own_up", "announce_wait", "after_wait", "offer", "push", "let_go"),
    *("blame", "shut_out", "way_forward", "disclose", "solve", "refuse", "take_on", "send_away"),
    *("definite_time", "vague_time", "cause", "extra", "ask_again", "recap", "check", "anything_else", "thank"),
    *("farewell", "personal_wish", "transfer", "brief_colleague"),
)
CUSTOMER_ACTS = (
    *("matter", "fact", "give_id", "personal_data", "cue", "feeling", "upset", "calmer", "decline", "accept"),
    *("reject", "works", "repeats", "thanks"),
)
# Signs beside the acts, which only wording tells.
OWN_SIGNS = {"fault": "customer"}
# These may be said by an announcement too.
BY_ANNOUNCEMENTS = ("greet", "company", "recording")
BACKGROUND = "background"

# Nearness counts exponentially: an example this much nearer (in cosine) counts e times as much.
SHARPNESS = 0.1
# "Early" and "late" fade over so many turns.
EARLY_TURNS, LATE_TURNS = 4, 8
# An echo of something said reaches back so far.
NOTHING_LIKE = -8.0

Vectors = npt.NDArray[np.float32]
SignsOfTurn = dict[str, float]
Signs = tuple[SignsOfTurn, ...]


class Encoder(Protocol):
    """Texts to unit vectors, shape (n, dimension)."""

    def __call__(self, texts: Sequence[str]) -> Vectors: ...


class Examples(Record):
    """How a sign is said, and what sounds like it but is not meant."""

    like: tuple[str, ...]
    unlike: tuple[str, ...] = ()


class Wording(Record):
    """All signs of one language, and the words that facts are found by."""

    signs: dict[str, Examples]
    words: Words


class SignSettings(Record):
    """What speaks for a sign in a turn: weights that are added up to log-odds.

    `base` is what a turn starts with. `share` weighs how much of the nearness to all examples goes to this
    sign's, `like` the cosine to the nearest one, `reply` the `share` of the signs `answers` in what the other
    party said just before; `evidence` weighs facts and positions.
    """

    base: float
    share: float
    like: float
    answers: tuple[str, ...] = ()
    reply: float = 0.0
    evidence: dict[str, float] = {}


POSITIONS = ("early", "late", "first", "length", "echo", "own_echo")
EVIDENCE = (*POSITIONS, *FACTS)


class Bank:
    """The vectors of all examples of a wording."""

    def __init__(self, wordings: Sequence[Wording], encoder: Encoder) -> None:
        texts: list[str] = []
        owners: list[str] = []
        for wording in wordings:
            for sign, examples in wording.signs.items():
                texts += [*examples.like, *examples.unlike]
                owners += [sign] * len(examples.like) + [f"not {sign}"] * len(examples.unlike)
        vectors = encoder([plain(text) for text in texts])
        self.centre = vectors.mean(axis=0)
        self.vectors = unit(vectors - self.centre)
        owner_of = np.array(owners)
        self.members = {sign: np.flatnonzero(owner_of == sign) for sign in dict.fromkeys(owners)}


def unit(vectors: Vectors) -> Vectors:
    """The vectors at length one."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9), dtype=np.float32)


def speaker_of(sign: str) -> str:
    """Whose turns can show a sign: agent or customer."""
    return "customer" if sign in CUSTOMER_ACTS else OWN_SIGNS.get(sign, "agent")


def may_show(turn: Turn, sign: str) -> bool:
    """Whether this turn's speaker can show the sign."""
    return turn.speaker == speaker_of(sign) or (turn.speaker == "other" and sign in BY_ANNOUNCEMENTS)


class Likeness:
    """How near each turn of a call comes to the examples of each sign, and where it stands in the call."""

    def __init__(
        self, turns: Sequence[Turn], facts: Sequence[FactsOfTurn], bank: Bank, encoder: Encoder
    ) -> None:
        self._turns = turns
        texts = [[plain(piece) or "…" for piece in pieces(turn.text)] for turn in turns]
        flat = [text for of_turn in texts for text in of_turn]
        distinct = list(dict.fromkeys(flat))
        vectors = dict(zip(distinct, unit(encoder(distinct) - bank.centre), strict=True))
        self._pieces = [np.stack([vectors[text] for text in of_turn]) for of_turn in texts]
        nearness = np.stack([vectors[text] for text in flat]) @ bank.vectors.T
        starts = np.cumsum([0, *map(len, texts)])[:-1]
        weights = np.exp((nearness - 1) / SHARPNESS)
        total = np.log(weights.sum(axis=1))
        self._share: dict[str, Vectors] = {}
        self._like: dict[str, Vectors] = {}
        for sign, members in bank.members.items():
            share = np.log(weights[:, members].sum(axis=1)) - total
            self._share[sign] = np.maximum.reduceat(share, starts)
            self._like[sign] = np.maximum.reduceat(nearness[:, members].max(axis=1), starts)
        self._evidence = self._positions()
        for fact in FACTS:
            self._evidence[fact] = np.array([of_turn.get(fact, 0.0) for of_turn in facts], dtype=np.float32)

    def features(self, sign: str, answers: Sequence[str]) -> dict[str, Vectors]:
        """What speaks for a sign, each an array with one number a turn."""
        return {
            "share": np.maximum(self._share[sign], NOTHING_LIKE),
            "like": self._like[sign],
            "reply": self._reply(answers),
            **self._evidence,
        }

    def _reply(self, answers: Sequence[str]) -> Vectors:
        """How much the other party's last words were one of these signs."""
        reply = np.full(len(self._turns), NOTHING_LIKE, dtype=np.float32)
        if answers:
            for i, turn in enumerate(self._turns):
                for j in (i - 1, i - 2):
                    if j >= 0 and self._turns[j].speaker != turn.speaker:
                        reply[i] = max(NOTHING_LIKE, *(self._share[a][j] for a in answers))
                        break
        return reply

    def _positions(self) -> dict[str, Vectors]:
        turns = self._turns
        count = len(turns)
        positions = {name: np.zeros(count, dtype=np.float32) for name in POSITIONS}
        spoken: dict[str, int] = {}
        for i, turn in enumerate(turns):
            nth = spoken.get(turn.speaker, 0)
            spoken[turn.speaker] = nth + 1
            positions["first"][i] = nth == 0
            positions["early"][i] = max(0.0, 1 - nth / EARLY_TURNS)
            positions["late"][i] = max(0.0, 1 - (count - 1 - i) / LATE_TURNS)
            positions["length"][i] = np.log1p(len(turn.words)) / 4
            for name, same in (("echo", False), ("own_echo", True)):
                before = [self._pieces[j] for j in range(i) if (turns[j].speaker == turn.speaker) == same]
                if before:
                    positions[name][i] = float((self._pieces[i] @ np.concatenate(before).T).max())
        return positions


def recognise(
    turns: Sequence[Turn],
    facts: Sequence[FactsOfTurn],
    bank: Bank,
    settings: Mapping[str, SignSettings],
    encoder: Encoder,
) -> Signs:
    """How sure it is that each turn shows each sign, from 0 to 1; a sign its speaker cannot show has no entry."""
    likeness = Likeness(turns, facts, bank, encoder)
    found: list[SignsOfTurn] = [{} for _ in turns]
    for sign, of_sign in settings.items():
        features = likeness.features(sign, of_sign.answers)
        odds = of_sign.base + of_sign.share * features["share"] + of_sign.like * features["like"]
        odds = odds + of_sign.reply * features["reply"]
        for name, weight in of_sign.evidence.items():
            odds = odds + weight * features[name]
        for turn, of_turn, value in zip(turns, found, 1 / (1 + np.exp(-odds)), strict=True):
            if may_show(turn, sign):
                of_turn[sign] = round(float(value), 4)
    return tuple(found)
