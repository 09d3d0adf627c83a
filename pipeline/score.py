"""Score: answer the criteria of each rubric, with a confidence and the words that prove it."""

import json
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline.errors import BadRubric, UnknownLanguage
from wellheard.pipeline.records import CallInfo, Conversation, Heard, Mark, Scorecard, quote
from wellheard.pipeline.settings import Score
from wellheard.rubrics import facts, signs, wordings
from wellheard.rubrics.judges import JUDGES, Verdict
from wellheard.rubrics.loader import Criterion, Rubric
from wellheard.rubrics.rules import Findings

VERSION = "2"
# Below these, who is who and which language is spoken are guesses, and so is every mark.
SURE_OF_ROLES = 0.8
SURE_OF_LANGUAGE = 0.6
# Facts that only the customer's words can show.
CUSTOMER_FACTS = ("customer_named", "repeats_number", *facts.IDENTIFIERS)
# Notes of a recording that ends too early begin so.
CUT_SHORT = ("incomplete", "cut off")


def score(
    conversation: Conversation,
    heard: Heard,
    info: CallInfo,
    rubrics: Sequence[Rubric],
    encoder: SentenceEncoder,
    settings: Score,
) -> Scorecard:
    """Answer every criterion of every rubric; speakers must have been judged.

    A rubric's score is the weight of its yes over the weight of its yes and no: na and unsure do not count.
    A no to a critical criterion does not change the score; it stands out by itself (`critical` and `no`).

    Raises:
        UnknownLanguage: a rubric has no wording for the call's language.
        BadRubric: two rubrics have the same id.
    """
    marks: list[Mark] = []
    scores: dict[str, float | None] = {}
    found: dict[str, Findings] = {}
    for rubric in rubrics:
        if rubric.id in scores:
            raise BadRubric(f"Two rubrics are called {rubric.id}", "Give one of them another `id`.")
        if conversation.language not in rubric.languages:
            raise UnknownLanguage(
                f"The rubric {rubric.id} has no wording for the language {conversation.language!r}",
                f"It has for: {', '.join(rubric.languages)}. Give the call's right language in the manifest, "
                "or add wording (docs/rubrics.md).",
            )
        added = json.dumps(msgspec.to_builtins(rubric.wording), sort_keys=True)
        if added not in found:
            found[added] = find(conversation, heard, info, encoder, added)
        own = [
            _mark(rubric, criterion, found[added], conversation, info, settings)
            for criterion in rubric.criteria
        ]
        marks += own
        scores[rubric.id] = share_of_yes(own)
    return Scorecard(marks=tuple(marks), scores=scores)


def share_of_yes(marks: Sequence[Mark]) -> float | None:
    """Weight of yes over weight of yes and no; None where nothing counts."""
    counted = sum(mark.weight for mark in marks if mark.answer in ("yes", "no"))
    return sum(mark.weight for mark in marks if mark.answer == "yes") / counted if counted else None


def find(
    conversation: Conversation, heard: Heard, info: CallInfo, encoder: SentenceEncoder, added: str = "{}"
) -> Findings:
    """What the rules ask of a call; `added` is a rubric's own wording as JSON."""
    turns = conversation.turns
    words = wordings.shipped(conversation.language).words
    of_turns = facts.find(turns, heard, info, words)
    bank = _bank(encoder, conversation.language, added)
    return Findings(
        speakers=tuple(turn.speaker for turn in turns),
        signs=signs.recognise(turns, of_turns, bank, wordings.sign_settings(), encoder),
        facts=of_turns,
        holds=tuple(facts.turns_around(hold, turns) for hold in heard.holds),
    )


@lru_cache(maxsize=16)
def _bank(encoder: SentenceEncoder, language: str, added: str) -> signs.Bank:
    """The vectors of a language's wording: some seconds of work, once for all calls of a worker."""
    own = msgspec.json.decode(added, type=dict[str, dict[str, signs.Examples]])
    return signs.Bank(wordings.together(language, own), encoder)


def _mark(
    rubric: Rubric,
    criterion: Criterion,
    found: Findings,
    conversation: Conversation,
    info: CallInfo,
    settings: Score,
) -> Mark:
    judge = JUDGES[criterion.judge]
    verdict = judge.answer(criterion, found, conversation.turns)
    doubt = _doubt(criterion, verdict, conversation, info)
    if doubt is None and verdict.confidence < settings.unsure_below:
        doubt = "Not sure enough"
    return Mark(
        rubric=rubric.id,
        rubric_version=rubric.version,
        criterion=criterion.id,
        answer=verdict.answer if doubt is None else "unsure",
        confidence=verdict.confidence,
        weight=criterion.weight,
        critical=criterion.critical,
        reason=verdict.reason if doubt is None else f"{doubt} to say {verdict.answer}. {verdict.reason}",
        evidence=tuple(quote(conversation.turns[turn]) for turn in verdict.turns),
        judge=judge.name,
        judge_version=judge.version,
    )


def _doubt(criterion: Criterion, verdict: Verdict, conversation: Conversation, info: CallInfo) -> str | None:
    """What about the call, not about the criterion, makes this answer a guess."""
    if info.language is None and conversation.language_probability < SURE_OF_LANGUAGE:
        return "The language is too uncertain"
    if "agent" in conversation.unheard:
        return "The agent was not recorded: too little"
    if "customer" in conversation.unheard and _needs_customer(criterion):
        return "The customer was not recorded: too little"
    if conversation.role_confidence < SURE_OF_ROLES:
        return "Who is the agent is too uncertain"
    if _cut_short(conversation, info) and _may_come_later(criterion, verdict):
        return "The end of the call was not recorded: too little"
    return None


def _needs_customer(criterion: Criterion) -> bool:
    """Whether the rule asks for anything that only the customer's side can show."""
    of_customer = {*signs.CUSTOMER_ACTS, *signs.OWN_SIGNS, *signs.ABOUT_THE_CUSTOMER, *CUSTOMER_FACTS}
    named = criterion.rule.signs().union(*(condition.names() for condition in criterion.rule.conditions()))
    return bool(named & of_customer)


def _cut_short(conversation: Conversation, info: CallInfo) -> bool:
    return any(note.startswith(CUT_SHORT) for note in (*conversation.notes, *info.notes))


def _may_come_later(criterion: Criterion, verdict: Verdict) -> bool:
    """Whether the lost end of a call could have brought what this answer says is missing."""
    rule = criterion.rule
    if verdict.answer == "yes" or (verdict.answer == "no" and rule.yes_when is None):
        return False
    return not all(
        condition.where == "opening"
        for condition in rule.conditions()
        if condition.sign is not None or condition.fact is not None
    )
