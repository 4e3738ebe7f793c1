"""The points that finished objects draw in images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.attributes import items, numbers, text, values

TRACKING_UID = "112040"
_OF_OTHERS = ("PredecessorDocumentsSequence", "RequestAttributesSequence", "ReferencedRequestSequence")


@dataclass(frozen=True, eq=False)
class DrawnPoints:
    """Points that an object draws in an image.

    Attributes:
        sop_instance_uid: of the image; empty if the object refers to none.
        xy: x, y (n × 2) in pixels, the edges of the image being 0 and its columns, 0 and its rows.
        tracking_uid: of the lesion that the points are about; empty if the object does not state it.
    """

    sop_instance_uid: str
    xy: NDArray[np.float64]
    tracking_uid: str


def drawn_points(dataset: Dataset) -> Iterator[DrawnPoints]:
    """All points drawn in a structured report's content or on a presentation state; none in other objects."""
    for item in content(dataset):
        yield from _in_content(item, dataset)
    yield from _in_annotations(dataset)


def content(item: Dataset) -> Iterator[Dataset]:
    """A content item, or a document as its root, and all content items below it."""
    yield item
    for child in items(item, "ContentSequence"):
        yield from content(child)


def within(dataset: Dataset) -> Iterator[Dataset]:
    """The data set and all items in it, except predecessors and requests, which refer to other objects."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ" and element.keyword not in _OF_OTHERS:
            for item in element.value:
                yield from within(item)


def name_of(item: Dataset) -> str:
    """The Code Value of a content item's concept name; empty if it has none."""
    return next((text(code, "CodeValue") for code in items(item, "ConceptNameCodeSequence")), "")


def tracking_uid_of(item: Dataset) -> str:
    """The Tracking Unique Identifier directly under a content item; empty if there is none."""
    children = items(item, "ContentSequence")
    return next((text(child, "UID") for child in children if name_of(child) == TRACKING_UID), "")


def _in_content(item: Dataset, root: Dataset) -> Iterator[DrawnPoints]:
    for child in items(item, "ContentSequence"):
        if text(child, "ValueType") == "SCOORD":
            yield DrawnPoints(_image_of(child, root), _points(child, "GraphicData"), tracking_uid_of(item))


def _image_of(region: Dataset, root: Dataset) -> str:
    for child in items(region, "ContentSequence"):
        for reference in items(_target(child, root), "ReferencedSOPSequence"):
            return text(reference, "ReferencedSOPInstanceUID")
    return ""


def _target(item: Dataset, root: Dataset) -> Dataset:
    """The item itself, or for a by-reference item (PS3.3 section C.17.3.2.5) the referenced item."""
    target = item
    for depth, position in enumerate(map(int, numbers(item, "ReferencedContentItemIdentifier"))):
        children = [root] if depth == 0 else items(target, "ContentSequence")
        target = children[position - 1] if 1 <= position <= len(children) else Dataset()
    return target


def _in_annotations(dataset: Dataset) -> Iterator[DrawnPoints]:
    for annotation in items(dataset, "GraphicAnnotationSequence"):
        images = [text(item, "ReferencedSOPInstanceUID") for item in items(annotation, "ReferencedImageSequence")]
        for image in images or [""]:
            for graphic in items(annotation, "GraphicObjectSequence"):
                yield DrawnPoints(image, _points(graphic, "GraphicData"), text(graphic, "TrackingUID"))
            for label in items(annotation, "TextObjectSequence"):
                for keyword in ("BoundingBoxTopLeftHandCorner", "BoundingBoxBottomRightHandCorner", "AnchorPoint"):
                    if values(label, keyword):
                        yield DrawnPoints(image, _points(label, keyword), "")


def _points(item: Dataset, keyword: str) -> NDArray[np.float64]:
    """x, y (n × 2); the last of an odd number of values is dropped."""
    found = np.array(values(item, keyword), dtype=np.float64)
    return found[: found.size // 2 * 2].reshape(-1, 2)
