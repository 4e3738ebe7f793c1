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
    proposals,
    proposed_mass,
    segmentation,
    smaller_proposal,
)
from pydicom import Dataset
from pydicom.uid import generate_uid
from readings import DEVICE
from road import Road, changed
from sqlalchemy import select

from dicom_io.device import contributing_equipment
from dicom_io.network.answers import Status
from models.types.reading import BundleId
from node.annotations.truth import (
    NO_IMAGE_HERE,
)
from node.store.states import StudyState
from node.store.tables import Annotation

pytestmark = pytest.mark.slow


def annotation_rows(road: Road) -> list[Annotation]:
    with road.sessions.begin() as session:
        return list(session.scalars(select(Annotation)))


def test_a_corrected_segmentation_is_the_truth_of_its_image(reported: Road, images: list[Dataset]):
    drawn = smaller_proposal(reported, images[0])
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
    reported.receive(segmentation({"mass": smaller_proposal(reported, images[0])}, images[0]))
    reported.read()
    reported.close(after_s=3600)
    reported.report()
    assert (reported.study().state, reported.study().revision) == (StudyState.REPORTED, 1)
    assert (len(reported.jobs()), len(reported.deliveries())) == (jobs, deliveries)


def test_a_segmentation_of_the_node_is_never_a_correction(reported: Road):
    for seg in proposals(reported).values():
        assert reported.receive(seg)[0].status == Status.SUCCESS
    assert annotation_rows(reported) == []


def test_a_segmentation_with_the_uid_or_manufacturer_of_the_node_is_no_correction(
    reported: Road, images: list[Dataset], caplog: pytest.LogCaptureFixture
):
    ours = proposals(reported)[images[0].SOPInstanceUID]
    same_uid = segmentation(
        {"mass": smaller_proposal(reported, images[0])}, images[0], SOPInstanceUID=ours.SOPInstanceUID
    )
    our_name = segmentation(
        {"mass": smaller_proposal(reported, images[0])},
        images[0],
        Manufacturer="mammo-node",
        ManufacturerModelName="mammo-node",
    )
    with caplog.at_level(logging.INFO):
        reported.receive(same_uid, our_name)
    assert annotation_rows(reported) == []
    assert "the viewer must write its own Manufacturer" in caplog.text
    assert f"study {reported.study().id}: a segmentation with Manufacturer mammo-node" in caplog.text
    assert images[0].PatientID not in caplog.text


def test_a_correction_with_the_node_as_contributing_equipment_is_accepted(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": smaller_proposal(reported, images[0])}, images[0])
    seg.ContributingEquipmentSequence = [contributing_equipment(DEVICE, BundleId("test", "1"))]
    reported.receive(seg)
    assert len(annotations_of(reported).images) == 1


def test_the_same_segmentation_sent_twice_is_a_single_annotation(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": smaller_proposal(reported, images[0])}, images[0])
    assert [answer.status for answer in reported.receive(seg, seg)] == [Status.SUCCESS] * 2
    assert len(annotation_rows(reported)) == 1


def test_a_corrected_header_brings_the_annotation_up_to_date(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": smaller_proposal(reported, images[0])}, images[0])
    reported.receive(seg)
    seg.ContentCreatorName = "Expert^Berta"
    reported.receive(seg)
    (image,) = annotations_of(reported).images
    assert (image.creator, image.earlier) == ("Expert^Berta", 0)
    assert image.correction_path.endswith("_2.dcm")


def test_of_several_corrections_the_newest_counts_and_all_are_kept(reported: Road, images: list[Dataset]):
    whole, smaller = proposed_mass(reported, images[0]), smaller_proposal(reported, images[0])
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
    assert [segment.label for segment in comparison.removed] == [label_of(reported, images[0])]


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
    seg = segmentation({"mass": smaller_proposal(reported, images[0])}, images[0])
    edited(seg, ours)
    reported.clock.seconds += 60
    reported.receive(seg, segmentation({"mass": smaller_proposal(reported, images[1])}, images[1]))
    assert {image.image_uid: image.revision for image in annotations_of(reported).images} == {
        images[0].SOPInstanceUID: 1,
        images[1].SOPInstanceUID: 2,
    }


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_lost_proposal_is_reported_only_for_its_image(reported: Road, images: list[Dataset], damage: str):
    reported.receive(*(segmentation({"mass": smaller_proposal(reported, image)}, image) for image in images[:2]))
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
            {"mass": smaller_proposal(reported, images[0])}, images[0], ContentDate="20231114", ContentTime="",
            InstanceCreationDate=None, InstanceCreationTime=None,
        )
    )  # fmt: skip
    (image,) = annotations_of(reported).images
    assert image.created_at is None


def label_of(road: Road, image: Dataset) -> str:
    return str(proposals(road)[image.SOPInstanceUID].SegmentSequence[0].SegmentLabel)
