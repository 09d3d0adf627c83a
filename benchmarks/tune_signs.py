"""Fit the weights of `rubrics/signs.yaml` to the acts that people tagged.

    python benchmarks/tune_signs.py

Which evidence counts for which sign is written by hand in `signs.yaml` and stays; the numbers are made
here, from the calls of `labelled.TUNED_ON` alone: a logistic regression per sign, then shifted so that a
confidence of a half is where a sign is best told from none (F1).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from labelled import TUNED_ON, LabelledCall, read
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from wellheard.models.sentences import SentenceEncoder
from wellheard.rubrics import facts, wordings
from wellheard.rubrics.signs import OWN_SIGNS, Bank, Encoder, Likeness, SignSettings, may_show

HEADER = """\
# What speaks for each sign in a turn, as weights that add up to log-odds: `base` to begin with, `share`
# for the likeness to the sign's wording, `reply` where it follows the other party's signs in `answers`,
# `answer` where those in `brings` follow it, `evidence` for facts and for where in the call the turn
# stands. Which evidence counts is written by hand; the numbers come from benchmarks/tune_signs.py, which
# rewrites this file.

"""


def likenesses(
    calls: Sequence[LabelledCall], encoder: Encoder
) -> Iterator[tuple[LabelledCall, tuple[facts.FactsOfTurn, ...], Likeness]]:
    """What is recognised in each call before any weight is put on it."""
    banks: dict[str, Bank] = {}
    for call in calls:
        language = call.conversation.language
        if language not in banks:
            banks[language] = Bank(wordings.together(language, {}), encoder)
        turns = call.conversation.turns
        found = facts.find(turns, call.heard, call.info, wordings.shipped(language).words)
        yield call, found, Likeness(turns, found, banks[language], encoder)


def names_of(settings: SignSettings) -> list[str]:
    """The features that a sign's weights are for."""
    beside = [*(["reply"] if settings.answers else []), *(["answer"] if settings.brings else [])]
    return ["share", *beside, *settings.evidence]


def examples(
    sign: str, settings: SignSettings, recognised: Sequence[tuple[LabelledCall, object, Likeness]]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Features, whether people saw the sign, and the call, for every turn that could show it."""
    rows, seen, groups = [], [], []
    for number, (call, _, likeness) in enumerate(recognised):
        features = likeness.features(sign, settings)
        columns = np.stack([features[name] for name in names_of(settings)], axis=1)
        for place, turn in enumerate(call.conversation.turns):
            if may_show(turn, sign):
                rows.append(columns[place])
                seen.append(_seen(sign, call, place))
                groups.append(number)
    return np.array(rows, dtype=np.float64), np.array(seen), np.array(groups)


def _seen(sign: str, call: LabelledCall, place: int) -> bool:
    if sign in OWN_SIGNS:
        # Nobody tagged faults; a call has one if people asked for its root cause.
        complains = {"matter", "upset"} & set(call.acts[place])
        return bool(complains) and call.marks["resolution.root_cause"]["answer"] != "na"
    return sign in call.acts[place]


def fit(
    features: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], float]:
    """The weights, base first, and the F1 that such weights reach on writers they were not fitted to."""
    spread = np.where(features.std(axis=0) < 1e-4, 1e6, features.std(axis=0))
    model = LogisticRegression(max_iter=1000)
    guessed = cross_val_predict(
        model, features / spread, seen, groups=groups, cv=LeaveOneGroupOut(), method="predict_proba"
    )[:, 1]
    thresholds = np.linspace(0.05, 0.6, 23)
    scores = [f1_score(seen, guessed > threshold, zero_division=0) for threshold in thresholds]
    best = thresholds[int(np.argmax(scores))]
    model.fit(features / spread, seen)
    base = model.intercept_[0] - np.log(best / (1 - best))
    return np.array([base, *(model.coef_[0] / spread)]), max(scores)


def line(sign: str, settings: SignSettings, weights: Sequence[float]) -> str:
    """A sign's settings as a line of YAML."""
    names = names_of(settings)
    values = dict(zip(names, (f"{weight:.2f}" for weight in weights[1:]), strict=True))
    beside = ""
    if settings.answers:
        beside += f", answers: [{', '.join(settings.answers)}], reply: {values['reply']}"
    if settings.brings:
        beside += f", brings: [{', '.join(settings.brings)}], answer: {values['answer']}"
    evidence = ", ".join(f"{name}: {values[name]}" for name in settings.evidence)
    return f"{sign}: {{base: {weights[0]:.2f}, share: {values['share']}{beside}, evidence: {{{evidence}}}}}\n"


def main(encoder: Encoder | None = None) -> None:
    """Rewrite `signs.yaml` and print how well each sign is recognised."""
    calls = [call for name in TUNED_ON for call in read(name)]
    writers = [name for name in TUNED_ON for _ in read(name)]
    recognised = list(likenesses(calls, encoder or SentenceEncoder()))
    lines, reached = [HEADER], []
    for sign, settings in wordings.sign_settings().items():
        features, seen, numbers = examples(sign, settings, recognised)
        groups = np.array([TUNED_ON.index(writers[number]) for number in numbers])
        weights, score = fit(features, seen, groups)
        lines.append(line(sign, settings, weights.tolist()))
        reached.append(score)
        print(f"{sign:16} {int(seen.sum()):4} turns  F1 {score:.2f}")
    print(f"mean F1 {np.mean(reached):.3f}")
    wordings.SIGNS_FILE.write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
