"""Corrections to highdicom's segmentation of a projection image."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset

from dicom_io.decimals import decimal_string


def own_dimensions(seg: Dataset, dimension_organization_uid: str) -> None:
    """Replaces the random Dimension Organization UID of highdicom."""
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = dimension_organization_uid
    for index in seg.DimensionIndexSequence:
        index.DimensionOrganizationUID = dimension_organization_uid


def segments_per_frame(seg: Dataset) -> None:
    """Moves Segment Identification from the shared to the per-frame functional groups: Weasis reads it only there."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" not in shared:
        return
    for frame in _frames(seg):
        frame.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
    del shared.SegmentIdentificationSequence


def add_nominal_geometry(seg: Dataset, spacing: tuple[float, float], frame_of_reference_uid: str) -> None:
    """Adds a plane in space, which a projection image does not have: OHIF does not show a SEG without one.

    The frame of reference is the SEG's own, so that the plane is not taken for a position in the patient.

    Args:
        spacing: of rows and of columns in mm.
    """
    measures = Dataset()
    measures.PixelSpacing = [decimal_string(distance) for distance in spacing]
    measures.SliceThickness = 1
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = seg.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    for frame in _frames(seg):
        position = Dataset()
        position.ImagePositionPatient = [0, 0, 0]
        frame.PlanePositionSequence = [position]
    seg.FrameOfReferenceUID = frame_of_reference_uid
    seg.PositionReferenceIndicator = ""


def _frames(seg: Dataset) -> Iterator[Dataset]:
    yield from seg.PerFrameFunctionalGroupsSequence
