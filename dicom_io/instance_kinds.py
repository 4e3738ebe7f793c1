"""The kinds of instances that come. Imports nothing, so that the database knows them without a DICOM library."""

from __future__ import annotations

from enum import StrEnum


class InstanceKind(StrEnum):
    FOR_PRESENTATION = "for-presentation"
    """A mammogram to be looked at: Digital Mammography For Presentation, breast CR / DX, or a synthetic 2D image that
    was stored as Breast Tomosynthesis."""
    FOR_PROCESSING = "for-processing"
    """A raw mammogram."""
    SECONDARY_CAPTURE = "secondary-capture"
    TOMOSYNTHESIS = "tomosynthesis"
    OTHER_IMAGE = "other-image"
    """An image, but of no breast (a chest CR, say, or a quality control image)."""
    SEGMENTATION = "segmentation"
    REPORT = "report"
    OTHER = "other"

    @property
    def is_image(self) -> bool:
        """Whether its arrival opens a study again. Reports and segmentations are kept with it and change nothing."""
        return self not in (InstanceKind.SEGMENTATION, InstanceKind.REPORT, InstanceKind.OTHER)

    @property
    def is_breast_image(self) -> bool:
        """Whether it makes a study a mammography study; a secondary capture does where its sender's setting has it
        read."""
        return self in (InstanceKind.FOR_PRESENTATION, InstanceKind.FOR_PROCESSING, InstanceKind.TOMOSYNTHESIS)


IMAGES = frozenset(kind for kind in InstanceKind if kind.is_image)
