"""Scanned films are told from digital images by what their header says, and not by the size of their pixels."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation as MAMMOGRAM
from pydicom.uid import SecondaryCaptureImageStorage as CAPTURE

from dicom_io.film import is_film

CASES: list[tuple[str, dict[str, object], bool | None]] = [
    (CAPTURE, {"ConversionType": "DF"}, True),
    (CAPTURE, {"ConversionType": "WSD"}, True),
    (CAPTURE, {"ConversionType": "DI", "ImagerPixelSpacing": [0.07, 0.07]}, False),
    (CAPTURE, {"NominalScannedPixelSpacing": [0.05, 0.05]}, True),
    (MAMMOGRAM, {"NominalScannedPixelSpacing": [0.05, 0.05]}, True),
    (MAMMOGRAM, {"DetectorType": "FILM", "ImagerPixelSpacing": [0.05, 0.05]}, True),
    (MAMMOGRAM, {"ConversionType": "DF", "ImagerPixelSpacing": [0.05, 0.05]}, True),
    (MAMMOGRAM, {"ImagerPixelSpacing": [0.05, 0.05], "EstimatedRadiographicMagnificationFactor": "1.05"}, False),
    (MAMMOGRAM, {"ImagerPixelSpacing": [0.07, 0.07], "EstimatedRadiographicMagnificationFactor": "1.8"}, False),
    (MAMMOGRAM, {"DetectorType": "DIRECT"}, False),
    (MAMMOGRAM, {"PixelSpacing": [0.0435, 0.0435]}, None),
    (MAMMOGRAM, {}, None),
]


@pytest.mark.parametrize(("sop_class", "attributes", "film"), CASES)
def test_a_film_is_known_by_its_header(sop_class: str, attributes: dict[str, object], film: bool | None) -> None:
    made = Dataset()
    made.SOPClassUID, made.Modality, made.BodyPartExamined = sop_class, "MG", "BREAST"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    assert is_film(made) is film
