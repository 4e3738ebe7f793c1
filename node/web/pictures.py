"""The node's own small pictures of the images of an exam, with the lesions' outlines over them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from dicom_io.results.geometry import outline
from dicom_io.results.labels import lesion_label
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality
from models.types.reading import ImageReading

_SIDES = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}


@dataclass(frozen=True)
class Lesion:
    """A lesion over its image: `points` of an SVG polygon, and where its number stands, in pixels of the image. `label`
    is that of the results ("1 mass, score 0.79, 17 mm"); `doubt`: why the outline may be wrong."""

    number: int
    kind: str
    label: str
    points: str
    x: float
    y: float
    doubt: str


@dataclass(frozen=True)
class Picture:
    """An image that was read: `image` is its row's id; `shown`: whether a small picture of it is kept."""

    image: int
    name: str
    rows: int
    columns: int
    score: float
    lesions: tuple[Lesion, ...]
    warnings: tuple[str, ...]
    bundle: str
    shown: bool


def pictures_of(exam: ExamReading, ids: Mapping[str, int]) -> tuple[Picture, ...]:
    """The images of an exam, right before left, as films are hung. `ids`: the rows' ids by SOP Instance UID."""
    hung = sorted(exam.images, key=lambda image: (image.view or "", image.laterality is Laterality.LEFT))
    return tuple(_picture(image, ids[image.sop_instance_uid]) for image in hung)


def jpeg_of(reading: ImageReading) -> bytes | None:
    """The small picture of an image, in grey; None: an older version kept none."""
    if reading.preview is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(reading.preview).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _picture(image: ExamImage, row: int) -> Picture:
    reading = image.reading
    side = _SIDES.get(image.laterality) if image.laterality else None
    return Picture(
        image=row,
        name=" ".join(filter(None, (side, image.view, image.extent))) or f"image {row}",
        rows=reading.shape[0],
        columns=reading.shape[1],
        score=reading.malignancy,
        lesions=tuple(_lesion(image, number) for number in range(1, len(reading.findings) + 1)),
        warnings=tuple(dict.fromkeys(reading.warnings)),
        bundle=str(reading.bundle),
        shown=reading.preview is not None,
    )


def _lesion(image: ExamImage, number: int) -> Lesion:
    finding = image.reading.findings[number - 1]
    box = finding.mask.box
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline(finding.mask))
    return Lesion(number, finding.kind.value, lesion_label(image, number), points, box.right, box.top, finding.doubt)
