"""A node of several processes: each part in one of its own (SQLite), and two whole ones on one queue in PostgreSQL and
one data folder. Killed as they work, everything is read, reported and delivered once."""

from __future__ import annotations

import fcntl
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from killed_nodes import SETTINGS, Pacs, all_sent, running, send
from pydicom.uid import Comprehensive3DSRStorage
from running import RunningNode, eventually
from sqlalchemy import func, select

from config.settings import load
from dicom_io.network.peer import Peer
from dicom_io.network.scu import send_files
from node.archive.space import space_of
from node.demo.studies import DemoStudy
from node.store.database import open_database, sessions_of
from node.store.locks import TICKS, Locks
from node.store.states import DeliveryState, JobKind, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Result, Study

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

PARTS = ("receive", "read", "report", "deliver")


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    with Pacs().listening() as listening:
        yield listening


@contextmanager
def processes(
    folder: Path, bundle: Path, pacs: Pacs, parts: Sequence[str], url: str | None = None, first: int = 0
) -> Iterator[list[RunningNode]]:
    """The processes of one node, in one data folder and with one queue; each listens on a port of its own.

    Args:
        first: the number of the first of them, where others run already.
    """
    data_dir = folder / "data"
    queue = url or f"sqlite:///{data_dir / 'queue.sqlite'}"
    settings = SETTINGS.format(bundle=bundle, port=pacs.port, quiet_s=60)
    with ExitStack() as started:
        nodes = []
        for number, part in enumerate(parts, start=first):
            node = RunningNode(folder / f"{number}", settings, database_url=queue, data_dir=data_dir, only=part)
            started.callback(node.end)
            node.start()
            nodes.append(node)
        yield nodes


def is_locked(path: Path) -> bool:
    """Whether a process holds this lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def name_of(node: RunningNode) -> str:
    """Of its process, as in the leases."""
    found = re.search(r"among the processes of the node this one is ([\w.-]+)", node.log.read_text())
    assert found
    return found[1]


def claimed(node: RunningNode, kind: JobKind) -> bool:
    """Whether this process has a job of a kind."""
    mine = Job.worker.endswith(f"@{name_of(node)}")
    with node.database() as session:
        return session.scalar(select(Job.id).where(Job.kind == kind, Job.state == JobState.RUNNING, mine)) is not None


def kill_with_a_job(node: RunningNode, kind: JobKind) -> None:
    """SIGKILL while it has a job of this kind: it is stopped before the queue is read."""

    def caught() -> bool:
        if not claimed(node, kind):
            return False
        os.kill(node.process_id, signal.SIGSTOP)
        if claimed(node, kind):
            return True
        os.kill(node.process_id, signal.SIGCONT)
        return False

    eventually(f"it has a {kind} job", caught, every_s=0.002)
    node.kill()


def assert_all_done_once(node: RunningNode, pacs: Pacs, studies: int, images: int, in_flight: int = 0) -> None:
    """`in_flight`: objects that were being sent at a kill, and may be sent twice."""
    eventually("everything is reported and sent", lambda: all_sent(node), timeout_s=300)
    with node.database() as session:
        assert [study.revision for study in session.scalars(select(Study))] == [1] * studies
        assert session.scalar(select(func.count()).where(Instance.reading.is_not(None))) == images
        reports = session.execute(select(Job.study_id, Job.state).where(Job.kind == JobKind.REPORT)).all()
        written = set(session.scalars(select(Result.sop_instance_uid)))
        assert session.scalar(select(func.count(Delivery.id)).where(Delivery.state == DeliveryState.SENT)) == len(
            written
        )
    assert [state for _, state in reports] == [JobState.DONE] * studies
    stored = Counter(uid for _, uid in pacs.stored)
    assert set(stored) == written
    assert len(set(pacs.of(Comprehensive3DSRStorage))) == studies, "each study has one report"
    assert sum(stored.values()) - len(stored) <= in_flight, "what was delivered is not sent again"


def test_each_part_runs_in_a_process_of_its_own_and_one_that_is_killed_is_started_again(
    tmp_path, eager_bundle, pacs, mammogram_study: DemoStudy
):
    with processes(tmp_path, eager_bundle, pacs, PARTS) as nodes:
        receiving, reading, _, _ = nodes
        again = RunningNode(
            tmp_path / "again", "", database_url=f"sqlite:///{receiving.data_dir / 'queue.sqlite'}",
            data_dir=receiving.data_dir, only="deliver",
        )  # fmt: skip
        eventually("that part has begun", lambda: is_locked(receiving.data_dir / "node-deliver.lock"))
        refused = again.command("serve", "--only", "deliver")
        assert refused.returncode == 2
        assert "does the part deliver" in refused.stderr
        send(receiving, *mammogram_study.files)
        eventually("an image is being read", lambda: running(receiving, JobKind.READ_IMAGE))
        reading.kill()
        with receiving.database() as session:
            assert set(session.scalars(select(Study.state))) <= {StudyState.OPEN, StudyState.CLOSED}
        reading.start()
        assert_all_done_once(receiving, pacs, studies=1, images=4)
        again.end()


def test_the_listener_has_room_again_when_the_process_that_purges_or_measures_says_so(
    tmp_path, eager_bundle, mammogram_study: DemoStudy
):
    files = [tmp_path / "data/archive/1.2.3" / f"{number}.dcm" for number in range(2)]
    files[0].parent.mkdir(parents=True)
    for file in files:
        file.write_bytes(bytes(10_000_000))
    text = f"""
