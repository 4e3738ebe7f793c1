"""Runs a bundle's models on the images of a data set, and records their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from models.anatomy.film import known_or_assumed, with_spacing
from models.anatomy.same_lesion import groups_of, innermost
from models.datasets.case import Case, DatasetError, LeftOut, Lesion
from models.evaluation.observations import THRESHOLDS, Observation, ObservationFile, Proposal, SeenLesion
from models.evaluation.truth import Truth, read_truth
from models.measures.detection import match
from models.measures.overlap import Overlap, all_border, boundary_iou, diameter_mm, enlarged, overlap
from models.protocols import Classifier, Detector, ToOutline, ToScore
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind
from models.types.region import Box, Mask

WINDOW_MM = 5.0
"""Pixel rates are counted in the lesion's box, enlarged by this much on each side: paper A's 1 cm in total."""

Progress = Callable[[int, int, str], None]
Passes = tuple[Mask | None, ...]


class ByPasses(Protocol):
    """A segmenter that returns the masks of all its passes."""

    def outlines_by_pass(self, images: Sequence[ToOutline]) -> list[list[list[Mask | None]]]:
        """For each image and lesion, the mask after each pass."""


@dataclass(frozen=True)
class Parts:
    """The models to evaluate; a part that is None is not evaluated.

    Attributes:
        detector: gives proposals of low confidence too.
        segmenter: goes through as many passes as are to be looked at.
        own_pass: which of them (counted from 1) the node goes by.
        confidence: from which on the node would show a proposal.
        most: how many the node would show of an image.
        assumed_spacing_mm: of digital images without a spacing (models/anatomy/film.py).
        kinds_apart: see `models.pipeline.Pipeline`.
    """

    detector: Detector | None
    segmenter: ByPasses | None
    classifier: Classifier | None
    own_pass: int
    confidence: float
    most: int
    assumed_spacing_mm: float
    kinds_apart: bool = False

    def shown(self, found: Sequence[Detection]) -> list[int]:
        """Which of it the node would outline, by their numbers: as `models.pipeline` chooses."""
        return self.at_confidence(found, self.confidence, self.most)

    def at_confidence(self, found: Sequence[Detection], confidence: float, most: int | None = None) -> list[int]:
        """The numbers of the proposals of at least this confidence, `most` at most, of which none lies in another."""
        sure = [number for number, each in enumerate(found) if each.confidence >= confidence][:most]
        staying = innermost([found[number].box for number in sure], self.groups([found[number] for number in sure]))
        return [sure[place] for place in staying]

    def groups(self, found: Sequence[Detection]) -> Sequence[object]:
        """Only findings of one group can be one lesion."""
        return groups_of(found, self.kinds_apart)


def observe_all(
    parts: Parts, cases: Sequence[Case], kept: ObservationFile, progress: Progress
) -> tuple[list[Observation], list[LeftOut]]:
    """Observes every case that is not in `kept`, or whose truth has changed.

    Returns:
        The observations, in the order of `cases`; and images that could not be read, with the reason.
    """
    observations, left_out = [], []
    for done, case in enumerate(cases, start=1):
        try:
            truth = read_truth(case)
        except DatasetError as error:
            left_out.append(LeftOut(case.name, str(error)))
            progress(done, len(cases), "one cannot be read")
            continue
        known = kept.seen.get(case.name)
        if known is None or known.truth != truth.digest:
            known = observe(parts, truth)
            kept.add(known)
            progress(done, len(cases), "observed")
        observations.append(known)
    return observations, left_out


def observe(parts: Parts, truth: Truth) -> Observation:
    """The models' results on one image."""
    case, read, lesions = truth.case, truth.image, truth.lesions
    image = with_spacing(read, parts.assumed_spacing_mm)
    found = parts.detector.detect([image])[0] if parts.detector else ()
    matched = match(
        [(detection.box, detection.confidence) for detection in found], [lesion.mask.box for lesion in lesions]
    )
    boxes = parts.shown(found)
    outlined = _outlined(parts, image, found, boxes)
    masks = [_own(parts, found[place].box, outlined[place]) for place in boxes]
    shown = [boxes[place] for place in innermost(masks, parts.groups([found[place] for place in boxes]))]
    true = _by_pass(parts, image, [(lesion.mask.box, lesion.kind) for lesion in lesions])
    scores = _lesion_scores(parts, image, lesions)
    finders = [_finder(matched, shown, number) for number in range(len(lesions))]
    score, malignancies = _image_scores(parts, image, found, shown, outlined)
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
        proposals=_proposals(found, matched, dict(zip(shown, malignancies, strict=True))) if parts.detector else None,
        lesions=tuple(
            SeenLesion(
                box=lesion.mask.box,
                kind=lesion.kind,
                pathology=lesion.pathology,
                birads=lesion.birads,
                outlined=lesion.outlined,
                diameter_mm=diameter_mm(lesion.mask, known_or_assumed(image, parts.assumed_spacing_mm)),
                found=finders[number] is not None,
                by_true_box=_overlaps(parts, image, lesion, true[number]),
                by_found_box=_overlaps(parts, image, lesion, _at(outlined, finders[number])),
                own_pass=parts.own_pass,
                score=scores[number],
                all_border=all_border(lesion.mask, image.shape),
            )
            for number, lesion in enumerate(lesions)
        ),
        by_threshold=_by_threshold(parts, image, case, lesions, found, outlined),
        score=score,
        score_withheld=_withheld(parts),
        truth=truth.digest,
        hospital=case.hospital,
    )


