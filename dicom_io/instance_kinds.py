"""The kinds of received instances. Imports no DICOM library, because the database tables use it."""

from __future__ import annotations

from enum import StrEnum


class InstanceKind(StrEnum):
    FOR_PRESENTATION = "for-presentation"
    """A mammogram for display: Digital Mammography For Presentation, breast CR / DX, or a synthetic 2D image that is
    stored as Breast Tomosynthesis."""
    FOR_PROCESSING = "for-processing"
    """A raw mammogram."""
    SECONDARY_CAPTURE = "secondary-capture"
    TOMOSYNTHESIS = "tomosynthesis"
    OTHER_IMAGE = "other-image"
    """An image of no breast, for example a chest CR or a quality control image."""
    SEGMENTATION = "segmentation"
    REPORT = "report"
    OTHER = "other"

    @property
    def is_image(self) -> bool:
        """Whether it is an image. The arrival of an image reopens its study; reports and segmentations do not."""
        return self not in (InstanceKind.SEGMENTATION, InstanceKind.REPORT, InstanceKind.OTHER)

    @property
    def is_mammogram(self) -> bool:
        """Whether it is a single 2D image of a breast, raw or for display."""
        return self in (InstanceKind.FOR_PRESENTATION, InstanceKind.FOR_PROCESSING)

    @property
    def is_for_display(self) -> bool:
        """Whether it is read when it arrives. A raw image is read only if its study has no image for display of its
        view; until the study is closed, this is not known."""
        return self in (InstanceKind.FOR_PRESENTATION, InstanceKind.SECONDARY_CAPTURE)

    @property
    def is_breast_image(self) -> bool:
        """Whether it makes a study a mammography study. A secondary capture does so too if its sender's setting says
        that secondary captures are read."""
        return self in (InstanceKind.FOR_PRESENTATION, InstanceKind.FOR_PROCESSING, InstanceKind.TOMOSYNTHESIS)


IMAGES = frozenset(kind for kind in InstanceKind if kind.is_image)
