"""The texts of lesion labels, and their placement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dicom_io.results.geometry import longest_extent_mm, outline
from dicom_io.results.own_codes import range_of
from models.types.birads import RECALL_THRESHOLD, Likelihood, in_percent
from models.types.exam import ExamImage
from models.types.mammogram import Laterality
from models.types.region import Box


def lesion_label(image: ExamImage, number: int) -> str:
    """The label of a lesion beside its outline: "1 mass, score 0.79, 17 mm". Without a category: lesions have none."""
    finding = image.reading.findings[number - 1]
    return ", ".join(
        (f"{number} {finding.kind.in_words}", worth(finding.malignancy, finding.likelihood), *long_axis(image, number))
    )


def long_axis(image: ExamImage, number: int) -> list[str]:
    """A lesion's long axis in whole millimetres ("17 mm"); none if the spacing is unknown."""
    if image.reading.spacing_mm is None:
        return []
    ring = outline(image.reading.findings[number - 1].mask)
    return [f"{longest_extent_mm(ring, image.reading.spacing_mm):.0f} mm"]


def worth(malignancy: float, likelihood: Likelihood | None, recall_threshold: float = RECALL_THRESHOLD) -> str:
    """Score (0..1) and, if calibrated, probability, each with its name: "score 0.62, probability 12 %"."""
    text_of_score = f"score {malignancy:.2f}"
    return (
        text_of_score
        if likelihood is None
        else f"{text_of_score}, probability {percent(likelihood.probability, recall_threshold)}"
    )


def recall(likelihood: Likelihood, threshold: float) -> str:
    """ "above the recall threshold of 2 %"."""
    side = "above" if likelihood.is_recalled(threshold) else "not above"
    return f"{side} the recall threshold of {in_percent(threshold, threshold).normalize():f} %"


def verdict(likelihood: Likelihood, laterality: Laterality | None, threshold: float) -> str:
    """A breast's or (None) the exam's: "above the recall threshold of 2 % (> 2 to <= 10 %, the range of 4A)"."""
    return f"{recall(likelihood, threshold)} ({range_of(likelihood.category, laterality).meaning})"


def percent(probability: float, recall_threshold: float = RECALL_THRESHOLD) -> str:
    """A probability (0..1 exclusive) for people, never rounded to certainty: "12 %", "0.4 %", "> 99 %".

    The printed value decides: equal printed values are in the same range and on the same side of the recall threshold.
    """
    rounded = in_percent(probability, recall_threshold)
    if rounded == 0:
        return "< 0.1 %"
    return "> 99 %" if rounded > 99 else f"{rounded:f} %"


def place_labels(
    lesions: Sequence[Box],
    sizes: Sequence[tuple[int, int]],
    shape: tuple[int, int],
    gap: int,
    taken: Sequence[Box] = (),
) -> list[Box]:
    """Places the labels, in order: beside the lesion if there is room, else farther away. If there is no free place,
    the label is put where it covers least.


    Args:
        lesions: boxes of the lesions, in pixels of an image.
        sizes: rows × columns of each label, cut to the image if larger.
        shape: rows × columns of the image.
        gap: pixels between a label and its lesion.
        taken: further boxes that no label may cover.
    """
    placed: list[Box] = []
    for lesion, (rows, columns) in zip(lesions, sizes, strict=True):
        size = min(rows, shape[0]), min(columns, shape[1])
        obstacles = (*lesions, *taken, *placed)
        places = list(_candidates(lesion, size, shape, gap))
        free = next((place for place in places if not _covered(place, obstacles)), None)
        placed.append(free or min(places, key=lambda place: _covered(place, obstacles)))
    return placed


def _candidates(lesion: Box, size: tuple[int, int], shape: tuple[int, int], gap: int) -> Iterator[Box]:
    """Right, left, below and above the lesion, then the same farther out, each moved into the image."""
    rows, columns = size
    middle_row = (lesion.top + lesion.bottom - rows) // 2
    middle_column = (lesion.left + lesion.right - columns) // 2
    step = max(1, rows // 2)
    for away in range(0, max(shape), step):
        far = gap + away
        below, above = lesion.bottom + far, lesion.top - far - rows
        right, left = lesion.right + far, lesion.left - far - columns
        for top, start in (
            (middle_row, right),
            (middle_row, left),
            (below, middle_column),
            (above, middle_column),
            (below, lesion.right + gap),
            (above, lesion.right + gap),
            (below, lesion.left - gap - columns),
            (above, lesion.left - gap - columns),
        ):
            top = max(0, min(top, shape[0] - rows))
            start = max(0, min(start, shape[1] - columns))
            yield Box(top, start, top + rows, start + columns)


def _covered(label: Box, obstacles: Sequence[Box]) -> int:
    return sum(_overlap(label, obstacle) for obstacle in obstacles)


def _overlap(left: Box, right: Box) -> int:
    rows = min(left.bottom, right.bottom) - max(left.top, right.top)
    columns = min(left.right, right.right) - max(left.left, right.left)
    return max(0, rows) * max(0, columns)
