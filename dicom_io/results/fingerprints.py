"""What an object is made of, as a digest: the same digest, the same object."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum

import numpy as np
from pydicom import Dataset

from dicom_io.attributes import text
from dicom_io.headers import laterality_of, view_of
from dicom_io.results.sources import demographics, patient_orientation, spacing_mm
from models.types import ExamReading, ReadImage


def image_fingerprint(image: ReadImage, source: Dataset) -> str:
    """Of one image: its reading, and what its results take over from its header. The time that reading took is left
    out: an image read anew with the same outcome gives the same object.
    """
    return _digest({"image": _plain(image), "source": _taken(source)})


def exam_fingerprint(exam: ExamReading, sources: Mapping[str, Dataset]) -> str:
    """Of all images, what was not read, and the headers of all instances; without the radiologist's assessments."""
    told = {field.name: _plain(getattr(exam, field.name)) for field in fields(exam) if field.name != "concordances"}
    return _digest({"exam": told, "sources": {uid: _taken(source) for uid, source in sorted(sources.items())}})


def _taken(source: Dataset) -> object:
    return {
        "demographics": demographics(source).to_json_dict(),
        "series": str(source.get("SeriesInstanceUID", "")),
        "class": str(source.get("SOPClassUID", "")),
        "orientation": patient_orientation(source),
        "spacing": spacing_mm(source),
        "place": [laterality_of(source), view_of(source)],
        "content": [text(source, "ContentDate"), text(source, "ContentTime")],
    }


def _plain(value: object) -> object:
    """What `json.dumps` takes, in which every bit of the value shows."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.name != "seconds"}
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(one)] for key, one in value.items()]
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value


def _digest(told: object) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
