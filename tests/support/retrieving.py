"""A study at a PACS for tests of retrieval."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from transfer_syntaxes import encode

from dicom_io.uids import derive_uid

MG = DigitalMammographyXRayImageStorageForPresentation
STUDY = UID("1.2.826.0.1.3680043.8.498.77")
SYNTAXES = (ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless)
NODE = "PULLING"


def an_image(number: int, syntax: str) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = MG
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(derive_uid(STUDY, str(number)))
    image.StudyInstanceUID = STUDY
    image.SeriesInstanceUID = derive_uid(STUDY, "series", str(number // 2))
    image.PatientID, image.PatientName, image.AccessionNumber = "SECRET-7", "Nobody", "ACC-1"
    image.Modality = "MG"
    image.Rows = image.Columns = 64
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = np.random.default_rng(number).integers(0, 4096, (64, 64), np.uint16).tobytes()
    return image if syntax == ExplicitVRLittleEndian else encode(image, syntax)
