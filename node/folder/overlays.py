"""PNG overlays of the findings, for people without a DICOM viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

from PIL import Image
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_io.durable import write_durably
from models.types.exam import ExamImage, ExamReading

SUMMARY = "summary.png"


def write_overlays(exam: ExamReading, overlay_of: Callable[[ExamImage], bytes], out: Path) -> list[Path]:
    """One PNG per read image, named by its number and view ("1-R-CC.png").

    Args:
        overlay_of: draws an image with its findings (models.readings.overlay.draw_overlay).
    """
    written = []
    for number, image in enumerate(exam.images, start=1):
        place = "-".join(part for part in (image.laterality, image.view) if part) or "view-not-stated"
        path = out / f"{number}-{_safe(place)}.png"
        write_durably(path, overlay_of(image))
        written.append(path)
    return written


def write_summary(results: Iterable[Path], out: Path) -> list[Path]:
    """Writes the summary page of the results as summary.png; nothing if the profile has none."""
    written = []
    for result in results:
        dataset = dcmread(result, defer_size="1 KB")
        if dataset.SOPClassUID == SecondaryCaptureImageStorage:
            page = BytesIO()
            Image.fromarray(dataset.pixel_array).save(page, "PNG", compress_level=1)
            write_durably(out / SUMMARY, page.getvalue())
            written.append(out / SUMMARY)
    return written


def _safe(name: str) -> str:
    """A header value as part of a file name."""
    return "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in name)
