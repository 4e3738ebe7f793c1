"""Exams for the summary page."""

from dataclasses import replace

import numpy as np
from readings import blob, lesion, read_image

from models.readings.exam import put_together
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality
from models.types.reading import Finding, FindingKind

FOUR = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
SHAPE = (1501, 1199)


def drawn_image(
    uid: str, side: str | None, view: str | None, *findings: Finding, shape: tuple[int, int] = SHAPE, score: float = 0.5
) -> ExamImage:
    laterality = Laterality(side) if side else None
    image = read_image(uid, shape, *findings, laterality=laterality, view=view, malignancy=score)
    preview = np.full((shape[0] // 2, shape[1] // 2), 60, dtype=np.uint8)
    return replace(image, reading=replace(image.reading, preview=preview))


def drawn_exam(*findings: Finding, of: tuple[tuple[str, str], ...] = FOUR) -> ExamReading:
    images = [drawn_image(f"1.2.{number}", side, view, *findings) for number, (side, view) in enumerate(of)]
    return put_together(images, [], [(Laterality(side), view) for side, view in FOUR])


def many_findings(count: int = 12) -> list[Finding]:
    chance = np.random.default_rng(1)
    return [
        replace(
            lesion(int(chance.integers(0, 1300)), int(chance.integers(0, 1000)), blob(150, 120, number)),
            kind=FindingKind.MASS if number % 2 else FindingKind.CALCIFICATION,
            malignancy=float(chance.uniform()),
        )
        for number in range(count)
    ]
