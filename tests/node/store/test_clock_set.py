"""The wall clock is changed while studies wait: nothing waits longer, and nothing ends early."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from road import LADDER, Road, changed
from sqlalchemy import event, select

from node.demo.studies import DemoStudy
from node.store.clock import ClockWatch, follow, resume
from node.store.queue import claim
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import Delivery, Job, Study
from node.store.urgency import Urgency
from node.studies.closing import close_complete

pytestmark = pytest.mark.slow

HOUR = 3600.0
JUMPS = [-24 * HOUR, -HOUR, -60.0, 60.0, HOUR, 365 * 24 * HOUR]


@dataclass
class Clocks:
    wall_s: float = 1_700_000_000.0
    steady_s: float = 100.0

    def pass_by(self, seconds: float) -> None:
        self.wall_s += seconds
        self.steady_s += seconds

    def watch(self) -> ClockWatch:
        return ClockWatch(lambda: self.wall_s, lambda: self.steady_s)


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


def set_clock(road: Road, by_s: float) -> None:
    """Sets the clock, and has the node notice within a second."""
    road.clock.seconds += by_s + 1
    with road.sessions.begin() as session:
        follow(session, by_s, road.clock(), since_s=1)


def test_only_a_difference_from_the_monotonic_clock_counts_as_a_clock_change() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    for _ in range(1000):
        clocks.pass_by(1)
        clocks.wall_s += 0.5  # a clock that is set forward
        assert watch.set_by() == 0
    clocks.pass_by(3)
    clocks.wall_s -= HOUR
    assert watch.set_by() == pytest.approx(-HOUR)
    assert watch.set_by() == pytest.approx(-HOUR), "until it is accepted"
    assert watch.since_s() == pytest.approx(3)
    watch.accept(-HOUR)
    assert watch.set_by() == 0


@pytest.mark.parametrize("by_s", JUMPS)
def test_a_study_closes_when_it_would_have_closed_had_the_clock_not_been_set(
    road: Road, mammogram_study: DemoStudy, by_s: float
) -> None:
    road.receive(*mammogram_study.files[:2])
    road.close(after_s=LADDER.quiet_s / 2)
    set_clock(road, by_s)
    road.close(after_s=LADDER.quiet_s / 2 - 5)
    assert road.study().state is StudyState.OPEN
    road.close(after_s=5)
    assert road.study().state is StudyState.CLOSED


@pytest.mark.parametrize("by_s", JUMPS)
def test_the_deadline_holds_when_the_clock_is_set(road: Road, mammogram_study: DemoStudy, by_s: float) -> None:
    road.receive(mammogram_study.files[0])
    with road.sessions.begin() as session:
        session.query(Study).one().expected_instances = 99
    road.close(after_s=LADDER.deadline_s - 100)
    set_clock(road, by_s)
    road.close(after_s=90)
    assert road.study().state is StudyState.OPEN
    road.close(after_s=10)
    assert (road.study().state, road.study().why) == (StudyState.CLOSED, "complete: the deadline has passed")


def test_an_image_received_right_after_the_clock_was_set_keeps_its_time(road: Road, mammogram_study: DemoStudy) -> None:
    road.receive(mammogram_study.files[0])
    road.clock.seconds += 30 - HOUR
    road.receive(mammogram_study.files[1])
    with road.sessions.begin() as session:
        follow(session, -HOUR, road.clock(), since_s=1)
    assert road.study().last_received_at == road.clock()
    assert road.study().opened_at == road.clock() - 30


@pytest.mark.parametrize("by_s", JUMPS)
def test_leases_delays_and_lifetimes_are_shifted_with_the_clock(
    road: Road, mammogram_study: DemoStudy, by_s: float
) -> None:
    road.all_of_it(*mammogram_study.files)
    road.receive(changed(mammogram_study.files[0], StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.1"))
    with road.sessions.begin() as session:
        (held,) = claim(session, JobKind.READ_IMAGE, "node/reader", road.clock(), 600)
        for delivery in session.query(Delivery):
            delivery.next_at = road.clock() + 1800
    set_clock(road, by_s)
    delivery = road.deliveries()[0]
    assert road.clock() - delivery.created_at == pytest.approx(1)
    assert 0 < delivery.next_at - road.clock() <= 1800
    (job,) = (job for job in road.jobs() if job.id == held.job_id)
    assert job.state is JobState.RUNNING
    assert 0 < job.lease_until - road.clock() <= 600
    assert road.clock() - job.turn == pytest.approx(1), "else what comes next would go before it, or never"


def test_a_clock_set_back_while_the_node_was_down_does_not_prolong_any_wait(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(*mammogram_study.files[:2])
    road.close(after_s=1)
    road.clock.seconds -= 24 * HOUR
    with road.sessions.begin() as session:
        resume(session, road.clock())
    road.close(after_s=LADDER.quiet_s)
    assert road.study().state is StudyState.CLOSED


def test_the_closing_tick_makes_one_query_if_no_image_was_received(road: Road, mammogram_study: DemoStudy) -> None:
    for number in range(3):
        road.receive(
            changed(mammogram_study.files[0], StudyInstanceUID=f"1.2.{number}", SOPInstanceUID=f"1.2.{number}.1")
        )
    road.close(after_s=1)
    asked: list[str] = []
    event.listen(road.sessions.kw["bind"], "before_cursor_execute", lambda *call: asked.append(call[2]))
    for _ in range(10):
        close_complete(road.sessions, LADDER, road.clock())
    assert [entry.split()[0] for entry in asked] == ["BEGIN", "SELECT"] * 10, "one query a tick"
    road.receive(
        changed(mammogram_study.files[1], StudyInstanceUID="1.2.1", SOPInstanceUID="1.2.1.2"),
        changed(mammogram_study.files[2], StudyInstanceUID="1.2.1", SOPInstanceUID="1.2.1.3"),
    )
    road.close(after_s=5)
    with road.sessions.begin() as session:
        assert [study.state for study in session.query(Study)] == [StudyState.OPEN] * 3
    road.receive(changed(mammogram_study.files[3], StudyInstanceUID="1.2.1", SOPInstanceUID="1.2.1.4"))
    road.close(after_s=5)
    with road.sessions.begin() as session:
        states = [study.state for study in session.query(Study)]
    assert states == [StudyState.OPEN, StudyState.CLOSED, StudyState.OPEN]


def waiting_jobs(road: Road, *came_before_s: float, state: StudyState = StudyState.OPEN) -> None:
    """A job of a study of each urgency that came so long ago."""
    with road.sessions.begin() as session:
        for number, before_s in enumerate(came_before_s):
            at = road.clock() - before_s
            times = {"first_received_at": at, "last_received_at": at, "opened_at": at}
            for urgency in Urgency:
                uid = f"1.{road.clock():.0f}.{number}.{urgency.head_start_s:.0f}".replace("-", "9")
                study = Study(study_instance_uid=uid, source="PACS", urgency=urgency, state=state, **times)
                session.add(study)
                session.flush()
                session.add(Job(kind=JobKind.READ_IMAGE, study_id=study.id, revision=1, turn=study.turn))


def ages(road: Road) -> list[tuple[float, float]]:
    """How long ago each job and its study came, s."""
    with road.sessions.begin() as session:
        jobs = session.scalars(select(Job).order_by(Job.id)).all()
        return [(road.clock() - job.turn - job.study.head_start_s, road.clock() - job.study.opened_at) for job in jobs]


@pytest.mark.parametrize("by_s", JUMPS)
@pytest.mark.parametrize("state", [StudyState.OPEN, StudyState.CLOSED])
def test_turns_follow_the_clock_whatever_the_urgency_and_those_of_the_new_clock_stay(
    road: Road, by_s: float, state: StudyState
) -> None:
    waiting_jobs(road, 40, 8000, state=state)
    road.clock.seconds += by_s
    waiting_jobs(road, 0.5, state=state)
    with road.sessions.begin() as session:
        follow(session, by_s, road.clock(), since_s=1)
    each = len(Urgency)
    assert ages(road) == [pytest.approx((age, age)) for age in [40] * each + [8000] * each + [0.5] * each]


@pytest.mark.parametrize("by_s", JUMPS)
def test_a_reported_study_whose_results_are_not_delivered_keeps_its_turn(
    road: Road, mammogram_study: DemoStudy, by_s: float
) -> None:
    road.all_of_it(*mammogram_study.files)
    road.clock.seconds += 30
    age_s = road.clock() - road.study().opened_at
    set_clock(road, by_s)
    assert road.clock() - road.study().opened_at == pytest.approx(age_s + 1)


@pytest.mark.parametrize("back_s", [0.0, 60.0, 24 * HOUR])
def test_at_a_start_no_study_lies_ahead_and_a_low_one_keeps_its_delay(road: Road, back_s: float) -> None:
    waiting_jobs(road, 100, 8000, state=StudyState.CLOSED)
    road.clock.seconds -= back_s
    with road.sessions.begin() as session:
        resume(session, road.clock())
    expected = [max(0.0, age_s - back_s) for age_s in (100, 8000) for _ in Urgency]
    assert ages(road) == [pytest.approx((age, age)) for age in expected]
