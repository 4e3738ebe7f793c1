"""An expert's segmentation is stored as the truth, and never read as an image or as a result of the node."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

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
    proposed_mass,
    segmentation,
)
from highdicom.seg import SegmentAlgorithmTypeValues
from pydicom import Dataset
from pydicom.uid import generate_uid
from readings import DEVICE
from road import Road, changed
from sqlalchemy import select

from dicom_io.device import contributing_equipment
from dicom_io.network.answers import Status
from models.types.reading import BundleId
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
from node.store.tables import Annotation

pytestmark = pytest.mark.slow


def _smaller(road: Road, image: Dataset) -> np.ndarray:
    """The proposal without its upper half."""
    mask = proposed_mass(road, image).copy()
    mask[: image.Rows // 2 - image.Rows // 12] = False
    return mask


def _rows(road: Road) -> list[Annotation]:
    with road.sessions.begin() as session:
        return list(session.scalars(select(Annotation)))


def test_a_corrected_segmentation_is_the_truth_of_its_image(reported: Road, images: list[Dataset]):
    drawn = _smaller(reported, images[0])
    seg = segmentation({"R CC mass 1": drawn}, images[0], ContentDate="20231115", ContentTime="101500")
    seg.TimezoneOffsetFromUTC = "+0100"
    (answer,) = reported.receive(seg, sender="ORTHANC")
    assert answer.status == Status.SUCCESS
    (image,) = annotations_of(reported).images
    assert image.image_uid == images[0].SOPInstanceUID
    assert (image.creator, image.source, image.revision, image.earlier) == ("Expert^Anna", "ORTHANC", 1, 0)
    assert image.created_at == datetime(2023, 11, 15, 9, 15, tzinfo=UTC).timestamp()
    assert image.received_at == reported.clock()
    (comparison,) = comparisons_of(reported)
    (pair,) = comparison.kept
    whole = proposed_mass(reported, images[0])
    assert np.array_equal(pair.drawn.mask.full(drawn.shape), drawn)
    assert pair.dice == pytest.approx(2 * drawn.sum() / (drawn.sum() + whole.sum()))
    assert (comparison.added, comparison.removed) == ((), ())


def test_a_correction_opens_no_revision_and_is_not_read(reported: Road, images: list[Dataset]):
    jobs, deliveries = len(reported.jobs()), len(reported.deliveries())
    reported.receive(segmentation({"mass": _smaller(reported, images[0])}, images[0]))
    reported.read()
    reported.close(after_s=3600)
    reported.report()
    assert (reported.study().state, reported.study().revision) == (StudyState.REPORTED, 1)
    assert (len(reported.jobs()), len(reported.deliveries())) == (jobs, deliveries)


def test_a_segmentation_of_the_node_is_never_a_correction(reported: Road):
    for seg in proposals(reported).values():
        assert reported.receive(seg)[0].status == Status.SUCCESS
    assert _rows(reported) == []


def test_a_segmentation_with_the_uid_or_manufacturer_of_the_node_is_no_correction(
    reported: Road, images: list[Dataset], caplog: pytest.LogCaptureFixture
):
    ours = proposals(reported)[images[0].SOPInstanceUID]
    same_uid = segmentation({"mass": _smaller(reported, images[0])}, images[0], SOPInstanceUID=ours.SOPInstanceUID)
    our_name = segmentation(
        {"mass": _smaller(reported, images[0])},
        images[0],
        Manufacturer="mammo-node",
        ManufacturerModelName="mammo-node",
    )
    with caplog.at_level(logging.INFO):
        reported.receive(same_uid, our_name)
    assert _rows(reported) == []
    assert "the viewer must write its own Manufacturer" in caplog.text
    assert f"study {reported.study().id}: a segmentation with Manufacturer mammo-node" in caplog.text
    assert images[0].PatientID not in caplog.text


def test_a_correction_with_the_node_as_contributing_equipment_is_accepted(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": _smaller(reported, images[0])}, images[0])
    seg.ContributingEquipmentSequence = [contributing_equipment(DEVICE, BundleId("test", "1"))]
    reported.receive(seg)
    assert len(annotations_of(reported).images) == 1


def test_the_same_segmentation_sent_twice_is_a_single_annotation(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": _smaller(reported, images[0])}, images[0])
    assert [answer.status for answer in reported.receive(seg, seg)] == [Status.SUCCESS] * 2
    assert len(_rows(reported)) == 1


def test_a_corrected_header_brings_the_annotation_up_to_date(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": _smaller(reported, images[0])}, images[0])
    reported.receive(seg)
    seg.ContentCreatorName = "Expert^Berta"
    reported.receive(seg)
    (image,) = annotations_of(reported).images
    assert (image.creator, image.earlier) == ("Expert^Berta", 0)
    assert image.correction_path.endswith("_2.dcm")


def test_of_several_corrections_the_newest_counts_and_all_are_kept(reported: Road, images: list[Dataset]):
    whole, smaller = proposed_mass(reported, images[0]), _smaller(reported, images[0])
    newest = segmentation({"mass": smaller}, images[0], ContentDate="20231114", ContentTime="120000")
    oldest = segmentation({"mass": whole}, images[0], ContentDate="20231113", ContentTime="120000")
    oldest.ContentCreatorName = "Expert^Berta"
    reported.receive(newest, oldest)  # a PACS may send them in any order
    (image,) = annotations_of(reported).images
    assert (image.creator, image.earlier) == ("Expert^Anna", 1)
    reported.clock.seconds += 60
    reported.receive(segmentation({"mass": whole}, images[0], ContentDate="20990101", ContentTime="000000"))
    reported.clock.seconds += 60
    last = segmentation({"mass": smaller}, images[0], ContentDate=None, ContentTime=None, InstanceCreationDate=None)
    last.ContentCreatorName = "Expert^Clara"
    reported.receive(last)
    (image,) = annotations_of(reported).images
    assert (image.creator, image.earlier) == ("Expert^Clara", 3), "a clock that runs ahead does not win for ever"


def test_a_segmentation_without_pixels_is_a_correction_without_lesions(reported: Road, images: list[Dataset]):
    nothing = np.zeros((images[0].Rows, images[0].Columns), dtype=bool)
    reported.receive(segmentation({"mass": nothing}, images[0]))
    (comparison,) = comparisons_of(reported)
    assert (comparison.drawn, comparison.kept, comparison.added) == ((), (), ())
    assert [segment.label for segment in comparison.removed] == [_label(reported, images[0])]


def test_a_segmentation_without_any_frame_is_a_correction_without_lesions(reported: Road, images: list[Dataset]):
    seg = emptied(segmentation({"mass": proposed_mass(reported, images[1])}, images[1]))
    assert reported.receive(seg)[0].status == Status.SUCCESS
    (comparison,) = comparisons_of(reported)
    assert len(comparison.removed) == 1
    assert comparison.drawn == ()


def test_a_segmentation_whose_pixel_data_are_missing_is_refused(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": proposed_mass(reported, images[1])}, images[1])
    del seg.PixelData
    assert reported.receive(seg)[0].status == Status.TRUNCATED


def test_added_removed_and_kept_lesions_are_distinguished(reported: Road, images: list[Dataset]):
    corner, other = (disc((image.Rows, image.Columns), 20, 20, 9) for image in images[:2])
    both = segmentation({"mass": proposed_mass(reported, images[0]), "calc": corner}, images[0])
    reported.receive(both, segmentation({"mass": other}, images[1]))
    first, second = comparisons_of(reported)
    assert [pair.dice for pair in first.kept] == [1.0]
    assert [segment.label for segment in first.added] == ["calc"]
    assert (len(second.kept), len(second.added), len(second.removed)) == (0, 1, 1)


def test_a_segmentation_of_several_images_is_accepted(reported: Road, images: list[Dataset], mammogram_study):
    other = changed(mammogram_study.files[0], SOPInstanceUID=generate_uid())
    reported.all_of_it(other)
    seg = segmentation(
        {"mass": proposed_mass(reported, images[0]), "mass 2": proposed_mass(reported, other)}, images[0]
    )
    frame = seg.PerFrameFunctionalGroupsSequence[1]
    frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = other.SOPInstanceUID
    reported.receive(seg)
    assert [[pair.dice for pair in entry.kept] for entry in comparisons_of(reported)] == [[1.0], [1.0]]


def test_a_segmentation_received_before_its_images_is_accepted(road: Road, images: list[Dataset], mammogram_study):
    whole = np.zeros((images[0].Rows, images[0].Columns), dtype=bool)
    whole[100:200, 100:200] = True
    road.receive(segmentation({"mass": whole}, images[0]))
    assert [entry.why for entry in annotations_of(road).not_counted] == [NO_IMAGE_HERE]
    road.clock.seconds += 3600
    road.all_of_it(*mammogram_study.files)
    (image,) = annotations_of(road).images
    assert image.revision is None, "nothing had been proposed when it came"
    (comparison,) = comparisons_of(road)
    assert len(comparison.drawn) == 1
    assert (comparison.added, comparison.removed) == ((), ())


def test_a_segmentation_that_names_its_source_segmentation_corrects_that_revision(
    reported: Road, images: list[Dataset], mammogram_study
):
    ours = proposals(reported)[images[0].SOPInstanceUID]
    reported.all_of_it(changed(mammogram_study.files[0], SOPInstanceUID=generate_uid()))
    assert reported.study().revision == 2
    seg = segmentation({"mass": _smaller(reported, images[0])}, images[0])
    edited(seg, ours)
    reported.clock.seconds += 60
    reported.receive(seg, segmentation({"mass": _smaller(reported, images[1])}, images[1]))
    assert {image.image_uid: image.revision for image in annotations_of(reported).images} == {
        images[0].SOPInstanceUID: 1,
        images[1].SOPInstanceUID: 2,
    }


def test_a_segmentation_of_an_unknown_image_is_kept_and_reported(reported: Road, images: list[Dataset]):
    stranger = segmentation({"mass": disc((60, 50), 30, 20, 9)}, StudyInstanceUID=images[0].StudyInstanceUID)
    stranger.PatientID, stranger.PatientBirthDate = images[0].PatientID, images[0].PatientBirthDate
    assert reported.receive(stranger)[0].status == Status.SUCCESS
    found = annotations_of(reported)
    assert found.images == ()
    assert [entry.why for entry in found.not_counted] == [NO_IMAGE_HERE]
    assert reported.study().state is StudyState.REPORTED


def test_frames_that_may_belong_to_either_image_do_not_count(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": _smaller(reported, images[0])}, images[0])
    del seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence
    other = Dataset()
    other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = images[1].SOPClassUID, images[1].SOPInstanceUID
    seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence.append(other)
    reported.receive(seg)
    assert [entry.why for entry in annotations_of(reported).not_counted] == [NO_IMAGE_NAMED]


def test_another_patients_segmentation_in_the_study_puts_it_into_quarantine(reported: Road, images: list[Dataset]):
    reported.receive(segmentation({"mass": _smaller(reported, images[0])}, images[0], PatientID="SOMEBODY"))
    assert reported.study().state is StudyState.QUARANTINED
    assert [entry.why for entry in annotations_of(reported).not_counted] == [OTHER_PATIENT]
    reported.receive(segmentation({"mass": _smaller(reported, images[1])}, images[1]))
    assert [entry.why for entry in annotations_of(reported).not_counted] == [OTHER_PATIENT, IN_QUARANTINE]


def test_another_patients_segmentation_from_another_study_does_not_count(reported: Road, images: list[Dataset]):
    reported.receive(
        segmentation(
            {"mass": _smaller(reported, images[0])}, images[0], PatientID="SOMEBODY", StudyInstanceUID=generate_uid()
        )
    )
    assert [entry.why for entry in annotations_of(reported).not_counted] == [OTHER_PATIENT]


def test_a_segmentation_by_another_algorithm_does_not_count(reported: Road, images: list[Dataset]):
    automatic = SegmentAlgorithmTypeValues.AUTOMATIC
    mask = _smaller(reported, images[0])
    reported.receive(segmentation({"mass": mask}, images[0], algorithm=automatic, algorithm_name="Other CAD"))
    assert [entry.why for entry in annotations_of(reported).not_counted] == [BY_A_MACHINE]
    # Viewers may keep the type of a segment: the node's stays "automatic" after a person edited it.
    mask = _smaller(reported, images[1])
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
    seg = emptied(segmentation({"mass": _smaller(reported, images[0])}, images[0], ContentCreatorName=""))
    reported.receive(seg)
    found = annotations_of(reported)
    assert found.images == ()
    assert [entry.why for entry in found.not_counted] == [EMPTY_BY_NOBODY]


def test_an_empty_segmentation_counts_if_made_by_a_person_or_from_a_result_of_the_node(
    reported: Road, images: list[Dataset]
):
    ours = proposals(reported)
    segs = [
        emptied(segmentation({"mass": _smaller(reported, image)}, image, ContentCreatorName="")) for image in images[:3]
    ]
    edited(segs[0], ours[images[0].SOPInstanceUID])
    segs[1].SeriesInstanceUID = ours[images[1].SOPInstanceUID].SeriesInstanceUID
    segs[2].ContentCreatorName = "Expert^Anna"
    nothing = np.zeros((images[3].Rows, images[3].Columns), dtype=bool)
    reported.receive(*segs, segmentation({"mass": nothing}, images[3], ContentCreatorName=""))  # MANUAL: by a person
    assert [len(entry.removed) for entry in comparisons_of(reported)] == [1, 1, 1, 1]


def test_if_the_newest_segmentation_cannot_be_read_the_one_before_it_counts(reported: Road, images: list[Dataset]):
    reported.receive(segmentation({"mass": _smaller(reported, images[0])}, images[0]))
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


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_lost_proposal_is_reported_only_for_its_image(reported: Road, images: list[Dataset], damage: str):
    reported.receive(*(segmentation({"mass": _smaller(reported, image)}, image) for image in images[:2]))
    lost = reported.data_dir / str(annotations_of(reported).images[0].proposal_path)
    if damage == "gone":
        lost.unlink()
    else:
        lost.write_bytes(lost.read_bytes()[:300])
    first, second = annotations_of(reported).images
    assert (first.revision, first.proposal_path) == (None, None)
    assert "is missing" in first.proposal_lost
    assert (second.revision, second.proposal_lost) == (1, "")
    truth, compared = comparisons_of(reported)
    assert (len(truth.drawn), truth.added) == (1, ()), "the correction is the truth all the same"
    assert len(compared.kept) == 1


def test_a_report_without_an_image_has_no_proposals_in_it(reported: Road, images: list[Dataset], mammogram_study):
    late = changed(mammogram_study.files[0], SOPInstanceUID=generate_uid())
    reported.receive(segmentation({"mass": proposed_mass(reported, images[0])}, late))
    reported.clock.seconds += 60
    reported.all_of_it(late)
    assert reported.study().revision == 2
    (image,) = annotations_of(reported).images
    assert image.revision is None
    (comparison,) = comparisons_of(reported)
    assert comparison.added == ()


def test_a_date_without_a_time_is_not_shown_as_midnight(reported: Road, images: list[Dataset]):
    reported.receive(
        segmentation(
            {"mass": _smaller(reported, images[0])}, images[0], ContentDate="20231114", ContentTime="",
            InstanceCreationDate=None, InstanceCreationTime=None,
        )
    )  # fmt: skip
    (image,) = annotations_of(reported).images
    assert image.created_at is None


def _label(road: Road, image: Dataset) -> str:
    return str(proposals(road)[image.SOPInstanceUID].SegmentSequence[0].SegmentLabel)