[reader]
bundle = "{eager_bundle}"
[[senders]]
ae_title = "TEST"
[receiver]
quota_mb = 15
"""

    def refusal(node: RunningNode) -> str | None:
        peer = Peer("MAMMO_NODE", "127.0.0.1", node.port, 30, "TEST")
        (sent,) = send_files(peer, mammogram_study.files[:1])
        return sent.error

    with ExitStack() as started:
        nodes = [RunningNode(tmp_path / part, text, data_dir=tmp_path / "data", only=part) for part in PARTS[::2]]
        for node in nodes:
            started.callback(node.end)
            node.start()
        listener = nodes[0]
        eventually("measured by the process with report", lambda: "A700" in (refusal(listener) or "").upper(), 120)
        files[0].unlink()
        settings = load(listener.config)
        purge = space_of(settings, sessions_of(open_database(settings.database)))  # as the command `purge` does it
        purge.gave_back(10_000_000)
        purge.share()
        assert eventually("there is room", lambda: refusal(listener) is None, 120)


def test_two_nodes_on_one_queue_share_the_work_and_one_that_is_killed_loses_and_doubles_nothing(
    tmp_path, eager_bundle, pacs, postgresql, mammogram_studies: list[DemoStudy]
):
    with processes(tmp_path, eager_bundle, pacs, ("", ""), postgresql.fresh()) as (one, other):
        send(one, *mammogram_studies[0].files)
        send(other, *mammogram_studies[1].files)
        kill_with_a_job(one, JobKind.READ_IMAGE)
        assert_all_done_once(other, pacs, studies=2, images=8)
        assert "given back" in other.log.read_text()


def test_both_nodes_receive_one_study_at_the_same_time_and_it_is_one_study(
    tmp_path, eager_bundle, pacs, postgresql, mammogram_study: DemoStudy
):
    with processes(tmp_path, eager_bundle, pacs, ("", ""), postgresql.fresh()) as (one, other):
        sending = [
            send_files(Peer("MAMMO_NODE", "127.0.0.1", node.port, 30, "TEST"), mammogram_study.files)
            for node in (one, other)
        ]
        for pair in zip(*sending, strict=True):  # each image to both, one after the other
            assert [sent.error for sent in pair] == [None, None]
        assert_all_done_once(one, pacs, studies=1, images=4)
        assert len(list(one.data_dir.glob("archive/*/*"))) == 4


def test_deliveries_go_on_from_another_node_when_the_one_that_sends_is_killed(
    tmp_path, eager_bundle, pacs, postgresql, mammogram_study: DemoStudy
):
    parts = ("receive,read,report", "deliver", "deliver")
    with processes(tmp_path, eager_bundle, pacs, parts, postgresql.fresh()) as (node, one, other):
        pacs.go_on.clear()
        send(node, *mammogram_study.files)
        assert pacs.held_up.wait(300)
        stored = len(pacs.stored)
        assert stored == 1, "one of the two sends"
        one.kill()  # it may be the one that sends, or the one that stands by
        pacs.go_on.set()
        assert_all_done_once(other, pacs, studies=1, images=4, in_flight=1)


def test_studies_are_closed_and_reported_by_another_process_when_the_one_that_does_it_is_killed(
    tmp_path, eager_bundle, pacs, postgresql, mammogram_study: DemoStudy
):
    url = postgresql.fresh()
    engine = open_database(url)
    locks = Locks(sessions_of(engine))
    with processes(tmp_path, eager_bundle, pacs, ("receive,read,deliver", "report"), url) as (node, one):
        eventually("it closes studies", lambda: not locks.is_free(TICKS))
        with processes(tmp_path, eager_bundle, pacs, ("report",), url, first=2) as (other,):
            eventually("the other has begun", lambda: "among the processes" in other.log.read_text())
            one.kill()
            send(node, *mammogram_study.files)
            assert_all_done_once(node, pacs, studies=1, images=4)
    locks.close()
    engine.dispose()
