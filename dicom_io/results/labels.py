"""What labels of lesions say, and where they find room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.types import Box, Likelihood


def worth(malignancy: float, likelihood: Likelihood | None) -> str:
    """ "probability 12 %, BI-RADS 4B" where the score (0..1) is calibrated, otherwise "score 0.62" and no category."""
    told = figure(malignancy, likelihood)
    return f"score {told}" if likelihood is None else f"probability {told}, BI-RADS {likelihood.category}"


def figure(malignancy: float, likelihood: Likelihood | None) -> str:
    """The probability where the score (0..1) is calibrated, otherwise the score: "12 %", "0.62"."""
    return f"{malignancy:.2f}" if likelihood is None else percent(likelihood.probability)


def percent(probability: float) -> str:
    """A probability (0..1 exclusive) for people, never rounded to certainty: "12 %", "0.4 %", "> 99 %"."""
    if probability < 0.001:
        return "< 0.1 %"
    if probability > 0.99:
        return "> 99 %"
    return f"{100 * probability:.{0 if probability >= 0.0995 else 1}f} %"


def place_labels(
    lesions: Sequence[Box],
    sizes: Sequence[tuple[int, int]],
    shape: tuple[int, int],
    gap: int,
    taken: Sequence[Box] = (),
) -> list[Box]:
    """A box for each label; the first labels have the first choice.

    Beside its lesion where there is room, then ever farther away. An image so crowded that no place is free of
    everything gets the label where it covers least.

    Args:
        lesions: what the labels are about, in pixels of an image.
        sizes: rows × columns of each label, cut to the image where they are larger.
        shape: rows × columns of the image.
        gap: pixels between a label and its lesion.
        taken: what no label may cover besides.
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
    """Right, left, below and above the lesion, then the same ever farther out, each moved into the image."""
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


def _overlap(one: Box, other: Box) -> int:
    rows = min(one.bottom, other.bottom) - max(one.top, other.top)
    columns = min(one.right, other.right) - max(one.left, other.left)
    return max(0, rows) * max(0, columns)
