"""Made-up observations for the tests of tables and reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.datasets.case import Pathology
from models.evaluation.observations import THRESHOLDS, Observation, Proposal, SeenLesion
from models.measures.overlap import Overlap
from models.types.mammogram import Laterality
from models.types.reading import FindingKind
from models.types.region import Box

BOX = Box(10, 10, 30, 30)
ELSEWHERE = Box(60, 60, 80, 80)


def overlap(dice: float) -> Overlap:
    """An outline of a true lesion of 400 pixels, with this share of correct pixels."""
    both = round(400 * dice)
    return Overlap(both, 400, 400, 1600, 400 - both, boundary_iou=both / (800 - both))


def lesion(dices: tuple[float, ...] = (0.8, 0.9, 0.7), *, found: bool = True) -> SeenLesion:
    """A malignant mass of 12 mm with these overlaps after each pass; the node uses the first."""
    drawn = tuple(overlap(dice) for dice in dices)
    return SeenLesion(
        box=BOX,
        kind=FindingKind.MASS,
        pathology=Pathology.MALIGNANT,
        birads="4A",
        outlined=True,
        diameter_mm=12.0,
        found=found,
        by_true_box=drawn,
        by_found_box=drawn if found else (),
        own_pass=1,
        score=0.8,
    )


def image(name: str, patient: str, *lesions: SeenLesion) -> Observation:
    """An image without radiologist's category: malignant if it has lesions."""
    return Observation(
        name=name,
        dataset="made-up",
        patient=patient,
        exam=patient,
        laterality=Laterality.LEFT,
        view="CC",
        pathology=Pathology.MALIGNANT if lesions else Pathology.NORMAL,
        birads="5" if lesions else "1",
        density="B",
        marked_up=True,
        label_is_fair=True,
        spacing_assumed=False,
        confidence=0.4,
        proposals=(),
        lesions=lesions,
        by_threshold=tuple(Overlap(0, 0, 400 if lesions else 0, 10_000, 0) for _ in THRESHOLDS),
        score=0.9 if lesions else 0.1,
    )


def many(patients: int = 24, seed: int = 3) -> list[Observation]:
    """Images as average models would leave them: CC and MLO of each patient."""
    draw = np.random.default_rng(seed)
    images = []
    for number in range(patients):
        ill = number % 2 == 0
        for view in ("CC", "MLO"):
            lesions: tuple[SeenLesion, ...] = ()
            proposals = [Proposal(ELSEWHERE, FindingKind.MASS, float(draw.uniform(0.05, 0.6)), None)]
            by_threshold = tuple(Overlap(0, 0, 0, 10_000, 0) for _ in THRESHOLDS)
            if number % 4 != 3:
                dice, confidence = float(draw.uniform(0.5, 0.95)), float(draw.uniform(0.1, 0.9))
                measured = lesion((dice, dice - 0.02, dice - 0.1), found=confidence >= 0.4)
                kind = FindingKind.MASS if number % 3 else FindingKind.CALCIFICATION
                lesions = (
                    replace(
                        measured,
                        kind=kind,
                        diameter_mm=float(draw.uniform(4, 30)),
                        pathology=Pathology.MALIGNANT if ill else Pathology.BENIGN,
                        birads=("4A", "4B", "4C")[number % 3],
                        score=float(draw.beta(4, 2) if ill else draw.beta(2, 4)),
                    ),
                )
                proposals.append(Proposal(BOX, kind, confidence, 0))
                by_threshold = tuple(
                    overlap(dice) if confidence >= at else Overlap(0, 0, 400, 10_000, 0) for at in THRESHOLDS
                )
            images.append(
                replace(
                    image(f"{number}/{view}", f"made-up/{number}", *lesions),
                    view=view,
                    density="ABCD"[number % 4],
                    pathology=Pathology.MALIGNANT if ill else Pathology.BENIGN,
                    birads=None if lesions else "2",
                    proposals=tuple(sorted(proposals, key=lambda entry: -entry.confidence)),
                    by_threshold=by_threshold,
                    score=float(draw.beta(4, 2) if ill else draw.beta(2, 4)),
                )
            )
    return images
