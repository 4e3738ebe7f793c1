"""Structured reports: assessments are read, or the row states why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from dicom_bytes import damaged_files, written
from hypothesis import strategies as some
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

MODULES = (
    "dicom_io/assessments.py",
    "dicom_io/attributes.py",
    "dicom_io/content_tree.py",
    "dicom_io/moments.py",
    "node/assessments/from_sr.py",
)


@cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    from assessing import LEFT, RIGHT, finding, overall, report

    from models.types.birads import Category

    reports = (
        report(overall(Category.TWO)),
        report(finding(Category.FOUR_A, LEFT), finding(Category.TWO, RIGHT), VerificationFlag="VERIFIED"),
    )
    return tuple(
        (syntax, written(entry, syntax))
        for entry in reports
        for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    )


def inputs() -> some.SearchStrategy[bytes]:
    return damaged_files(seeds())


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], str]]:
    from dicom_io.assessments import read_report
    from dicom_io.errors import NotReadable
    from dicom_io.pixels.intact import read_whole_file

    path = folder / "report.dcm"

    def run(data: bytes) -> str:
        path.write_bytes(data)
        try:
            read_whole_file(path, 1 << 20)  # only what passes this is read as a report
        except NotReadable:
            return "not intact"
        return "refused" if read_report(path).refusal else "read"

    yield run
