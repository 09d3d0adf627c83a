"""How the reasons to hear a call, and what is missing, are told; and what checklists are called."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from wellheard.pipeline.morning.hear_first import Critical, Reason, Surprising, Unsure, Worst
from wellheard.pipeline.morning.period import Gap
from wellheard.views.texts import Texts

NAMES_SHOWN = 20
# Below this, who is who or the language is worth a look.
NEARLY_SURE = 0.95

Titles = Mapping[str, tuple[str, Mapping[str, str]]]
"""Of a rubric by its id: its title, and those of its criteria."""

TEXTS = Path(__file__).with_name("texts.yaml")


class Names:
    """What rubrics and criteria are called; by their id where no title is known."""

    def __init__(self, titles: Titles) -> None:
        self._titles = titles

    def rubric(self, name: str) -> str:
        """Of a rubric."""
        return self._titles[name][0] if name in self._titles else name

    def criteria(self, rubric: str) -> Mapping[str, str]:
        """Of all criteria of a rubric that are known."""
        return self._titles[rubric][1] if rubric in self._titles else {}

    def criterion(self, rubric: str, name: str) -> str:
        """Of a criterion."""
        return self.criteria(rubric).get(name, name)


def gap_line(gap: Gap, t: Texts) -> str:
    """What is missing or odd, as a line."""
    if gap.kind == "no_calls" and not gap.figures:
        return t("gap_no_calls_ever")
    shown = {}
    for name, value in gap.figures.items():
        if isinstance(value, int):
            shown[name] = t.whole(value)
        elif isinstance(value, str):
            shown[name] = value
        else:
            listed = ", ".join(value[:NAMES_SHOWN])
            more = len(value) - NAMES_SHOWN
            shown[name] = listed + (f" {t('and_more', number=t.whole(more))}" if more > 0 else "")
    return t(f"gap_{gap.kind}", **shown)


KINDS: Mapping[type, str] = {
    Critical: "critical",
    Worst: "worst",
    Surprising: "surprising",
    Unsure: "unsure",
}


def reason_lines(reason: Reason, names: Names, t: Texts) -> Iterable[str]:
    """Why a call should be heard, as lines."""
    match reason:
        case Critical(criteria):
            told = "; ".join(names.criterion(rubric, criterion) for rubric, criterion in criteria)
            yield t("reason_critical", criteria=told)
        case Worst(score, counted):
            yield t("reason_worst", score=t.share(score), counted=counted)
        case Surprising(rubric, score, others):
            yield t(
                "reason_higher" if score > others.value else "reason_lower",
                rubric=names.rubric(rubric),
                score=t.share(score),
                value=t.share(others.value),
                low=f"{others.low * 100:.0f}",
                high=f"{others.high * 100:.0f}",
                number=t.whole(others.calls),
            )
        case Unsure(unsure, asked, roles, language, poor):
            if unsure:
                yield t("reason_unsure", unsure=unsure, asked=asked)
            if roles < NEARLY_SURE:
                yield t("reason_roles", sure=t.share(roles))
            if language < NEARLY_SURE:
                yield t("reason_language", sure=t.share(language))
            if poor:
                yield t("reason_poor")
