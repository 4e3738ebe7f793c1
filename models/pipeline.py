"""One road for every image: detect → segment → classify. No torch here: the three models bring what they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from models.anatomy.breast import breast_mask
from models.anatomy.film import known_or_assumed
from models.anatomy.landmarks import find_nipple
from models.anatomy.same_lesion import innermost
from models.birads.calibration import SCREENING_PREVALENCE, Calibration, Level
from models.protocols import Classifier, Detector, OutOfMemory, Segmenter
from models.readings.preview import preview_of
from models.types.birads import Likelihood
from models.types.mammogram import Mammogram
from models.types.reading import BundleId, Detection, Finding, ImageReading
from models.types.region import Mask
from models.types.words import counted

In = TypeVar("In")
Out = TypeVar("Out")

ASSUMED_SPACING = "No spacing of the pixels is known: the models assumed {mm:.3g} mm a pixel, and no lengths are told."
NO_OUTLINE = "{findings} could not be outlined: the detector's box stands for the outline."
TOO_LARGE = (
    "Doubtful: the outline covers {share:.1f} % of the breast; the largest lesion that the detector learned from "
    "covers {largest:.1f} %."
)
DOUBTFUL = "Doubtful: {outlines} covering more of the breast than any lesion that the detector learned from."


@dataclass(frozen=True)
class Pipeline:
    """Three models that read together.

    Attributes:
        assumed_spacing_mm: millimetres a pixel of digital images without a spacing (film.py: of films another).
        clock: seconds from any origin.
        largest_lesion: the share of the breast (0..1) beyond which an outline is doubtful; None: it is not known.
        calibration: what scores are worth, at the levels where that is known, already at the site's prevalence.
        prevalence: that prevalence: the share of exams with a cancer, 0..1.
        caveat: what the card says of these probabilities on held-out patients, where they were off.
    """

    detector: Detector
    segmenter: Segmenter
    classifier: Classifier
    bundle: BundleId
    assumed_spacing_mm: float
    clock: Callable[[], float]
    largest_lesion: float | None = None
    calibration: Mapping[Level, Calibration] = field(default_factory=dict)
    prevalence: float = SCREENING_PREVALENCE
    caveat: str = ""

    def read(self, images: Sequence[Mammogram]) -> list[ImageReading]:
        """One reading an image, in their order. `seconds` has detect (its share of the batch), segment and classify.

        Findings that lie in one another are one, the smallest of them: of the detector's boxes, and again of the
        outlines (`models.anatomy.same_lesion.innermost`).

        What does not fit on the device is tried again in halves.

        Raises:
            OutOfMemory: not even a single image, outline or lesion fits.
        """
        scaled = [self._with_spacing(image) for image in images]
        began = self.clock()
        detected = in_halves(self.detector.detect, scaled)
        detect_s = (self.clock() - began) / max(1, len(scaled))
        return [
            self._read(image, found, detect_s, plain)
            for plain, image, found in zip(images, scaled, detected, strict=True)
        ]

    def _with_spacing(self, image: Mammogram) -> Mammogram:
        if image.spacing_mm is not None:
            return image
        spacing = known_or_assumed(image, self.assumed_spacing_mm)
        told = ASSUMED_SPACING.format(mm=spacing[0])
        return replace(image, spacing_mm=spacing, warnings=(*image.warnings, told))

    def _read(
        self,
        image: Mammogram,
        found: Sequence[Detection],
        detect_s: float,
        as_stated: Mammogram,
    ) -> ImageReading:
        began = self.clock()
        found = [found[number] for number in innermost([detection.box for detection in found])]
        outlines = in_halves(
            lambda some: self.segmenter.segment(
                image, [detection.box for detection in some], [detection.kind for detection in some]
            ),
            found,
        )
        segmented = self.clock()
        drawn = [
            _whole(detection) if outline is None else outline
            for outline, detection in zip(outlines, found, strict=True)
        ]
        staying = innermost(drawn)
        found, masks = [found[number] for number in staying], [drawn[number] for number in staying]
        malignancy, scores = self._classify(image, masks)
        classified = self.clock()
        doubts = self._doubts(image, masks)
        findings = [
            Finding(
                detection.kind,
                detection.box,
                mask,
                detection.confidence,
                score,
                self._worth(Level.LESION, score),
                doubt,
            )
            for detection, mask, score, doubt in zip(found, masks, scores, doubts, strict=True)
        ]
        without = sum(outlines[number] is None for number in staying)
        doubtful = sum(bool(doubt) for doubt in doubts)
        return ImageReading(
            findings=tuple(sorted(findings, key=lambda finding: -finding.malignancy)),
            malignancy=malignancy,
            shape=image.shape,
            bundle=self.bundle,
            seconds={"detect": detect_s, "segment": segmented - began, "classify": classified - segmented},
            warnings=(
                *image.warnings,
                *([NO_OUTLINE.format(findings=counted(without, "finding"))] if without else []),
                *([DOUBTFUL.format(outlines=counted(doubtful, "outline"))] if doubtful else []),
            ),
            likelihood=self._worth(Level.IMAGE, malignancy),
            as_breast=self._worth(Level.BREAST, malignancy),
            as_exam=self._worth(Level.EXAM, malignancy),
            prevalence=self.prevalence if self.calibration else None,
            caveat=self.caveat if self.calibration else "",
            spacing_mm=as_stated.spacing_mm,
            spacing_by=as_stated.spacing_by,
            nipple=find_nipple(image.pixels, image.view) if image.head_up and not image.extent else None,
            preview=preview_of(image.pixels),
            tones=image.tones,
        )

    def _doubts(self, image: Mammogram, masks: Sequence[Mask]) -> list[str]:
        """Why each outline may be wrong; nothing for a magnified view, which shows a part of the breast."""
        if self.largest_lesion is None or image.extent or not masks:
            return [""] * len(masks)
        breast = max(1, int(np.count_nonzero(breast_mask(image.pixels))))
        shares = [round(mask.area_px / breast, 3) for mask in masks]
        return [
            TOO_LARGE.format(share=100 * share, largest=100 * self.largest_lesion)
            if share > self.largest_lesion
            else ""
            for share in shares
        ]

    def _worth(self, level: Level, score: float) -> Likelihood | None:
        calibration = self.calibration.get(level)
        return None if calibration is None else calibration.likelihood(score)

    def _classify(self, image: Mammogram, masks: Sequence[Mask]) -> tuple[float, list[float]]:
        if not masks:
            return self.classifier.classify(image, masks)

        def scored(some: Sequence[Mask]) -> list[tuple[float, float]]:
            whole, each = self.classifier.classify(image, some)
            return [(whole, score) for score in each]

        pairs = in_halves(scored, masks)
        # The highest: a classifier of lesions scores an image by those it was shown, and a half may not hold the worst.
        return max(whole for whole, _ in pairs), [score for _, score in pairs]


def in_halves(work: Callable[[Sequence[In]], list[Out]], items: Sequence[In]) -> list[Out]:
    """`work` on all items at once or, where memory does not hold them, on one half after the other.

    Raises:
        OutOfMemory: a single item is too much.
    """
    if not items:
        return []
    try:
        return work(items)
    except OutOfMemory:
        if len(items) == 1:
            raise
    half = len(items) // 2
    return in_halves(work, items[:half]) + in_halves(work, items[half:])


def _whole(detection: Detection) -> Mask:
    return Mask(detection.box, np.ones((detection.box.height, detection.box.width), dtype=np.bool_))
