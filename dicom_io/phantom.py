"""Phantoms as DICOM: Digital Mammography X-Ray Images For Presentation (PS3.3 §A.26) and their truth as Segmentation.

They come from a manufacturer of their own, "mammo-node phantom", so that a node reads them as it reads any mammogram
(`device.is_ours` knows only a node's own results), and every name in them says that there is no patient. Equal input
gives equal bytes: UIDs are derived and the dates are fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dicom_io.results import codes
from dicom_io.results.seg.frames import add_nominal_geometry, own_dimensions, segments_per_frame
from dicom_io.results.sources import demographics, set_referenced_class, stand_in
from dicom_io.uids import derive_uid
from models.types.mammogram import Laterality
from models.types.reading import FindingKind
from models.types.region import Mask

MANUFACTURER = MODEL = "mammo-node phantom"
VERSION = "1"
"""Raised whenever equal seeds begin to give other pixels; part of every UID."""

_BITS = 12
_TAKEN_ON, _TAKEN_AT = "20000101", "120000"
# As the phantoms lie: chest wall of left breasts on the left, lateral or upper side on top.
_ORIENTATIONS = {
    (Laterality.LEFT, "CC"): ["A", "R"],
    (Laterality.RIGHT, "CC"): ["P", "L"],
    (Laterality.LEFT, "MLO"): ["A", "FR"],
    (Laterality.RIGHT, "MLO"): ["P", "FL"],
}
_SIMULATION = Code("simulation", "99MAMMONODE", "Simulation")


@dataclass(frozen=True)
class PhantomStudy:
    """Whose images these are.

    Attributes:
        patient_id: e.g. "PHANTOM-7-0001".
        source: names all that the pixels follow from (seed, options): other pixels, other UIDs.
    """

    patient_id: str
    source: str

    def uid(self, *parts: str) -> str:
        return derive_uid("phantom", VERSION, self.source, self.patient_id, *parts)


@dataclass(frozen=True, eq=False)
class PhantomView:
    """One image.

    Attributes:
        number: Instance Number.
        pixels: rows × columns, uint16 of 12 bits, dense tissue bright.
        thickness_mm: Body Part Thickness.
    """

    study: PhantomStudy
    number: int
    laterality: Laterality
    view: str
    pixels: NDArray[np.uint16]
    spacing_mm: float
    thickness_mm: float


@dataclass(frozen=True, eq=False)
class TrueSegment:
    """A lesion of the truth; the label is its Segment Label and tells it from the image's others."""

    label: str
    kind: FindingKind
    mask: Mask


