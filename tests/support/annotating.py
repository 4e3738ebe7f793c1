"""An expert with a viewer: segmentations as other software writes them."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from road import Road

from node.annotations.compared import Comparison, compare
from node.annotations.truth import Annotations, read_annotations
from node.store.database import read_only

IMAGE = "1.2.3.1"
OTHER_IMAGE = "1.2.3.2"


def disc(shape: tuple[int, int], row: int, column: int, radius: int) -> NDArray[np.bool_]:
    """A filled circle in an image of this shape."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    inside: NDArray[np.bool_] = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return inside


def mammogram_header(shape: tuple[int, int], sop_instance_uid: str = IMAGE) -> Dataset:
    """The attributes of a mammogram that a segmentation copies."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    image.SOPInstanceUID = sop_instance_uid
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.9"
    image.PatientID, image.PatientName = "ONE", "First^Name"
    image.PatientBirthDate, image.PatientSex = "19600101", "F"
    image.Modality = "MG"
    image.AccessionNumber = image.StudyDate = image.StudyTime = image.StudyID = ""
    image.Rows, image.Columns = shape
    return image


def segmentation(
    drawn: Mapping[str, NDArray[Any]],
    source: Dataset | None = None,
    kind: SegmentationTypeValues = SegmentationTypeValues.BINARY,
    algorithm: SegmentAlgorithmTypeValues = SegmentAlgorithmTypeValues.MANUAL,
    algorithm_name: str = "",
    **changes: object,
) -> Dataset:
    """A SEG by another maker's viewer, a segment for each label; "calc" in a label makes it a calcification cluster.

    Args:
        drawn: by label the pixels, rows × columns: bool, or 0..1 for FRACTIONAL.
        source: the image's header; a made-up one of the masks' shape where it is left out.
        changes: attributes by keyword, set at the end; None removes one.
    """
    planes = np.stack(list(drawn.values()), axis=-1)[np.newaxis]
    header = _stand_in(source) if source is not None else mammogram_header(planes.shape[1:3])
    seg: Dataset = Segmentation(
        source_images=[header],
        pixel_array=planes if kind is SegmentationTypeValues.FRACTIONAL else planes.astype(np.uint8),
        segmentation_type=kind,
        segment_descriptions=[
            _described(number, label, algorithm, algorithm_name) for number, label in enumerate(drawn, start=1)
        ],
        series_instance_uid=generate_uid(),
        series_number=300,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Viewer Inc.",
        manufacturer_model_name="Viewer",
        software_versions="1",
        device_serial_number="1",
        content_creator_name="Expert^Anna",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        max_fractional_value=200 if kind is SegmentationTypeValues.FRACTIONAL else 255,
    )
    shared = seg.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" in shared:  # of a single segment: tests change it by frame
        for frame in seg.PerFrameFunctionalGroupsSequence:
            frame.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
        del shared.SegmentIdentificationSequence
    for keyword, value in changes.items():
        if value is None:
            delattr(seg, keyword)
        else:
            setattr(seg, keyword, value)
    seg.file_meta.MediaStorageSOPInstanceUID = seg.SOPInstanceUID
    stored = BytesIO()
    seg.save_as(stored)
    stored.seek(0)
    return dcmread(stored)


def _described(number: int, label: str, algorithm: SegmentAlgorithmTypeValues, name: str) -> SegmentDescription:
    family = codes.DCM.ArtificialIntelligence
    return SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.CalcificationCluster if "calc" in label else codes.SCT.Mass,
        algorithm_type=algorithm,
        algorithm_identification=AlgorithmIdentificationSequence(name, family, "1") if name else None,
    )


def _stand_in(source: Dataset) -> Dataset:
    header = mammogram_header((source.Rows, source.Columns), source.SOPInstanceUID)
    for keyword in (
        "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "PatientBirthDate",
        "PatientSex", "AccessionNumber", "StudyDate", "StudyTime", "StudyID", "Modality",
    ):  # fmt: skip
        setattr(header, keyword, source.get(keyword, ""))
    return header


def edited(seg: Dataset, original: Dataset) -> Dataset:
    """The segmentation as an edited version of another, which it names as its predecessor, as OHIF does."""
    sop, series, document = Dataset(), Dataset(), Dataset()
    sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID = original.SOPClassUID, original.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = original.SeriesInstanceUID, [sop]
    document.StudyInstanceUID, document.ReferencedSeriesSequence = original.StudyInstanceUID, [series]
    seg.PredecessorDocumentsSequence = [document]
    return seg


def emptied(seg: Dataset) -> Dataset:
    """The segmentation without any segment and frame."""
    seg.SegmentSequence = []
    seg.NumberOfFrames = 0
    del seg.PerFrameFunctionalGroupsSequence
    del seg.PixelData
    return seg


def proposals(road: Road) -> dict[str, Dataset]:
    """The node's segmentations of the newest revision, by image."""
    return {
        seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID: seg
        for seg in road.results("SEG", road.study().revision)
    }


def proposed_mass(road: Road, image: Dataset) -> NDArray[np.bool_]:
    """The single lesion that the node proposed in an image."""
    mask: NDArray[np.bool_] = (
        proposals(road)[image.SOPInstanceUID].pixel_array.astype(bool).reshape(image.Rows, image.Columns)
    )
    return mask


def annotations_of(road: Road) -> Annotations:
    """The node's view of the experts' segmentations."""
    with read_only(road.sessions) as session:
        return read_annotations(session, road.data_dir)


def comparisons_of(road: Road) -> list[Comparison]:
    """Each corrected image compared with the node's proposals."""
    return [compare(image, road.data_dir) for image in annotations_of(road).images]


def smaller_proposal(road: Road, image: Dataset) -> np.ndarray:
    """The proposal without its upper half."""
    mask = proposed_mass(road, image).copy()
    mask[: image.Rows // 2 - image.Rows // 12] = False
    return mask
