"""Signs: what is done in each turn, recognised by likeness to example wordings.

A sign is an act of a turn ("asks to wait", "voices a feeling"). A turn shows it the more, the nearer one of
its sentences comes to the sign's examples, compared with the examples of all other signs. How near is near
enough, and what else speaks for the sign (where in the call, after what, which facts), stands for each sign
in `signs.yaml`. Anything that yields the same record, such as a trained tagger, can take this module's place.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wellheard.pipeline.records import Record, Speaker, Turn
from wellheard.rubrics.facts import FACTS, FactsOfTurn, Words
from wellheard.rubrics.text import pieces, plain

VERSION = "1"
FOLDER = Path(__file__).parent

# What is done in a turn, and how a reason says it.
AGENT_ACTS = {
    "greet": "a greeting",
    "company": "the company's name",
    "own_name": "the agent's own name",
    "recording": "a notice that the call is recorded",
    "ask_matter": "a question what the customer wants",
    "ask_id": "a question for an identifier",
    "use_name": "the customer addressed by name",
    "diagnose": "a question about the matter",
    "restate": "the customer's matter in own words",
    "take_up": "a remark on something personal",
    "empathise": "words of empathy",
    "formula": "a stock apology",
    "own_up": "an admission of fault",
    "announce_wait": "a request to wait",
    "after_wait": "thanks for waiting",
    "offer": "an offer",
    "push": "pressure to take an offer",
    "let_go": "an offer let go",
    "blame": "blame or a lecture",
    "shut_out": "the customer shut out",
    "way_forward": "a way forward",
    "disclose": "something disclosed or changed on the account",
    "solve": "an answer or solution",
    "refuse": "a refusal",
    "take_on": "a step taken on by the agent",
    "send_away": "a step left to the customer",
    "definite_time": "a definite time",
    "vague_time": "a vague time",
    "cause": "the cause",
    "extra": "something useful beyond the procedure",
    "ask_again": "a question already answered",
    "recap": "a summing-up",
    "check": "a check that it suits or works",
    "anything_else": "a question whether there is anything else",
    "thank": "thanks to the customer",
    "farewell": "a farewell",
    "personal_wish": "a personal wish",
    "transfer": "a transfer",
    "brief_colleague": "the story passed on to a colleague",
}
CUSTOMER_ACTS = {
    "matter": "the customer's matter",
    "fact": "a fact given by the customer",
    "give_id": "an identifier given",
    "personal_data": "personal data given",
    "cue": "a personal cue",
    "feeling": "a feeling or hardship voiced",
    "upset": "an upset customer",
    "calmer": "a calmer customer",
    "decline": "an offer declined",
    "accept": "the customer's acceptance",
    "reject": "the customer's rejection",
    "works": "the customer's word that it works",
    "repeats": "something the customer had to repeat",
    "thanks": "the customer's thanks",
}
# Signs beside the acts, which only wording tells.
OWN_SIGNS = {"fault": "a fault or complaint"}
SIGNS = AGENT_ACTS | CUSTOMER_ACTS | OWN_SIGNS
# Signs of the agent that only make sense against what the customer says.
ABOUT_THE_CUSTOMER = ("use_name", "restate", "take_up", "empathise", "ask_again", "push", "personal_wish")
# These may be said by an announcement too.
BY_ANNOUNCEMENTS = ("greet", "company", "recording")
BACKGROUND = "background"

# Nearness counts exponentially: an example this much nearer (in cosine) counts e times as much.
SHARPNESS = 0.1
# From this length on a turn is long, and longer ones say no more.
LONG_TURN_WORDS = 30
# "Early" and "late" fade over so many turns.
EARLY_TURNS, LATE_TURNS = 4, 8
# The logarithm of a share that says no more than "nothing like it".
NOTHING_LIKE = -8.0

Vectors = npt.NDArray[np.float32]
SignsOfTurn = dict[str, float]
Signs = tuple[SignsOfTurn, ...]


class Encoder(Protocol):
    """Texts to unit vectors, shape (n, dimension)."""

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Encode."""
        ...


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
    sign's (as a logarithm), `reply` the same of the signs `answers` in what the other party said just
    before, `answer` of the signs it `brings` about in what the other party says next; `evidence` weighs
    facts and positions.
    """

    base: float
    share: float
    evidence: dict[str, float]
    answers: tuple[str, ...] = ()
    reply: float = 0.0
    brings: tuple[str, ...] = ()
    answer: float = 0.0


POSITIONS = ("early", "late", "first", "length", "echo", "own_echo")


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
    return np.asarray(
        vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9), dtype=np.float32
    )


def speaker_of(sign: str) -> Speaker:
    """Whose turns can show a sign: agent or customer."""
    return "agent" if sign in AGENT_ACTS else "customer"


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
        for sign, members in bank.members.items():
            share = np.log(weights[:, members].sum(axis=1)) - total
            self._share[sign] = np.maximum.reduceat(share, starts)
        self._evidence = self._positions()
        for fact in FACTS:
            self._evidence[fact] = np.array([of_turn.get(fact, 0.0) for of_turn in facts], dtype=np.float32)

    def features(self, sign: str, settings: SignSettings) -> dict[str, Vectors]:
        """What speaks for a sign, each an array with one number a turn."""
        return {
            "share": np.maximum(self._share[sign], NOTHING_LIKE),
            "reply": self._beside(settings.answers, (-1, -2)),
            "answer": self._beside(settings.brings, (1, 2)),
            **self._evidence,
        }

    def _beside(self, signs: Sequence[str], steps: Sequence[int]) -> Vectors:
        """How much the other party's last (or next) words are one of these signs."""
        found = np.full(len(self._turns), NOTHING_LIKE, dtype=np.float32)
        for i, turn in enumerate(self._turns):
            for j in (i + step for step in steps) if signs else ():
                if 0 <= j < len(self._turns) and self._turns[j].speaker != turn.speaker:
                    found[i] = max(NOTHING_LIKE, *(self._share[sign][j] for sign in signs))
                    break
        return found

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
            positions["length"][i] = min(1.0, len(turn.words) / LONG_TURN_WORDS)
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
    """How sure it is, from 0 to 1, that each turn shows each sign that its speaker can show."""
    if not turns:
        return ()
    likeness = Likeness(turns, facts, bank, encoder)
    found: list[SignsOfTurn] = [{} for _ in turns]
    for sign, of_sign in settings.items():
        features = likeness.features(sign, of_sign)
        odds = of_sign.base + of_sign.share * features["share"] + of_sign.reply * features["reply"]
        odds = odds + of_sign.answer * features["answer"]
        for name, weight in of_sign.evidence.items():
            odds = odds + weight * features[name]
        for turn, of_turn, value in zip(turns, found, 1 / (1 + np.exp(-odds)), strict=True):
            if may_show(turn, sign):
                of_turn[sign] = round(float(value), 4)
    return tuple(found)
