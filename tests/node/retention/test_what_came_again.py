"""What comes again for an old study is kept as long as what came first, whatever the node does with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from keeping import DAY_S, annotate, deliver, files, purge, reported_and_delivered, settings_of
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian
from road import Road, changed
from sqlalchemy import select

from config.settings import Settings
from dicom_io.audit.message import Action, Outcome
from dicom_io.instance_kinds import InstanceKind
from dicom_io.network.answers import Status
from node.audit.events import MESSAGES
from node.demo.studies import DemoStudy
from node.intake import receiving
from node.intake.received_again import Difference
from node.retention import purge as retention_purge
from node.retention.plan import plan
from node.store.database import read_only
from node.store.states import StudyState
from node.store.tables import AuditEvent

pytestmark = pytest.mark.slow
QUARANTINE = {"quarantine_days": 30}


@pytest.fixture
def road(tmp_path: Path, queue_url: str) -> Road:
    return Road(tmp_path / "data", database_url=queue_url)


def dark(file: Path) -> Dataset:
    image = changed(file)
    image.PixelData = bytes(len(image.PixelData))
    return image


CONTRADICTIONS: dict[str, Callable[[Path], Dataset]] = {
    "other pixels": dark,
    "another patient": lambda file: changed(file, PatientID="OTHER"),
    "another study": lambda file: changed(file, StudyInstanceUID="1.2.3.4"),
}


@pytest.mark.parametrize("how", list(CONTRADICTIONS))
@pytest.mark.parametrize("is_old", [True, False])
def test_an_old_study_that_is_quarantined_today_waits_for_a_person_all_its_quarantine_days(
    road: Road, mammogram_study: DemoStudy, how: str, is_old: bool
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    if is_old:
        road.clock.seconds += 400 * DAY_S
    road.receive(CONTRADICTIONS[how](mammogram_study.files[0]))
    assert road.study().state is StudyState.QUARANTINED
    before = files(road, "archive")
    road.clock.seconds += 29 * DAY_S
    purge(road, **QUARANTINE)
    assert files(road, "archive") == before
    road.receive(CONTRADICTIONS[how](mammogram_study.files[1]))  # the days begin again
    before = files(road, "archive")
    road.clock.seconds += 29 * DAY_S
    purge(road, **QUARANTINE)
    assert files(road, "archive") == before
    road.clock.seconds += 2 * DAY_S
    purge(road, **QUARANTINE)
    assert not files(road, "archive")


def test_images_of_a_quarantined_study_stay_while_its_results_are_not_delivered(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.all_of_it(*mammogram_study.files)
    road.receive(dark(mammogram_study.files[0]))
    road.clock.seconds += 400 * DAY_S
    purge(road, **QUARANTINE)
    assert len(files(road, "archive")) == 4
    deliver(road)
    purge(road, **QUARANTINE)
    assert not files(road, "archive")


@pytest.mark.parametrize("changes", [{}, {"InstitutionName": "New"}, {"StudyDescription": "New"}, {"PatientID": "New"}])
def test_what_comes_again_for_an_old_study_and_is_acknowledged_is_kept_as_if_it_came_first(
    road: Road, mammogram_study: DemoStudy, changes: dict[str, str]
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    road.clock.seconds += 400 * DAY_S
    assert {each.status for each in road.receive(changed(mammogram_study.files[0], **changes))} == {Status.SUCCESS}
    road.all_of_it()
    deliver(road)
    before = files(road, "archive")
    assert len(before) == (5 if changes else 4)
    for setting in ("images_days", "quarantine_days"):
        purge(road, **{setting: 390})
    assert files(road, "archive") == before


def test_an_image_that_is_deleted_while_it_comes_again_is_not_acknowledged(
    road: Road, mammogram_study: DemoStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    road.clock.seconds += 400 * DAY_S

    def meanwhile(*_: object) -> Difference:
        purge(road, images_days=30)
        return Difference.NONE

    monkeypatch.setattr(receiving, "compare", meanwhile)
    (answer,) = road.receive(mammogram_study.files[0])
    assert answer.status is Status.NO_STORAGE
    assert not files(road, "archive")
    (answer,) = road.receive(mammogram_study.files[0])
    assert answer.status is Status.SUCCESS
    assert len(files(road, "archive")) == 1


def aged(road: Road, days: float) -> None:
    """Time passes, also for the files that were set aside."""
    road.clock.seconds += days * DAY_S
    for path in files(road, "quarantine"):
        os.utime(road.data_dir / path, (road.clock() - days * DAY_S,) * 2)


def test_what_was_set_aside_and_comes_again_is_kept_from_then_on_and_is_in_the_audit_trail(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(mammogram_study.files[0], dark(mammogram_study.files[0]))
    road.read()
    aged(road, 40)
    before = files(road, "archive"), files(road, "quarantine")
    (answer,) = road.receive(dark(mammogram_study.files[0]))
    assert answer.status is Status.CONTRADICTS
    with road.sessions() as session:
        last = MESSAGES.validate_python(
            session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first().message
        )
    assert (last.action, last.outcome) == (Action.READ, Outcome.SERIOUS)
    assert "set aside before" in last.why
    purge(road, **QUARANTINE)
    assert (files(road, "archive"), files(road, "quarantine")) == before
    road.clock.seconds += 29 * DAY_S
    purge(road, **QUARANTINE)
    assert (files(road, "archive"), files(road, "quarantine")) == before
    road.clock.seconds += 2 * DAY_S
    purge(road, **QUARANTINE)
    assert not files(road, "archive") | files(road, "quarantine")


def test_what_was_set_aside_and_comes_again_while_the_purge_runs_is_kept(
    road: Road, mammogram_study: DemoStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    road.receive(mammogram_study.files[0], dark(mammogram_study.files[0]))
    road.read()
    aged(road, 40)
    road.receive(mammogram_study.files[0])  # so that the study stays, and the file that was set aside is old
    before = files(road, "quarantine")
    listed = retention_purge.old_files

    def meanwhile(settings: Settings, now: float) -> list[tuple[str, Path]]:
        found = list(listed(settings, now))
        assert found
        road.receive(dark(mammogram_study.files[0]))
        return found

    monkeypatch.setattr(retention_purge, "old_files", meanwhile)
    purge(road, **QUARANTINE)
    assert files(road, "quarantine") == before


def corrections(road: Road) -> Path:
    """The expert's segmentation that the node stored."""
    annotate(road)
    return next(road.data_dir / row.path for row in road.instances() if row.kind is InstanceKind.SEGMENTATION)


