"""Runs a bundle's models over the images of a data set, once, and notes what each did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from models.datasets.case import Case, DatasetError, LeftOut, Lesion
from models.evaluation.measures import match
from models.evaluation.observations import THRESHOLDS, Kept, Observation, Proposal, SeenLesion
from models.evaluation.overlap import Overlap, boundary_iou, diameter_mm, enlarged, overlap
from models.pipeline import in_halves
from models.protocols import Classifier, Detector, Segmenter
from models.types import Box, Detection, Mammogram, Mask

WINDOW_MM = 5.0
"""Pixel rates are counted in the lesion's box with so much more on each side: paper A's 1 cm in all."""

Progress = Callable[[int, int, str], None]


@runtime_checkable
class ByPasses(Protocol):
    """A segmenter that tells the mask after each of its passes."""

    def passes(self, image: Mammogram, boxes: Sequence[Box]) -> list[list[Mask | None]]:
        """Of each box the mask after each pass."""


@dataclass(frozen=True)
class Parts:
    """The models to be measured; what is None is not.

    Attributes:
        detector: gives proposals of low confidence too.
        confidence: from which on the node would show a proposal.
        most: how many the node would show of an image.
        assumed_spacing_mm: where a header gives none.
    """

    detector: Detector | None
    segmenter: Segmenter | None
    classifier: Classifier | None
    confidence: float
    most: int
    assumed_spacing_mm: float

    def shown(self, found: Sequence[Detection]) -> list[Detection]:
        """What the node would show of it."""
        return [one for one in found if one.confidence >= self.confidence][: self.most]


def observe_all(
    parts: Parts, cases: Sequence[Case], kept: Kept, progress: Progress
) -> tuple[list[Observation], list[LeftOut]]:
    """Observes every case that `kept` does not hold yet.

    Returns:
        what was seen, in the order of `cases`; images that could not be read, with the reason.
    """
    observations, left_out = [], []
    for done, case in enumerate(cases, start=1):
        known = kept.seen.get(case.name)
        if known is None:
            try:
                known = observe(parts, case)
            except DatasetError as error:
                left_out.append(LeftOut(case.name, str(error)))
                progress(done, len(cases), "one cannot be read")
                continue
            kept.add(known)
        observations.append(known)
        progress(done, len(cases), "observed")
    return observations, left_out


def observe(parts: Parts, case: Case) -> Observation:
    """What the models do on one image.

    Raises:
        DatasetError: its pixels or masks cannot be read.
    """
    read = case.read()
    lesions = case.read_lesions(read)
    spacing = read.spacing_mm or (parts.assumed_spacing_mm, parts.assumed_spacing_mm)
    image = replace(read, spacing_mm=spacing)
    found = parts.detector.detect([image])[0] if parts.detector else ()
    matched = match([(one.box, one.confidence) for one in found], [lesion.mask.box for lesion in lesions])
    shown = parts.shown(found)
    outlines = _outlines(parts, image, found)
    scores = _lesion_scores(parts, image, lesions)
    return Observation(
        name=case.name,
        dataset=case.dataset,
        patient=case.patient,
        exam=case.exam,
        laterality=case.laterality,
        view=case.view,
        pathology=case.pathology,
        birads=case.birads,
        density=case.density,
        marked_up=case.marked_up,
        label_is_fair=case.label_is_fair,
        spacing_assumed=read.spacing_mm is None,
        confidence=parts.confidence,
        proposals=_proposals(found, matched) if parts.detector else None,
        lesions=tuple(
            _seen(parts, image, lesion, _finder(shown, matched, number), score)
            for number, (lesion, score) in enumerate(zip(lesions, scores, strict=True))
        ),
        by_threshold=_by_threshold(parts, image, case, lesions, found, outlines),
        score=_image_score(parts, image, shown, outlines),
    )


def _proposals(found: Sequence[Detection], matched: Sequence[tuple[float, int | None]]) -> tuple[Proposal, ...]:
    return tuple(
        Proposal(one.box, one.kind, one.confidence, lesion) for one, (_, lesion) in zip(found, matched, strict=True)
    )


def _outlines(parts: Parts, image: Mammogram, found: Sequence[Detection]) -> list[Mask]:
    """Of the most confident proposals, down to Table 2's lowest threshold or the node's own, as the node outlines them:
    the box stands in for an outline that is missing."""
    if parts.segmenter is None:
        return []
    least = min(parts.confidence, *THRESHOLDS)
    boxes = [one.box for one in found if one.confidence >= least]
    segment = parts.segmenter.segment
    masks = in_halves(lambda some: segment(image, some), boxes)
    return [_filled(box) if mask is None else mask for box, mask in zip(boxes, masks, strict=True)]


def _by_threshold(
    parts: Parts,
    image: Mammogram,
    case: Case,
    lesions: Sequence[Lesion],
    found: Sequence[Detection],
    outlines: Sequence[Mask],
) -> tuple[Overlap, ...]:
    drawn = case.marked_up and all(lesion.outlined for lesion in lesions)
    if not drawn or parts.detector is None or parts.segmenter is None:
        return ()
    true = [lesion.mask for lesion in lesions]
    kept = [[mask for mask, one in zip(outlines, found, strict=False) if one.confidence >= at] for at in THRESHOLDS]
    return tuple(overlap(masks, true, image.shape) for masks in kept)


def _seen(parts: Parts, image: Mammogram, lesion: Lesion, found: Box | None, score: float | None) -> SeenLesion:
    spacing = image.spacing_mm or (parts.assumed_spacing_mm, parts.assumed_spacing_mm)
    return SeenLesion(
        box=lesion.mask.box,
        kind=lesion.kind,
        pathology=lesion.pathology,
        birads=lesion.birads,
        outlined=lesion.outlined,
        diameter_mm=diameter_mm(lesion.mask, spacing),
        found=found is not None,
        by_true_box=_by_pass(parts.segmenter, image, lesion, lesion.mask.box, spacing),
        by_found_box=_by_pass(parts.segmenter, image, lesion, found, spacing),
        score=score,
    )


def _by_pass(
    segmenter: Segmenter | None, image: Mammogram, lesion: Lesion, box: Box | None, spacing: tuple[float, float]
) -> tuple[Overlap, ...]:
    """The segmenter's outline of a lesion after each pass against the true one."""
    if segmenter is None or box is None or not lesion.outlined:
        return ()
    window = enlarged(lesion.mask.box, (WINDOW_MM / spacing[0], WINDOW_MM / spacing[1]), image.shape)
    return tuple(
        replace(
            overlap([] if mask is None else [mask], [lesion.mask], image.shape, window),
            boundary_iou=boundary_iou(mask, lesion.mask, image.shape),
        )
        for mask in _passes(segmenter, image, box)
    )


def _passes(segmenter: Segmenter, image: Mammogram, box: Box) -> Sequence[Mask | None]:
    if isinstance(segmenter, ByPasses):
        return segmenter.passes(image, [box])[0]
    return segmenter.segment(image, [box])


def _image_score(parts: Parts, image: Mammogram, shown: Sequence[Detection], outlines: Sequence[Mask]) -> float | None:
    if parts.classifier is None:
        return None
    masks = outlines[: len(shown)] if parts.segmenter else [_filled(one.box) for one in shown]
    return parts.classifier.classify(image, masks)[0]


def _lesion_scores(parts: Parts, image: Mammogram, lesions: Sequence[Lesion]) -> Sequence[float | None]:
    if parts.classifier is None or not lesions:
        return [None] * len(lesions)
    return parts.classifier.classify(image, [lesion.mask for lesion in lesions])[1]


def _finder(shown: Sequence[Detection], matched: Sequence[tuple[float, int | None]], number: int) -> Box | None:
    """The box of the most confident shown proposal that finds this lesion."""
    return next((one.box for one, (_, lesion) in zip(shown, matched, strict=False) if lesion == number), None)


def _filled(box: Box) -> Mask:
    return Mask(box, np.ones((box.height, box.width), dtype=np.bool_))
