"""The summary page: an exam's images, scores and unread images as one RGB picture. No DICOM here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicom_io.results.colours import RGB
from dicom_io.results.encoding import titles_of
from dicom_io.results.language import ENGLISH, Language
from dicom_io.results.statements import NOTHING_READ
from dicom_io.results.summary.pen import Pen
from dicom_io.results.summary.place import Place
from dicom_io.results.summary.tables import draw_lesions, draw_notes, draw_scores, notes_height
from dicom_io.results.summary.views import AMBER, BLACK, GREY, LINE, WHITE, draw_empty, draw_view
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality
from models.types.reading import BundleId
from models.types.region import Box
from models.types.words import counted

ROWS, COLUMNS = 1200, 1600
"""Pixels: the page fits on a usual office or reporting monitor at 100 %."""
_PAPER: RGB = (16, 18, 22)
_HEADER: RGB = (26, 29, 35)
_HEADER_ROWS, _MARGIN = 84, 16
_VIEWS = Box(_HEADER_ROWS + _MARGIN, _MARGIN, ROWS - _MARGIN, 836)
_TABLES = Box(_HEADER_ROWS + _MARGIN, 860, ROWS - _MARGIN, COLUMNS - _MARGIN)
_EXTRA_ROWS = 190
_MOST_EXTRAS = 5

# The usual hanging: the patient's right breast on the left, chest walls together.
_HANGING = tuple((side, view) for view in ("MLO", "CC") for side in (Laterality.RIGHT, Laterality.LEFT))
_SIDES = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}


def draw_page(
    exam: ExamReading, places: Mapping[str, Place], bundle: BundleId, language: Language = ENGLISH
) -> NDArray[np.uint8]:
    """The page, ROWS × COLUMNS × 3 (RGB, uint8); the same exam gives the same page. It has no patient data.

    Args:
        places: of the instances that were not read, by SOP Instance UID.
        bundle: the models in use, named if nothing was read.
    """
    canvas = Image.new("RGB", (COLUMNS, ROWS), _PAPER)
    pen = Pen(canvas, language)
    _draw_header(pen, exam, bundle)
    _draw_views(canvas, pen, exam, places)
    _draw_tables(pen, exam, places)
    return np.asarray(canvas, dtype=np.uint8)


def _draw_header(pen: Pen, exam: ExamReading, bundle: BundleId) -> None:
    pen.draw.rectangle((0, 0, COLUMNS - 1, _HEADER_ROWS - 1), fill=_HEADER)
    pen.draw.line((0, _HEADER_ROWS, COLUMNS - 1, _HEADER_ROWS), fill=LINE)
    name = pen.say("mammo-node · AI reading")
    title = pen.width(name, 30)
    pen.write(_MARGIN, 10, name, 30, WHITE)
    warning, size = pen.say("FOR RESEARCH USE ONLY. NOT FOR DIAGNOSIS."), 20
    left = COLUMNS - _MARGIN - pen.width(warning, size) - 28
    pen.draw.rounded_rectangle((left, 12, COLUMNS - _MARGIN - 1, 48), 6, fill=AMBER)
    pen.write(left + 14, 18, warning, size, BLACK)
    top, width = 12, left - 3 * _MARGIN - title
    for sentence in pen.language.notice:
        top = pen.write(left - _MARGIN, top, sentence, 13, AMBER, width, align_right=True)
    bundles = dict.fromkeys(str(image.reading.bundle) for image in exam.images) or {str(bundle): None}
    unread = sum(not image.on_purpose for image in exam.unread)
    models_line = f"Models: {', '.join(bundles)}   ·   {counted(len(exam.images), 'image')} read, {unread} not read"
    pen.write(_MARGIN, 54, pen.say(models_line), 16, GREY, COLUMNS - 2 * _MARGIN)


def _draw_views(canvas: Image.Image, pen: Pen, exam: ExamReading, places: Mapping[str, Place]) -> None:
    titles = dict(zip((image.sop_instance_uid for image in exam.images), titles_of(exam.images), strict=True))
    hung = {spot: _hung(exam.images, spot) for spot in _HANGING}
    shown = {image.sop_instance_uid for image in hung.values() if image}
    extras = [image for image in exam.images if image.sop_instance_uid not in shown]
    bottom = _VIEWS.bottom - (_EXTRA_ROWS + 8 if extras else 0)
    for room, spot in zip(_cells(Box(_VIEWS.top, _VIEWS.left, bottom, _VIEWS.right), 2, 2), _HANGING, strict=True):
        if image := hung[spot]:
            draw_view(canvas, pen, room, image, titles[image.sop_instance_uid])
        else:
            side, view = spot
            draw_empty(pen, room, f"{side} {view}", *map(pen.say, _why_empty(exam, places, side, view)))
    if extras:
        strip = Box(_VIEWS.bottom - _EXTRA_ROWS, _VIEWS.left, _VIEWS.bottom, _VIEWS.right)
        _draw_extras(canvas, pen, strip, extras, titles)


def _hung(images: Sequence[ExamImage], spot: tuple[Laterality, str]) -> ExamImage | None:
    """The image to show as a standard view: of several whole images the one with the highest score."""
    candidates = [image for image in images if image.is_whole and (image.laterality, image.view) == spot]
    return max(candidates, key=lambda image: image.reading.malignancy, default=None)


def _draw_extras(
    canvas: Image.Image, pen: Pen, strip: Box, extras: Sequence[ExamImage], titles: Mapping[str, str]
) -> None:
    """Draws the images that are not standard views: as many as fit, then the names of the others."""
    count = len(extras) if len(extras) <= _MOST_EXTRAS else _MOST_EXTRAS - 1
    rooms = _cells(strip, 1, _MOST_EXTRAS)
    for room, image in zip(rooms, extras[:count], strict=False):
        draw_view(canvas, pen, room, image, titles[image.sop_instance_uid])
    if rest := extras[count:]:
        names = ", ".join(titles[image.sop_instance_uid] for image in rest)
        draw_empty(pen, rooms[-1], "", pen.say(f"{len(rest)} more"), names)


def _why_empty(exam: ExamReading, places: Mapping[str, Place], side: Laterality, view: str) -> tuple[str, str]:
    """The status of a view that was not read, and the reason."""
    reasons = [image.reason for image in exam.unread if places.get(image.sop_instance_uid) == Place(side, view)]
    if reasons:
        return "Not read", " ".join(dict.fromkeys(reasons))
    missing = f"{_SIDES[side]} {view}" in exam.missing
    return "Missing" if missing else "No image", "The study holds no image of this view."


def _draw_tables(pen: Pen, exam: ExamReading, places: Mapping[str, Place]) -> None:
    """Draws the scores, the notes at the bottom, and as many lesions as fit between them."""
    if not exam.images:
        top = pen.write(_TABLES.left, _TABLES.top, pen.say("NOTHING WAS READ"), 56, AMBER)
        top = pen.write(_TABLES.left, top + 8, pen.say(NOTHING_READ), 22, WHITE, _TABLES.width, 3)
        draw_notes(pen, Box(top + 24, _TABLES.left, _TABLES.bottom, _TABLES.right), exam, places)
        return
    top = draw_scores(pen, _TABLES, exam, places) + 20
    notes_rows = min(notes_height(pen, _TABLES.width, exam, places), (_TABLES.bottom - top) // 2)
    room = Box(top, _TABLES.left, _TABLES.bottom - notes_rows - 24, _TABLES.right)
    top = draw_lesions(pen, room, exam, titles_of(exam.images)) + 24
    draw_notes(pen, Box(top, _TABLES.left, _TABLES.bottom, _TABLES.right), exam, places)


def _cells(room: Box, rows: int, columns: int) -> list[Box]:
    """The room divided into equal cells, row by row, 6 pixels apart."""
    height, width = (room.height - 6 * (rows - 1)) // rows, (room.width - 6 * (columns - 1)) // columns
    return [
        Box(top, left, top + height, left + width)
        for top in (room.top + row * (height + 6) for row in range(rows))
        for left in (room.left + column * (width + 6) for column in range(columns))
    ]
