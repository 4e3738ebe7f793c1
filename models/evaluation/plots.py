"""The plots of a report, as self-contained SVG (matplotlib without a display)."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from models.evaluation.tables import Plot
from models.measures.detection import FROC_POINTS
from models.measures.scores import Bools, CalibrationCurve, Confusion, Floats, precision_recall, roc

INK, SOFT, LINE, SECOND, TRUE = "#1d2733", "#8a96a3", "#1f6f8b", "#c8553d", "#7fd1e8"
_ACROSS = 3
"""Pictures per row."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mammo-node",  # the same plot gives the same bytes
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica Neue", "Arial", "DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": "#e6eaee",
    "grid.linewidth": 0.8,
}


def froc_plot(false_positives: Floats, sensitivity: Floats) -> Plot:
    """Sensitivity against false positives per image, up to 4."""

    def draw(axes: Axes) -> None:
        ends = max(float(false_positives[-1]), FROC_POINTS[-1])  # the curve is constant after the last proposal
        axes.step([*false_positives, ends], [*sensitivity, sensitivity[-1]], where="post", color=LINE, linewidth=1.8)
        for point in FROC_POINTS:
            axes.axvline(point, color="#d7dde3", linewidth=0.8, zorder=0)
        axes.set(xlim=(0, FROC_POINTS[-1] * 1.02), ylim=(0, 1.02))
        axes.set(xlabel="false positives per image", ylabel="sensitivity")

    return plot("froc", "Free-response ROC", draw)


def passes_plot(by_pass: Sequence[Sequence[float]]) -> Plot:
    """Box plots of Dice after each pass."""

    def draw(axes: Axes) -> None:
        axes.boxplot(
            [list(values) for values in by_pass],
            widths=0.5,
            patch_artist=True,
            boxprops={"facecolor": "#d8e8ee", "edgecolor": LINE},
            medianprops={"color": SECOND, "linewidth": 1.6},
            whiskerprops={"color": LINE},
            capprops={"color": LINE},
            flierprops={"marker": ".", "markeredgecolor": SOFT, "markersize": 4},
        )
        axes.set(ylim=(0, 1.02), xlabel="pass", ylabel="DSC, true box")

    return plot("passes", "Dice by pass", draw)


def diameter_plot(diameters_mm: Sequence[float], dices: Sequence[float]) -> Plot:
    """Dice against the lesion's diameter, with the regression line."""

    def draw(axes: Axes) -> None:
        axes.scatter(diameters_mm, dices, s=14, color=LINE, alpha=0.65, linewidths=0)
        if len(diameters_mm) > 2 and np.ptp(diameters_mm) > 0:
            slope, offset = np.polyfit(diameters_mm, dices, 1)
            ends = np.array([min(diameters_mm), max(diameters_mm)])
            axes.plot(ends, offset + slope * ends, color=SECOND, linewidth=1.4)
        axes.set(ylim=(0, 1.02), xlabel="longest diameter, mm", ylabel="DSC, true box")

    return plot("diameter", "Dice against diameter", draw)


def roc_plot(scores: Floats, malignant: Bools) -> Plot:
    """The ROC curve of images."""
    false_rate, true_rate = roc(scores, malignant)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#d7dde3", linewidth=1)
        axes.plot(false_rate, true_rate, color=LINE, linewidth=1.8)
        axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02), xlabel="1 − specificity", ylabel="sensitivity")

    return plot("roc", "ROC, images", draw)


def precision_recall_plot(scores: Floats, malignant: Bools) -> Plot:
    """The precision–recall curve of images, with the share of malignant ones."""
    recall, precision = precision_recall(scores, malignant)

    def draw(axes: Axes) -> None:
        axes.axhline(float(malignant.mean()), color="#d7dde3", linewidth=1)
        axes.step(recall, precision, where="post", color=LINE, linewidth=1.8)
        axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")

    return plot("precision-recall", "Precision and recall, images", draw)


def calibration_plot(curve: CalibrationCurve) -> Plot:
    """The share of malignant images against the mean score of their bin; larger dots hold more images."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#d7dde3", linewidth=1)
        axes.plot(curve.predicted, curve.observed, color=LINE, linewidth=1, alpha=0.6)
        sizes = 12 + 160 * np.array(curve.count) / max(curve.count)
        axes.scatter(curve.predicted, curve.observed, s=sizes, color=LINE, linewidths=0)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05), xlabel="mean score", ylabel="share malignant")

    return plot("calibration", "Calibration, images", draw)


def confusion_plot(table: Confusion) -> Plot:
    """The confusion matrix, shaded by the share of its row."""
    cells = np.array([[table.true_positive, table.false_negative], [table.false_positive, table.true_negative]])
    shares = cells / np.maximum(1, cells.sum(axis=1, keepdims=True))

    def draw(axes: Axes) -> None:
        axes.pcolormesh([0, 1], [0, 1], shares, cmap="GnBu", vmin=0, vmax=1.2, shading="nearest")
        axes.invert_yaxis()
        for (row, column), count in np.ndenumerate(cells):
            axes.text(column, row, f"{count}\n{100 * shares[row, column]:.0f} %", ha="center", va="center", color=INK)
        axes.set_xticks([0, 1], ["malignant", "not"])
        axes.set_yticks([0, 1], ["malignant", "not"])
        axes.set(xlabel="called", ylabel="is", aspect="equal")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)

    return plot("confusion", "Confusion, images", draw)


def plot(name: str, title: str, draw: Callable[[Axes], None], inches: tuple[float, float] = (3.6, 3.0)) -> Plot:
    """The plot that `draw` makes, in the common style; `inches`: width and height."""
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        canvas = Canvas(figsize=inches, layout="constrained")
        axes = canvas.add_subplot()
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        draw(axes)
        return Plot(name, title, _svg(canvas))


@dataclass(frozen=True, eq=False)
class Pane:
    """A part of an image with outlines.

    Attributes:
        grey: rows × columns, float32 in 0..1.
        true, drawn: lines, points × 2 (x, y) in its pixels.
    """

    caption: str
    grey: NDArray[np.float32]
    true: tuple[NDArray[np.float64], ...]
    drawn: tuple[NDArray[np.float64], ...]


def panes(name: str, title: str, shown: Sequence[Pane]) -> Plot:
    """Parts of images, three per row: true outlines in one colour, the segmenter's in another."""
    rows = -(-len(shown) // _ACROSS)
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        canvas = Canvas(figsize=(3.6, 1.5 * rows), layout="constrained")
        for place, pane in enumerate(shown, start=1):
            axes = canvas.add_subplot(rows, _ACROSS, place)
            axes.imshow(pane.grey, cmap="gray", interpolation="nearest")
            for lines, colour, width in ((pane.true, TRUE, 1.6), (pane.drawn, SECOND, 0.9)):
                for line in lines:
                    axes.plot(line[:, 0], line[:, 1], color=colour, linewidth=width)
            axes.set_title(pane.caption, fontsize=6, color=INK)
            axes.set_axis_off()
        return Plot(name, title, _svg(canvas))


def _svg(canvas: Canvas) -> str:
    out = io.StringIO()
    canvas.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    return svg[svg.index("<svg") :].strip()
