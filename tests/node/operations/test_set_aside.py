"""`quarantine set-aside`: one image leaves a study in quarantine, and may come again elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from road import Road, changed
from sqlalchemy import select
from typer.testing import CliRunner
from typer.testing import Result as Ran

from dicom_io.network.answers import Status
from node.cli.main import build
from node.demo.studies import DemoStudy
from node.store.states import StudyState
from node.store.tables import AuditEvent, Job, Study

pytestmark = pytest.mark.slow
Command = Callable[..., Ran]


@pytest.fixture
def road(tmp_path: Path, queue_url: str) -> Road:
    (tmp_path / "node.toml").write_text(f'data_dir = "data"\ndatabase_url = "{queue_url}"\n')
    return Road(tmp_path / "data", database_url=queue_url)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    def run(*words: object) -> Ran:
        return CliRunner().invoke(build(), [*map(str, words), "-c", str(tmp_path / "node.toml")])

    return run


def stray(file: Path, **moved: str) -> Dataset:
    return changed(file, PatientID="SOMEBODY ELSE", PatientBirthDate="19000101", **moved)


def states(road: Road) -> list[StudyState]:
    with road.sessions() as session:
        return list(session.scalars(select(Study.state).order_by(Study.id)))


def finish(road: Road) -> None:
    road.read()
    road.close()
    road.read()
    road.report()


def test_an_image_that_was_moved_to_another_study_is_set_aside_and_accepted_there(
    road: Road, mammogram_study: DemoStudy, command: Command, tmp_path: Path
) -> None:
    road.receive(*mammogram_study.files[:3], stray(mammogram_study.files[3]))
    moved = stray(mammogram_study.files[3], StudyInstanceUID="1.2.3.4")
    assert road.receive(moved)[0].status is Status.CONTRADICTS
    shown = command("status", 1).output
    assert "images 1, 2, 3 state one patient ID, image 4 another" in shown
    assert "SOMEBODY ELSE" not in shown
    ran = command("quarantine", "set-aside", 1, 4)
    assert ran.exit_code == 0, ran.output
    assert ran.output.splitlines()[0] == "study 1: image 4 was set aside"
    assert "let out of quarantine" in ran.output
    assert road.receive(moved)[0].status is Status.SUCCESS
    assert states(road) == [StudyState.OPEN, StudyState.OPEN]
    finish(road)
    assert states(road) == [StudyState.REPORTED, StudyState.REPORTED]
    patients = {str(report.StudyInstanceUID): report.PatientID for report in road.results("SR")}
    first = changed(mammogram_study.files[0])
    assert patients == {first.StudyInstanceUID: first.PatientID, "1.2.3.4": "SOMEBODY ELSE"}
    uid = moved.SOPInstanceUID
    kept = {path.relative_to(tmp_path / "data").parts[:2] for path in (tmp_path / "data").rglob(f"{uid}*.dcm")}
    assert kept == {("quarantine", first.StudyInstanceUID), ("quarantine", "1.2.3.4"), ("archive", "1.2.3.4")}
    with road.sessions() as session:
        entered = [str(event.message) for event in session.scalars(select(AuditEvent))]
    assert sum("set aside: image 4" in message for message in entered) == 1


def test_a_study_whose_images_still_disagree_stays_in_quarantine_and_says_which(
    road: Road, mammogram_study: DemoStudy, command: Command
) -> None:
    road.receive(*mammogram_study.files[:2], stray(mammogram_study.files[2]), stray(mammogram_study.files[3]))
    refused = command("retry", 1)
    assert "images 1, 2 state one patient ID, images 3, 4 another" in str(refused.exception)
    assert "mammo-node quarantine set-aside 1 IMAGE" in str(refused.exception)
    assert "image 4 another" in command("quarantine", "set-aside", 1, 3).output
    assert states(road) == [StudyState.QUARANTINED]
    finish(road)
    assert road.results() == []
    assert "let out of quarantine" in command("quarantine", "set-aside", 1, 4).output


def test_a_study_in_quarantine_for_another_reason_waits_for_retry(
    road: Road, mammogram_study: DemoStudy, command: Command
) -> None:
    moved = changed(mammogram_study.files[1], StudyInstanceUID="1.2.3.4")
    road.receive(*mammogram_study.files[:2], moved)
    assert "`mammo-node retry 1` when that is right" in command("quarantine", "set-aside", 1, 2).output
    assert states(road) == [StudyState.QUARANTINED]
    assert road.receive(moved)[0].status is Status.SUCCESS
    assert command("retry", 1).exit_code == 0
    assert states(road) == [StudyState.OPEN, StudyState.OPEN]


def test_a_study_of_which_the_only_image_was_set_aside_ends_and_sends_nothing(
    road: Road, mammogram_study: DemoStudy, command: Command
) -> None:
    moved = changed(mammogram_study.files[0], StudyInstanceUID="1.2.3.4")
    road.receive(mammogram_study.files[0], moved)
    assert command("quarantine", "set-aside", 1, 1).exit_code == 0
    finish(road)
    assert states(road) == [StudyState.NOT_READ]
    assert "all its images were set aside" in command("status", 1).output
    assert road.results() == []


@pytest.mark.parametrize("study", ["not in quarantine", "without the image", "being read", "unknown"])
def test_what_cannot_be_set_aside_is_refused_and_nothing_changes(
    road: Road, mammogram_study: DemoStudy, command: Command, study: str
) -> None:
    road.receive(mammogram_study.files[0])
    if study != "not in quarantine":
        road.receive(stray(mammogram_study.files[1]))
    if study == "being read":
        with road.sessions.begin() as session:
            for job in session.scalars(select(Job)):
                job.state = "running"
    before = road.instances()
    ran = command("quarantine", "set-aside", 2 if study == "unknown" else 1, 9 if study == "without the image" else 1)
    assert ran.exit_code != 0
    assert str(ran.exception)
    assert [image.id for image in road.instances()] == [image.id for image in before]
