"""What `retry` starts again, and its messages."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from models.errors import UserError
from node.operations.retry import retry_study
from node.operations.studies import NoSuchStudy
from node.store.states import DeliveryState, JobKind, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Study
from node.store.unread import Unread

NOW = 1000.0
DEAD = {"state": DeliveryState.DEAD, "attempts": 9, "error": "refused"}


@pytest.fixture
def retried(sessions):
    def run(study_id: int) -> list[str]:
        with sessions.begin() as session:
            return retry_study(session, study_id, NOW)

    return run


@pytest.fixture
def row(sessions):
    def get(table, row_id: int = 1):
        with sessions() as session:
            return session.get_one(table, row_id)

    return get


def test_a_retried_dead_delivery_is_due_at_once_with_its_full_lifetime(a_study, retried, row):
    study_id = a_study(StudyState.REPORTED, delivery=DEAD)
    assert retried(study_id) == ["1 SR will be sent to pacs again"]
    delivery = row(Delivery)
    assert (delivery.state, delivery.attempts, delivery.created_at, delivery.next_at) == ("waiting", 0, NOW, NOW)
    assert row(Study).state is StudyState.REPORTED


def test_a_retried_delivery_that_failed_and_waits_is_due_at_once(a_study, retried, row):
    late = {"attempts": 3, "error": "it does not answer", "next_at": NOW + 3600, "created_at": 5.0}
    assert retried(a_study(StudyState.REPORTED, delivery=late)) == ["1 SR will be sent to pacs again"]
    assert (row(Delivery).next_at, row(Delivery).created_at) == (NOW, 5.0)


def test_an_image_given_up_before_the_report_is_read_again(a_study, retried, row):
    study_id = a_study(StudyState.CLOSED, reading=JobState.FAILED, unread=Unread.UNREADABLE, report=JobState.WAITING)
    assert retried(study_id) == ["open again, for revision 1", "image 1 will be read again (job 1)"]
    assert (row(Job).state, row(Job).attempts) == (JobState.WAITING, 0)
    assert row(Instance).unread_reason is None
    assert row(Study).state is StudyState.OPEN
    assert row(Job, 2).state is JobState.CANCELLED, "nothing is reported without the image"


def test_an_image_given_up_in_a_reported_study_is_read_for_the_next_revision(a_study, retried, row):
    study_id = a_study(
        StudyState.REPORTED, reading=JobState.FAILED, unread=Unread.UNREADABLE, report=JobState.DONE, reported=True
    )
    assert retried(study_id) == ["open again, for revision 2", "image 1 will be read again (job 1)"]
    assert (row(Study).state, row(Study).revision, row(Job).revision) == (StudyState.OPEN, 2, 2)


def test_a_report_that_failed_is_written_again(a_study, retried, row):
    assert retried(a_study(StudyState.CLOSED, report=JobState.FAILED)) == ["its report will be written again (job 2)"]
    assert row(Job, 2).state is JobState.WAITING


def test_a_failed_report_without_an_image_that_is_read_again_is_not_written(a_study, retried, row):
    retried(a_study(StudyState.CLOSED, reading=JobState.FAILED, unread=Unread.UNREADABLE, report=JobState.FAILED))
    assert row(Job, 2).state is JobState.CANCELLED


def test_a_study_is_released_from_quarantine_and_the_reason_is_shown(a_study, retried, row):
    (sentence,) = retried(a_study(StudyState.QUARANTINED, why="two patients"))
    assert "two patients" in sentence
    assert row(Study).state is StudyState.OPEN


def test_an_image_received_during_quarantine_is_read_after_it(a_study, retried, row, sessions):
    study_id = a_study(StudyState.QUARANTINED, why="two patients", unread=Unread.IN_QUARANTINE)
    retried(study_id)
    assert row(Instance).unread_reason is None
    with sessions() as session:
        waiting = select(Job.instance_id).where(Job.kind == JobKind.READ_IMAGE, Job.state == JobState.WAITING)
        assert session.scalars(waiting).all() == [1]


def test_a_study_that_was_reported_before_its_quarantine_gets_a_new_revision(a_study, retried, row):
    retried(a_study(StudyState.QUARANTINED, why="two patients", reported=True))
    assert row(Study).revision == 2


def test_retry_changes_nothing_if_nothing_failed(a_study, command, config):
    sent = {"state": DeliveryState.SENT, "sent_at": 1.0}
    study_id = a_study(StudyState.REPORTED, unread=Unread.LEFT_OUT, delivery=sent)
    assert "nothing was changed" in command("retry", study_id, "-c", config).output


def test_a_study_of_two_patients_stays_in_quarantine_and_the_command_reports_the_cure(
    a_study, command, config, sessions
):
    study_id = a_study(StudyState.QUARANTINED, why="two patients")
    with sessions.begin() as session:
        first = session.get_one(Instance, 1)
        of_row = {column.key: getattr(first, column.key) for column in Instance.__table__.columns}
        session.add(Instance(**of_row | {"id": 2, "sop_instance_uid": "1.2", "patient_id": "SECRET-8"}))
    ran = command("retry", study_id, "-c", config)
    assert isinstance(ran.exception, UserError)
    assert "at their source" in str(ran.exception)
    assert "SECRET" not in str(ran.exception)


def test_an_unknown_study_is_reported(retried):
    with pytest.raises(NoSuchStudy, match="mammo-node status"):
        retried(7)