def phantom_mammogram(view: PhantomView) -> Dataset:
    """The image with its header."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _describe_study(image, view.study)
    _describe_view(image, view)
    _describe_detector(image, view)
    _describe_pixels(image, view.pixels)
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


def phantom_truth(image: Dataset, segments: Sequence[TrueSegment]) -> Dataset:
    """The lesions of a phantom's image as a BINARY segmentation, a segment a lesion, in the order given.

    Args:
        image: what `phantom_mammogram` made.
        segments: one or more.
    """
    study, instance = image.StudyInstanceUID, image.SOPInstanceUID
    planes = np.stack([segment.mask.full((image.Rows, image.Columns)) for segment in segments], axis=-1)[None]
    seg = Segmentation(
        source_images=[stand_in(image, (image.Rows, image.Columns))],
        pixel_array=planes,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(number, segment, instance) for number, segment in enumerate(segments, start=1)],
        series_instance_uid=derive_uid("phantom truth series", study, instance),
        series_number=100 + int(image.InstanceNumber),
        sop_instance_uid=derive_uid("phantom truth", instance),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=VERSION,
        device_serial_number=VERSION,
        content_label="PHANTOM_TRUTH",
        content_description="Lesions put into the phantom",
        content_creator_name="mammo-node phantom^",
        series_description=f"{image.ImageLaterality} {image.ViewPosition} truth of the phantom",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    del seg.ContributingEquipmentSequence  # highdicom's, with the time of day
    for part in ("InstanceCreation", "Series", "Content"):
        setattr(seg, f"{part}Date", _TAKEN_ON)
        setattr(seg, f"{part}Time", _TAKEN_AT)
    set_referenced_class(seg, image)
    seg.update(demographics(image))
    seg.PatientOrientation = list(image.PatientOrientation)
    own_dimensions(seg, derive_uid("phantom truth dimensions", instance))
    segments_per_frame(seg)
    spacing = float(image.ImagerPixelSpacing[0]), float(image.ImagerPixelSpacing[1])
    add_nominal_geometry(seg, spacing, derive_uid("phantom truth frame of reference", instance))
    return seg


def _segment(number: int, segment: TrueSegment, image_uid: str) -> SegmentDescription:
    return SegmentDescription(
        segment_number=number,
        segment_label=segment.label,
        segmented_property_category=codes.MORPHOLOGICALLY_ABNORMAL,
        segmented_property_type=codes.FINDINGS[segment.kind],
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(name=MODEL, version=VERSION, family=_SIMULATION),
        tracking_uid=derive_uid("phantom lesion", image_uid, str(number)),
        tracking_id=segment.label,
        anatomic_regions=[codes.BREAST],
    )


def _describe_study(image: Dataset, study: PhantomStudy) -> None:
    image.SpecificCharacterSet = "ISO_IR 100"
    image.PatientName = f"PHANTOM^{study.patient_id}"
    image.PatientID = study.patient_id
    image.PatientBirthDate = ""
    image.PatientSex = "F"
    image.PatientComments = "Simulated: there is no such person"
    image.StudyInstanceUID = study.uid("study")
    image.SeriesInstanceUID = study.uid("series")
    image.StudyID = image.AccessionNumber = image.ReferringPhysicianName = ""
    image.StudyDate = image.SeriesDate = image.ContentDate = image.AcquisitionDate = _TAKEN_ON
    image.StudyTime = image.SeriesTime = image.ContentTime = image.AcquisitionTime = _TAKEN_AT
    image.StudyDescription = "Phantom, four views"
    image.SeriesDescription = "Phantom"
    image.SeriesNumber = 1
    image.Modality = "MG"
    image.PresentationIntentType = "FOR PRESENTATION"
    image.Manufacturer, image.ManufacturerModelName = MANUFACTURER, MODEL
    image.SoftwareVersions = VERSION


def _describe_view(image: Dataset, view: PhantomView) -> None:
    image.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    image.SOPInstanceUID = view.study.uid("image", view.laterality, view.view)
    image.InstanceNumber = view.number
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    image.ImageComments = "Simulated phantom, no patient; for tests alone"
    image.BodyPartExamined = image.OrganExposed = "BREAST"
    image.ImageLaterality = view.laterality
    image.ViewPosition = view.view
    image.PatientOrientation = _ORIENTATIONS[view.laterality, view.view]
    image.BodyPartThickness = round(view.thickness_mm, 1)
    image.PositionerType = "MAMMOGRAPHIC"
    image.BreastImplantPresent = image.PartialView = "NO"
    coded = _item(codes.VIEWS[view.view])
    coded.ViewModifierCodeSequence = []
    image.ViewCodeSequence = [coded]
    image.AnatomicRegionSequence = [_item(codes.BREAST)]
    image.AcquisitionContextSequence = []


def _describe_detector(image: Dataset, view: PhantomView) -> None:
    image.DetectorType = "DIRECT"
    image.DetectorID = "phantom"
    image.ImagerPixelSpacing = [view.spacing_mm, view.spacing_mm]
    image.EstimatedRadiographicMagnificationFactor = 1
    image.BurnedInAnnotation = "NO"
    image.LossyImageCompression = "00"


def _describe_pixels(image: Dataset, pixels: NDArray[np.uint16]) -> None:
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, _BITS, _BITS - 1, 0
    # Dense tissue is bright: a higher value is less exposure, and its logarithm.
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.PresentationLUTShape = "IDENTITY"
    full = 1 << _BITS
    image.WindowCenter, image.WindowWidth, image.VOILUTFunction = full // 2, full, "LINEAR"
    image.PixelData = pixels.astype("<u2").tobytes()
    image["PixelData"].VR = "OW"


def _item(concept: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
        concept.value,
        concept.scheme_designator,
        concept.meaning,
    )
    return item
