"""Plots of implied against assigned categories. Blue and rust can be distinguished by colour-blind readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from models.birads.agreement import ASSIGNED, IMPLIED, Compared, is_calibrated, probabilities, ranking
from models.birads.calibration import Level
from models.birads.categories import SUSPICIOUS
from models.evaluation.plots import INK, LINE, SECOND, SOFT, plot
from models.evaluation.tables import Plot
from models.measures.scores import Bools, CalibrationCurve, calibration_curve, confusion, roc
from models.types.birads import Category
from models.types.words import RESEARCH_USE

_ACROSS = tuple(category for category in ASSIGNED if category is not Category.SIX)


def plots(some: Sequence[Compared], level: Level) -> tuple[Plot, ...]:
    """The plots for which there are data."""
    made = []
    if any(breast.likelihood is not None and breast.assigned_suspicious is not None for breast in some):
        made.append(_confusion(some, level))
    known = [breast for breast in some if breast.truth is not None]
    if len({breast.truth for breast in known}) == 2:
        made.append(_roc(known, level))
        if is_calibrated(known):
            made.append(_reliability(known, level))
    return tuple(made)


def _confusion(some: Sequence[Compared], level: Level) -> Plot:
    """Counts; two lines separate the four fields of agreement on recall."""
    counts = np.zeros((len(IMPLIED), len(_ACROSS)), dtype=int)
    for breast in some:
        if breast.likelihood is not None and breast.assigned in _ACROSS:
            counts[IMPLIED.index(breast.likelihood.category), _ACROSS.index(breast.assigned)] += 1
    low_rows = sum(category not in SUSPICIOUS for category in IMPLIED)
    low_columns = sum(category not in SUSPICIOUS for category in _ACROSS)

    def draw(axes: Axes) -> None:
        axes.pcolormesh(np.sqrt(counts), cmap="Blues", vmin=0, vmax=1.6 * np.sqrt(counts.max()))
        for (row, column), count in np.ndenumerate(counts):
            if count:
                axes.text(column + 0.5, row + 0.5, str(count), ha="center", va="center", color=INK)
        axes.axhline(low_rows, color=SECOND, linewidth=1.4)
        axes.axvline(low_columns, color=SECOND, linewidth=1.4)
        style: dict[str, Any] = {"color": SECOND, "fontsize": 8, "style": "italic"}
        axes.text(len(_ACROSS) - 0.1, 0.12, "radiologist alone recalls", ha="right", va="top", **style)
        axes.text(0.1, len(IMPLIED) - 0.12, "AI alone recalls", ha="left", va="bottom", **style)
        axes.invert_yaxis()
        axes.set_xticks(np.arange(len(_ACROSS)) + 0.5, [str(category) for category in _ACROSS])
        axes.set_yticks(np.arange(len(IMPLIED)) + 0.5, [str(category) for category in IMPLIED])
        axes.set(xlabel="assigned by the radiologist", ylabel="implied by the models", aspect="equal")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)

    return _titled("confusion", f"Implied and assigned category, {level}s", draw, (4.4, 3.4))


def _roc(known: Sequence[Compared], level: Level) -> Plot:
    """The models' curve; and one point each for the radiologists and the models, if above 3 counts as malignant."""
    false_rate, true_rate = roc(ranking(known), _truths(known))

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#d7dde3", linewidth=1)
        axes.plot(false_rate, true_rate, color=LINE, linewidth=1.8, label="models")
        ours = [(breast, breast.implied_suspicious) for breast in known if breast.implied_suspicious is not None]
        theirs = [(breast, breast.assigned_suspicious) for breast in known if breast.assigned_suspicious is not None]
        for calls, marker, colour, name in (
            (ours, "o", LINE, "models, > 3"),
            (theirs, "D", SECOND, "radiologists, > 3"),
        ):
            truths = _truths([breast for breast, _ in calls])
            if truths.any() and not truths.all():
                table = confusion(np.array([call for _, call in calls]), truths)
                at = (1 - table.specificity, table.recall)
                axes.plot(*at, marker, color=colour, label=f"{name} ({len(calls)})", clip_on=False, zorder=3)
        axes.legend(loc="lower right", frameon=False, fontsize=8)
        axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02), xlabel="1 − specificity", ylabel="sensitivity", aspect="equal")

    return _titled("roc", f"ROC, {len(known)} {level}s", draw, (3.6, 3.6))


def _reliability(known: Sequence[Compared], level: Level) -> Plot:
    """The share of malignant cases against the mean probability of their bin: as reported, and at these data's
    prevalence."""
    truths = _truths(known)
    share = float(truths.mean())
    stated = calibration_curve(probabilities(known), truths)
    moved = calibration_curve(probabilities(known, share), truths)

    def dots(axes: Axes, curve: CalibrationCurve, marker: str, colour: str, name: str) -> None:
        axes.plot(curve.predicted, curve.observed, color=colour, linewidth=1, alpha=0.6)
        sizes = 12 + 120 * np.array(curve.count) / max(curve.count)
        axes.scatter(curve.predicted, curve.observed, s=sizes, marker=marker, color=colour, linewidths=0)
        axes.plot([], [], marker, color=colour, markersize=5, label=name)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#d7dde3", linewidth=1)
        dots(axes, stated, "s", SOFT, "as reported")
        dots(axes, moved, "o", LINE, f"at {100 * share:.2g} % malignant, as here")
        axes.legend(loc="best", frameon=False, fontsize=8)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05), aspect="equal")
        axes.set(xlabel="mean probability of malignancy", ylabel="share malignant")

    return _titled("reliability", f"Reliability, {len(known)} {level}s", draw, (3.6, 3.6))


def _titled(name: str, title: str, draw: Callable[[Axes], None], inches: tuple[float, float]) -> Plot:
    """A plot with its title inside, for use outside a report."""

    def whole(axes: Axes) -> None:
        draw(axes)
        axes.set_title(f"{title}. {RESEARCH_USE.capitalize()}.", loc="left", fontsize=8, color=INK)

    return plot(name, title, whole, inches)


def _truths(known: Sequence[Compared]) -> Bools:
    return np.array([bool(breast.truth) for breast in known], dtype=np.bool_)
