"""A study of which retention deleted something stays known: what comes late or again, and what is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from assessing import overall, report
from keeping import DAY_S, PACS, deliver, files, named, on_disk, purge, reported_and_delivered, settings_of
from pydicom import Dataset, dcmread
from readings import DEVICE
from road import Road, changed, texts
from simple_models import BUNDLE

from dicom_io.network.answers import Status
from dicom_io.results.profiles import PROFILES
from models.birads.calibration import Level
from models.types.birads import Category
from node.agreement.stats import gather
from node.archive.layout import ACKNOWLEDGEMENT, answer_to
from node.audit.actors import command_line
from node.delivery.outbox import ResultDestination
from node.delivery.rejection import RejectionWriter
from node.demo.studies import DemoStudy
from node.operations.exam import exam_or_why
from node.operations.resend import CannotResend, resend
from node.operations.retry import ImagesPurged, retry, retry_study
from node.operations.road import road_of
from node.reader.reread import CannotReread, reread
from node.retention.kept import NOT_DELIVERED, NOT_TAKEN_BACK, Keeping
from node.retention.rules import Part
from node.retention.told import day_of
from node.store.database import read_only
from node.store.states import JobState, StudyState
from node.store.tables import Job, ReceivedAssessment, Result, Study

pytestmark = pytest.mark.slow
REJECTS = {**PACS, "rejection_notes": True}
PURGED = "deleted from this node since it was read: earlier reports of this study say what was found"


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


def purged(road: Road, *images: Path, **settings: float) -> None:
    """A study that was reported, delivered and purged."""
    reported_and_delivered(road, *images)
    road.clock.seconds += 31 * DAY_S
    purge(road, **(settings or {"images_days": 30}))


def all_of_it(road: Road, *images: Dataset | Path) -> None:
    """Until the report that waited for readings is written too."""
    road.all_of_it(*images)
    road.read()
    road.report()


def waiting_kinds(road: Road) -> list[str]:
    with road.sessions.begin() as session:
        rows = session.query(Result).filter(Result.revision == 2).order_by(Result.id)
        return [str(row.kind) for row in rows]


def test_a_late_image_of_a_purged_study_opens_a_revision_that_names_what_is_missing(
    road: Road, mammogram_study: DemoStudy
) -> None:
    *first, late = mammogram_study.files
    purged(road, *first)
    road.all_of_it(late)
    study = road.study()
    assert (study.state, study.revision, study.images_purged_at) == (StudyState.REPORTED, 2, None)
    written = road.results("SR")[-1]
    assert texts(written).count(PURGED) >= 3, "each of the images"
    assert waiting_kinds(road) == ["SEG", "SR"], "of the late image"
    predecessor = written.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == road.results("SR")[0].SOPInstanceUID
    assert on_disk(road) == named(road)


def test_a_late_image_after_the_results_went_too_is_reported(road: Road, mammogram_study: DemoStudy) -> None:
    *first, late = mammogram_study.files
    purged(road, *first, images_days=30, results_days=30)
    assert not files(road, "results")
    road.all_of_it(late)
    assert road.study().state is StudyState.REPORTED
    assert on_disk(road) == named(road)
    assert waiting_kinds(road) == ["SEG", "SR"]


def test_an_image_that_was_purged_and_comes_again_is_kept_again_and_neither_read_nor_reported(
    road: Road, mammogram_study: DemoStudy
) -> None:
    purged(road, *mammogram_study.files)
    jobs = len(road.jobs())
    assert {answer.status for answer in road.receive(*mammogram_study.files)} == {Status.SUCCESS}
    study = road.study()
    assert (study.state, study.revision, len(road.jobs())) == (StudyState.REPORTED, 1, jobs)
    assert len(files(road, "archive")) == 4
    purge(road, images_days=30)
    assert len(files(road, "archive")) == 4, "its days begin again"
    road.clock.seconds += 31 * DAY_S
    purge(road, images_days=30)
    assert not files(road, "archive")


def test_a_whole_study_that_comes_again_with_a_late_image_is_reported_whole(
    road: Road, mammogram_study: DemoStudy
) -> None:
    *first, late = mammogram_study.files
    purged(road, *first)
    all_of_it(road, *first, late)
    assert road.study().revision == 2
    assert PURGED not in texts(road.results("SR")[-1])
    assert len(road.results("SEG", revision=2)) == 4
    assert waiting_kinds(road) == ["SEG", "SR"], "what was said before has the same UIDs, and is not sent again"


def test_an_image_that_a_report_left_out_because_it_was_purged_is_reported_when_it_comes_again(
    road: Road, mammogram_study: DemoStudy
) -> None:
    *first, late = mammogram_study.files
    purged(road, *first)
    road.all_of_it(late)
    all_of_it(road, *first)
    assert road.study().revision == 3
    assert PURGED not in texts(road.results("SR")[-1])
    assert len(road.results("SEG", revision=3)) == 4


def test_a_lost_file_is_still_read_again(road: Road, mammogram_study: DemoStudy) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    (road.data_dir / road.instances()[0].path).unlink()
    road.receive(mammogram_study.files[0])
    assert road.study().revision == 2


def test_a_purged_image_that_comes_again_for_another_patient_is_quarantined(
    road: Road, mammogram_study: DemoStudy
) -> None:
    purged(road, *mammogram_study.files)
    road.receive(changed(mammogram_study.files[0], PatientID="SOMEBODY ELSE"))
    assert road.study().state is StudyState.QUARANTINED
    with road.sessions.begin() as session, pytest.raises(ImagesPurged, match="3 of its 4 images were purged on"):
        retry_study(session, 1, road.clock())
    road.receive(*(changed(file, PatientID="SOMEBODY ELSE") for file in mammogram_study.files[1:]))
    with road.sessions.begin() as session:
        retry_study(session, 1, road.clock())
    all_of_it(road)
    assert road.results("SR")[-1].PatientID == "SOMEBODY ELSE"


def test_readings_that_were_purged_are_made_anew_before_a_report_needs_them(
    road: Road, mammogram_study: DemoStudy
) -> None:
    *first, late = mammogram_study.files
    purged(road, *first, readings_days=30)
    assert not files(road, "readings")
    road.receive(late)
    road.read()
    road.close()
    road.report()
    assert road.study().state is StudyState.CLOSED, "the report waits for the readings"
    road.read()
    road.report()
    assert len(road.results("SEG", revision=2)) == 4
    assert waiting_kinds(road) == ["SEG", "SR"]
    assert on_disk(road) == named(road)


def test_a_category_of_a_purged_study_is_kept_and_what_was_reported_stands(
    road: Road, mammogram_study: DemoStudy
) -> None:
    purged(road, *mammogram_study.files)
    patient = mammogram_study.patient_id
    sr = report(overall(Category("2")), StudyInstanceUID=mammogram_study.study_instance_uid, PatientID=patient)
    sr.PatientBirthDate = road.instances()[0].patient_birth_date
    road.all_of_it(sr)
    assert (road.study().state, road.study().revision) == (StudyState.REPORTED, 1)
    with road.sessions.begin() as session:
        assert session.query(ReceivedAssessment).one().study_id == 1


def test_what_is_asked_of_a_purged_study_says_that_it_is_purged(road: Road, mammogram_study: DemoStudy) -> None:
    purged(road, *mammogram_study.files, images_days=30, results_days=30)
    with pytest.raises(CannotReread, match="its images were purged on"):
        reread(road.sessions, road.data_dir, 1, None, 1, lambda *_: None)
    with road.sessions.begin() as session, pytest.raises(CannotResend, match="were purged on"):
        resend(session, 1, ResultDestination("pacs", PROFILES["ohif"]), road.clock())
    with road.sessions.begin() as session:
        session.query(Job).first().state = JobState.FAILED
    with road.sessions.begin() as session, pytest.raises(ImagesPurged, match="its images were purged on"):
        retry(session, settings_of(road), 1, road.clock(), command_line())


def test_the_readings_alone_can_be_made_anew_by_a_person(road: Road, mammogram_study: DemoStudy) -> None:
    purged(road, *mammogram_study.files, readings_days=30)
    with pytest.raises(CannotReread, match="`mammo-node retry 1` has its images read again"):
        reread(road.sessions, road.data_dir, 1, None, 1, lambda *_: None)
    with road.sessions.begin() as session:
        retry(session, settings_of(road), 1, road.clock(), command_line())
    road.all_of_it()
    assert len(files(road, "readings")) == 4
    assert road.study().revision == 2


def test_results_that_were_purged_are_written_anew_with_the_same_uids(road: Road, mammogram_study: DemoStudy) -> None:
    *first, late = mammogram_study.files
    purged(road, *first, results_days=30)
    with read_only(road.sessions) as session:
        before = {row.sop_instance_uid for row in session.query(Result) if row.kind == "SEG"}
    assert not files(road, "results")
    road.all_of_it(late)
    segs = road.results("SEG", revision=2)
    assert before < {str(seg.SOPInstanceUID) for seg in segs}
    assert on_disk(road) == named(road)
    with road.sessions.begin() as session:
        assert session.query(Study).one().results_purged_at is None
    deliver(road)


def test_status_and_the_page_say_what_was_purged_and_when(road: Road, mammogram_study: DemoStudy) -> None:
    purged(road, *mammogram_study.files, images_days=30, results_days=30)
    day = day_of(road.clock())
    with read_only(road.sessions) as session:
        seen = road_of(session, 1)
        assert seen is not None
        assert f"Its images were purged on {day} (retention)." in seen.answer
        assert f"The files of its results were purged on {day}" in seen.answer
        assert {"4 images purged", "Results purged"} <= {event.what for event in seen.events}
        assert all(image.purged_at == road.clock() for image in seen.study.images)
        exam, why = exam_or_why(session, settings_of(road), 1)
        assert (exam, why) == (None, f"its images were purged on {day} (retention)")
    road.receive(mammogram_study.files[0])
    with read_only(road.sessions) as session:
        seen = road_of(session, 1)
        assert seen is not None
        assert f"3 of its 4 images were purged on {day}" in seen.answer


def test_scores_of_purged_studies_still_count_in_the_agreement(road: Road, mammogram_study: DemoStudy) -> None:
    sr = report(overall(Category("2")), StudyInstanceUID=mammogram_study.study_instance_uid)
    sr.PatientID = mammogram_study.patient_id
    sr.PatientBirthDate = dcmread(mammogram_study.files[0]).PatientBirthDate
    road.receive(sr)
    reported_and_delivered(road, *mammogram_study.files)

    def compared() -> list[tuple[float | None, Category | None]]:
        with road.sessions.begin() as session:
            found = gather(session, road.data_dir, Level.EXAM, {}, lambda *_: None)
        return [(unit.compared.score, unit.compared.assigned) for unit in found.units]

    before = compared()
    assert before
    road.clock.seconds += 31 * DAY_S
    purge(road, images_days=30)
    assert not files(road, "readings")
    assert compared() == before


def reject(road: Road) -> int:
    destination = ResultDestination("pacs", PROFILES["ohif"], rejection_notes=True)
    return RejectionWriter(destination, False, road.sessions, road.data_dir, DEVICE, BUNDLE, road.clock).write_notes()


def test_results_about_purged_images_are_not_taken_back_by_a_late_image(road: Road, mammogram_study: DemoStudy) -> None:
    *first, late = mammogram_study.files
    purged(road, *first)
    road.all_of_it(late)
    deliver(road)
    assert reject(road) == 0
    all_of_it(road, *first)  # all images are here again: the whole report replaces the one before
    deliver(road)
    assert reject(road) == 1


def kept(road: Road, part: Part) -> str:
    with read_only(road.sessions) as session:
        return Keeping.of(settings_of(road, REJECTS)).why(session, session.query(Study).one(), part)


def test_images_and_results_stay_until_the_report_that_was_replaced_is_taken_back(
    road: Road, mammogram_study: DemoStudy
) -> None:
    *first, late = mammogram_study.files
    reported_and_delivered(road, *first)
    all_of_it(road, late)
    deliver(road)
    road.clock.seconds += 400 * DAY_S
    before = on_disk(road)
    purge(road, REJECTS, images_days=30, results_days=30)
    assert on_disk(road) == before
    assert [kept(road, part) for part in Part] == [NOT_TAKEN_BACK, "", NOT_TAKEN_BACK]
    assert reject(road) == 1
    assert kept(road, Part.IMAGES) == NOT_DELIVERED, "the note"
    deliver(road)
    road.clock.seconds += 400 * DAY_S
    purge(road, REJECTS, images_days=30, results_days=30)
    assert not on_disk(road)


def test_a_replaced_report_can_be_taken_back_also_if_the_purged_images_come_again_years_later(
    road: Road, mammogram_study: DemoStudy
) -> None:
    *first, late = mammogram_study.files
    purged(road, *first)
    all_of_it(road, late)
    deliver(road)
    road.clock.seconds += 3650 * DAY_S
    before = on_disk(road)
    purge(road, REJECTS, images_days=30, results_days=30)
    assert on_disk(road) == before
    assert kept(road, Part.RESULTS) == NOT_TAKEN_BACK
    all_of_it(road, *first)
    deliver(road)
    assert reject(road) == 1


def test_what_can_never_be_taken_back_keeps_nothing(road: Road, mammogram_study: DemoStudy) -> None:
    *first, late = mammogram_study.files
    purged(road, *first, results_days=30)
    all_of_it(road, late)
    deliver(road)
    with road.sessions.begin() as session:  # SEGs that the new revision has too were written again
        for result in session.query(Result).filter(Result.last_revision < 2):
            assert result.purged_at is not None
    assert reject(road) == 0
    assert kept(road, Part.IMAGES) == ""


@pytest.mark.parametrize("kind", ["fhir", "oru"])
def test_a_message_after_a_purge_withdraws_nothing_that_was_found_in_purged_images(
    tmp_path: Path, mammogram_study: DemoStudy, kind: str
) -> None:
    *first, late = mammogram_study.files
    road = Road(tmp_path, profile=kind)
    reported_and_delivered(road, *first)
    road.clock.seconds += 31 * DAY_S
    purge(road, images_days=30)
    road.all_of_it(late)
    with read_only(road.sessions) as session:
        newest = session.query(Result).order_by(Result.id.desc()).first()
        assert newest.revision == 2
        message = (road.data_dir / newest.path).read_bytes()
    assert b"entered-in-error" not in message
    assert not [line for line in message.split(b"\r") if line.startswith(b"OBX") and line.split(b"|")[11] == b"D"]
    assert b"deleted from this node since it was read" in message


def test_what_a_destination_answered_goes_with_the_result(road: Road, mammogram_study: DemoStudy) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    with read_only(road.sessions) as session:
        first = session.query(Result).order_by(Result.id).first()
        answer = answer_to(road.data_dir / first.path, "pacs", ACKNOWLEDGEMENT)
    answer.write_text("MSA|AE|")
    road.clock.seconds += 31 * DAY_S
    purge(road, results_days=30)
    assert not answer.exists()
    assert not (road.data_dir / "results/1").exists()
