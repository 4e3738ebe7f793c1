"""What retention deletes, what it never deletes, and that a study of which it deleted something stays known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from assessing import finding, report_on
from clock import Clock
from keeping import (
    DAY_S,
    PACS,
    annotate,
    deliver,
    files,
    named,
    on_disk,
    purge,
    purge_of,
    reported_and_delivered,
    settings_of,
)
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from road import Road, changed
from sqlalchemy.orm import Session

from config.settings import Settings
from dicom_io.audit.message import Action
from models.types.birads import Category
from node.annotations.truth import read_annotations
from node.audit.events import MESSAGES
from node.demo.studies import DemoStudy
from node.retention import purge as retention_purge
from node.retention import rules
from node.retention.clock_doubt import ClockDoubt, quiet_for_days
from node.retention.deleting import delete_doomed
from node.retention.kept import AT_WORK, CORRECTED, NOT_COMMITTED, NOT_DELIVERED, NOT_SENT_ANYWHERE, Keeping
from node.retention.plan import plan
from node.retention.rules import Part, Rule
from node.store.clock import ClockWatch
from node.store.database import read_only
from node.store.states import DeliveryState, StudyState
from node.store.tables import AuditEvent, Delivery, DoomedFile, Instance, Study

pytestmark = pytest.mark.slow
ALL = {"images_days": 30, "not_read_days": 30, "readings_days": 30, "results_days": 30, "refused_days": 30}
COMMITS = {**PACS, "commitment": True}


@pytest.fixture
def road(tmp_path: Path, queue_url: str) -> Road:
    return Road(tmp_path / "data", database_url=queue_url)


def after_days(road: Road, days: float) -> None:
    road.clock.seconds += days * DAY_S


def test_nothing_is_ever_deleted_unless_it_is_set(road: Road, mammogram_study: DemoStudy) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    after_days(road, 36_500)
    before = on_disk(road)
    assert purge(road).size.files == 0
    assert on_disk(road) == before


def test_the_images_of_an_old_delivered_study_go_and_its_rows_and_results_stay(
    road: Road, mammogram_studies: list[DemoStudy]
) -> None:
    old, young = mammogram_studies
    reported_and_delivered(road, *old.files)
    after_days(road, 31)
    reported_and_delivered(road, *young.files)
    purged = purge(road, images_days=30)
    assert purged.studies == {"images_days": 1}
    assert on_disk(road) == named(road)
    assert {path.split("/")[1] for path in files(road, "archive")} == {young.study_instance_uid}
    assert not (road.data_dir / "archive" / old.study_instance_uid).exists()
    with road.sessions.begin() as session:
        study = session.query(Study).filter_by(study_instance_uid=old.study_instance_uid).one()
        assert study.state is StudyState.REPORTED
        assert study.images_purged_at == road.clock()
        assert [instance.purged_at for instance in study.instances] == [road.clock()] * 4
        assert all((road.data_dir / result.path).is_file() for result in study.results)
        deleted = [event for event in session.query(AuditEvent) if "110105" in str(event.message)]
        assert len(deleted) == 1, "DICOM Study Deleted"
        assert session.query(DoomedFile).count() == 0
    assert purge(road, images_days=30).size.files == 0, "once"


def test_each_part_goes_by_its_own_age(road: Road, mammogram_study: DemoStudy) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    ages = {"readings_days": 10, "results_days": 20, "images_days": 30}
    left = []
    for _ in range(4):
        purge(road, **ages)
        left.append([bool(files(road, folder)) for folder in ("readings", "results", "archive")])
        after_days(road, 10.1)
    assert left == [[True] * 3, [False, True, True], [False, False, True], [False] * 3]
    assert on_disk(road) == named(road)


def test_what_a_person_corrected_is_kept_for_ever_with_its_image_and_proposal(
    road: Road, mammogram_study: DemoStudy
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    annotate(road)
    after_days(road, 3650)
    before = on_disk(road)
    with read_only(road.sessions) as session:
        (planned,) = plan(session, settings_of(road, images_days=30), road.clock(), lambda: 0)
        assert planned.kept == {CORRECTED: 1}
    assert purge(road, **ALL).size.files == 0
    assert on_disk(road) == before
    with read_only(road.sessions) as session:
        (image,) = read_annotations(session, road.data_dir).images
        assert image.proposal_path is not None


def read_with_another_bundle(road: Road) -> None:
    with road.sessions.begin() as session:
        for image in session.query(Instance).filter(Instance.reading.is_not(None)):
            reading = dict(image.reading or {})
            reading["bundle"] = {**dict(reading["bundle"]), "name": "another"}
            image.reading = reading


def test_a_corrected_result_is_kept_and_counts_also_after_the_study_was_read_with_another_bundle(
    road: Road, mammogram_study: DemoStudy
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    annotate(road, automatic=True)
    read_with_another_bundle(road)
    after_days(road, 3650)
    before = on_disk(road)
    assert purge(road, **ALL).size.files == 0
    assert on_disk(road) == before
    with read_only(road.sessions) as session:
        assert len(read_annotations(session, road.data_dir).images) == 1


@pytest.mark.parametrize("machine", ["the node", "another"])
def test_copies_of_results_and_segmentations_by_other_machines_keep_nothing(
    road: Road, mammogram_study: DemoStudy, machine: str
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    annotate(road, "", automatic=True)
    if machine == "another":
        read_with_another_bundle(road)
    after_days(road, 31)
    purge(road, **ALL)
    assert not on_disk(road)


@pytest.mark.parametrize("study", ["the same study", "another study"])
def test_what_a_person_saves_while_the_purge_runs_is_kept(
    road: Road, mammogram_study: DemoStudy, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    other = {} if study == "the same study" else {"StudyInstanceUID": "1.2.3.4"}
    annotate(road, "", automatic=True, **other)
    after_days(road, 31)
    before, due = on_disk(road), rules.old_enough

    def meanwhile(session: Session, rule: Rule, now: float) -> list[int]:
        found = list(due(session, rule, now))
        session.commit()
        annotate(road, automatic=True, **other)  # the viewer saves it again, now with the person's name
        return found

    monkeypatch.setattr(retention_purge, "old_enough", meanwhile)
    purge(road, images_days=30)
    assert before <= on_disk(road)


@pytest.mark.parametrize(
    ("states", "destination", "why"),
    [
        ([DeliveryState.WAITING], PACS, NOT_DELIVERED),
        ([DeliveryState.DEAD], PACS, NOT_DELIVERED),
        ([DeliveryState.SENT, DeliveryState.WAITING], PACS, NOT_DELIVERED),
        ([DeliveryState.UNCOMMITTED], COMMITS, NOT_COMMITTED),
        ([DeliveryState.SENT], COMMITS, NOT_COMMITTED),
        ([DeliveryState.COMMITTED, DeliveryState.UNCOMMITTED], COMMITS, NOT_COMMITTED),
        ([DeliveryState.COMMITTED], COMMITS, ""),
        ([DeliveryState.SENT], PACS, ""),
    ],
)
def test_nothing_goes_that_is_not_delivered_and_committed_where_that_is_asked(
    road: Road, mammogram_study: DemoStudy, states: list[DeliveryState], destination: dict[str, object], why: str
) -> None:
    road.all_of_it(*mammogram_study.files)
    with road.sessions.begin() as session:
        for number, delivery in enumerate(session.query(Delivery).order_by(Delivery.id)):
            delivery.state = states[number % len(states)]
    after_days(road, 3650)
    before = on_disk(road)
    with road.sessions.begin() as session:
        settings = settings_of(road, destination, **ALL)
        reasons = {Keeping.of(settings).why(session, session.query(Study).one(), part) for part in Part}
    assert reasons == {why}
    purge(road, destination, **ALL)
    assert (on_disk(road) == before) is bool(why)


def test_results_without_a_destination_are_the_only_copy_and_stay(
    tmp_path: Path, queue_url: str, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path / "data", destinations=(), database_url=queue_url)
    road.all_of_it(*mammogram_study.files)
    after_days(road, 3650)
    purge(road, **ALL)
    assert not files(road, "archive")
    assert files(road, "results")
    with road.sessions.begin() as session:
        reason = Keeping.of(settings_of(road)).why(session, session.query(Study).one(), Part.RESULTS)
    assert reason == NOT_SENT_ANYWHERE


def test_a_study_that_is_open_or_read_or_waits_for_its_report_is_never_touched(
    road: Road, mammogram_study: DemoStudy
) -> None:
    everything = {**ALL, "quarantine_days": 30}
    road.receive(*mammogram_study.files)
    for step in (lambda: None, road.read, lambda: road.close(), road.read):
        step()
        after_days(road, 365)
        before = on_disk(road)
        assert purge(road, **everything).size.files == 0
        assert on_disk(road) == before
    with road.sessions.begin() as session:
        study = session.query(Study).one()
        assert study.state is StudyState.CLOSED
        assert Keeping.of(settings_of(road)).why(session, study, Part.IMAGES) == AT_WORK


def test_a_study_of_which_nothing_is_read_goes_by_its_own_setting(road: Road, mammogram_study: DemoStudy) -> None:
    chest = changed(mammogram_study.files[0], SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality="OT")
    road.receive(chest)
    road.close()
    assert road.study().state is StudyState.NOT_READ
    after_days(road, 31)
    purge(road, images_days=1)
    assert files(road, "archive")
    purge(road, not_read_days=30)
    assert not files(road, "archive")


def test_quarantine_goes_by_its_own_setting_alone(road: Road, mammogram_study: DemoStudy) -> None:
    dark = changed(mammogram_study.files[0])
    dark.PixelData = bytes(len(dark.PixelData))
    road.receive(mammogram_study.files[0], dark)
    road.read()
    (aside,) = files(road, "quarantine")
    after_days(road, 31)
    os.utime(road.data_dir / aside, (road.clock() - 31 * DAY_S,) * 2)
    purge(road, **ALL)
    assert files(road, "quarantine")
    assert files(road, "archive")
    purge(road, quarantine_days=30)
    assert not files(road, "quarantine")
    assert not files(road, "archive")
    assert deletions(road) == ["DICOM Study Deleted", "DICOM Instances Accessed"], "the one set aside has its own event"
    assert road.study().state is StudyState.QUARANTINED


def deletions(road: Road) -> list[str]:
    """What the audit trail calls each of them."""
    with road.sessions.begin() as session:
        rows = session.query(AuditEvent).order_by(AuditEvent.id)
        messages = [MESSAGES.validate_python(row.message) for row in rows]
    return [message.event.meaning for message in messages if message.action is Action.DELETE]


def test_two_purges_at_once_delete_each_file_once(
    road: Road, mammogram_study: DemoStudy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    road.receive(mammogram_study.files[0])
    for number in range(3):
        dark = changed(mammogram_study.files[0])
        dark.PixelData = bytes([number]) * len(dark.PixelData)
        road.receive(dark)
    road.read()
    for path in files(road, "quarantine"):
        os.utime(road.data_dir / path, (road.clock() - 31 * DAY_S,) * 2)
    listed, sizes = retention_purge.old_files, list[int]()

    def slow(settings: Settings, now: float) -> Iterator[tuple[str, Path]]:
        for found in listed(settings, now):
            if not sizes:
                sizes.append(0)  # so that the other purge does not come here
                sizes[0] = purge(road, quarantine_days=30).size.files
            yield found

    monkeypatch.setattr(retention_purge, "old_files", slow)
    assert purge(road, quarantine_days=30).size.files == 0
    assert sizes == [3]
    assert not files(road, "quarantine")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def refused_report(mammogram_study: DemoStudy, completion: str) -> Dataset:
    image = dcmread(mammogram_study.files[0])
    sr = report_on(image, finding(Category.FOUR_B, codes.SCT.Left))
    sr.SOPInstanceUID = sr.file_meta.MediaStorageSOPInstanceUID = "1.2.3.66"
    sr.CompletionFlag = completion
    return sr


def test_a_refused_report_that_comes_complete_while_the_purge_runs_is_kept(
    road: Road, mammogram_study: DemoStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    road.receive(refused_report(mammogram_study, "PARTIAL"))
    after_days(road, 31)
    found = retention_purge.refused_reports

    def meanwhile(session: Session, before: float) -> list[tuple[int, int]]:
        due = found(session, before)
        session.commit()
        road.receive(refused_report(mammogram_study, "COMPLETE"))
        return due

    monkeypatch.setattr(retention_purge, "refused_reports", meanwhile)
    purge(road, refused_days=30)
    (kept,) = [row for row in road.instances() if row.sop_instance_uid == "1.2.3.66"]
    assert (kept.refusal, kept.purged_at) == (None, None)
    assert (road.data_dir / kept.path).is_file()


def test_a_refused_report_goes_by_what_never_goes_too(road: Road, mammogram_study: DemoStudy) -> None:
    road.all_of_it(*mammogram_study.files)
    road.receive(refused_report(mammogram_study, "PARTIAL"))
    road.all_of_it()
    after_days(road, 31)
    before = on_disk(road)
    purge(road, refused_days=30)
    assert on_disk(road) == before, "results wait"
    deliver(road)
    purge(road, refused_days=30)
    (gone,) = before - on_disk(road)
    assert "1.2.3.66" in gone
    assert deletions(road) == ["DICOM Instances Accessed"]


def test_refused_messages_and_reports_go_by_their_own_setting(road: Road, mammogram_study: DemoStudy) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    with road.sessions.begin() as session:  # as a report that could not be used
        session.query(Instance).first().refusal = "no person"
    refused = road.data_dir / "hl7-refused/one.hl7"
    refused.parent.mkdir()
    refused.write_text("MSH|")
    after_days(road, 31)
    os.utime(refused, (road.clock() - 31 * DAY_S,) * 2)
    purge(road, results_days=1)
    assert refused.exists()
    purge(road, refused_days=30)
    assert not refused.exists()
    assert len(files(road, "archive")) == 3


def test_the_oldest_go_first_while_space_is_short_and_never_the_youngest(
    road: Road, mammogram_studies: list[DemoStudy]
) -> None:
    first, second = mammogram_studies
    reported_and_delivered(road, *first.files)
    after_days(road, 40)
    reported_and_delivered(road, *second.files)
    short = purge_of(road, free=5e9, purge_below_free_mb=10_000, purge_until_free_mb=20_000, youngest_days=30)
    enough = purge_of(road, free=10e9, purge_below_free_mb=10_000, purge_until_free_mb=20_000, youngest_days=30)
    assert enough.for_space().size.files == 0
    assert short.for_space().studies == {"purge_below_free_mb": 1}
    assert {path.split("/")[1] for path in files(road, "archive")} == {second.study_instance_uid}
    after_days(road, 31)
    assert short.for_space().studies == {"purge_below_free_mb": 1}
    assert on_disk(road) == named(road)


def test_deleting_for_space_stops_when_enough_is_free(road: Road, mammogram_studies: list[DemoStudy]) -> None:
    for study in mammogram_studies:
        reported_and_delivered(road, *study.files)
    after_days(road, 40)
    free = [5_000_000_000]
    purging = purge_of(road, purge_below_free_mb=10_000, purge_until_free_mb=20_000)
    purging.free_bytes = lambda: free[0]
    purging.freed = lambda size: free.__setitem__(0, 20_000_000_000)
    assert purging.for_space().studies == {"purge_below_free_mb": 1}
    assert files(road, "archive")


def test_corrected_headers_of_an_image_go_with_it(road: Road, mammogram_study: DemoStudy) -> None:
    road.receive(*mammogram_study.files, changed(mammogram_study.files[0], StudyDescription="corrected"))
    assert len(files(road, "archive")) == 5
    road.all_of_it()
    deliver(road)
    after_days(road, 31)
    purge(road, images_days=30)
    assert not files(road, "archive")
    assert on_disk(road) == named(road)


def test_folders_that_lie_in_one_another_go_in_whatever_order_they_are_taken(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(*mammogram_study.files)
    doomed = [f"results/1/{'/'.join('abcdefgh'[:depth])}/{depth}.dcm" for depth in range(8)]
    with road.sessions.begin() as session:
        for path in doomed:
            (road.data_dir / path).parent.mkdir(parents=True, exist_ok=True)
            (road.data_dir / path).touch()
            session.add(DoomedFile(study_id=1, path=path))
    assert delete_doomed(road.sessions, road.data_dir).files == 8
    assert not (road.data_dir / "results" / "1").exists()


@pytest.mark.parametrize("part", list(Part))
@pytest.mark.parametrize("stops_after", [0, 1, 2])
def test_a_purge_that_is_cut_off_is_finished_by_the_next_and_rows_never_name_a_deleted_file(
    road: Road, mammogram_study: DemoStudy, part: Part, stops_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    after_days(road, 31)
    unlink, left = Path.unlink, [stops_after]

    def cut_off(path: Path, missing_ok: bool = False) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", cut_off)
    with pytest.raises(KeyboardInterrupt):
        purge(road, **{f"{part}_days": 30})
    monkeypatch.undo()
    assert named(road) <= on_disk(road)
    purge(road, refused_days=1)  # what was begun is finished, whatever the settings say now
    assert named(road) == on_disk(road)


@pytest.mark.parametrize("destroyed", ["set ahead", "wrong at the start"])
def test_a_clock_that_is_years_ahead_deletes_nothing_until_a_person_has_looked(
    road: Road, mammogram_study: DemoStudy, destroyed: str
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    ran = Clock(0.0)
    watch = ClockWatch(road.clock, ran)
    with road.sessions.begin() as session:
        doubt = ClockDoubt(watch, quiet_for_days(session, road.clock()))
    purging = replace(purge_of(road, images_days=30), doubt=doubt.why)
    assert purging.by_age().size.files == 0
    after_days(road, 3650)  # and the machine ran for no second of it
    if destroyed == "wrong at the start":
        with road.sessions.begin() as session:
            doubt = ClockDoubt(ClockWatch(road.clock, ran), quiet_for_days(session, road.clock()))
        purging = replace(purging, doubt=doubt.why)
    assert doubt.why()
    assert purging.by_age().size.files == 0
    road.receive(changed(mammogram_study.files[0], SOPInstanceUID="1.2.3", StudyInstanceUID="1.2.4"))
    assert purging.by_age().size.files == 0, "also once something came"
    short = purge_of(road, free=0, purge_below_free_mb=3000, purge_until_free_mb=4000)
    assert replace(short, doubt=doubt.why).for_space().size.files == 0
    assert files(road, "archive")
    assert purge(road, images_days=30).size.files == 8, "a person's own command"


def test_a_clock_that_runs_and_a_node_that_receives_are_in_no_doubt(road: Road, mammogram_study: DemoStudy) -> None:
    ran = Clock(0.0)
    with road.sessions.begin() as session:
        doubt = ClockDoubt(ClockWatch(road.clock, ran), quiet_for_days(session, road.clock()))
    reported_and_delivered(road, *mammogram_study.files)
    ran.seconds = 61
    for _ in range(20):
        after_days(road, 0.9)
        ran.seconds += 0.9 * DAY_S
        assert doubt.why() == ""
    with road.sessions.begin() as session:
        assert quiet_for_days(session, road.clock()) is None


def test_what_came_while_the_clock_said_an_impossible_year_is_not_deleted(
    road: Road, mammogram_study: DemoStudy
) -> None:
    right = road.clock.seconds
    road.clock.seconds = 946_684_800.0  # the battery of the machine's clock is empty
    reported_and_delivered(road, *mammogram_study.files)
    before = on_disk(road)
    road.clock.seconds = right  # NTP; and the node was started again
    assert purge(road, **ALL).size.files == 0
    short = purge_of(road, free=0, purge_below_free_mb=3000, purge_until_free_mb=4000)
    assert short.for_space().size.files == 0
    assert on_disk(road) == before


@pytest.mark.parametrize("missing_mb", [2, 900])
def test_deleting_for_space_stops_when_it_frees_nothing_until_there_is_room_again(
    road: Road, mammogram_studies: list[DemoStudy], missing_mb: int, caplog: pytest.LogCaptureFixture
) -> None:
    for study in mammogram_studies:
        reported_and_delivered(road, *study.files)
    after_days(road, 31)
    free = [2999e6]
    purging = purge_of(road, purge_below_free_mb=3000, purge_until_free_mb=2999 + missing_mb)
    purging.free_bytes = lambda: int(free[0])  # a snapshot holds what is deleted
    if missing_mb == 2:
        assert purging.for_space().studies == {"purge_below_free_mb": 1}, "one study is more than is missing"
        assert "did not become free" in caplog.text
        before = on_disk(road)
        assert purging.for_space().size.files == 0
        assert on_disk(road) == before
        free[0] = 3001e6
        purging.for_space()
        free[0] = 2999e6
    assert purging.for_space().size.files
    assert not files(road, "archive")


def test_deleting_for_space_stops_at_a_file_that_cannot_be_deleted(
    road: Road, mammogram_studies: list[DemoStudy], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for study in mammogram_studies:
        reported_and_delivered(road, *study.files)
    after_days(road, 31)
    purging = purge_of(road, free=0, purge_below_free_mb=3000, purge_until_free_mb=4000)

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", refused)
        for _ in range(2):
            purging.for_space()
            assert len([study for study in purged_studies(road) if study]) == 1
    assert "a file cannot be deleted" in caplog.text
    purging.for_space()
    assert not files(road, "archive")


def purged_studies(road: Road) -> list[float | None]:
    with road.sessions.begin() as session:
        return [study.images_purged_at for study in session.query(Study)]
