"""The report's charts as SVG that stands in the page: small, without colour, light or dark as the page is.

Colours are named by place-holders that become the page's own variables, so that a chart follows the page.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wellheard.pipeline.morning.overview import CriterionFigures, DayFigures, RubricFigures
from wellheard.pipeline.morning.summary import Estimate
from wellheard.views.screen import visible
from wellheard.views.texts import Texts

INK, FAINT, PAPER = "#010203", "#040506", "#070809"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", PAPER: "var(--paper)"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "wellheard",  # the same figures make the same file
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.color": INK,
    "hatch.linewidth": 0.7,
}
_WIDTH = 7.4  # inches
_LABEL_WIDTH, _LABEL_LINES = 34, 2
# Days beyond this are too many for a name under each.
_DAYS_NAMED = 16


@dataclass(frozen=True)
class Bar:
    """A stretch of time with the calls that were scored in it, and those that failed (if known by time)."""

    name: str
    scored: int
    failed: int = 0


def calls_over_time(bars: Sequence[Bar], texts: Texts, title: str) -> Markup:
    """Bars of calls; those that failed stand on top, hatched."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 2.1), layout="constrained")
        axes = figure.subplots()
        places = range(len(bars))
        axes.bar(places, [bar.scored for bar in bars], color=FAINT, edgecolor=INK, linewidth=0.7)
        if any(bar.failed for bar in bars):
            axes.bar(
                places,
                [bar.failed for bar in bars],
                bottom=[bar.scored for bar in bars],
                color=PAPER,
                edgecolor=INK,
                linewidth=0.7,
                hatch="////",
                label=texts("failed"),
            )
            _legend(axes)
        _name_places(axes, [bar.name for bar in bars])
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_ylabel(texts("calls"))
        return _svg(figure, title, "time")


def criteria(
    figures: Sequence[CriterionFigures], titles: Mapping[str, str], texts: Texts, title: str
) -> Markup:
    """For each criterion the share of yes with its interval, that of before hollow, and the share unsure."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.55 + 0.36 * len(figures)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
        for place, one in enumerate(figures):
            if one.share.now is not None and one.share.now.enough:
                _interval(left, one.share.now, place, one.share.before)
            else:
                left.text(0.5, place, texts("not_enough"), ha="center", va="center")
            if one.unsure_share is not None:
                right.barh(place, one.unsure_share, height=0.5, color=FAINT, edgecolor=INK, linewidth=0.7)
        left.set_yticks(
            range(len(figures)), [_label(titles.get(one.criterion, one.criterion)) for one in figures]
        )
        left.set_ylim(len(figures) - 0.5, -0.5)
        _percent_axis(left)
        right.set_xlim(0, max(0.25, *(one.unsure_share or 0 for one in figures)) * 1.05)
        right.xaxis.set_major_locator(MaxNLocator(3))
        right.xaxis.set_major_formatter(lambda share, _: f"{share * 100:.0f} %")
        left.set_title(texts("yes_share"), fontsize=9, loc="left")
        right.set_title(texts("unsure_share"), fontsize=9, loc="left")
        left.tick_params(axis="y", length=0)
        right.tick_params(axis="y", length=0)
        return _svg(figure, title, "criteria-" + re.sub(r"\W", "", figures[0].rubric))


def scores_of_calls(rubrics: Sequence[RubricFigures], titles: Mapping[str, str], title: str) -> Markup:
    """How single scores are spread, a panel a rubric; a line stands at the mean."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 1.9), layout="constrained")
        for axes, one in zip(_panels(figure, len(rubrics)), rubrics, strict=False):
            edges = [number / 10 for number in range(11)]
            axes.hist(one.scores, bins=edges, color=FAINT, edgecolor=INK, linewidth=0.7)
            if one.score.now is not None:
                axes.axvline(one.score.now.value, color=INK, linewidth=1.6)
            axes.set_title(_label(titles.get(one.rubric, one.rubric)), fontsize=9, loc="left")
            axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
            _percent_axis(axes, grid=False)
        return _svg(figure, title, "spread")


def scores_over_days(
    days: Sequence[DayFigures],
    rubrics: Sequence[RubricFigures],
    titles: Mapping[str, str],
    title: str,
) -> Markup:
    """The score of each day with its interval, a panel a rubric."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 2.1), layout="constrained")
        for axes, one in zip(_panels(figure, len(rubrics)), rubrics, strict=False):
            for place, day in enumerate(days):
                estimate = day.scores.get(one.rubric)
                if estimate is not None and estimate.enough:
                    axes.plot([place] * 2, [estimate.low, estimate.high], color=INK, linewidth=1)
                    axes.plot(place, estimate.value, "o", color=INK, markersize=3)
            axes.set_title(_label(titles.get(one.rubric, one.rubric)), fontsize=9, loc="left")
            axes.set_xlim(-0.5, len(days) - 0.5)
            axes.set_ylim(0, 1)
            axes.yaxis.set_major_formatter(lambda share, _: f"{share * 100:.0f} %")
            axes.grid(axis="y", color=FAINT, linewidth=0.5)
            _name_places(axes, [day.day[5:] for day in days], most=4)
        return _svg(figure, title, "days")


def _panels(figure: Figure, number: int) -> Sequence[Axes]:
    return list(figure.subplots(1, max(number, 1), sharey=True, squeeze=False)[0])


def _interval(axes: Axes, now: Estimate, place: int, before: Estimate | None) -> None:
    axes.plot([now.low, now.high], [place, place], color=INK, linewidth=1.6, solid_capstyle="butt")
    if before is not None and before.enough:
        axes.plot(
            before.value,
            place,
            "D",
            markersize=6.5,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=0.9,
        )
    axes.plot(now.value, place, "o", color=INK, markersize=5)


def _percent_axis(axes: Axes, *, grid: bool = True) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    if grid:
        axes.set_axisbelow(True)
        axes.grid(axis="x", color=FAINT, linewidth=0.5)


def _name_places(axes: Axes, names: Sequence[str], most: int = _DAYS_NAMED) -> None:
    step = max(1, -(-len(names) // most))
    shown = range(0, len(names), step)
    axes.set_xticks(list(shown), [visible(names[place]) for place in shown])


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, loc="upper left", fontsize=8)


def _label(text: str) -> str:
    lines = textwrap.wrap(visible(text), _LABEL_WIDTH, max_lines=_LABEL_LINES, placeholder=" …")
    return "\n".join(lines)


def _svg(figure: Figure, title: str, name: str) -> Markup:
    """The figure as an element of the page; its ids begin with `name`, so that no two charts share one."""
    page = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the reader's own letters are used
        FigureCanvasSVG(figure)
        figure.savefig(page, format="svg", metadata=nothing)
    text = page.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r"\bfont: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', text, count=1)
    label = escape(visible(title))
    return Markup(text.replace("<svg ", f'<svg class="chart" role="img" aria-label="{label}" ', 1))  # noqa: S704
