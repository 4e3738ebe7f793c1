"""A study in the whole node: which images are read, what is reported, and what is never sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from clock import Clock
from pydicom import dcmread
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)
from road import Road, changed, texts
from simple_models import Nothing

from dicom_io.device import is_ours
from dicom_io.network.answers import Status
from node.demo.studies import DemoStudy
from node.operations.retry import retry_study
from node.store.states import DeliveryState, JobState, StudyState

pytestmark = pytest.mark.slow


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path)


def test_a_four_view_study_gives_a_seg_an_image_and_one_report(road: Road, mammogram_study: DemoStudy) -> None:
    road.all_of_it(*mammogram_study.files)
    assert road.study().state is StudyState.REPORTED
    segs, (report,) = road.results("SEG"), road.results("SR")
    assert len(segs) == 4
    assert len({seg.SeriesInstanceUID for seg in segs}) == 4
    assert all(is_ours(result) for result in (*segs, report))
    assert len(road.deliveries()) == 5
    assert all(delivery.state is DeliveryState.WAITING for delivery in road.deliveries())


def test_every_result_is_sent_to_every_destination(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path, destinations=("first", "second"))
    road.all_of_it(*mammogram_study.files)
    assert sorted(delivery.destination for delivery in road.deliveries()) == ["first"] * 5 + ["second"] * 5


def test_reading_begins_before_the_study_is_complete(road: Road, mammogram_study: DemoStudy) -> None:
    road.receive(mammogram_study.files[0])
    road.read()
    assert road.instances()[0].reading is not None
    assert road.study().state is StudyState.OPEN


def test_a_study_without_findings_gets_a_report_and_no_seg(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path, models=Nothing(malignancy=0.1))
    road.all_of_it(*mammogram_study.files)
    assert [result.Modality for result in road.results()] == ["SR"]


def test_a_mammography_study_that_could_not_be_read_gets_a_report_that_states_it(
    road: Road, mammogram_study: DemoStudy
) -> None:
    broken = changed(mammogram_study.files[0], BitsAllocated=64)
    road.all_of_it(broken)
    (report,) = road.results()
    assert report.Modality == "SR"
    (instance,) = road.instances()
    assert instance.unread_reason
    assert instance.unread_reason in texts(report)


def test_a_partial_study_is_reported_with_what_is_missing(road: Road, mammogram_study: DemoStudy) -> None:
    road.all_of_it(*mammogram_study.files[:3])
    (report,) = road.results("SR")
    assert "left MLO" in texts(report)


def test_a_unilateral_exam_misses_no_view_of_the_other_breast(road: Road, mammogram_study: DemoStudy) -> None:
    road.all_of_it(mammogram_study.files[1], mammogram_study.files[3])
    (report,) = road.results("SR")
    assert "right" not in texts(report)


def test_a_late_image_opens_a_revision_whose_report_names_its_predecessor(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.all_of_it(*mammogram_study.files[:3])
    (first,) = road.results("SR")
    attempts = [job.attempts for job in road.jobs()]
    road.all_of_it(mammogram_study.files[3])
    second = road.results("SR")[-1]
    assert road.study().revision == 2
    assert second.SOPInstanceUID != first.SOPInstanceUID
    predecessor = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert [job.attempts for job in road.jobs()][: len(attempts)] == attempts, "what was read is not read again"
    assert "left MLO" not in texts(second).split("missing")[-1][:40]


def test_a_late_image_gives_a_cad_report_that_names_its_predecessor(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path, profile="all")
    road.all_of_it(*mammogram_study.files[:3])
    road.all_of_it(mammogram_study.files[3])
    first, second = road.results("CAD-SR")
    (study,) = second.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_results_that_are_sent_back_do_not_open_the_study(road: Road, mammogram_study: DemoStudy) -> None:
    road.all_of_it(*mammogram_study.files)
    before = (road.study().revision, len(road.instances()), len(road.jobs()))
    answers = road.receive(*road.results())
    assert {answer.status for answer in answers} == {Status.SUCCESS}
    road.close()
    assert (road.study().revision, len(road.instances()), len(road.jobs())) == before
    assert road.study().state is StudyState.REPORTED


def test_a_raw_image_is_not_read_if_its_image_for_presentation_is_there(road: Road, mammogram_study: DemoStudy) -> None:
    shown = mammogram_study.files[1]
    raw = changed(
        shown,
        SOPInstanceUID="1.2.3",
        SOPClassUID=DigitalMammographyXRayImageStorageForProcessing,
        PresentationIntentType="FOR PROCESSING",
    )
    road.all_of_it(raw, shown)
    read = {instance.kind: instance.unread_reason for instance in road.instances()}
    assert read["for-presentation"] is None
    assert read["for-processing"] is not None
    assert read["for-processing"] in texts(road.results("SR")[0])


def test_a_raw_image_alone_is_read(road: Road, mammogram_study: DemoStudy) -> None:
    raw = changed(
        mammogram_study.files[1],
        SOPClassUID=DigitalMammographyXRayImageStorageForProcessing,
        PresentationIntentType="FOR PROCESSING",
    )
    road.all_of_it(raw)
    assert road.instances()[0].reading is not None


@pytest.mark.parametrize("allowed", [True, False])
def test_secondary_captures_are_read_only_if_the_setting_of_their_sender_allows_it(
    tmp_path: Path, mammogram_study: DemoStudy, allowed: bool
) -> None:
    road = Road(tmp_path, secondary_capture_from=frozenset({"FILM"} if allowed else ()))
    capture = changed(
        mammogram_study.files[1], SOPClassUID=SecondaryCaptureImageStorage, Modality="MG", BodyPartExamined="BREAST"
    )
    road.all_of_it(capture, sender="FILM")
    assert road.study().state is (StudyState.REPORTED if allowed else StudyState.NOT_READ)
    assert bool(road.results()) is allowed


def test_a_chest_x_ray_is_not_read_and_status_shows_why(road: Road, mammogram_study: DemoStudy) -> None:
    chest = changed(
        mammogram_study.files[1],
        SOPClassUID=ComputedRadiographyImageStorage,
        Modality="CR",
        BodyPartExamined="CHEST",
    )
    road.all_of_it(chest)
    assert road.study().state is StudyState.NOT_READ
    assert "no breast image" in road.study().why
    assert road.results() == []


def test_a_specimen_radiograph_is_named_and_not_read(road: Road, mammogram_study: DemoStudy) -> None:
    specimen = changed(mammogram_study.files[1], SOPInstanceUID="1.2.3", ViewPosition=None)
    specimen.ViewCodeSequence[0].CodeValue = "127457009"
    road.all_of_it(mammogram_study.files[0], specimen)
    assert "specimen" in texts(road.results("SR")[0])
    assert [instance.reading is not None for instance in road.instances()] == [True, False]


def test_a_raw_image_whose_lost_file_was_sent_again_is_read(road: Road, mammogram_study: DemoStudy) -> None:
    raw = changed(
        mammogram_study.files[1],
        SOPClassUID=DigitalMammographyXRayImageStorageForProcessing,
        PresentationIntentType="FOR PROCESSING",
    )
    road.all_of_it(raw)
    (road.data_dir / road.instances()[0].path).unlink()
    road.all_of_it(raw)
    assert road.instances()[0].reading is not None
    assert len(road.results("SEG", revision=2)) == 1


def test_an_image_that_was_called_a_specimen_by_mistake_is_read_once_its_header_is_corrected(
    road: Road, mammogram_study: DemoStudy
) -> None:
    mistaken = changed(mammogram_study.files[1], ViewPosition=None)
    mistaken.ViewCodeSequence[0].CodeValue = "127457009"
    road.all_of_it(mistaken)
    assert "specimen" in texts(road.results("SR")[0])
    road.all_of_it(mammogram_study.files[1])
    (report,) = road.results("SR", revision=2)
    assert "specimen" not in texts(report)
    assert len(road.results("SEG", revision=2)) == 1


def test_a_raw_image_is_read_if_its_image_for_presentation_is_unreadable(
    road: Road, mammogram_study: DemoStudy
) -> None:
    shown = changed(mammogram_study.files[1], BitsAllocated=64)
    raw = changed(
        mammogram_study.files[1],
        SOPInstanceUID="1.2.3",
        SOPClassUID=DigitalMammographyXRayImageStorageForProcessing,
        PresentationIntentType="FOR PROCESSING",
    )
    road.receive(shown, raw)
    road.close()
    assert road.instances()[1].unread_reason is not None, "its image for presentation may still be read"
    road.read()
    road.report()
    assert road.results() == [], "the report waits for the raw image now"
    road.read()
    road.report()
    assert road.instances()[1].reading is not None
    assert len(road.results("SEG")) == 1


def test_a_raw_image_that_was_read_is_replaced_by_a_late_image_for_presentation(
    road: Road, mammogram_study: DemoStudy
) -> None:
    raw = changed(
        mammogram_study.files[1],
        SOPInstanceUID="1.2.3",
        SOPClassUID=DigitalMammographyXRayImageStorageForProcessing,
        PresentationIntentType="FOR PROCESSING",
    )
    road.all_of_it(raw)
    road.all_of_it(mammogram_study.files[1])
    (report,) = road.results("SR", revision=2)
    assert len(road.results("SEG", revision=2)) == 1
    assert "raw image" in texts(report)


def test_tomosynthesis_is_named_in_the_report(road: Road, mammogram_study: DemoStudy) -> None:
    volume = changed(mammogram_study.files[1], SOPInstanceUID="1.2.3", SOPClassUID=BreastTomosynthesisImageStorage)
    road.all_of_it(mammogram_study.files[0], volume)
    assert "tomosynthesis" in texts(road.results("SR")[0])


def test_no_results_are_sent_for_a_study_uid_with_two_patients(road: Road, mammogram_study: DemoStudy) -> None:
    other = changed(mammogram_study.files[1], PatientID="SOMEBODY ELSE")
    road.all_of_it(mammogram_study.files[0], other)
    assert road.study().state is StudyState.QUARANTINED
    assert road.results() == []


def test_an_image_received_while_its_study_waits_for_the_report_is_in_that_report(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(*mammogram_study.files[:3])
    road.close()
    road.receive(mammogram_study.files[3])
    assert road.study().state is StudyState.OPEN
    road.read()
    road.report()
    assert road.results() == [], "the report that was asked for before is cancelled"
    road.close()
    road.report()
    assert road.study().revision == 1
    assert len(road.results("SEG")) == 4


def test_a_report_written_twice_has_the_same_bytes(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    written = []
    for name in ("one", "two"):
        road = Road(tmp_path / name)
        road.all_of_it(*mammogram_study.files)
        written.append([path.read_bytes() for path in sorted((road.data_dir / "results").rglob("*.dcm"))])
    assert written[0] == written[1]


def test_a_report_that_cannot_be_written_is_reported_and_written_on_retry(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(*mammogram_study.files)
    road.read()
    road.close()
    in_the_way = road.data_dir / "results"
    in_the_way.write_text("a file where a folder should be")
    road.report()
    assert road.study().state is StudyState.CLOSED
    assert [job.state for job in road.jobs()][-1] is JobState.FAILED
    in_the_way.unlink()
    with road.sessions.begin() as session:
        assert retry_study(session, road.study().id, road.clock())
    road.report()
    assert road.study().state is StudyState.REPORTED


@pytest.mark.parametrize("profile", ["ohif", "workstation-cad-sr", "overlay-only"])
def test_destinations_get_a_notice_of_a_report_that_cannot_be_written_and_later_the_report(
    tmp_path: Path, mammogram_study: DemoStudy, profile: str
) -> None:
    road = Road(tmp_path, profile=profile)
    road.receive(*mammogram_study.files)
    road.read()
    road.close()
    masks = road.data_dir / str(road.instances()[0].masks_path)
    whole = masks.read_bytes()
    masks.write_bytes(b"no masks any more")
    road.report()
    assert road.jobs()[-1].state is JobState.FAILED
    assert len(road.deliveries()) == 1
    (notice,) = road.results()
    assert (notice.PatientID, notice.StudyInstanceUID) == ("P_00820", mammogram_study.study_instance_uid)
    if profile != "overlay-only":
        assert texts(notice).count("could not be written") >= 4
        assert notice.CompletionFlag == "PARTIAL"
    masks.write_bytes(whole)
    with road.sessions.begin() as session:
        assert retry_study(session, road.study().id, road.clock())
    road.report()
    assert (road.study().state, road.study().revision) == (StudyState.REPORTED, 2)
    if profile == "ohif":
        report = road.results("SR")[-1]
        replaced = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert replaced.ReferencedSOPInstanceUID == notice.SOPInstanceUID
        assert "could not be written" not in texts(report)


def test_demographics_on_results_are_those_of_the_source_image(road: Road, mammogram_study: DemoStudy) -> None:
    road.all_of_it(*mammogram_study.files)
    source = dcmread(mammogram_study.files[0], stop_before_pixels=True)
    for result in road.results():
        assert (result.PatientID, result.PatientName) == (source.PatientID, source.PatientName)


def test_the_hard_deadline_reports_a_study_that_always_gets_new_images(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path, clock=Clock(1_700_000_000.0))
    road.receive(mammogram_study.files[0])
    road.close(after_s=30)
    assert road.study().state is StudyState.OPEN
    road.clock.seconds += 1760
    road.receive(mammogram_study.files[1])
    road.close(after_s=10)
    assert road.study().why == "complete: the deadline has passed"
    road.read()
    road.report()
    assert "left MLO" in texts(road.results("SR")[0])
