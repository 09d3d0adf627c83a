"""The trained combination: what a criterion's rule and the tagger's view of a call are worth together.

For each built-in criterion a multinomial logistic regression over how likely the rule holds the occasion,
the yes and the no, over the tagger's own yes, no and na, and over how clearly and how often the acts that the
rule names were done. The weights lie beside this file in `combination.json`, as plain numbers;
`wellheard train` makes that file with scikit-learn.
"""

import hashlib
from math import log
from pathlib import Path

import msgspec
import numpy as np

from wellheard.pipeline.records import Record
from wellheard.rubrics.rules import Condition, Findings, Rule, weigh

FILE = Path(__file__).with_name("combination.json")
# How many numbers come before those of the rule's acts.
OF_WHOLE_CALL = 6
# An act done more often than this says no more.
OFTEN = 4.0
# No likelihood is told further than this from certainty.
CERTAIN = 0.001


class Weights(Record):
    """One criterion: the rule it was trained with, and a row of weights for each answer."""

    rule: str
    answers: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]


class Combination(Record):
    """All criteria, and what they were trained on."""

    about: dict[str, str]
    criteria: dict[str, Weights]

    @property
    def fingerprint(self) -> str:
        """What tells one training from another."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]

    def knows(self, criterion: str, rule: Rule) -> bool:
        """Whether it was trained for this criterion (`pec.empathy`) with this very rule."""
        return criterion in self.criteria and self.criteria[criterion].rule == rule_hash(rule)

    def shares(self, criterion: str, rule: Rule, call: Findings) -> dict[str, float]:
        """How likely each answer is, together 1."""
        trained = self.criteria[criterion]
        logits = np.asarray(trained.weights) @ features(criterion, rule, call) + np.asarray(trained.bias)
        powers = np.exp(logits - logits.max())
        return dict(zip(trained.answers, (powers / powers.sum()).tolist(), strict=True))


def features(criterion: str, rule: Rule, call: Findings) -> list[float]:
    """The numbers that the combination weighs.

    First the log-odds of occasion, yes and no, and the logarithms of the tagger's yes, no and na; then for
    each act of the rule, by name, the log-odds of its clearest turn, and how often it is done.
    """
    answers = call.answers.get(criterion, (1 / 3, 1 / 3, 1 / 3))
    return [
        *(_log_odds(part, call) for part in (rule.asked_when, rule.yes_when, rule.no_when)),
        *(log(max(share, CERTAIN)) for share in answers),
        *(number for act in sorted(rule.acts()) for number in _of_act(act, call)),
    ]


def _of_act(act: str, call: Findings) -> tuple[float, float]:
    sure = [turn.get(act, 0.0) for turn in call.acts]
    return _bounded(max(sure, default=0.0)), min(sum(sure), OFTEN)


def _bounded(likelihood: float) -> float:
    """Log-odds that do not run away: nothing is told further than a hundredth from certainty."""
    return log((likelihood + 0.01) / (1.01 - likelihood))


def _log_odds(condition: Condition | None, call: Findings) -> float:
    if condition is None:
        return 0.0
    likelihood = min(max(weigh(condition, call).likelihood, CERTAIN), 1 - CERTAIN)
    return log(likelihood / (1 - likelihood))


def rule_hash(rule: Rule) -> str:
    """What tells one rule from another."""
    return hashlib.sha256(msgspec.json.encode(rule, order="deterministic")).hexdigest()[:16]


def read(file: Path = FILE) -> Combination:
    """Read the trained file; one that is not there (before the first training) knows nothing."""
    if not file.exists():
        return Combination(about={}, criteria={})
    return msgspec.json.decode(file.read_bytes(), type=Combination)


COMBINATION = read()
