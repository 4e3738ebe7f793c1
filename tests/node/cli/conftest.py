"""A queue with rows of every kind, and the command line for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from typer.testing import CliRunner
from typer.testing import Result as Ran

from config.settings import load
from node.cli.main import build
from node.store.database import Sessions, open_database, sessions_of
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Result, Study
from node.store.unread import Unread


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text('data_dir = "data"\n')
    (tmp_path / "data").mkdir()
    return path


@pytest.fixture
def sessions(config: Path) -> Sessions:
    return sessions_of(open_database(load(config).database))


@pytest.fixture
def command() -> Callable[..., Ran]:
    def run(*arguments: object) -> Ran:
        return CliRunner().invoke(build(), [str(argument) for argument in arguments])

    return run


@pytest.fixture
def a_study(sessions: Sessions) -> Callable[..., int]:
    """Adds a study of one image (PatientID SECRET-7) and gives its id."""

    def add(
        state: StudyState = StudyState.OPEN,
        *,
        why: str = "",
        reading: JobState = JobState.DONE,
        unread: Unread | None = None,
        report: JobState | None = None,
        reported: bool = False,
        delivery: dict[str, object] | None = None,
    ) -> int:
        with sessions.begin() as session:
            number = session.query(Study).count() + 1
            study = Study(
                study_instance_uid=f"1.2.826.0.1.77.{number}",
                source="ORTHANC",
                state=state,
                why=why,
                first_received_at=0.0,
                last_received_at=0.0,
                opened_at=0.0,
            )
            session.add(study)
            session.flush()
            instance = _add_instance(session, study, reading, unread)
            _add_job(session, study, JobKind.READ_IMAGE, instance.id, reading)
            _add_job(session, study, JobKind.REPORT, None, report)
            if reported or delivery:
                _add_result(session, study, delivery)
            return study.id

    return add


def _add_instance(session: Session, study: Study, reading: JobState, unread: Unread | None) -> Instance:
    instance = Instance(
        study=study,
        sop_instance_uid=f"{study.study_instance_uid}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2",
        series_instance_uid=f"{study.study_instance_uid}.2",
        patient_id="SECRET-7",
        patient_birth_date="19600101",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        kind="for-presentation",
        laterality="L",
        view="CC",
        path="x.dcm",
        received_at=0.0,
        unread=unread,
        unread_detail="" if unread is not Unread.UNREADABLE else "unreadable: kills the reader",
        reading={} if reading is JobState.DONE and unread is None else None,
    )
    session.add(instance)
    session.flush()
    return instance


def _add_job(session: Session, study: Study, kind: JobKind, instance_id: int | None, state: JobState | None) -> None:
    if state is None:
        return
    error = "it broke" if state is JobState.FAILED else ""
    session.add(
        Job(kind=kind, study_id=study.id, instance_id=instance_id, revision=1, state=state, attempts=3, error=error)
    )


def _add_result(session: Session, study: Study, delivery: dict[str, object] | None) -> None:
    result = Result(
        study=study,
        revision=1,
        last_revision=1,
        profile="ohif",
        kind="SR",
        sop_instance_uid=f"{study.study_instance_uid}.3",
        path="sr.dcm",
        written_at=0.0,
    )
    session.add(result)
    session.flush()
    if delivery:
        waiting = {"result_id": result.id, "destination": "pacs", "created_at": 0.0, "next_at": 0.0}
        session.add(Delivery(**(waiting | delivery)))
