"""Segmentations by other software are read, with author and place, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from dicom_bytes import damaged_files, written
from hypothesis import strategies as some
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

MODULES = (
    "dicom_io/attributes.py",
    "dicom_io/corrections.py",
    "dicom_io/segmentations.py",
    "dicom_io/segments.py",
)
_SHAPE = (16, 12)


@cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    from annotating import disc, segmentation
    from highdicom.seg import SegmentationTypeValues

    drawn = {"mass": disc(_SHAPE, 5, 5, 3), "calc": disc(_SHAPE, 11, 6, 3)}
    found = [
        (syntax, written(segmentation(drawn, kind=kind), syntax))
        for kind in SegmentationTypeValues
        for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    ]
    for syntax in (RLELossless, JPEGLSLossless):
        seg = segmentation(drawn, kind=SegmentationTypeValues.LABELMAP)
        seg.compress(syntax)
        found.append((syntax, written(seg)))
    return tuple(found)


def inputs() -> some.SearchStrategy[bytes]:
    return damaged_files(seeds())


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], str]]:
    from dicom_io.corrections import describe_correction, read_correction
    from dicom_io.errors import NotReadable
    from dicom_io.segmentations import read_header, read_segments

    path = folder / "seg.dcm"

    def run(data: bytes) -> str:
        path.write_bytes(data)
        became = "refused"
        for read in (read_segments, read_correction, lambda file: describe_correction(read_header(file))):
            with suppress(NotReadable):
                read(path)
                became = "read"
        return became

    yield run
