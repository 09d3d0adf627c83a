"""Training the combination: what rules and the tagger's own view are worth, per criterion.

It learns from what nets that never saw a call made of it (`folds.py`), so that it learns how far to trust
them on calls that nobody has labelled.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from sklearn import __version__ as sklearn_version
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from wellheard.pipeline.records import Acts
from wellheard.pipeline.score import find
from wellheard.rubrics.combination import OF_WHOLE_CALL, Combination, Weights, features, rule_hash
from wellheard.rubrics.loader import Rubric
from wellheard.rubrics.rules import Findings, Rule
from wellheard.training.labelled import LabelledCall

# How freely weights may leave zero.
FREEDOM = 0.3
# The many numbers about single acts are held back beside the six about the whole call.
OF_ACTS = 0.3


def findings(calls: Sequence[LabelledCall], acts: Mapping[str, Acts]) -> dict[str, Findings]:
    """What the rules ask of labelled calls, with these acts; only built-in ones."""
    return {
        call.call_id: find(call.conversation, call.heard, call.info, acts[call.call_id]) for call in calls
    }


def fit(
    calls: Sequence[LabelledCall], found: Mapping[str, Findings], rubrics: Sequence[Rubric]
) -> Combination:
    """The combination that fits people's answers best."""
    criteria: dict[str, Weights] = {}
    for rubric in rubrics:
        for criterion in rubric.criteria:
            name = f"{rubric.id}.{criterion.id}"
            own = [call for call in calls if name in call.marks]
            numbers = np.array([features(name, criterion.rule, found[call.call_id]) for call in own])
            criteria[name] = fit_one(numbers, [call.marks[name].answer for call in own], criterion.rule)
    writers = sorted({call.writer for call in calls})
    seen = f"{len(calls)} labelled calls of {', '.join(writers)}, as tagged by nets that had not seen them"
    about = {
        "trained on": seen,
        "scikit-learn": sklearn_version,
    }
    return Combination(about=about, criteria=criteria)


def fit_one(numbers: npt.NDArray[np.float64], answers: Sequence[str], rule: Rule) -> Weights:
    """One criterion: `numbers` (calls, features) and what people answered."""
    centre, width = numbers.mean(axis=0), numbers.std(axis=0)
    centre[:OF_WHOLE_CALL] = 0.0
    scale = OF_ACTS / np.where(width > 0, width, 1.0)
    scale[:OF_WHOLE_CALL] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = LogisticRegression(C=FREEDOM, max_iter=5000).fit((numbers - centre) * scale, answers)
    weights = model.coef_ * scale
    bias = model.intercept_ - weights @ centre
    if len(model.classes_) == 2:
        weights, bias = np.vstack([0 * weights, weights]), np.concatenate([0 * bias, bias])
    return Weights(
        rule=rule_hash(rule),
        answers=tuple(map(str, model.classes_)),
        weights=tuple(tuple(np.round(row, 6).tolist()) for row in weights),
        bias=tuple(np.round(bias, 6).tolist()),
    )
