"""Readings and headers as tests need them: small, and the same every time."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.device import Device
from dicom_io.results.encoding import Encoding
from dicom_io.results.profiles import PROFILES
from models.types.exam import ExamImage
from models.types.mammogram import Laterality
from models.types.reading import BundleId, Finding, FindingKind, ImageReading
from models.types.region import Box, Mask

BUNDLE = BundleId("research-default", "1.0")
DEVICE = Device(UUID("d1b5d7c6-7a54-4f0f-9d6c-4b1f0c6a2e11"))
ENCODING = Encoding(
    written_at=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    revision=1,
    bundles=(BUNDLE,),
    profile=PROFILES["ohif"],
    began_at=datetime(2026, 3, 4, 5, 4, 3, tzinfo=UTC),
    device=DEVICE,
)
STUDY = "1.2.826.0.1.3680043.10.1"


def blob(height: int, width: int, seed: int = 0) -> NDArray[np.bool_]:
    """An irregular ellipse without symmetry, so that any flip, shift or transposition is visible."""
    rows, columns = np.mgrid[:height, :width]
    radius = ((rows - height / 2) / (height / 2)) ** 2 + ((columns - width / 2) / (width / 2)) ** 2
    mask: NDArray[np.bool_] = radius < np.random.default_rng(seed).uniform(0.7, 1.0, (height, width))
    mask[: height // 2, : width // 3] = False
    return mask


def lesion(
    top: int,
    left: int,
    crop: NDArray[np.bool_],
    kind: FindingKind = FindingKind.MASS,
    malignancy: float = 0.625,
    confidence: float = 0.9,
) -> Finding:
    box = Box(top, left, top + crop.shape[0], left + crop.shape[1])
    return Finding(kind, box, Mask(box, crop), confidence, malignancy)


def read_image(
    uid: str,
    shape: tuple[int, int],
    *findings: Finding,
    laterality: Laterality | None = Laterality.RIGHT,
    view: str | None = "CC",
    malignancy: float = 0.5,
) -> ExamImage:
    return ExamImage(uid, laterality, view, ImageReading(tuple(findings), malignancy, shape, BUNDLE))


def header(uid: str, shape: tuple[int, int], laterality: str = "R", view: str = "CC") -> Dataset:
    """A mammogram's header without its pixels."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    dataset.SOPInstanceUID = uid
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = f"{STUDY}.{laterality == 'R':d}"
    dataset.PatientName = "Müller^Änne"
    dataset.PatientID = "P-1"
    dataset.PatientBirthDate = "19600102"
    dataset.PatientSex = "F"
    dataset.StudyDate = "20260301"
    dataset.StudyTime = "101112"
    dataset.StudyID = "7"
    dataset.AccessionNumber = "A-1"
    dataset.ReferringPhysicianName = "Rüf^Rita"
    dataset.Modality = "MG"
    dataset.Manufacturer = "A maker of mammographs"
    dataset.ImageLaterality = laterality
    dataset.ViewPosition = view
    dataset.PatientOrientation = ["P", "L"] if laterality == "R" else ["A", "R"]
    dataset.ImagerPixelSpacing = [0.07, 0.08]
    dataset.PixelSpacing = [0.07, 0.08]
    dataset.Rows, dataset.Columns = shape
    return dataset
