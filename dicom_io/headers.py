"""What an instance is, told by its header alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydicom import Dataset

from models.types import Laterality


class InstanceKind(StrEnum):
    FOR_PRESENTATION = "for-presentation"
    """A mammogram to be looked at: Digital Mammography For Presentation, or breast CR / DX."""
    FOR_PROCESSING = "for-processing"
    """A raw mammogram."""
    SECONDARY_CAPTURE = "secondary-capture"
    TOMOSYNTHESIS = "tomosynthesis"
    OTHER_IMAGE = "other-image"
    """An image, but of no breast (a chest CR, say)."""
    SEGMENTATION = "segmentation"
    REPORT = "report"
    OTHER = "other"


@dataclass(frozen=True)
class InstanceHeader:
    """The part of a header that the node decides by."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    patient_birth_date: str
    kind: InstanceKind
    laterality: Laterality | None
    view: str | None
    full_field: bool
    """Neither magnified nor spot-compressed, by View Modifier Code Sequence and magnification factor."""
    ours: bool
    """Written by a mammo-node: never input (safety rule 1)."""


def describe(dataset: Dataset) -> InstanceHeader:
    """What this instance is.

    Raises:
        NotReadable: a UID that identifies the instance is missing or is no UID.
    """
    raise NotImplementedError
