"""The pipeline that reads every image: detect → segment → classify. No torch here: only the three models use it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from models.anatomy.breast import breast_mask_of
from models.anatomy.film import with_spacing
from models.anatomy.landmarks import find_nipple
from models.anatomy.same_lesion import groups_of, innermost
from models.birads.calibration import SCREENING_PREVALENCE, Calibration, Level
from models.halving import in_halves
from models.protocols import Classifier, Detector, NotFinite, Segmenter, ToOutline, ToScore
from models.readings.preview import preview_of
from models.types.birads import Likelihood
from models.types.mammogram import Mammogram
from models.types.reading import BundleId, Detection, Finding, ImageReading, told_apart
from models.types.region import Mask
from models.types.words import counted

ASSUMED_SPACING = "No pixel spacing is known: the models assumed {mm:.3g} mm per pixel, and no lengths are given."
NO_OUTLINE = "{findings} could not be outlined: the detector's box is used as the outline."
TOO_LARGE = (
    "Doubtful: the outline covers {share:.1f} % of the breast; the largest lesion that the detector was trained on "
    "covers {largest:.1f} %."
)
DOUBTFUL = "Doubtful: {outlines} covering more of the breast than any lesion that the detector was trained on."


@dataclass(frozen=True)
class Pipeline:
    """A detector, a segmenter and a classifier that read an image together.

    Attributes:
        assumed_spacing_mm: millimetres per pixel of digital images without a spacing (film.py: films have another one).
        clock: returns seconds from any origin.
        largest_lesion: the share of the breast (0..1) above which an outline is doubtful; None: it is not known.
        kinds_apart: masses and calcifications have a detector each: a calcification inside a mass is a finding too.
        calibration: of the scores, at the calibrated levels, already for the site's prevalence.
        prevalence: the site's: the share of exams with a cancer, 0..1.
        caveat: the bundle's sentence on the error of these probabilities on held-out patients; empty without one.
    """

    detector: Detector
    segmenter: Segmenter
    classifier: Classifier
    bundle: BundleId
    assumed_spacing_mm: float
    clock: Callable[[], float]
    largest_lesion: float | None = None
    kinds_apart: bool = False
    calibration: Mapping[Level, Calibration] = field(default_factory=dict)
    prevalence: float = SCREENING_PREVALENCE
    caveat: str = ""

    def read(self, images: Sequence[Mammogram]) -> list[ImageReading]:
        """One reading per image, in their order, from one call of each model. `seconds` has detect, segment and
        classify: an image's share of what the batch took.

        Of nested findings only the smallest is kept: first among the detector's boxes, then among the outlines
        (`models.anatomy.same_lesion.innermost`). Then masses in which a calcification lies are told apart from others
        (`models.types.reading.told_apart`); the calcification stays a finding of its own.

        A batch that does not fit on the device is divided into halves.

        Raises:
            OutOfMemory: not even a single image fits.
            NotFinite: a score or a confidence of one of the images is no finite number.
        """
        scaled = [self._with_spacing(image) for image in images]
        began = self.clock()
        found = in_halves(self.detector.detect, scaled)
        detected = self.clock()
        outlined = self._outlined(scaled, found)
        segmented = self.clock()
        masks = [[outline.mask for outline in of_image] for of_image in outlined]
        scores = in_halves(self.classifier.classify, [ToScore(*each) for each in zip(scaled, masks, strict=True)])
        classified = self.clock()
        shares = {"detect": detected - began, "segment": segmented - detected, "classify": classified - segmented}
        seconds = {stage: took / max(1, len(images)) for stage, took in shares.items()}
        return [self._reading(*each, seconds) for each in zip(images, scaled, outlined, scores, strict=True)]

    def _with_spacing(self, image: Mammogram) -> Mammogram:
        if image.spacing_mm is not None:
            return image
        scaled = with_spacing(image, self.assumed_spacing_mm)
        assert scaled.spacing_mm is not None
        warning = ASSUMED_SPACING.format(mm=scaled.spacing_mm[0])
        return scaled.stating(warnings=(*image.warnings, warning))

    def _outlined(self, images: Sequence[Mammogram], found: Sequence[Sequence[Detection]]) -> list[list[_Outlined]]:
        """The outlines of each image's detections, without those that contain a smaller finding."""
        kept = [self._innermost_boxes(detections) for detections in found]
        asked = [
            ToOutline(image, [(detection.box, detection.kind) for detection in detections])
            for image, detections in zip(images, kept, strict=True)
        ]
        masks = in_halves(self.segmenter.segment, asked)
        return [self._innermost_outlines(*each) for each in zip(kept, masks, strict=True)]

    def _innermost_boxes(self, found: Sequence[Detection]) -> list[Detection]:
        inner = innermost([detection.box for detection in found], groups_of(found, self.kinds_apart))
        return [found[number] for number in inner]

    def _innermost_outlines(self, found: Sequence[Detection], masks: Sequence[Mask | None]) -> list[_Outlined]:
        outlined = [
            _Outlined(detection, _full_box(detection) if mask is None else mask, by_segmenter=mask is not None)
            for detection, mask in zip(found, masks, strict=True)
        ]
        inner = innermost([outline.mask for outline in outlined], groups_of(found, self.kinds_apart))
        return _told_apart([outlined[number] for number in inner])

    def _reading(
        self,
        as_stated: Mammogram,
        image: Mammogram,
        outlined: Sequence[_Outlined],
        scored: tuple[float, Sequence[float]],
        seconds: Mapping[str, float],
    ) -> ImageReading:
        """`image` has a spacing, which may be assumed; `as_stated` is the same image as it came."""
        malignancy, scores = scored
        if not all(map(math.isfinite, (malignancy, *scores, *(outline.detection.confidence for outline in outlined)))):
            raise NotFinite("a model's score is not finite: nothing is known of this image")
        doubts = self._doubts(image, [outline.mask for outline in outlined])
        holds = image.calibration_holds and not image.extent
        calibration = self.calibration if holds else {}
        findings = [
            _finding(outline, score, doubt, calibration)
            for outline, score, doubt in zip(outlined, scores, doubts, strict=True)
        ]
        return ImageReading(
            findings=tuple(sorted(findings, key=lambda finding: -finding.malignancy)),
            malignancy=malignancy,
            shape=image.shape,
            bundle=self.bundle,
            seconds=dict(seconds),
            warnings=(*image.warnings, *_warnings(outlined, doubts)),
            likelihood=_likelihood(calibration, Level.IMAGE, malignancy),
            as_breast=_likelihood(calibration, Level.BREAST, malignancy),
            as_exam=_likelihood(calibration, Level.EXAM, malignancy),
            prevalence=self.prevalence if self.calibration else None,
            caveat=self.caveat if self.calibration else "",
            spacing_mm=as_stated.spacing_mm,
            spacing_by=as_stated.spacing_by,
            nipple=_nipple(image),
            preview=preview_of(as_stated),
            tones=image.tones,
            calibration_holds=holds,
        )

    def _doubts(self, image: Mammogram, masks: Sequence[Mask]) -> list[str]:
        """Why each outline may be wrong; "" if there is no doubt, and for a view that shows only a part of the
        breast."""
        if self.largest_lesion is None or image.extent or not masks:
            return [""] * len(masks)
        breast = max(1, int(np.count_nonzero(breast_mask_of(image))))
        shares = [round(mask.area_px / breast, 3) for mask in masks]
        return [
            TOO_LARGE.format(share=100 * share, largest=100 * self.largest_lesion)
            if share > self.largest_lesion
            else ""
            for share in shares
        ]


