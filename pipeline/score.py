"""Score: answer the criteria of each rubric, with a confidence and the words that prove it."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import msgspec

from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline.clarity import INTELLIGIBLE
from wellheard.pipeline.errors import BadRubric, UnknownLanguage
from wellheard.pipeline.records import (
    Absence,
    Acts,
    CallInfo,
    Conversation,
    Heard,
    Mark,
    Scorecard,
    Turn,
    clock,
    quote,
)
from wellheard.pipeline.settings import Score
from wellheard.rubrics import facts, own_acts
from wellheard.rubrics.acts import ABOUT_THE_CUSTOMER, CUSTOMER_ACTS
from wellheard.rubrics.house import HouseJudge
from wellheard.rubrics.judges import JUDGES, Judge, Missed, Verdict, of_house
from wellheard.rubrics.language_model import LanguageModelJudge, LanguageVerdict
from wellheard.rubrics.loader import Criterion, Rubric
from wellheard.rubrics.own_acts import OwnAct
from wellheard.rubrics.rules import Findings

VERSION = "5"
# Below these, who is who and which language is spoken are guesses, and so is every mark.
SURE_OF_ROLES = 0.8
SURE_OF_LANGUAGE = 0.6
# Seconds of speech in the stretch where something was missed, of which no word is known.
MOST_NOT_UNDERSTOOD_S = 1.0
# Facts that only the customer's words can show.
CUSTOMER_FACTS = ("customer_named", "repeats_number", *facts.IDENTIFIERS)
# What the customer tells of their life; and sounds behind them that do so without a word.
CUE = "cue"
JUDGED_SOUNDS = ("dog", "baby")
SURE_OF_SOUND = 0.8
_SOUND_CUES = {"dog": "A dog was", "baby": "A baby was", "child_laughter": "Children were"}
# Notes of a recording that ends too early begin so.
CUT_SHORT = ("incomplete", "cut off")


def score(
    conversation: Conversation,
    heard: Heard,
    info: CallInfo,
    acts: Acts,
    rubrics: Sequence[Rubric],
    encoder: SentenceEncoder,
    settings: Score,
    language_model: LanguageModelJudge | None,
    house: HouseJudge | None = None,
) -> Scorecard:
    """Answer every criterion of every rubric; speakers must have been judged.

    A rubric's score is the weight of its yes over the weight of its yes and no: na and unsure do not count.
    A no to a critical criterion does not change the score; it stands out by itself (`critical` and `no`).
    `house` answers the criteria that it was adapted for.

    Raises:
        UnknownLanguage: a rubric has no wording for the call's language.
        BadRubric: two rubrics have the same id.
    """
    marks: list[Mark] = []
    scores: dict[str, float | None] = {}
    verdicts: list[Verdict] = []
    judges = dict(JUDGES)
    if language_model is not None:
        judges[language_model.name] = _asking(language_model, conversation, info)
    adapted = {} if house is None else dict.fromkeys(house.criteria, of_house(house))
    found: Findings | None = None
    for rubric in rubrics:
        if rubric.id in scores:
            raise BadRubric(f"Two rubrics are called {rubric.id}", "Give one of them another `id`.")
        if conversation.language not in rubric.languages:
            raise UnknownLanguage(
                f"The rubric {rubric.id} is not for calls in the language {conversation.language!r}",
                f"It is for: {', '.join(rubric.languages)}. Give the call's right language in the manifest, "
                "or add the language to the rubric (docs/rubrics.md).",
            )
        found = found or find(conversation, heard, info, acts)
        asked_of = found
        if rubric.acts:
            asked_of = _with_own_acts(found, rubric.acts, conversation.turns, encoder)
        of_rubric: list[Mark] = []
        for criterion in rubric.criteria:
            name = f"{rubric.id}.{criterion.id}"
            judge = judges[criterion.judge]
            if criterion.judge == "trained":
                judge = adapted.get(name, judge)
            verdict = judge.answer(name, criterion, asked_of, conversation.turns)
            verdicts.append(verdict)
            doubt = _doubt(criterion, verdict, conversation, info) or _unspoken_cue(
                criterion, verdict, conversation.turns, heard, acts
            )
            of_rubric.append(_mark(rubric, criterion, judge, verdict, conversation, doubt, settings))
        marks += of_rubric
        scores[rubric.id] = share_of_yes(of_rubric)
    asked = [verdict for verdict in verdicts if isinstance(verdict, LanguageVerdict)]
    return Scorecard(
        marks=tuple(marks),
        scores=scores,
        tokens=sum(verdict.tokens.prompt + verdict.tokens.completion for verdict in asked),
        complete=all(verdict.answered for verdict in asked),
    )


def share_of_yes(marks: Sequence[Mark]) -> float | None:
    """Weight of yes over weight of yes and no; None where nothing counts."""
    counted = sum(mark.weight for mark in marks if mark.answer in ("yes", "no"))
    return sum(mark.weight for mark in marks if mark.answer == "yes") / counted if counted else None


def find(conversation: Conversation, heard: Heard, info: CallInfo, acts: Acts) -> Findings:
    """What the built-in rubrics' rules ask of a call."""
    turns = conversation.turns
    return Findings(
        speakers=tuple(turn.speaker for turn in turns),
        acts=_with_heard_cues(acts.turns, turns, heard),
        facts=facts.find(turns, heard, info, facts.words_of(conversation.language)),
        holds=tuple(facts.turns_around(hold, turns) for hold in heard.holds),
        answers=acts.answers,
        called={},
    )


