"""The two real exams of the demo at a sixth of their size, for tests of the whole node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from node.demo.studies import DemoStudy, make_studies

FACTOR = 6


def small_studies(cases: Path, folder: Path) -> list[DemoStudy]:
    """Two four-view MG studies, uncompressed, written below `folder`.

    Args:
        cases: the folder with the eight CBIS-DDSM files.
    """
    for path in sorted(cases.glob("*/*.dcm")):
        small = folder / "cases" / path.parent.name / path.name
        small.parent.mkdir(parents=True, exist_ok=True)
        _reduced(dcmread(path)).save_as(small, enforce_file_format=True)
    return make_studies(folder / "cases", folder / "studies")


def _reduced(source: Dataset) -> Dataset:
    rows, columns = source.Rows // FACTOR, source.Columns // FACTOR
    blocks = source.pixel_array[: rows * FACTOR, : columns * FACTOR].reshape(rows, FACTOR, columns, FACTOR)
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    source.Rows, source.Columns = rows, columns
    source.PixelData = blocks.mean(axis=(1, 3)).astype(np.uint16).tobytes()
    source["PixelData"].VR = "OW"
    source["PixelData"].is_undefined_length = False
    return source
