"""A node whose PostgreSQL becomes read-only or stops answering: it refuses its senders meanwhile, and goes on after."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from killed_nodes import SETTINGS, Pacs, all_sent
from postgresql import PostgreSQL, debian_postgresql
from pydicom.uid import Comprehensive3DSRStorage
from running import RunningNode, eventually, reader_of
from sqlalchemy import select

from dicom_io.network.peer import Peer
from dicom_io.network.scu import send_files
from node.demo.studies import DemoStudy
from node.store.states import JobState
from node.store.tables import Instance, Job, Result, Study

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with debian_postgresql() as server:
        yield server


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    with Pacs().listening() as listening:
        yield listening


@pytest.fixture
def node(tmp_path: Path, eager_bundle: Path, pacs: Pacs, server: PostgreSQL) -> Iterator[RunningNode]:
    settings = SETTINGS.format(bundle=eager_bundle, port=pacs.port, quiet_s=5)
    node = RunningNode(tmp_path / "node", settings, database_url=server.fresh())
    node.start()
    yield node
    node.end()


def answers(node: RunningNode, *files: Path) -> list[str | None]:
    return [sent.error for sent in send_files(Peer("MAMMO_NODE", "127.0.0.1", node.port, 60, "TEST"), files)]


def assert_all_done_at_the_first_attempt(node: RunningNode, pacs: Pacs, images: int) -> None:
    eventually("everything is reported and sent", lambda: all_sent(node))
    with node.database() as session:
        assert len(session.scalars(select(Instance).where(Instance.reading.is_not(None))).all()) == images
        assert [study.revision for study in session.scalars(select(Study))] == [1]
        jobs = session.scalars(select(Job).where(Job.state != JobState.CANCELLED)).all()
        assert {(job.state, job.attempts) for job in jobs} == {(JobState.DONE, 1)}
        assert {uid for _, uid in pacs.stored} == set(session.scalars(select(Result.sop_instance_uid)))
    assert len(set(pacs.of(Comprehensive3DSRStorage))) == 1


def test_a_node_whose_database_only_reads_for_a_while_ends_nothing_and_loses_nothing(
    node: RunningNode, pacs: Pacs, server: PostgreSQL, mammogram_study: DemoStudy
) -> None:
    eventually("the reader has its models", lambda: reader_of(node))
    assert answers(node, *mammogram_study.files[:2]) == [None, None]
    main = psutil.Process(node.process_id)
    with server.only_reading():
        refusals = answers(node, *mammogram_study.files[2:])
        assert all("A701" in str(refusal).upper() for refusal in refusals), refusals
        eventually("the reader or a loop met it", lambda: "do not answer" in node.log.read_text())
        assert "database" in node.command("check").stdout
    assert answers(node, *mammogram_study.files[2:]) == [None, None]
    assert_all_done_at_the_first_attempt(node, pacs, images=4)
    assert psutil.Process(node.process_id) == main
    assert main.is_running()


def test_an_object_in_flight_when_postgresql_is_away_is_sent_again_under_its_uid(
    node: RunningNode, pacs: Pacs, server: PostgreSQL, mammogram_study: DemoStudy
) -> None:
    pacs.go_on.clear()
    assert answers(node, *mammogram_study.files[:1]) == [None]
    assert pacs.held_up.wait(300)
    with server.away():
        pacs.go_on.set()
        eventually("it cannot be stored", lambda: "delivery to pacs: disk or database" in node.log.read_text())
    assert_all_done_at_the_first_attempt(node, pacs, images=1)
    assert pacs.stored[0] == pacs.stored[1], "sent twice, and the same"


def test_while_postgresql_hangs_senders_are_refused_and_a_stop_ends_the_node(
    node: RunningNode, pacs: Pacs, server: PostgreSQL, mammogram_study: DemoStudy
) -> None:
    assert answers(node, *mammogram_study.files[:2]) == [None, None]
    with server.hanging():
        (refusal,) = answers(node, mammogram_study.files[2])
        assert "A701" in str(refusal).upper()
        began = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began < 20, "it does not wait for the database as long as statements do"
    node.start()
    assert answers(node, *mammogram_study.files[2:]) == [None, None]
    eventually("everything is reported and sent", lambda: all_sent(node))
