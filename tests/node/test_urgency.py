"""An urgent study is read, reported and sent before the others, and nothing starves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from readings import header
from road import Road, changed
from sqlalchemy import Engine, delete, event, select
from storage_scp import StorageScp

from config.peers import Sender
from dicom_io.headers import describe
from dicom_io.network.peer import Peer
from dicom_io.network.priority import HIGH, LOW, MEDIUM, priority_of
from dicom_io.network.scu import CStoreDestination
from dicom_io.results.outputs import contents_of
from dicom_io.results.profiles import PROFILES
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.demo.studies import DemoStudy
from node.intake.urgency import urgency_of
from node.store.database import Sessions, open_database, sessions_of
from node.store.queue import OVERDUE_S, Claim, claim, give_back, put_off
from node.store.states import JobKind
from node.store.tables import Job, Result, Study
from node.store.urgency import Urgency
from node.studies.lifecycle import raise_urgency

HOUR = 3600.0
LOWEST_HIGHEST_S = Urgency.STAT.head_start_s - Urgency.LOW.head_start_s


@pytest.mark.parametrize(
    ("priority", "of_image", "of_request", "of_sender", "of_route", "urgency"),
    [
        (MEDIUM, None, None, None, None, None),
        (HIGH, None, None, None, None, "HIGH"),
        (LOW, None, None, None, None, None),  # pynetdicom's default
        (MEDIUM, "STAT", None, None, None, "STAT"),
        (MEDIUM, None, "stat ", None, None, "STAT"),
        (MEDIUM, "S", None, None, None, "STAT"),
        (MEDIUM, "MEDIUM", "HIGH", None, None, "HIGH"),
        (MEDIUM, "LOW", None, None, None, "LOW"),
        (LOW, "LOW", "MEDIUM", None, None, "ROUTINE"),
        (HIGH, "LOW", None, None, None, "HIGH"),
        (HIGH, "STAT", None, None, None, "STAT"),
        (HIGH, "when you can", None, None, None, "HIGH"),
        (MEDIUM, "7", "", None, None, None),
        (MEDIUM, None, None, {"urgency": "HIGH"}, None, "HIGH"),
        (MEDIUM, None, None, {"urgency": "LOW"}, None, "LOW"),
        (HIGH, None, None, {"urgency": "LOW"}, None, "HIGH"),
        (HIGH, "STAT", None, {"heeds_priority": False}, None, None),
        (HIGH, "STAT", None, {"heeds_priority": False, "urgency": "LOW"}, None, "LOW"),
        (MEDIUM, None, None, None, "STAT", "STAT"),
        (MEDIUM, None, None, {"urgency": "HIGH"}, "LOW", "HIGH"),
        (HIGH, "STAT", None, {"heeds_priority": False}, "HIGH", "HIGH"),
    ],
)
def test_the_most_urgent_of_what_is_stated_counts(priority, of_image, of_request, of_sender, of_route, urgency):
    dataset = header("1.2.3", (80, 90))
    if of_image is not None:
        dataset.RequestedProcedurePriority = of_image
    if of_request is not None:
        request = Dataset()
        request.RequestedProcedurePriority = of_request
        dataset.RequestAttributesSequence = [request]
    sender = None if of_sender is None else Sender(ae_title="PACS", **of_sender)
    assert urgency_of(describe(dataset), priority, sender, of_route) == urgency


@pytest.mark.parametrize(
    ("stated", "priority"),
    [(0, MEDIUM), (1, HIGH), (2, LOW), (None, MEDIUM), (3, MEDIUM), (65535, MEDIUM), ([1, 1], MEDIUM)],
)
def test_a_priority_that_is_none_is_no_reason_to_refuse_an_image(stated, priority):
    command = Dataset()
    command.Priority = stated
    assert priority_of(command) == priority
    assert priority_of(Dataset()) == MEDIUM


def test_an_urgent_study_that_comes_last_is_read_reported_and_sent_first(tmp_path: Path, mammogram_study: DemoStudy):
    road = Road(tmp_path)
    road.receive(*(of_study(file, "1.2.1") for file in mammogram_study.files))
    road.receive(*(of_study(file, "1.2.2") for file in mammogram_study.files[:1]))
    road.receive(of_study(mammogram_study.files[0], "1.2.3"), priority=HIGH)
    road.reader.read_some()
    first, routine, urgent = studies(road)
    assert [len(read_of(road, study)) for study in (first, routine, urgent)] == [3, 0, 1]
    road.read()
    road.close()
    road.reporter.report_one()
    with road.sessions.begin() as session:
        assert set(session.scalars(select(Result.study_id))) == {urgent.id}
    road.report()
    road.receive(of_study(mammogram_study.files[0], "1.2.2"), priority=HIGH)  # urgent once its report is written
    with StorageScp().listening() as pacs:
        peer = CStoreDestination(Peer("PACS", "127.0.0.1", pacs.port, 60, "NODE"), contents_of(PROFILES["ohif"]))
        policy = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=7200)
        sending = Deliverer("pacs", peer, policy, road.sessions, road.data_dir, road.clock)
        while sending.deliver_due():
            pass
        peer.close()
    sent = list(dict.fromkeys(stored.StudyInstanceUID for stored in pacs.stored))
    assert sent == ["1.2.3", "1.2.2", "1.2.1"]


def test_a_later_image_makes_its_study_urgent_and_none_makes_it_less(tmp_path: Path, mammogram_study: DemoStudy):
    road = Road(tmp_path)
    road.receive(*(of_study(file, "1.2.1") for file in mammogram_study.files[:2]))
    road.receive(*(of_study(file, "1.2.2") for file in mammogram_study.files[:2]))
    road.receive(of_study(mammogram_study.files[2], "1.2.2"), priority=HIGH)
    road.receive(of_study(mammogram_study.files[3], "1.2.2"))
    assert [study.urgency for study in studies(road)] == [Urgency.ROUTINE, Urgency.HIGH]
    with road.sessions.begin() as session:
        claims = claim(session, JobKind.READ_IMAGE, "node/reader", road.clock(), 600, limit=4)
    assert {held.study_id for held in claims} == {studies(road)[1].id}, "also those that waited already"


def test_an_image_that_states_nothing_leaves_a_study_as_low_as_it_was(tmp_path: Path, mammogram_study: DemoStudy):
    road = Road(tmp_path)
    low, also_low, routine = (dcmread(file) for file in mammogram_study.files[:3])
    low.RequestedProcedurePriority = also_low.RequestedProcedurePriority = "LOW"
    routine.RequestedProcedurePriority = "ROUTINE"
    road.receive(low, mammogram_study.files[3], also_low, mammogram_study.files[3])
    assert road.study().urgency is Urgency.LOW
    road.receive(routine)
    assert road.study().urgency is Urgency.ROUTINE


def test_an_image_that_comes_again_unchanged_may_make_its_study_urgent(tmp_path: Path, mammogram_study: DemoStudy):
    road = Road(tmp_path)
    for priority in (MEDIUM, HIGH, MEDIUM):
        road.receive(mammogram_study.files[0], priority=priority)
    (job,) = road.jobs()
    assert road.study().urgency is Urgency.HIGH
    assert job.turn == road.clock() - Urgency.HIGH.head_start_s


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('queue') / 'queue.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    return emptied(engine)


arrivals = st.lists(st.tuples(st.integers(0, 10 * 3600), st.sampled_from(Urgency)), min_size=2, max_size=8)


@given(waiting=arrivals, kind=st.sampled_from(JobKind), at_once=st.integers(1, 4))
@settings(max_examples=25)
def test_the_urgent_go_first_and_nothing_starves(engine: Engine, waiting, kind, at_once):
    sessions = emptied(engine)
    came = {queued(sessions, at, urgency, kind): (at, urgency) for at, urgency in waiting}
    claimed = []
    while claims := take(sessions, kind, at_once):
        assert len(claims) <= at_once
        claimed += [came[held.study_id] for held in claims]
    assert len(claimed) == len(waiting), "each job once"
    for (at, urgency), (later_at, later_urgency) in combinations(claimed, 2):
        assert at <= later_at or urgency.head_start_s > later_urgency.head_start_s, "the older of equals goes first"
        assert at - later_at <= LOWEST_HIGHEST_S, "whatever is that much older goes before the most urgent"


def test_what_is_older_than_the_head_start_goes_before_a_new_urgent_study(sessions: Sessions):
    old = queued(sessions, 0, Urgency.ROUTINE)
    young = queued(sessions, HOUR, Urgency.ROUTINE)
    urgent = queued(sessions, Urgency.STAT.head_start_s + 1, Urgency.STAT)
    assert [held.study_id for held in take(sessions, limit=3)] == [old, urgent, young]


@pytest.mark.parametrize("urgency", Urgency)
@pytest.mark.parametrize("waited_s", [0.0, 10 * HOUR])
@pytest.mark.parametrize("hung", [False, True])
def test_an_image_that_was_tried_before_goes_after_new_ones_for_an_hour_and_then_does_not_starve(
    sessions: Sessions, urgency: Urgency, waited_s: float, hung: bool
):
    """However urgent it is, and however long it waited: it may hang the decoder again."""
    tried, at = queued(sessions, 0, urgency), waited_s
    assert [held.study_id for held in take(sessions, now=at, lease_s=600)] == [tried]
    new = [queued(sessions, at + number, Urgency.LOW) for number in range(3)]
    if hung:
        at += 600  # its lease runs out
    else:
        with sessions.begin() as session:
            give_back(session, "node/reader", at, counts=True)
    assert [held.study_id for held in take(sessions, now=at + OVERDUE_S - 1)] == new[:1]
    assert [held.study_id for held in take(sessions, limit=2, now=at + OVERDUE_S + 1)] == [tried], "alone"
    assert [held.study_id for held in take(sessions, limit=2, now=at + OVERDUE_S + 1)] == new[1:]


@pytest.mark.parametrize("first", [True, False], ids=["raised at its retry", "raised before"])
def test_a_tried_image_whose_study_becomes_urgent_still_goes_after_new_ones(sessions: Sessions, first: bool):
    tried = queued(sessions, 0, Urgency.ROUTINE)
    take(sessions, now=0)
    with sessions.begin() as session:
        if first:
            raise_urgency(session, session.get_one(Study, tried), Urgency.STAT)
        give_back(session, "node/reader", 0, counts=True)
        if not first:
            raise_urgency(session, session.get_one(Study, tried), Urgency.STAT)
    new = queued(sessions, 1, Urgency.ROUTINE)
    assert [held.study_id for held in take(sessions, now=2)] == [new]


def test_a_job_that_was_put_off_keeps_the_head_start_of_its_study(sessions: Sessions):
    urgent = queued(sessions, 0, Urgency.HIGH)
    (held,) = take(sessions, now=0)
    with sessions.begin() as session:
        put_off(session, held, "EIO", until=5)
    routine = queued(sessions, 1, Urgency.ROUTINE)
    assert [held.study_id for held in take(sessions, limit=2, now=4)] == [routine]
    queued(sessions, 1, Urgency.ROUTINE)
    assert [held.study_id for held in take(sessions, now=5)] == [urgent]


@pytest.mark.parametrize("kind", JobKind)
def test_a_claim_finds_the_next_jobs_by_the_index_and_sorts_none(engine: Engine, kind: JobKind):
    sessions = emptied(engine)
    queued(sessions, 0, Urgency.ROUTINE, kind)
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(_connection, _cursor, statement, values, *_):
        asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    take(sessions, kind)
    event.remove(engine, "before_cursor_execute", note)
    statement, values = [call for call in asked if "UPDATE job" in call[0]][-1]
    with engine.connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any("ix_job_claim (state=? AND kind=? AND attempts=?)" in step for step in plan), plan
    assert not any("SCAN job" in step or "TEMP B-TREE" in step for step in plan), plan


def of_study(file: Path, study_instance_uid: str) -> Dataset:
    number = dcmread(file, stop_before_pixels=True).SOPInstanceUID[-20:].replace(".", "")
    return changed(file, StudyInstanceUID=study_instance_uid, SOPInstanceUID=f"{study_instance_uid}.1{number}")


def studies(road: Road) -> list[Study]:
    with road.sessions.begin() as session:
        return list(session.scalars(select(Study).order_by(Study.id)))


def read_of(road: Road, study: Study) -> list[int]:
    return [image.id for image in road.instances() if image.study_id == study.id and image.reading is not None]


def emptied(engine: Engine) -> Sessions:
    sessions = sessions_of(engine)
    with sessions.begin() as session:
        session.execute(delete(Job))
        session.execute(delete(Study))
    return sessions


def queued(sessions: Sessions, at: float, urgency: Urgency, kind: JobKind = JobKind.READ_IMAGE) -> int:
    """Queues a job of a new study that came `at`; returns the study's id."""
    with sessions.begin() as session:
        times = {"first_received_at": at, "last_received_at": at, "opened_at": at}
        number = len(session.scalars(select(Study.id)).all())
        study = Study(study_instance_uid=f"1.2.{number}", source="PACS", urgency=urgency, **times)
        session.add(study)
        session.flush()
        session.add(Job(kind=kind, study_id=study.id, revision=1, turn=study.turn))
        return study.id


def take(
    sessions: Sessions,
    kind: JobKind = JobKind.READ_IMAGE,
    limit: int = 1,
    now: float = 1e6,
    lease_s: float = 1e9,
) -> list[Claim]:
    with sessions.begin() as session:
        return claim(session, kind, "node/reader", now, lease_s, limit)
