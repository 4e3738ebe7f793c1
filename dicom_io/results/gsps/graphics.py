"""The annotations of a presentation state: outlines, labels beside them, and the note on research use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from highdicom.color import CIELabColor
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    TextJustificationValues,
    TextObject,
)
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.results.colours import COLOURS, RGB
from dicom_io.results.encoding import lesion_name
from dicom_io.results.geometry import edges, nearest, outline
from dicom_io.results.labels import lesion_label, place_labels
from models.types.exam import ExamImage
from models.types.reading import FindingKind
from models.types.region import Box
from models.types.words import RESEARCH_USE

# Graphic Layer (0070,0002) is a Code String: 16 characters at most (PS3.5 section 6.2).
LAYERS = {
    FindingKind.MASS: "MASSES",
    FindingKind.CALCIFICATION: "CALCIFICATIONS",
    FindingKind.MASS_WITH_CALCIFICATIONS: "MASSES WITH CALC",
}
_NOTE = f"mammo-node: {RESEARCH_USE}"
_NOTE_LAYER = "NOTE"
_NOTE_COLOUR = (190, 190, 190)
_PIXEL = AnnotationUnitsValues.PIXEL

# A bounding box sets where text begins. The viewer sets its size: about 17 of 1000 rows per line on a usual monitor.
_LINES_PER_IMAGE = 60
_LETTER_WIDTH = 0.55  # of a line's height


@dataclass(frozen=True, eq=False)
class _LabelledOutline:
    graphic: GraphicObject
    label: TextObject


def annotate(referenced: Dataset, image: ExamImage) -> tuple[list[GraphicLayer], list[GraphicAnnotation]]:
    """Makes one layer per kind of finding, with outlines and labels, so that a viewer can show or hide a kind; the last
    layer has the note.

    Args:
        referenced: the image that the annotations refer to (SOP class and instance, series, Rows, Columns).
        image: its reading, with findings.
    """
    findings = image.reading.findings
    line_px = max(1, max(image.reading.shape) // _LINES_PER_IMAGE)
    note = _note_box(image.reading.shape, line_px)
    drawn = _draw(image, line_px, note)
    layers: list[GraphicLayer] = []
    annotations: list[GraphicAnnotation] = []

    def add(name: str, rgb: RGB, graphics: list[GraphicObject], texts: list[TextObject]) -> None:
        layers.append(GraphicLayer(name, len(layers) + 1, display_color=CIELabColor.from_rgb(*rgb)))
        annotations.append(GraphicAnnotation([referenced], layers[-1], graphic_objects=graphics, text_objects=texts))

    for kind, name in LAYERS.items():
        of_kind = [annotation for annotation, finding in zip(drawn, findings, strict=True) if finding.kind is kind]
        if of_kind:
            add(
                name,
                COLOURS[kind],
                [annotation.graphic for annotation in of_kind],
                [annotation.label for annotation in of_kind],
            )
    add(_NOTE_LAYER, _NOTE_COLOUR, [], [TextObject(_NOTE, _PIXEL, edges(note))])
    return layers, annotations


def _draw(image: ExamImage, line_px: int, note: Box) -> list[_LabelledOutline]:
    findings = image.reading.findings
    words = [lesion_label(image, number) for number in range(1, len(findings) + 1)]
    boxes = place_labels(
        [finding.mask.box for finding in findings],
        [_size_px(text, line_px) for text in words],
        image.reading.shape,
        gap=line_px,
        taken=[note],
    )
    drawn = []
    for number, (finding, text, box) in enumerate(zip(findings, words, boxes, strict=True), start=1):
        ring = outline(finding.mask)
        drawn.append(_LabelledOutline(_polyline(ring, image, number), _label(text, box, ring)))
    return drawn


def _polyline(ring: NDArray[np.float64], image: ExamImage, number: int) -> GraphicObject:
    name = lesion_name(image, number)
    return GraphicObject(GraphicTypeValues.POLYLINE, ring, _PIXEL, tracking_id=name.identifier, tracking_uid=name.uid)


def _label(words: str, box: Box, ring: NDArray[np.float64]) -> TextObject:
    """The text in its box, with the nearest point of its lesion as anchor: on a crowded image they may be apart."""
    return TextObject(
        words,
        _PIXEL,
        bounding_box=edges(box),
        anchor_point=nearest(ring, box),
        text_justification=TextJustificationValues.LEFT,
    )


def _size_px(words: str, line_px: int) -> tuple[int, int]:
    """Height and width of a text in pixels."""
    lines = words.split("\r\n")
    return line_px * len(lines), round(_LETTER_WIDTH * line_px * max(map(len, lines))) + 1


def _note_box(shape: tuple[int, int], line_px: int) -> Box:
    """The box of the note, in the middle of the lower edge: the upper corners have the markers of the acquisition."""
    rows, columns = shape
    height, width = _size_px(_NOTE, line_px)
    left = max(0, (columns - width) // 2)
    return Box(max(0, rows - 2 * height), left, rows, min(columns, left + width))
