"""What highdicom leaves to be mended in a segmentation of a projection image."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset

from dicom_io.decimals import decimal_string


def own_dimensions(seg: Dataset, dimension_organization_uid: str) -> None:
    """Replaces the UID that highdicom draws at random."""
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = dimension_organization_uid
    for index in seg.DimensionIndexSequence:
        index.DimensionOrganizationUID = dimension_organization_uid


def segments_per_frame(seg: Dataset) -> None:
    """Names each frame's segment in the frame's own groups: some viewers (Weasis) look there only."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" not in shared:
        return
    for frame in _frames(seg):
        frame.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
    del shared.SegmentIdentificationSequence


def add_nominal_geometry(seg: Dataset, spacing: tuple[float, float], frame_of_reference_uid: str) -> None:
    """A plane in space for an image that has none: viewers (OHIF) do not show a SEG without one.

    The frame of reference is the SEG's own, so that nobody takes the plane for the patient's.
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