def saved(road: Road, dataset: Dataset) -> Path:
    path = road.data_dir / "saved.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_an_experts_newer_segmentation_under_the_same_uid_is_set_aside_and_never_deleted(
    road: Road, mammogram_study: DemoStudy
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    newer = dcmread(corrections(road))
    newer.PixelData = bytes(255 - value for value in newer.PixelData)
    assert road.receive(saved(road, newer))[0].status is Status.CONTRADICTS
    other = dark(mammogram_study.files[0])  # of a corrected study all is kept, also what is no segmentation
    assert road.receive(other)[0].status is Status.CONTRADICTS
    assert road.study().state is StudyState.QUARANTINED
    before = files(road, "quarantine"), files(road, "archive")
    assert len(before[0]) == 2
    aged(road, 4000)
    with read_only(road.sessions) as session:
        planned = plan(session, settings_of(road, **QUARANTINE), road.clock(), lambda: 0)
        assert sum(one.size.files for one in planned) == 0
    assert purge(road, **QUARANTINE).size.files == 0
    assert (files(road, "quarantine"), files(road, "archive")) == before


def test_a_segmentation_that_was_set_aside_is_kept_though_nothing_else_of_its_study_was_corrected(
    road: Road, mammogram_study: DemoStudy
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    annotate(road, creator="", automatic=True)
    assert not road.receive(mammogram_study.files[0])[0].status  # not corrected: a machine's
    stored = next(road.data_dir / row.path for row in road.instances() if row.kind is InstanceKind.SEGMENTATION)
    newer = dcmread(stored)
    newer.PixelData = bytes(255 - value for value in newer.PixelData)
    newer.ContentCreatorName = "Expert^Some"
    assert road.receive(saved(road, newer))[0].status is Status.CONTRADICTS
    (before,) = files(road, "quarantine")
    aged(road, 4000)
    purge(road, **QUARANTINE)
    assert files(road, "quarantine") == {before}


@pytest.mark.parametrize("syntax", ["as it was", "implicit"])
def test_a_segmentation_that_is_saved_again_with_the_same_frames_is_no_contradiction(
    road: Road, mammogram_study: DemoStudy, syntax: str
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    again = dcmread(corrections(road))
    again.ContentDescription = "saved again"
    if syntax == "implicit":
        again.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        again["PixelData"].VR = "OW"
    path = road.data_dir / "saved.dcm"
    again.save_as(path, enforce_file_format=True, implicit_vr=syntax == "implicit", little_endian=True)
    assert road.receive(path)[0].status is Status.SUCCESS
    assert not files(road, "quarantine")
    assert road.study().state is not StudyState.QUARANTINED
