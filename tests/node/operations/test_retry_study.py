"""`retry` in the whole node: what it may send, and what it must never send."""

from __future__ import annotations

from pathlib import Path

import pytest
from road import Road, changed, texts

from node.demo.studies import DemoStudy
from node.operations.retry import StillTwoPatients, retry_study
from node.store.states import DeliveryState, JobKind, JobState, StudyState
from node.store.tables import Delivery, Job

pytestmark = pytest.mark.slow


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path)


def retry(road: Road) -> list[str]:
    with road.sessions.begin() as session:
        return retry_study(session, road.study().id, road.clock())


def kill_deliveries(road: Road) -> None:
    with road.sessions.begin() as session:
        for delivery in session.query(Delivery):
            delivery.state = DeliveryState.DEAD


def finish(road: Road) -> None:
    road.read()
    road.close()
    road.read()
    road.report()


def report_jobs(road: Road) -> list[JobState]:
    return [job.state for job in road.jobs() if job.kind is JobKind.REPORT]


def states_by_revision(road: Road) -> dict[int, set[DeliveryState]]:
    """Of the deliveries of what is part of a revision and of none after it."""
    found: dict[int, set[DeliveryState]] = {}
    with road.sessions.begin() as session:
        for delivery in session.query(Delivery):
            found.setdefault(delivery.result.last_revision, set()).add(delivery.state)
    return found


def test_a_study_of_two_patients_is_never_released(road: Road, mammogram_study: DemoStudy) -> None:
    road.receive(mammogram_study.files[0], changed(mammogram_study.files[1], PatientID="SOMEBODY ELSE"))
    with pytest.raises(StillTwoPatients, match="send them again"):
        retry(road)
    assert road.study().state is StudyState.QUARANTINED
    finish(road)
    assert road.results() == []


def test_a_study_with_its_patient_corrected_in_all_images_is_released_and_accepts_later_images(
    road: Road, mammogram_study: DemoStudy
) -> None:
    first, second, third, fourth = (changed(file, PatientID="RIGHT") for file in mammogram_study.files)
    road.receive(*mammogram_study.files[:2], first)
    assert road.study().state is StudyState.QUARANTINED
    with pytest.raises(StillTwoPatients):
        retry(road)
    road.receive(second)
    retry(road)
    road.receive(third, fourth)
    assert road.study().state is StudyState.OPEN
    finish(road)
    (report,) = road.results("SR")
    assert report.PatientID == "RIGHT"
    assert len(road.results("SEG")) == 4


def test_other_pixels_do_not_hide_two_patients(road: Road, mammogram_study: DemoStudy) -> None:
    other_pixels = changed(mammogram_study.files[0])
    other_pixels.PixelData = bytes(len(other_pixels.PixelData))
    road.receive(mammogram_study.files[0], other_pixels, changed(mammogram_study.files[1], PatientID="SOMEBODY ELSE"))
    assert "other pixels" in road.study().why
    with pytest.raises(StillTwoPatients):
        retry(road)


def test_of_two_versions_with_the_same_uid_the_first_is_read(road: Road, mammogram_study: DemoStudy) -> None:
    dark = changed(mammogram_study.files[0])
    dark.PixelData = bytes(len(dark.PixelData))
    road.receive(mammogram_study.files[0], dark)
    retry(road)
    finish(road)
    assert len(road.results("SEG")) == 1, "the dark one would have no finding"


@pytest.mark.parametrize("state", [DeliveryState.WAITING, DeliveryState.DEAD])
def test_results_from_before_a_quarantine_are_never_sent_after_it(
    road: Road, mammogram_study: DemoStudy, state: DeliveryState
) -> None:
    road.all_of_it(*mammogram_study.files)
    if state is DeliveryState.DEAD:
        kill_deliveries(road)
    other_pixels = changed(mammogram_study.files[0])
    other_pixels.PixelData = bytes(len(other_pixels.PixelData))
    road.receive(other_pixels)
    sentences = retry(road)
    assert any("replaced by revision 2" in sentence for sentence in sentences)
    assert {delivery.error for delivery in road.deliveries()} == {"replaced by revision 2"}
    retry(road)
    assert states_by_revision(road) == {1: {DeliveryState.DEAD}}
    finish(road)
    kill_deliveries(road)
    retry(road)
    # The segmentations, which the new report reuses, are sent after all.
    assert states_by_revision(road) == {1: {DeliveryState.DEAD}, 2: {DeliveryState.WAITING}}


def test_a_study_open_for_its_next_revision_sends_no_results_of_the_last(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.all_of_it(changed(mammogram_study.files[0], BitsAllocated=64), mammogram_study.files[1])
    kill_deliveries(road)
    assert retry(road)[0] == "open again, for revision 2"
    assert states_by_revision(road) == {1: {DeliveryState.DEAD}}


def test_a_closed_study_is_reported_only_after_its_retried_image_was_read(
    road: Road, mammogram_study: DemoStudy
) -> None:
    broken = changed(mammogram_study.files[0], BitsAllocated=64)
    road.receive(broken, *mammogram_study.files[1:])
    road.read()
    road.close()
    retry(road)
    road.report()
    assert road.study().state is StudyState.OPEN
    assert road.results() == []
    finish(road)
    assert report_jobs(road) == [JobState.CANCELLED, JobState.DONE]
    assert len(road.results("SR")) == 1


def test_a_report_with_two_failed_jobs_is_written_once(road: Road, mammogram_study: DemoStudy) -> None:
    in_the_way = road.data_dir / "results"
    in_the_way.write_text("a file where a folder should be")
    road.all_of_it(*mammogram_study.files[:3])
    assert report_jobs(road) == [JobState.FAILED]
    road.all_of_it(mammogram_study.files[3])
    assert report_jobs(road) == [JobState.CANCELLED, JobState.FAILED]
    in_the_way.unlink()
    retry(road)
    road.report()
    assert road.study().state is StudyState.REPORTED
    (report,) = road.results("SR")
    assert len(road.results("SEG")) == 4
    assert "left MLO" not in texts(report).split("missing")[-1][:40]


def test_a_failed_report_is_not_written_for_a_study_in_quarantine(road: Road, mammogram_study: DemoStudy) -> None:
    in_the_way = road.data_dir / "results"
    in_the_way.write_text("a file where a folder should be")
    road.all_of_it(*mammogram_study.files[:3])
    dark = changed(mammogram_study.files[0])
    dark.PixelData = bytes(len(dark.PixelData))
    road.receive(dark)
    in_the_way.unlink()
    retry(road)
    road.report()
    assert road.results() == []
    finish(road)
    assert report_jobs(road) == [JobState.CANCELLED, JobState.DONE]


@pytest.mark.parametrize("failed", ["an image", "a report", "deliveries"])
def test_what_is_retried_after_a_week_goes_after_what_came_before_it_was_retried(
    road: Road, mammogram_study: DemoStudy, failed: str
) -> None:
    if failed == "deliveries":
        road.all_of_it(*mammogram_study.files)
        kill_deliveries(road)
    else:
        road.receive(*mammogram_study.files)
        road.read()
        road.close()
        with road.sessions.begin() as session:
            kind = JobKind.REPORT if failed == "a report" else JobKind.READ_IMAGE
            session.query(Job).where(Job.kind == kind).first().state = JobState.FAILED
    road.clock.seconds += 7 * 86_400
    assert retry(road)
    assert road.study().turn == road.clock(), "deliveries go by it"
    if failed != "deliveries":
        assert [job.turn for job in road.jobs() if job.state is JobState.WAITING] == [road.clock()]
