"""Draws the findings on the mammogram: a picture for people."""

from __future__ import annotations

import io
from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.types.mammogram import Mammogram
from models.types.reading import Finding, FindingKind, ImageReading
from models.types.words import RESEARCH_USE_ONLY

LONG_SIDE_PX = 1600
FOOTER = f"{RESEARCH_USE_ONLY}\nScores of {{bundle}}, no probabilities"

COLOURS: Mapping[FindingKind, tuple[int, int, int]] = {
    FindingKind.MASS: (255, 176, 0),
    FindingKind.CALCIFICATION: (0, 200, 255),
    FindingKind.MASS_WITH_CALCIFICATIONS: (255, 240, 80),
}
_PAPER, _INK = (0, 0, 0), (235, 235, 235)


def draw_overlay(image: Mammogram, reading: ImageReading) -> bytes:
    """A PNG, RGB, its longer side at most 1600 pixels plus a footer: each lesion's outline in the colour of its kind
    with a label such as "1 mass, score 0.73"; in the footer, the bundle and the intended use.

    Raises:
        ValueError: the reading is of an image of another size.
    """
    if reading.shape != image.shape:
        raise ValueError(f"A reading of {reading.shape} pixels over an image of {image.shape}")
    scale = min(1.0, LONG_SIDE_PX / max(image.shape))
    picture = _greys(image, scale)
    for finding in reading.findings:
        _outline(picture, finding, scale)
    numbered = list(enumerate(reading.findings, start=1))
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=max(10, round(max(picture.shape) / 64)))
    for number, finding in reversed(numbered):  # the most malignant label is drawn last, on top of the others
        _label(draw, font, number, finding, scale, canvas.size)
    return _png(_with_footer(canvas, FOOTER.format(bundle=reading.bundle), font))


def _greys(image: Mammogram, scale: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rows, columns = image.shape
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA)
    grey = np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _outline(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], finding: Finding, scale: float) -> None:
    mask = finding.mask
    lines, _ = cv2.findContours(mask.crop.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corner = np.array([mask.box.left, mask.box.top])
    scaled = [np.round((line + corner + 0.5) * scale - 0.5).astype(np.int32) for line in lines]
    thickness = max(1, round(max(picture.shape) / 800))
    cv2.polylines(picture, scaled, isClosed=True, color=COLOURS[finding.kind], thickness=thickness)


def _label(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    number: int,
    finding: Finding,
    scale: float,
    size: tuple[int, int],
) -> None:
    """Draws the label above the lesion, or below it at the image's upper edge; always inside the picture."""
    words = f"{number} {finding.kind}, score {finding.malignancy:.2f}"
    _, _, width, height = (round(side) for side in draw.textbbox((0, 0), words, font=font))
    box = finding.mask.box
    top = round(box.top * scale) - height - 6
    if top < 0:
        top = round(box.bottom * scale) + 4
    left = max(0, min(round(box.left * scale), size[0] - width - 4))
    top = max(0, min(top, size[1] - height - 4))
    draw.rectangle((left, top, left + width + 4, top + height + 4), fill=_PAPER)
    draw.text((left + 2, top + 2), words, fill=COLOURS[finding.kind], font=font)


def _with_footer(picture: Image.Image, words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    _, _, width, height = (round(side) for side in ImageDraw.Draw(picture).textbbox((0, 0), words, font=font))
    whole = Image.new("RGB", (max(picture.width, width + 16), picture.height + height + 12), _PAPER)
    whole.paste(picture, (0, 0))
    ImageDraw.Draw(whole).text((8, picture.height + 6), words, fill=_INK, font=font)
    return whole


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)  # a quarter of the time of the usual 6, for a file 6 % larger
    return buffer.getvalue()
