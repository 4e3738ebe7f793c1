"""Presentation states of small images with lesions."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian
from readings import ENCODING, blob, header, lesion, read_image

from dicom_io.results.encoding import to_bytes
from dicom_io.results.gsps.state import encode_gsps
from models.types.exam import ExamImage
from models.types.reading import FindingKind

UID = "1.2.826.0.1.3680043.10.2"


def two_lesions(shape: tuple[int, int] = (300, 207)) -> ExamImage:
    mass = lesion(100, 60, blob(90, 71, 1))
    cluster = lesion(20, 120, blob(33, 40, 2), FindingKind.CALCIFICATION, malignancy=0.2)
    return read_image(UID, shape, mass, cluster)


def encoded_state(image: ExamImage, source: Dataset | None = None, **changes: Any) -> Dataset:
    source = source or header(UID, image.reading.shape)
    return dcmread(BytesIO(to_bytes(encode_gsps(source, image, encoding=replace(ENCODING, **changes)))))


def image_file(folder: Path, shape: tuple[int, int], photometric: str, voi: str) -> tuple[Path, Dataset]:
    """A 12-bit image with a ramp, with a window (and its explanation), a VOI LUT or neither."""
    dataset = header(UID, shape)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "US"
    dataset.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [0.07, 0.07]
    if voi == "window":
        dataset.WindowCenter, dataset.WindowWidth, dataset.WindowCenterWidthExplanation = 900, 700, "NORMAL"
    if voi == "lut":
        lut = Dataset()
        lut.LUTDescriptor = [4096, 0, 12]
        lut.add_new("LUTData", "OW", (4095 * np.linspace(0, 1, 4096) ** 2).astype("<u2").tobytes())
        dataset.VOILUTSequence = [lut]
    ramp = np.linspace(0, 4095, shape[0] * shape[1]).reshape(shape).astype("<u2")
    dataset.add_new("PixelData", "OW", ramp.tobytes())
    path = folder / "image.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path, dataset
