"""Content items in plain pydicom (PS3.3 §C.17.3), because highdicom does not write by-reference relationships."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import numpy as np
from highdicom.sr import GraphicTypeValues, RelationshipTypeValues, ValueTypeValues
from highdicom.sr.coding import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.decimals import decimal_string
from dicom_io.results import codes
from dicom_io.results.sources import instance_reference
from models.types.reading import BundleId

Relation = RelationshipTypeValues


class Part(StrEnum):
    """The parts of a model bundle, as named in Algorithm Name."""

    DETECTION = "detection"
    LESIONS = "score of lesions"
    WHOLE_IMAGES = "score of whole images"
    TWO_VIEWS = "lesions seen in two views"


def container_item(name: Code, relation: Relation | None, children: Iterable[Dataset]) -> Dataset:
    """A CONTAINER item; the root has no relation."""
    item = _item(ValueTypeValues.CONTAINER, name, relation, children)
    item.ContinuityOfContent = "SEPARATE"
    return item


def code_item(name: Code, relation: Relation, value: Code, children: Iterable[Dataset] = ()) -> Dataset:
    item = _item(ValueTypeValues.CODE, name, relation, children)
    item.ConceptCodeSequence = [CodedConcept.from_code(value)]
    return item


def text_item(name: Code, relation: Relation, value: str) -> Dataset:
    item = _item(ValueTypeValues.TEXT, name, relation)
    item.TextValue = value
    return item


def uidref_item(name: Code, relation: Relation, uid: str) -> Dataset:
    item = _item(ValueTypeValues.UIDREF, name, relation)
    item.UID = uid
    return item


def date_item(name: Code, relation: Relation, value: str) -> Dataset:
    item = _item(ValueTypeValues.DATE, name, relation)
    item.Date = value
    return item


def time_item(name: Code, relation: Relation, value: str) -> Dataset:
    item = _item(ValueTypeValues.TIME, name, relation)
    item.Time = value
    return item


def num_item(name: Code, relation: Relation, value: float, unit: Code) -> Dataset:
    measurement = Dataset()
    measurement.NumericValue = decimal_string(value)
    measurement.MeasurementUnitsCodeSequence = [CodedConcept.from_code(unit)]
    item = _item(ValueTypeValues.NUM, name, relation)
    item.MeasuredValueSequence = [measurement]
    return item


def percent(name: Code, value: float) -> Dataset:
    """A NUM item: a property in percent (0..100)."""
    return num_item(name, Relation.HAS_PROPERTIES, value, codes.PERCENT)


def image_item(instance: Dataset, relation: Relation, children: Iterable[Dataset]) -> Dataset:
    item = _item(ValueTypeValues.IMAGE, None, relation, children)
    item.ReferencedSOPSequence = [instance_reference(instance)]
    return item


def scoord_item(name: Code, graphic: GraphicTypeValues, xy: NDArray[np.float64], in_image: Dataset) -> Dataset:
    """A SCOORD item as a property: points x, y (n × 2) in the image that the item `in_image` refers to."""
    item = _item(ValueTypeValues.SCOORD, name, Relation.HAS_PROPERTIES, [in_image])
    item.GraphicType = graphic.value
    item.GraphicData = [float(value) for value in xy.ravel()]
    return item


def by_reference(relation: Relation, position: Iterable[int]) -> Dataset:
    """A by-reference relationship to the item at `position` in the content tree; each level counts from 1."""
    item = Dataset()
    item.RelationshipType = relation.value
    item.ReferencedContentItemIdentifier = list(position)
    return item


def algorithm(bundle: BundleId, part: Part) -> list[Dataset]:
    """TID 4019: the bundle, its version and the part of it that made a result."""
    return [
        text_item(codes.ALGORITHM_NAME, Relation.HAS_PROPERTIES, f"{bundle.name}, {part}"),
        text_item(codes.ALGORITHM_VERSION, Relation.HAS_PROPERTIES, bundle.version),
    ]


def _item(
    value_type: ValueTypeValues, name: Code | None, relation: Relation | None, children: Iterable[Dataset] = ()
) -> Dataset:
    item = Dataset()
    item.ValueType = value_type.value
    if relation is not None:
        item.RelationshipType = relation.value
    if name is not None:
        item.ConceptNameCodeSequence = [CodedConcept.from_code(name)]
    if within := list(children):
        item.ContentSequence = within
    return item
