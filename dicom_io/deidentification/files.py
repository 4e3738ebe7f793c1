"""Writes de-identified copies of images and of an expert's segmentations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_io.attributes import code, items, number, text
from dicom_io.deidentification.attributes import table
from dicom_io.deidentification.cleaning import Anonymity, cleaned
from dicom_io.errors import NotReadable
from dicom_io.pixels.decoding import read_dataset, stored_values
from dicom_io.pixels.intact import read_as_stored
from dicom_io.segmentations import of_one_image


class KeptBack(NotReadable):
    """A file is left out on purpose: what is burnt into its pixels may name the patient."""


def write_image(source: Path, target: Path, how: Anonymity, max_pixels: int) -> tuple[int, int]:
    """Writes an image without identity, uncompressed; returns its rows and columns.

    The pixels are decoded and written anew, so that nothing else of the file's bytes goes with them: comments of
    codestreams, bits outside the stored bits, and what lies behind the pixels. What is burnt into the image stays.

    Raises:
        KeptBack: the header says that annotations are burnt in, or it is a secondary capture.
        NotReadable: it cannot be read or cleaned.
        OSError, MemoryError: a fault of the machine.
    """
    dataset = read_dataset(source, max_pixels)
    if why := _may_show_the_patient(dataset):
        raise KeptBack(why)
    values = stored_values(dataset).values
    if values.ndim != 2:
        raise NotReadable("The image is in colour, which no mammogram is.")
    clean = cleaned(dataset, how, table())
    _put_pixels(clean, values)
    _save(clean, target)
    return int(clean.Rows), int(clean.Columns)


def write_segmentation(source: Path, image_uid: str, target: Path, how: Anonymity) -> None:
    """Writes the frames of a segmentation that belong to one image, without identity, uncompressed. Labels, which are
    free text, become "Segment 1" and so on.

    Raises:
        NotReadable: it cannot be read or cleaned.
        OSError, MemoryError: a fault of the machine.
    """
    part = of_one_image(read_as_stored(source), image_uid)
    clean = cleaned(part, how, table())
    for segment in items(clean, "SegmentSequence"):
        name = f"Segment {text(segment, 'SegmentNumber')}"
        segment.SegmentLabel = name
        if "TrackingID" in segment:
            segment.TrackingID = name
    clean.ContentLabel = "SEGMENTATION"
    _save(clean, target)


def _may_show_the_patient(dataset: Dataset) -> str:
    if code(dataset, "BurnedInAnnotation") == "YES":
        return "its header says that annotations are burnt in"
    if text(dataset, "SOPClassUID") == SecondaryCaptureImageStorage:
        return "it is a secondary capture, into which names are often burnt"
    return ""


def _put_pixels(clean: Dataset, values: NDArray[Any]) -> None:
    """Stores the values as the header says, in the lowest bits, with nothing in the others but the sign."""
    allocated, stored = int(number(clean, "BitsAllocated") or 0), int(number(clean, "BitsStored") or 0)
    bits = values.astype(np.int64) & ((1 << stored) - 1)
    if number(clean, "PixelRepresentation") == 1:
        bits = np.where(bits >> (stored - 1), bits - (1 << stored), bits)
    whole = (bits & ((1 << allocated) - 1)).astype(f"<u{allocated // 8}").tobytes()
    clean.HighBit = stored - 1
    clean.add_new("PixelData", "OB" if allocated == 8 else "OW", whole + b"\0" * (len(whole) % 2))


def _save(clean: Dataset, target: Path) -> None:
    """Raises NotReadable if a value cannot be written."""
    clean.file_meta = FileMetaDataset()
    clean.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    try:
        clean.save_as(target, enforce_file_format=True, implicit_vr=False, little_endian=True)
    except OSError:
        raise
    except Exception as cause:  # of a malformed value pydicom can raise anything
        raise NotReadable("The header has a value that cannot be written.") from cause
