"""Which attributes of a header decide how its image is read, and what is said about it."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.uid import UID

from dicom_io.attributes import items, text, values

_OF_THE_CODEC = frozenset({"BitsAllocated", "HighBit", "PhotometricInterpretation", "PlanarConfiguration"})
"""They may change with the transfer syntax, without another decoded value."""

DECIDE_THE_READING = _OF_THE_CODEC | {
    "AnatomicRegionModifierSequence", "AnatomicRegionSequence", "BitsStored", "BodyPartExamined",
    "BreastImplantPresent", "CodeMeaning", "CodeValue", "Columns", "ContainerComponentSequence", "ContainerIdentifier",
    "ContainerTypeCodeSequence", "ConversionType", "DetectorType", "DistanceSourceToDetector",
    "DistanceSourceToPatient",
    "EstimatedRadiographicMagnificationFactor", "FieldOfViewHorizontalFlip", "FrameAnatomySequence", "FrameLaterality",
    "FrameType", "FrameVOILUTSequence", "ImageLaterality", "ImageType", "ImagerPixelSpacing", "LUTData",
    "LUTDescriptor", "Laterality", "Modality", "ModalityLUTSequence", "NominalScannedPixelSpacing", "NumberOfFrames",
    "PartialView", "PartialViewCodeSequence", "PartialViewDescription", "PatientOrientation",
    "PerFrameFunctionalGroupsSequence", "PixelAspectRatio", "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign", "PixelMeasuresSequence", "PixelPaddingRangeLimit", "PixelPaddingValue",
    "PixelRepresentation", "PixelSpacing", "PixelSpacingCalibrationType", "PixelValueTransformationSequence",
    "PresentationIntentType", "PresentationLUTShape", "QualityControlImage", "QualityControlSubject",
    "RescaleIntercept", "RescaleSlope", "Rows", "SOPClassUID", "SamplesPerPixel", "SharedFunctionalGroupsSequence",
    "SpecimenAccessionNumber", "SpecimenDescriptionSequence", "SpecimenIdentifier", "SpecimenSequence",
    "SpecimenTypeCodeSequence", "SpecimenUID", "VOILUTFunction", "VOILUTSequence", "ViewCodeSequence",
    "ViewModifierCodeSequence", "ViewPosition", "WindowCenter", "WindowWidth", "XRay3DFrameTypeSequence",
}  # fmt: skip
"""Keywords of every attribute by which `mammogram.read_mammogram` and what it calls decide something. A test finds all
keywords in their source, and holds them to be here or in OTHERWISE_USED."""

OTHERWISE_USED = frozenset({
    "AccessionNumber", "AcquisitionDate", "AcquisitionDateTime", "AcquisitionNumber", "AcquisitionTime",
    "AcquisitionUID", "CodingSchemeDesignator", "ContributingEquipmentSequence", "DeviceSerialNumber", "DeviceUID",
    "DoubleFloatPixelData", "FloatPixelData", "InstitutionName", "IrradiationEventUID", "IssuerOfPatientID",
    "Manufacturer", "ManufacturerModelName", "MediaStorageSOPClassUID", "PatientBirthDate", "PatientID", "PatientName",
    "PerformedProcedureStepDescription", "PixelData", "ProcedureCodeSequence", "PurposeOfReferenceCodeSequence",
    "ReferencedSOPInstanceUID", "RequestAttributesSequence", "RequestedProcedureCodeSequence",
    "RequestedProcedureDescription", "RequestedProcedurePriority", "SOPInstanceUID", "SeriesInstanceUID",
    "SoftwareVersions", "SourceImageSequence", "StationName", "StudyDate", "StudyDescription", "StudyInstanceUID",
    "TransferSyntaxUID",
})  # fmt: skip
"""Keywords in the same source that decide no reading: who the patient is, the order, the devices, and the pixels, which
are compared apart. Of the name only whether it can be decoded is said in a reading."""


def reads_otherwise(old: Dataset, new: Dataset) -> bool:
    """Whether the image may be read otherwise with the new header than with the old one, or the reading's remarks
    differ; the pixels are the same.

    Both are data sets of files, with their file meta information.
    """
    apart = frozenset() if _transfer_syntax(old) == _transfer_syntax(new) else _OF_THE_CODEC
    return _inputs(old, apart) != _inputs(new, apart)


def _inputs(dataset: Dataset, apart: frozenset[str]) -> list[object]:
    return [_stated(dataset, DECIDE_THE_READING - apart), "\N{REPLACEMENT CHARACTER}" in text(dataset, "PatientName")]


def _stated(dataset: Dataset, keywords: frozenset[str]) -> dict[str, object]:
    """The values of the keywords as the reading sees them (attributes.py), also within sequences."""
    found: dict[str, object] = {}
    for keyword in keywords:
        if keyword not in dataset:
            continue
        if within := items(dataset, keyword):
            found[keyword] = [_stated(item, keywords) for item in within]
        elif stated := values(dataset, keyword):
            found[keyword] = [value if isinstance(value, bytes) else str(value) for value in stated]
    return found


def _transfer_syntax(dataset: Dataset) -> UID:
    return UID(text(dataset.file_meta, "TransferSyntaxUID"))
