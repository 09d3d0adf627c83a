"""Roles: which party is the agent, and how sure that is.

The telephone system's word is final. Without it each party's words are judged: what agents say (they
greet for a company, ask for a number, offer, sum up) differs from what customers say in every language
the sentence encoder knows. Who speaks first is no sign: in outbound calls the customer does.
"""

import math
from collections.abc import Sequence
from itertools import permutations

import msgspec
import numpy as np

from wellheard.models.roles import AgentLikeness
from wellheard.pipeline.records import Conversation, Speaker, Turn

VERSION = "1"
# A long turn is several witnesses, and the encoder cuts what is too long for it.
PIECE_WORDS = 40
# Turns that came to have the same speaker (an agent and a second one) are one, unless a pause parts them.
MERGE_PAUSE_S = 2.0
# A further party is taken for an agent or a customer only if what it says is this clear.
CLEAR = 0.8
# 100 labelled calls cannot prove a judgement to be surer than this.
MOST_SURE = 0.99
# Below this, the call says that its speakers are a guess.
WORTH_A_NOTE = 0.8
# The channel given by the telephone system is doubted in a note when the words say so this clearly.
DOUBTFUL = 0.05

NOTE_GUESS = "Who is the agent is not clear from what is said: the speakers may be the wrong way round."
NOTE_SWAPPED = (
    "The party on the agent's channel talks like a customer, the other like an agent: "
    "check which channel is the agent's."
)
NOTE_SILENT_AGENT = (
    "Nothing is said on the agent's channel, and the other party talks like an agent: "
    "check which channel is the agent's."
)


class Party(msgspec.Struct, frozen=True):
    """The sum of the log-odds of what a party says, over how many texts of how many words."""

    total: float
    texts: int
    words: int


def assign(conversation: Conversation, agent_party: str | None, likeness: AgentLikeness) -> Conversation:
    """Name the parties agent, customer or other.

    `agent_party` is the agent's party where the telephone system tells it; then nothing is guessed, even
    if that party says nothing. `role_confidence` is 1 then, else from 0.5 (could be either way round)
    upwards. `unheard` names agent or customer where nobody is one.
    """
    texts = pieces_by_party(conversation.turns)
    heard = {party: _weigh(party_texts, likeness) for party, party_texts in texts.items()}
    if agent_party is not None:
        speakers, note = _given(agent_party, heard, likeness)
        confidence = 1.0
    else:
        announced = _announcements(texts, likeness)
        people = {party: heard[party] for party in heard if party not in announced}
        speakers, confidence = _judged(people, likeness)
        speakers |= dict.fromkeys(announced, "other")
        note = NOTE_GUESS if confidence < WORTH_A_NOTE else None
    return msgspec.structs.replace(
        conversation,
        turns=_named(conversation.turns, speakers),
        role_confidence=confidence,
        unheard=tuple(speaker for speaker in ("agent", "customer") if speaker not in speakers.values()),
        notes=(*conversation.notes, *((note,) if note else ())),
    )


def pieces_by_party(turns: Sequence[Turn]) -> dict[str, list[str]]:
    """What each party says, long turns in pieces of at most `PIECE_WORDS` words."""
    texts: dict[str, list[str]] = {}
    for turn in turns:
        texts.setdefault(turn.speaker, []).extend(pieces(turn.text))
    return texts


def pieces(text: str) -> list[str]:
    """A text in pieces of about equal length, none over `PIECE_WORDS` words."""
    words = text.split()
    count = math.ceil(len(words) / PIECE_WORDS)
    return [" ".join(part) for part in np.array_split(np.array(words, dtype=object), count)] if count else []


def _weigh(texts: Sequence[str], likeness: AgentLikeness) -> Party:
    return Party(
        total=float(np.sum(likeness(texts))), texts=len(texts), words=sum(len(text.split()) for text in texts)
    )


def _given(
    agent_party: str, heard: dict[str, Party], likeness: AgentLikeness
) -> tuple[dict[str, Speaker], str | None]:
    others = {party: weight for party, weight in heard.items() if party != agent_party}
    if not others:
        return dict.fromkeys(heard, "agent"), None
    customer = min(others, key=lambda party: others[party].total)
    speakers: dict[str, Speaker] = {customer: "customer"}
    further = {party: weight for party, weight in others.items() if party != customer}
    speakers |= {party: _further(weight, likeness) for party, weight in further.items()}
    if agent_party not in heard:
        silent_agent = _single(heard[customer], likeness) >= CLEAR
        return speakers, NOTE_SILENT_AGENT if silent_agent else None
    speakers[agent_party] = "agent"
    swapped = _pair(heard[agent_party], heard[customer], likeness) <= DOUBTFUL
    return speakers, NOTE_SWAPPED if swapped else None


def _judged(heard: dict[str, Party], likeness: AgentLikeness) -> tuple[dict[str, Speaker], float]:
    """Of all ways to choose an agent and a customer, the likeliest."""
    if not heard:
        return {}, 0.0
    if len(heard) == 1:
        [(party, weight)] = heard.items()
        probability = _single(weight, likeness)
        return {party: "agent" if probability >= 0.5 else "customer"}, min(
            max(probability, 1 - probability), MOST_SURE
        )
    # Who talks most is likelier to be one of the two than who only says "yes" in between.
    agent, customer = max(
        permutations(heard, 2),
        key=lambda two: (
            _pair_log_odds(heard[two[0]], heard[two[1]], likeness)
            + math.log(heard[two[0]].words)
            + math.log(heard[two[1]].words)
        ),
    )
    speakers: dict[str, Speaker] = {
        party: _further(weight, likeness) for party, weight in heard.items() if party not in (agent, customer)
    }
    speakers |= {agent: "agent", customer: "customer"}
    return speakers, min(_pair(heard[agent], heard[customer], likeness), MOST_SURE)


def _further(weight: Party, likeness: AgentLikeness) -> Speaker:
    probability = _single(weight, likeness)
    if probability >= CLEAR:
        return "agent"
    return "customer" if probability <= 1 - CLEAR else "other"


def _announcements(texts: dict[str, list[str]], likeness: AgentLikeness) -> list[str]:
    """Parties that are no people. Only a third party can be one: of two, both are needed."""
    if len(texts) < 3:
        return []
    found = {party: float(np.sum(likeness.announcement(said))) for party, said in texts.items()}
    likeliest = sorted((party for party in found if found[party] > 0), key=lambda party: -found[party])
    return likeliest[: len(texts) - 2]


def _pair(agent: Party, customer: Party, likeness: AgentLikeness) -> float:
    return _probability(_pair_log_odds(agent, customer, likeness))


def _pair_log_odds(agent: Party, customer: Party, likeness: AgentLikeness) -> float:
    return likeness.model.pair(agent.total - customer.total, agent.texts + customer.texts)


def _single(party: Party, likeness: AgentLikeness) -> float:
    return _probability(likeness.model.single(party.total, party.texts))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(min(log_odds, 30.0), -30.0)))


def _named(turns: Sequence[Turn], speakers: dict[str, Speaker]) -> tuple[Turn, ...]:
    named: list[Turn] = []
    for turn in turns:
        speaker = speakers[turn.speaker]
        before = named[-1] if named else None
        if before and before.speaker == speaker and turn.start_s - before.end_s < MERGE_PAUSE_S:
            words = sorted((*before.words, *turn.words), key=lambda word: word.start_s)
            named[-1] = Turn(speaker=speaker, words=tuple(words))
        else:
            named.append(Turn(speaker=speaker, words=turn.words))
    return tuple(named)
