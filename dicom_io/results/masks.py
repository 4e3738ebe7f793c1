"""Checks an image's masks before they are drawn."""

from __future__ import annotations

from dicom_io.errors import NotEncodable
from models.types.exam import ExamImage


def check_masks(image: ExamImage) -> None:
    """Raises:
    NotEncodable: the image has no findings, or a mask is empty or reaches out of the image.
    """
    rows, columns = image.reading.shape
    if not image.reading.findings:
        raise NotEncodable("An image without findings has nothing to be drawn.")
    for number, finding in enumerate(image.reading.findings, start=1):
        if finding.mask.box.bottom > rows or finding.mask.box.right > columns:
            raise NotEncodable(f"The mask of finding {number} reaches out of the image.")
        if finding.mask.area_px == 0:
            raise NotEncodable(f"The mask of finding {number} is empty.")
