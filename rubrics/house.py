"""A house's own judge: the shipped combination with weights that were adapted to the house's reviews.

The weights lie in a JSON file of the house, as plain numbers, beside what they were made from;
`wellheard train --reviews` writes it and `[score] house` names it. A file belongs to the shipped combination
it was made with: another version of wellheard refuses it, since its weights would mean something else.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from wellheard.pipeline.errors import BadSettings
from wellheard.pipeline.records import Record
from wellheard.rubrics.combination import COMBINATION, Combination, Weights


class HouseJudge(Record):
    """Criteria (`pec.empathy`) with weights of their own.

    `learnt_from` are the calls whose reviews made them. `shipped` is the fingerprint of the combination that
    was adapted. Of a criterion that is not here, the shipped weights hold.
    """

    about: dict[str, str]
    shipped: str
    learnt_from: tuple[str, ...]
    criteria: dict[str, Weights]

    @property
    def version(self) -> str:
        """What is written with each mark that this judge gave."""
        own = hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:8]
        return f"{self.shipped}+{own}"

    @property
    def combination(self) -> Combination:
        """The shipped combination with these weights in it."""
        return msgspec.structs.replace(COMBINATION, criteria=COMBINATION.criteria | self.criteria)


def is_adapted(judge_version: str) -> bool:
    """Whether a mark with this version was given by a house's own judge."""
    return "+" in judge_version


def read(path: str | None) -> HouseJudge | None:
    """The judge that the settings name, if any.

    Raises:
        BadSettings: the file is missing, is no such file, or was made with another version of wellheard.
    """
    if path is None:
        return None
    try:
        house = msgspec.json.decode(Path(path).read_bytes(), type=HouseJudge)
    except OSError as error:
        raise BadSettings(
            f"{path} cannot be read ({error.strerror})", "Check `house` in [score], or leave it out."
        ) from error
    except msgspec.DecodeError as error:
        raise BadSettings(
            f"{path} is no file that `wellheard train --reviews` has written ({error})",
            "Make it anew, or leave `house` out of [score].",
        ) from error
    if house.shipped != COMBINATION.fingerprint:
        raise BadSettings(
            f"{path} was made with another version of wellheard",
            "Make it anew with: wellheard train --reviews DIR --out FILE",
        )
    for name, weights in house.criteria.items():
        _check(path, name, weights)
    return house


def _check(path: str, name: str, weights: Weights) -> None:
    """A file that was changed by hand may hold numbers that do not fit."""
    shipped = COMBINATION.criteria.get(name)
    if shipped is None or (weights.rule, weights.answers) != (shipped.rule, shipped.answers):
        fits = False
    else:
        fits = len(weights.bias) == len(shipped.bias) and _widths(weights) == _widths(shipped)
    if not fits:
        raise BadSettings(
            f"{path}: the weights of {name} do not fit it", "Make the file anew: wellheard train --reviews"
        )


def _widths(weights: Weights) -> Sequence[int]:
    return [len(row) for row in weights.weights]
