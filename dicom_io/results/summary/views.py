"""The images on the summary page with their outlines, and empty frames for views without image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicom_io.results.colours import COLOURS, RGB
from dicom_io.results.geometry import nearest, outline
from dicom_io.results.labels import place_labels, worth
from dicom_io.results.summary.pen import Pen, line_height
from models.types.exam import ExamImage
from models.types.mammogram import Laterality
from models.types.region import Box

BLACK: RGB = (0, 0, 0)
WHITE: RGB = (240, 242, 245)
GREY: RGB = (150, 158, 168)
LINE: RGB = (52, 58, 66)
AMBER: RGB = (255, 193, 7)
_NO_PREVIEW: RGB = (30, 33, 38)
_CAPTION_SIZE = 15
_SMALL_ROOM = 250  # pixels across
_SUB_PIXELS = 4  # binary digits


def draw_view(canvas: Image.Image, pen: Pen, room: Box, image: ExamImage, title: str) -> None:
    """Draws an image in its room: title and score above it, outlines and the lesions' numbers on it. The chest wall is
    on the side of the other breast's image."""
    _draw_frame(pen, room)
    malignancy, likelihood = image.reading.malignancy, image.reading.likelihood
    values = worth(malignancy, likelihood), f"score {malignancy:.2f}"
    inner = _draw_caption(pen, room, title, *map(pen.say, values))
    if image.reading.preview is None:
        inner = _draw_no_preview(pen, inner)
    field, scale = _fitted(inner, image)
    picture = _picture(image, (field.height, field.width))
    rings = [(outline(finding.mask) * scale, COLOURS[finding.kind]) for finding in image.reading.findings]
    thickness, chip_size = (2, 13) if room.width > _SMALL_ROOM else (1, 10)
    for ring, _ in rings:
        _polyline(picture, ring, BLACK, thickness + 2)
    for ring, colour in rings:
        _polyline(picture, ring, colour, thickness)
    canvas.paste(Image.fromarray(picture), (field.left, field.top))
    _draw_numbers(pen, field, rings, chip_size)


def draw_empty(pen: Pen, room: Box, title: str, what: str, why: str) -> None:
    """Draws the frame of a view that was not read, with its status and the reason."""
    _draw_frame(pen, room)
    inner = _draw_caption(pen, room, title)
    middle = (inner.top + inner.bottom) // 2
    lines = max(1, (inner.bottom - middle - 4) // line_height(_CAPTION_SIZE))
    pen.write(inner.left + 24, middle - 44, what, 26, AMBER, inner.width - 48)
    pen.write(inner.left + 24, middle, why, _CAPTION_SIZE, WHITE, inner.width - 48, lines)


def _draw_frame(pen: Pen, room: Box) -> None:
    pen.draw.rectangle((room.left, room.top, room.right - 1, room.bottom - 1), fill=BLACK, outline=LINE)


def _draw_caption(pen: Pen, room: Box, title: str, *values: str) -> Box:
    """Writes the title and the first value that fits beside it. Returns the room below."""
    free = room.width - pen.width(title, _CAPTION_SIZE) - 28
    value = next((value for value in values if pen.width(value, _CAPTION_SIZE) <= free), "")
    width = room.width - 16 - pen.width(value, _CAPTION_SIZE)
    pen.write(room.left + 8, room.top + 4, title, _CAPTION_SIZE, WHITE, width)
    if value:
        pen.write(room.right - 8, room.top + 4, value, _CAPTION_SIZE, GREY, align_right=True)
    return Box(room.top + line_height(_CAPTION_SIZE) + 6, room.left + 1, room.bottom - 1, room.right - 1)


def _draw_no_preview(pen: Pen, room: Box) -> Box:
    """Writes below the image that it has no preview. Returns the room above."""
    bottom = room.bottom - line_height(_CAPTION_SIZE) - 6
    pen.write(
        room.left + 8, bottom + 2, pen.say("No preview was kept of this image"), _CAPTION_SIZE, AMBER, room.width - 16
    )
    return Box(room.top, room.left, bottom, room.right)


def _fitted(room: Box, image: ExamImage) -> tuple[Box, float]:
    """The box of the image in its room, and the scale in page pixels per image pixel."""
    rows, columns = image.reading.shape
    scale = min(room.height / rows, room.width / columns)
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    top = room.top + (room.height - height) // 2
    left = {
        Laterality.RIGHT: room.right - width,
        Laterality.LEFT: room.left,
        None: room.left + (room.width - width) // 2,
    }[image.laterality]
    return Box(top, left, top + height, left + width), scale


def _picture(image: ExamImage, shape: tuple[int, int]) -> NDArray[np.uint8]:
    if image.reading.preview is None:
        return np.full((*shape, 3), _NO_PREVIEW, dtype=np.uint8)
    grey = cv2.resize(image.reading.preview, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)


def _polyline(picture: NDArray[np.uint8], ring: NDArray[np.float64], colour: RGB, thickness: int) -> None:
    # OpenCV: (0, 0) is the centre of the first pixel.
    points = np.round((ring - 0.5) * 2**_SUB_PIXELS).astype(np.int32)
    cv2.polylines(picture, [points], False, colour, thickness, cv2.LINE_AA, _SUB_PIXELS)


def _draw_numbers(pen: Pen, field: Box, rings: list[tuple[NDArray[np.float64], RGB]], size: int) -> None:
    """Draws the lesions' numbers, each with a line to its lesion."""
    height = line_height(size) + 1
    chips = place_labels(
        [_box_of(ring, field) for ring, _ in rings],
        [(height, pen.width(str(number), size) + 10) for number in range(1, len(rings) + 1)],
        (field.height, field.width),
        gap=6,
    )
    for (ring, colour), chip in zip(rings, chips, strict=True):
        x, y = nearest(ring, chip)
        middle = (field.left + (chip.left + chip.right) // 2, field.top + (chip.top + chip.bottom) // 2)
        pen.draw.line((middle, (field.left + x, field.top + y)), fill=colour)
    for number, ((_, colour), chip) in enumerate(zip(rings, chips, strict=True), start=1):
        left, top = field.left + chip.left, field.top + chip.top
        pen.draw.rounded_rectangle((left, top, left + chip.width - 1, top + chip.height - 1), 4, fill=colour)
        pen.write(left + 5, top + 1, str(number), size, BLACK)


def _box_of(ring: NDArray[np.float64], field: Box) -> Box:
    """The bounding box of a ring (points x, y) in pixels of the field, clipped to it."""
    left, top = np.floor(ring.min(axis=0)).astype(int).tolist()
    right, bottom = np.ceil(ring.max(axis=0)).astype(int).tolist()
    left, top = min(left, field.width - 1), min(top, field.height - 1)
    return Box(top, left, max(bottom, top + 1), max(right, left + 1))