def _with_heard_cues(
    acts: Sequence[dict[str, float]], turns: Sequence[Turn], heard: Heard
) -> tuple[dict[str, float], ...]:
    """The acts, and a cue in the customer's turn behind which, or last before which, a sound is heard."""
    cued = list(acts)
    customer = [number for number, turn in enumerate(turns) if turn.speaker == "customer"]
    for sound in heard.sounds:
        if sound.kind in JUDGED_SOUNDS and customer:
            begun = [number for number in customer if turns[number].start_s < sound.end_s]
            number = begun[-1] if begun else customer[0]
            cued[number] = {**cued[number], CUE: max(cued[number].get(CUE, 0.0), SURE_OF_SOUND)}
    return tuple(cued)


def _with_own_acts(
    found: Findings, own: Mapping[str, OwnAct], turns: Sequence[Turn], encoder: SentenceEncoder
) -> Findings:
    recognised = own_acts.recognise(turns, own, encoder)
    return msgspec.structs.replace(
        found,
        acts=tuple(built_in | of_house for built_in, of_house in zip(found.acts, recognised, strict=True)),
        called={name: act.called for name, act in own.items()},
    )


def _mark(
    rubric: Rubric,
    criterion: Criterion,
    judge: Judge,
    verdict: Verdict,
    conversation: Conversation,
    doubt: str | None,
    settings: Score,
) -> Mark:
    if verdict.answer == "unsure":
        doubt = None
    elif doubt is None and verdict.confidence < settings.unsure_below:
        doubt = "Not sure enough"
    return Mark(
        rubric=rubric.id,
        rubric_version=rubric.version,
        criterion=criterion.id,
        answer=verdict.answer if doubt is None else "unsure",
        leaning=verdict.answer,
        confidence=verdict.confidence,
        weight=criterion.weight,
        critical=criterion.critical,
        reason=verdict.reason if doubt is None else f"{doubt} to say {verdict.answer}. {verdict.reason}",
        evidence=tuple(quote(conversation.turns[turn]) for turn in verdict.turns),
        absence=None if verdict.missed is None else _absence(verdict.missed, conversation.turns),
        judge=judge.name,
        judge_version=judge.version,
    )


def _asking(model: LanguageModelJudge, conversation: Conversation, info: CallInfo) -> Judge:
    """A language model as a judge of this call."""

    def answer(_: str, criterion: Criterion, __: Findings, turns: Sequence[Turn]) -> Verdict:
        return model.answer(criterion, turns, conversation.language, info.agent_name)

    return Judge(name=model.name, version=model.version, answer=answer)


def _absence(missed: Missed, turns: Sequence[Turn]) -> Absence:
    stretch = turns[missed.first : missed.last + 1]
    return Absence(
        start_s=stretch[0].start_s,
        end_s=max(turn.end_s for turn in stretch),
        nearest=tuple(quote(turns[turn]) for turn in missed.nearest),
        intelligible=round(_intelligible(stretch), 3),
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
    return _misheard(verdict, conversation)


def _misheard(verdict: Verdict, conversation: Conversation) -> str | None:
    """Whether what the answer rests on, said or missed, may have been something else."""
    turns = conversation.turns
    if verdict.missed is not None:
        first, last = verdict.missed.first, verdict.missed.last
        start_s = turns[first - 1].end_s if first > 0 else 0.0
        end_s = turns[last + 1].start_s if last + 1 < len(turns) else conversation.duration_s
        where = f"Between {clock(start_s)} and {clock(end_s)}"
        lost_s = sum(
            max(min(span.end_s, end_s) - max(span.start_s, start_s), 0.0)
            for span in conversation.not_understood
        )
        if lost_s > MOST_NOT_UNDERSTOOD_S:
            return f"{where}, {lost_s:.0f} s of speech were not understood: too much"
        if _intelligible(turns[first : last + 1]) < INTELLIGIBLE:
            return f"{where}, the words are too unsure"
    shown = [turns[turn] for turn in verdict.turns]
    if shown and _intelligible(shown) < INTELLIGIBLE:
        return f"The words at {' and '.join(clock(turn.start_s) for turn in shown)} are too unsure"
    return None


def _intelligible(turns: Iterable[Turn]) -> float:
    """The mean probability of the words."""
    return fmean(word.probability for turn in turns for word in turn.words)


def _unspoken_cue(
    criterion: Criterion, verdict: Verdict, turns: Sequence[Turn], heard: Heard, acts: Acts
) -> str | None:
    """A sound may be all the cue there is, and a false alarm: too little to blame anybody for.

    Nor is a call without a cue in words one without a cue, if a sound of the judged kinds is heard in it.
    """
    if verdict.answer == "yes":
        return None
    kinds = _SOUND_CUES if verdict.answer == "no" else JUDGED_SOUNDS
    sounds = [sound for sound in heard.sounds if sound.kind in kinds]
    asked = criterion.rule.asked_when
    if not sounds or asked is None:
        return None
    if not any(CUE in condition.names() for condition in asked.walk()):
        return None
    for turn, of_turn in zip(turns, acts.turns, strict=True):
        behind = any(sound.start_s < turn.end_s and turn.start_s < sound.end_s for sound in sounds)
        if not behind and of_turn.get(CUE, 0.0) >= 0.5:
            return None
    heard_there = f"{_SOUND_CUES[sounds[0].kind]} heard at {clock(sounds[0].start_s)}"
    if verdict.answer == "na":
        return f"{heard_there}, which may be a cue: too much"
    return f"{heard_there} and nobody spoke of it: too little"


def _needs_customer(criterion: Criterion) -> bool:
    """Whether the rule asks for anything that only the customer's side can show."""
    of_customer = {*CUSTOMER_ACTS, *ABOUT_THE_CUSTOMER, *CUSTOMER_FACTS}
    named = criterion.rule.acts().union(*(condition.names() for condition in criterion.rule.conditions()))
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
        if condition.act is not None or condition.fact is not None
    )
