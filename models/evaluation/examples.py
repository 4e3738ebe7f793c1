"""Pictures of true outlines and the segmenter's outlines: paper A's Figures 3 and 6, paper B's Figure 4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.anatomy.film import with_spacing
from models.bundles.bundle import Bundle
from models.datasets.case import Case
from models.evaluation.loading import load_for_measuring
from models.evaluation.observations import Observation
from models.evaluation.observe import Parts
from models.evaluation.plots import Pane, panes
from models.evaluation.segmentation import Drawn, by_true_box
from models.evaluation.tables import Plot
from models.evaluation.truth import read_truth
from models.measures.overlap import Overlap, enlarged
from models.protocols import ToOutline
from models.types.region import Box, Mask

MANY = 6
_LEAST_PX, _MOST_PX = 64, 320
"""Longer side of a picture in pixels: at least this many source pixels, and at most this many in the report."""
_ROUND = 0.4
"""Margin around the two outlines, as a share of their longer side."""


@dataclass(frozen=True)
class _Example:
    """A lesion of an image: its true outline and the segmenter's."""

    pixels: NDArray[np.float32]
    true: Mask
    drawn: Mask | None


def draw_examples(
    bundle: Bundle,
    cases: Sequence[Case],
    observations: Sequence[Observation],
    plot: str,
    device: torch.device,
    mixed_precision: bool,
) -> tuple[Plot, ...]:
    """The segmenter's outlines from true boxes, as the node draws them, with the true outlines; empty if no lesion is
    outlined.

    At most `MANY` lesions, from the smallest to the largest. They are chosen by size and not by result, so that recipes
    with the same patients show the same lesions. The images are read and segmented again.

    Args:
        cases: the cases that were observed.
        plot: the picture's id; the part after "examples-" is the recipe's name, for the title.

    Raises:
        BundleError: the weights are missing, damaged or do not fit.
        DatasetError: an image can no longer be read.
    """
    chosen = _by_size(by_true_box(observations))
    if not chosen:
        return ()
    parts = load_for_measuring(bundle, device, mixed_precision, ("segmenter",))
    by_name = {case.name: case for case in cases}
    shown = [_pane(drawing, _example(parts, by_name[drawing.image], drawing.number)) for drawing in chosen]
    recipe = plot.partition("-")[2]
    title = "True outlines (blue) and drawn ones (red), from the smallest lesion to the largest"
    return (panes(plot, f"{recipe}: {title}" if recipe else title, shown),)


def _by_size(drawn: Sequence[Drawn]) -> list[Drawn]:
    ordered = sorted(drawn, key=lambda drawing: (drawing.lesion.diameter_mm, drawing.image, drawing.number))
    places = np.linspace(0, len(ordered) - 1, min(MANY, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def _example(parts: Parts, case: Case, number: int) -> _Example:
    truth = read_truth(case)
    image, lesion = with_spacing(truth.image, parts.assumed_spacing_mm), truth.lesions[number]
    assert parts.segmenter is not None
    [[passes]] = parts.segmenter.outlines_by_pass([ToOutline(image, [(lesion.mask.box, lesion.kind)])])
    return _Example(image.pixels, lesion.mask, passes[parts.own_pass - 1])


def _pane(drawing: Drawn, example: _Example) -> Pane:
    window = _window(example)
    scale = min(1.0, _MOST_PX / max(window.height, window.width))
    size = max(1, round(window.width * scale)), max(1, round(window.height * scale))
    grey = cv2.resize(example.pixels[window.slices], size, interpolation=cv2.INTER_AREA)
    own: Overlap = drawing.own
    return Pane(
        caption=f"{drawing.lesion.kind}, {drawing.lesion.diameter_mm:.0f} mm\nDice {own.dice:.2f}, IoU {own.iou:.2f}",
        grey=np.asarray(grey, dtype=np.float32),
        true=tuple(_lines(example.true, window, scale)),
        drawn=tuple(_lines(example.drawn, window, scale)) if example.drawn is not None else (),
    )


def _window(example: _Example) -> Box:
    """The part of the image around both outlines."""
    boxes = [mask.box for mask in (example.true, example.drawn) if mask is not None]
    both = Box(
        min(box.top for box in boxes),
        min(box.left for box in boxes),
        max(box.bottom for box in boxes),
        max(box.right for box in boxes),
    )
    longer = max(both.height, both.width)
    side = max(_LEAST_PX, longer * (1 + 2 * _ROUND))
    shape = example.pixels.shape[0], example.pixels.shape[1]
    return enlarged(both, ((side - both.height) / 2, (side - both.width) / 2), shape)


def _lines(mask: Mask, window: Box, scale: float) -> Iterator[NDArray[np.float64]]:
    """Closed contours of a mask: points × 2, x and y in the picture's pixels."""
    found, _ = cv2.findContours(mask.crop.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corner = np.array([mask.box.left - window.left, mask.box.top - window.top])
    for line in found:
        points = (line.reshape(-1, 2) + corner + 0.5) * scale - 0.5
        yield np.vstack([points, points[:1]])