@dataclass(frozen=True)
class _Outlined:
    """A detection with its outline, which is the whole box if the segmenter found none."""

    detection: Detection
    mask: Mask
    by_segmenter: bool


def _finding(outline: _Outlined, score: float, doubt: str, calibration: Mapping[Level, Calibration]) -> Finding:
    return Finding(
        kind=outline.detection.kind,
        box=outline.detection.box,
        mask=outline.mask,
        confidence=outline.detection.confidence,
        malignancy=score,
        likelihood=_likelihood(calibration, Level.LESION, score),
        doubt=doubt,
    )


def _likelihood(calibration: Mapping[Level, Calibration], level: Level, score: float) -> Likelihood | None:
    return calibration[level].likelihood(score) if level in calibration else None


def _told_apart(outlined: Sequence[_Outlined]) -> list[_Outlined]:
    """Masses in which one of the calcifications lies are masses with calcifications: only now it is known which of both
    the reading holds."""
    found = [outline.detection for outline in outlined]
    kinds = told_apart([detection.box for detection in found], [detection.kind for detection in found])
    return [
        replace(outline, detection=replace(outline.detection, kind=kind))
        for outline, kind in zip(outlined, kinds, strict=True)
    ]


def _warnings(outlined: Sequence[_Outlined], doubts: Sequence[str]) -> list[str]:
    boxes = sum(not outline.by_segmenter for outline in outlined)
    doubtful = sum(bool(doubt) for doubt in doubts)
    warnings = []
    if boxes:
        warnings.append(NO_OUTLINE.format(findings=counted(boxes, "finding")))
    if doubtful:
        warnings.append(DOUBTFUL.format(outlines=counted(doubtful, "outline")))
    return warnings


def _nipple(image: Mammogram) -> tuple[int, int] | None:
    if image.extent or not image.upright:
        return None
    return find_nipple(image.pixels, image.view, breast_mask_of(image))


def _full_box(detection: Detection) -> Mask:
    return Mask(detection.box, np.ones((detection.box.height, detection.box.width), dtype=np.bool_))