def _proposals(
    found: Sequence[Detection], matched: Sequence[tuple[float, int | None]], shown: Mapping[int, float | None]
) -> tuple[Proposal, ...]:
    """`shown`: the malignancy of the proposals that the node would show, by their numbers."""
    return tuple(
        Proposal(detection.box, detection.kind, detection.confidence, lesion, number in shown, shown.get(number))
        for number, (detection, (_, lesion)) in enumerate(zip(found, matched, strict=True))
    )


def _outlined(parts: Parts, image: Mammogram, found: Sequence[Detection], shown: Sequence[int]) -> Mapping[int, Passes]:
    """By their numbers, the proposals that are looked at: those of the node, outlined together, as the node does it,
    and those of Table 2's thresholds."""
    others = {number for at in THRESHOLDS for number in parts.at_confidence(found, at)} - set(shown)
    outlined: dict[int, Passes] = {}
    for some in (shown, sorted(others)):
        prompts = [(found[number].box, found[number].kind) for number in some]
        outlined |= zip(some, _by_pass(parts, image, prompts), strict=True)
    return outlined


def _by_pass(parts: Parts, image: Mammogram, prompts: Sequence[tuple[Box, FindingKind]]) -> list[Passes]:
    """For each box (of a lesion of this kind), the mask after each pass; empty without a segmenter."""
    segmenter = parts.segmenter
    if segmenter is None:
        return [()] * len(prompts)
    [outlines] = segmenter.outlines_by_pass([ToOutline(image, prompts)])
    return [tuple(passes) for passes in outlines]


def _own(parts: Parts, box: Box, passes: Passes) -> Mask:
    """The outline that the node uses: that of its pass, or the whole box if there is none."""
    mask = passes[parts.own_pass - 1] if passes else None
    return Mask(box, np.ones((box.height, box.width), dtype=np.bool_)) if mask is None else mask


def _finder(matched: Sequence[tuple[float, int | None]], shown: Sequence[int], number: int) -> int | None:
    """The index of the most confident shown proposal that finds this lesion; None if none does."""
    return next((at for at in shown if matched[at][1] == number), None)


def _at(outlined: Mapping[int, Passes], number: int | None) -> Passes:
    return () if number is None else outlined[number]


def _overlaps(parts: Parts, image: Mammogram, lesion: Lesion, passes: Passes) -> tuple[Overlap, ...]:
    """The outline of each pass against the lesion's true outline; empty if it has none."""
    if not lesion.outlined:
        return ()
    rows_mm, columns_mm = known_or_assumed(image, parts.assumed_spacing_mm)
    window = enlarged(lesion.mask.box, (WINDOW_MM / rows_mm, WINDOW_MM / columns_mm), image.shape)
    return tuple(
        replace(
            overlap([] if mask is None else [mask], [lesion.mask], image.shape, window),
            boundary_iou=boundary_iou(mask, lesion.mask, image.shape),
        )
        for mask in passes
    )


def _by_threshold(
    parts: Parts,
    image: Mammogram,
    case: Case,
    lesions: Sequence[Lesion],
    found: Sequence[Detection],
    outlined: Mapping[int, Passes],
) -> tuple[Overlap, ...]:
    drawn = case.marked_up and all(lesion.outlined for lesion in lesions)
    if not drawn or parts.detector is None or parts.segmenter is None:
        return ()
    true = [lesion.mask for lesion in lesions]
    overlaps = []
    for at in THRESHOLDS:
        chosen = parts.at_confidence(found, at)
        masks = [_own(parts, found[number].box, outlined[number]) for number in chosen]
        staying = innermost(masks, parts.groups([found[number] for number in chosen]))
        overlaps.append(overlap([masks[number] for number in staying], true, image.shape))
    return tuple(overlaps)


def _image_scores(
    parts: Parts,
    image: Mammogram,
    found: Sequence[Detection],
    shown: Sequence[int],
    outlined: Mapping[int, Passes],
) -> tuple[float | None, Sequence[float | None]]:
    """The image's score, and those of the lesions that the node would show. True lesions are not used: they reveal the
    label."""
    if parts.classifier is None or _withheld(parts):
        return None, [None] * len(shown)
    masks = [_own(parts, found[number].box, outlined[number]) for number in shown]
    return parts.classifier.classify([ToScore(image, masks)])[0]


def _withheld(parts: Parts) -> bool:
    """Whether an image's score depends on findings, and there is no detector."""
    return parts.classifier is not None and parts.detector is None and not parts.classifier.scores_images_alone


def _lesion_scores(parts: Parts, image: Mammogram, lesions: Sequence[Lesion]) -> Sequence[float | None]:
    if parts.classifier is None or not lesions:
        return [None] * len(lesions)
    return parts.classifier.classify([ToScore(image, [lesion.shown for lesion in lesions])])[0][1]
