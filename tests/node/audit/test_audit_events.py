"""What happens has its event in the audit trail, and what was rolled back has none."""

from __future__ import annotations

from pathlib import Path

from audit_messages import assert_events_valid, entered
from finished_studies import fill

from dicom_io.audit.codes import INSTANCES_ACCESSED, STUDY_DELETED
from dicom_io.audit.message import Action
from node.audit.actors import command_line, retention
from node.audit.events import enter_instances_deleted, enter_study_deleted
from node.store.database import open_database, sessions_of
from node.store.tables import Study

SR = "1.2.840.10008.5.1.4.1.1.88.22"


def test_a_study_that_was_deleted_is_named_with_its_patient_and_its_instances(queue_url: str, tmp_path: Path) -> None:
    engine = open_database(queue_url)
    fill(engine, 2)
    sessions = sessions_of(engine)
    with sessions.begin() as session:
        study = session.get_one(Study, 1)
        enter_study_deleted(session, study, retention(), 1_800_000_000.0)
        enter_instances_deleted(session, study, {SR: 2}, command_line(), 1_800_000_000.0)
        ids = [study.study_instance_uid, study.instances[0].patient_id]
    deleted, some = entered(sessions)
    assert (deleted.event, deleted.action) == (STUDY_DELETED, Action.DELETE)
    assert [audited.id for audited in deleted.objects] == ids
    assert sum(count for _, count in deleted.objects[0].sop_classes) == 4
    assert (some.event, some.action, some.objects[0].sop_classes) == (INSTANCES_ACCESSED, Action.DELETE, ((SR, 2),))
    assert_events_valid(sessions, tmp_path)
    engine.dispose()


def test_what_is_rolled_back_has_no_event(queue_url: str) -> None:
    engine = open_database(queue_url)
    fill(engine, 1)
    sessions = sessions_of(engine)
    with sessions() as session:
        enter_study_deleted(session, session.get_one(Study, 1), retention(), 0.0)
        session.flush()
        session.rollback()
    assert entered(sessions) == []
    engine.dispose()
