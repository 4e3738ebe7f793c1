"""Which segmentations count as a correction by an expert, and which are stored and not used."""

from __future__ import annotations

import numpy as np
import pytest
from annotating import (
    annotations_of,
    comparisons_of,
    disc,
    edited,
    emptied,
    mammogram_header,
    proposals,
    segmentation,
    smaller_proposal,
)
from highdicom.seg import SegmentAlgorithmTypeValues
from pydicom import Dataset
from pydicom.uid import generate_uid
from road import Road

from dicom_io.network.answers import Status
from node.annotations.truth import (
    BY_A_MACHINE,
    EMPTY_BY_NOBODY,
    IN_QUARANTINE,
    NO_IMAGE_HERE,
    NO_IMAGE_NAMED,
    OTHER_PATIENT,
    UNCHANGED_COPY,
)
from node.store.states import StudyState

pytestmark = pytest.mark.slow


def test_a_segmentation_of_an_unknown_image_is_kept_and_reported(reported: Road, images: list[Dataset]):
    stranger = segmentation({"mass": disc((60, 50), 30, 20, 9)}, StudyInstanceUID=images[0].StudyInstanceUID)
    stranger.PatientID, stranger.PatientBirthDate = images[0].PatientID, images[0].PatientBirthDate
    assert reported.receive(stranger)[0].status == Status.SUCCESS
    found = annotations_of(reported)
    assert found.images == ()
    assert [entry.why for entry in found.not_counted] == [NO_IMAGE_HERE]
    assert reported.study().state is StudyState.REPORTED


def test_frames_that_may_belong_to_either_image_do_not_count(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": smaller_proposal(reported, images[0])}, images[0])
    del seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence
    other = Dataset()
    other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = images[1].SOPClassUID, images[1].SOPInstanceUID
    seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence.append(other)
    reported.receive(seg)
    assert [entry.why for entry in annotations_of(reported).not_counted] == [NO_IMAGE_NAMED]


def test_another_patients_segmentation_in_the_study_puts_it_into_quarantine(reported: Road, images: list[Dataset]):
    reported.receive(segmentation({"mass": smaller_proposal(reported, images[0])}, images[0], PatientID="SOMEBODY"))
    assert reported.study().state is StudyState.QUARANTINED
    assert [entry.why for entry in annotations_of(reported).not_counted] == [OTHER_PATIENT]
    reported.receive(segmentation({"mass": smaller_proposal(reported, images[1])}, images[1]))
    assert [entry.why for entry in annotations_of(reported).not_counted] == [OTHER_PATIENT, IN_QUARANTINE]


def test_another_patients_segmentation_from_another_study_does_not_count(reported: Road, images: list[Dataset]):
    reported.receive(
        segmentation(
            {"mass": smaller_proposal(reported, images[0])},
            images[0],
            PatientID="SOMEBODY",
            StudyInstanceUID=generate_uid(),
        )
    )
    assert [entry.why for entry in annotations_of(reported).not_counted] == [OTHER_PATIENT]


def test_a_segmentation_by_another_algorithm_does_not_count(reported: Road, images: list[Dataset]):
    automatic = SegmentAlgorithmTypeValues.AUTOMATIC
    mask = smaller_proposal(reported, images[0])
    reported.receive(segmentation({"mass": mask}, images[0], algorithm=automatic, algorithm_name="Other CAD"))
    assert [entry.why for entry in annotations_of(reported).not_counted] == [BY_A_MACHINE]
    # Viewers may keep the type of a segment: the node's stays "automatic" after a person edited it.
    mask = smaller_proposal(reported, images[1])
    reported.receive(segmentation({"mass": mask}, images[1], algorithm=automatic, algorithm_name="test"))
    assert len(annotations_of(reported).images) == 1


def test_an_unchanged_segmentation_of_the_node_under_another_uid_and_manufacturer_does_not_count(
    reported: Road, images: list[Dataset]
):
    """As a gateway or router sends it again under new identifiers: no person has edited it."""
    copies = list(proposals(reported).values())
    for copy in copies:
        copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        copy.Manufacturer = "Gateway Ltd"
    del copies[1].ContentCreatorName
    reported.receive(*copies)
    found = annotations_of(reported)
    assert found.images == ()
    assert {entry.why for entry in found.not_counted} == {UNCHANGED_COPY}


def test_a_segmentation_of_the_node_that_a_person_saved_again_counts_as_confirmed(
    reported: Road, images: list[Dataset]
):
    """A viewer may leave segments "automatic": then a name, or the edited segmentation, shows that a person edited."""
    named, unnamed = (proposals(reported)[image.SOPInstanceUID] for image in images[:2])
    original = proposals(reported)[images[1].SOPInstanceUID]
    for seg in (named, unnamed):
        seg.SOPInstanceUID = seg.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        seg.Manufacturer = "Unspecified"
    named.ContentCreatorName = "Expert^Anna"
    del unnamed.ContentCreatorName
    reported.receive(named, edited(unnamed, original))
    assert [image.creator for image in annotations_of(reported).images] == ["Expert^Anna", ""]


def test_an_empty_segmentation_by_another_algorithm_does_not_count(reported: Road, images: list[Dataset]):
    seg = emptied(segmentation({"mass": smaller_proposal(reported, images[0])}, images[0], ContentCreatorName=""))
    reported.receive(seg)
    found = annotations_of(reported)
    assert found.images == ()
    assert [entry.why for entry in found.not_counted] == [EMPTY_BY_NOBODY]


def test_an_empty_segmentation_counts_if_made_by_a_person_or_from_a_result_of_the_node(
    reported: Road, images: list[Dataset]
):
    ours = proposals(reported)
    segs = [
        emptied(segmentation({"mass": smaller_proposal(reported, image)}, image, ContentCreatorName=""))
        for image in images[:3]
    ]
    edited(segs[0], ours[images[0].SOPInstanceUID])
    segs[1].SeriesInstanceUID = ours[images[1].SOPInstanceUID].SeriesInstanceUID
    segs[2].ContentCreatorName = "Expert^Anna"
    nothing = np.zeros((images[3].Rows, images[3].Columns), dtype=bool)
    reported.receive(*segs, segmentation({"mass": nothing}, images[3], ContentCreatorName=""))  # MANUAL: by a person
    assert [len(entry.removed) for entry in comparisons_of(reported)] == [1, 1, 1, 1]


def test_if_the_newest_segmentation_cannot_be_read_the_one_before_it_counts(reported: Road, images: list[Dataset]):
    reported.receive(segmentation({"mass": smaller_proposal(reported, images[0])}, images[0]))
    reported.clock.seconds += 60
    cropped = segmentation(
        {"mass": disc((90, 70), 40, 30, 12)}, mammogram_header((90, 70), images[0].SOPInstanceUID), ContentDate=None
    )
    cropped.StudyInstanceUID, cropped.PatientID = images[0].StudyInstanceUID, images[0].PatientID
    cropped.PatientBirthDate, cropped.ContentCreatorName = images[0].PatientBirthDate, "Expert^Berta"
    del cropped.InstanceCreationDate
    reported.receive(cropped)
    found = annotations_of(reported)
    (image,) = found.images
    assert (image.creator, image.earlier) == ("Expert^Anna", 0)
    ((entry),) = found.not_counted
    assert (entry.annotation_id, entry.image_id) == (2, image.image_id)
    assert "90 × 70 pixels" in entry.why
