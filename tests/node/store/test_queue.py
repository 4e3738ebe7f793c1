"""Guarantees of the queue: every job is done once, even if any process is killed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from node.store.database import Sessions, open_database, sessions_of
from node.store.queue import Claim, LeaseLost, claim, finish, give_back, renew, wait_again
from node.store.states import IllegalTransition, JobKind, JobState, StudyState, moved, moving
from node.store.tables import Instance, Job, Study

LEASE_S = 600.0


@pytest.fixture
def sessions(queue_url: str) -> Iterator[Sessions]:
    engine = open_database(queue_url)
    yield sessions_of(engine)
    engine.dispose()


def add_study(sessions: Sessions, images: int = 3, report: bool = False) -> int:
    with sessions.begin() as session:
        study = Study(
            study_instance_uid=f"1.2.{images}.{report:d}",
            source="PACS",
            first_received_at=0.0,
            last_received_at=0.0,
            opened_at=0.0,
        )
        session.add(study)
        session.flush()
        for number in range(images):
            instance = Instance(
                study_id=study.id,
                sop_instance_uid=f"{study.study_instance_uid}.{number}",
                sop_class_uid="1.2",
                series_instance_uid="1.2",
                patient_id="",
                patient_birth_date="",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                kind="for-presentation",
                path="x",
                received_at=0.0,
            )
            session.add(instance)
            session.flush()
            session.add(Job(kind=JobKind.READ_IMAGE, study_id=study.id, instance_id=instance.id, revision=1))
        if report:
            session.add(Job(kind=JobKind.REPORT, study_id=study.id, revision=1))
        return study.id


def take(sessions: Sessions, kind: JobKind = JobKind.READ_IMAGE, now: float = 0, limit: int = 1) -> list[Claim]:
    with sessions.begin() as session:
        return claim(session, kind, "node/reader", now, LEASE_S, limit)


def test_jobs_are_claimed_oldest_first_and_by_a_single_worker(sessions: Sessions) -> None:
    add_study(sessions, images=3)
    first, second = take(sessions, limit=2)
    assert first.job_id < second.job_id
    assert [held.attempts for held in (first, second)] == [1, 1]
    assert len(take(sessions, limit=5)) == 1
    assert take(sessions) == []


def test_a_job_with_an_expired_lease_is_claimed_again_and_its_first_worker_stores_nothing(sessions: Sessions) -> None:
    add_study(sessions, images=1)
    (late,) = take(sessions, now=0)
    assert take(sessions, now=LEASE_S - 1) == []
    (again,) = take(sessions, now=LEASE_S + 1)
    assert (again.job_id, again.attempts) == (late.job_id, 2)
    with pytest.raises(LeaseLost), sessions.begin() as session:
        finish(session, late, JobState.DONE)
    with sessions.begin() as session:
        finish(session, again, JobState.DONE)
        assert session.get_one(Job, again.job_id).state is JobState.DONE


def test_a_renewed_lease_ends_later(sessions: Sessions) -> None:
    add_study(sessions, images=1)
    held = take(sessions, now=0)
    with sessions.begin() as session:
        renew(session, held, now=500, lease_s=LEASE_S)
    assert take(sessions, now=LEASE_S + 1) == []
    assert len(take(sessions, now=500 + LEASE_S + 1)) == 1


def test_a_job_with_a_failed_attempt_is_claimed_alone_and_after_new_jobs(sessions: Sessions) -> None:
    add_study(sessions, images=3)
    (killer,) = take(sessions)
    with sessions.begin() as session:
        assert give_back(session, "node/reader", 0, counts=True) == 1
    assert killer.job_id not in [held.job_id for held in take(sessions, limit=4)]
    assert [held.job_id for held in take(sessions, limit=4)] == [killer.job_id]


def test_leases_released_at_a_stop_do_not_count_as_an_attempt(sessions: Sessions) -> None:
    add_study(sessions, images=1)
    (held,) = take(sessions)
    with sessions.begin() as session:
        give_back(session, "node/reader", 0, counts=False)
    (again,) = take(sessions)
    assert again.attempts == 1
    assert again.token > held.token


def test_a_job_that_waits_for_another_uses_no_attempt(sessions: Sessions) -> None:
    add_study(sessions, images=0, report=True)
    (held,) = take(sessions, JobKind.REPORT)
    with sessions.begin() as session:
        wait_again(session, held)
    with pytest.raises(LeaseLost), sessions.begin() as session:
        wait_again(session, held)
    (again,) = take(sessions, JobKind.REPORT)
    assert (again.job_id, again.attempts) == (held.job_id, 1)


def test_a_report_waits_for_the_last_reading_of_its_own_study(sessions: Sessions) -> None:
    waiting = add_study(sessions, images=1, report=True)
    ready = add_study(sessions, images=0, report=True)
    assert [held.study_id for held in take(sessions, JobKind.REPORT, limit=2)] == [ready]
    (image,) = take(sessions)
    assert take(sessions, JobKind.REPORT) == []
    with sessions.begin() as session:
        finish(session, image, JobState.FAILED, "unreadable")
    assert [held.study_id for held in take(sessions, JobKind.REPORT)] == [waiting]


def test_a_cancelled_job_cannot_be_finished(sessions: Sessions) -> None:
    add_study(sessions, images=0, report=True)
    (held,) = take(sessions, JobKind.REPORT)
    with sessions.begin() as session:
        job = session.scalars(select(Job).where(Job.kind == JobKind.REPORT)).one()
        job.state = moved(job.state, JobState.CANCELLED)
    with pytest.raises(LeaseLost), sessions.begin() as session:
        finish(session, held, JobState.DONE)


def test_rows_change_only_by_allowed_state_transitions() -> None:
    assert moved(StudyState.REPORTED, StudyState.OPEN) is StudyState.OPEN
    with pytest.raises(IllegalTransition, match="open → reported"):
        moved(StudyState.OPEN, StudyState.REPORTED)
    with pytest.raises(IllegalTransition, match="done → waiting"):
        moving(Job.state, [JobState.RUNNING, JobState.DONE], JobState.WAITING)


def test_a_database_is_migrated_once_and_opened_again_unchanged(queue_url: str) -> None:
    for images in (2, 3):
        engine = open_database(queue_url)
        add_study(sessions_of(engine), images=images)
        engine.dispose()
    engine = open_database(queue_url)
    with sessions_of(engine).begin() as session:
        assert len(session.scalars(select(Instance)).all()) == 5
    engine.dispose()


def test_workers_that_claim_at_the_same_time_do_every_job_once(sessions: Sessions) -> None:
    add_study(sessions, images=40)

    def work(worker: int) -> list[int]:
        done = []
        while claims := take(sessions, limit=2):
            with sessions.begin() as session:
                for held in claims:
                    finish(session, held, JobState.DONE)
            done += [held.job_id for held in claims]
        return done

    with ThreadPoolExecutor(4) as pool:
        done = sorted(job for jobs in pool.map(work, range(4)) for job in jobs)
    assert done == sorted(set(done))
    assert len(done) == 40
