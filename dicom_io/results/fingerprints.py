"""Digests of the content of objects: equal content, equal digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np
from pydicom import Dataset

from dicom_io.attributes import code, text
from dicom_io.headers import kind_of, laterality_of, why_never_read
from dicom_io.results.lossy import lossy_compression
from dicom_io.results.sources import (
    demographics,
    patient_orientation,
    referenced_request,
    request_attributes,
    spacing_mm,
)
from dicom_io.results.view_modifiers import view_modifiers
from dicom_io.spacing import aspect_of, spacing_of
from dicom_io.views import view_of
from models.types.exam import ExamReading

_ADDED = {"calibration_holds", "may_show_lesion"}
"""Fields that readings of earlier releases do not have: at their defaults as before they were there."""


def fingerprint(content_of: object, sources: Iterable[Dataset] = ()) -> str:
    """The digest of an object's content (readings and parts of them) and of the values that it copies from headers.

    Reading times are left out: an image that is read again with the same result gives the same object.
    """
    content = json.dumps([_plain(content_of), [taken_over(source) for source in sources]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def exam_fingerprint(exam: ExamReading, sources: Mapping[str, Dataset]) -> str:
    """The digest of the exam: all images, unread images, their headers, the comparison with the radiologist, what is
    withheld, and the tenth of the reference set.

    Args:
        sources: the header of each instance of the study, by SOP Instance UID.
    """
    # Without these as before they were there: an upgrade gives unchanged objects no new UID.
    added = ("tenth", "withheld", "withdrawn")
    values = [value for field in fields(exam) if (value := getattr(exam, field.name)) or field.name not in added]
    images = sorted(
        [*(image.sop_instance_uid for image in exam.images), *(image.sop_instance_uid for image in exam.unread)]
    )
    return fingerprint(values, [sources[uid] for uid in images if uid in sources])


def taken_over(source: Dataset) -> object:
    """All values that an object may copy from the header of its image, except those for the display."""
    return {
        "demographics": demographics(source).to_json_dict(),
        "requests": request_attributes(source).to_json_dict(),
        "instance": str(source.get("SOPInstanceUID", "")),
        "series": str(source.get("SeriesInstanceUID", "")),
        "class": str(source.get("SOPClassUID", "")),
        "kind": [code(source, "Modality"), kind_of(source), why_never_read(source)],
        "request": referenced_request(source).to_json_dict() if "StudyInstanceUID" in source else {},
        "orientation": patient_orientation(source),
        "spacing": [spacing_mm(source), aspect_of(source), _plain(spacing_of(source))],
        "place": [laterality_of(source), view_of(source), [str(code) for code in view_modifiers(source)]],
        "lossy": lossy_compression([source]).to_json_dict(),
        "burned in": code(source, "BurnedInAnnotation"),
        "content": [text(source, "ContentDate"), text(source, "ContentTime")],
    }


def _plain(value: object) -> object:
    """What `json.dumps` takes, in which every bit of the value shows."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(part)
            for field in fields(value)
            for part in [getattr(value, field.name)]
            if field.name != "seconds" and not (field.name in _ADDED and part == field.default)
        }
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(part)] for key, part in value.items()]
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value
