"""The rules of a rubric: what gives occasion for a criterion, what fulfils it and what violates it.

A rule is read by people in the YAML file and by `weigh` here. It speaks of signs (what is done in a turn,
`signs.py`) and facts (what can be checked in a turn without judging meaning, `facts.py`). Both come as
confidences from 0 to 1, so a rule does not answer yes or no but says how likely each is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from wellheard.pipeline.records import Record, Speaker

Names = str | tuple[str, ...]

# "At the beginning" is within this many turns of the agent, "at the end" within so many last turns.
OPENING_TURNS = 2
ENDING_TURNS = 8


class Condition(Record):
    """One thing to look for in a call; exactly one of `sign`, `fact`, `identifiers`, `wait`, `all`, `any`, `none`.

    - `sign`, `fact`: a name, or several of which one will do; `by` narrows whose turns count.
    - `identifiers`: the customer has given at least so many different ones (name, number, date …).
    - `wait`: a hold, an announced wait or a long silence: `any`, or `asked` and `thanked` for each of them.
    - `all`, `any`, `none`: several conditions together.
    - `where`: `opening` (the agent's first two turns), `ending` (the last eight turns) or `anywhere`.
    - `after`, `before`: only turns after (before) the first turn with this sign; `within` so many turns of it.
    - `unless`: a sign in the same or the agent's next turn that undoes it.
    - `times`: in at least so many turns.
    - `needs`: how sure a sign must be to count as more likely than not.
    """

    sign: Names | None = None
    fact: Names | None = None
    identifiers: int | None = None
    wait: Literal["any", "asked", "thanked"] | None = None
    all: tuple["Condition", ...] | None = None
    any: tuple["Condition", ...] | None = None
    none: tuple["Condition", ...] | None = None
    by: Speaker | None = None
    where: Literal["anywhere", "opening", "ending"] = "anywhere"
    after: Names | None = None
    before: Names | None = None
    within: int | None = None
    unless: Names | None = None
    times: int = 1
    needs: float = 0.5


class Rule(Record):
    """When a criterion is asked at all, and what answers it.

    Without `asked_when` it always is. `yes_when` must hold and `no_when` must not for a yes.
    """

    asked_when: Condition | None = None
    yes_when: Condition | None = None
    no_when: Condition | None = None
