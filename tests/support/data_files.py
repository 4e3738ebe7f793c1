"""DICOM images as data sets contain them, with only the attributes that a reader of pixels needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


def write_dicom(path: Path, pixels: NDArray[np.generic]) -> str:
    """Writes a grey image (8 bits of uint8, else 16) and returns its SOP Instance UID."""
    bits = 8 if pixels.dtype == np.uint8 else 16
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.SOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    image.Modality, image.BodyPartExamined = "MG", "BREAST"
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = bits
    image.HighBit, image.PixelRepresentation = bits - 1, 0
    image.PixelData = pixels.astype(np.uint8 if bits == 8 else np.uint16).tobytes()
    image["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)
    return str(image.SOPInstanceUID)
