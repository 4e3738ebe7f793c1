"""The whole node is killed (SIGKILL) in the middle of each step and started again: nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import held_reports
import pytest
from killed_nodes import SETTINGS, Pacs, all_sent, running, send
from pydicom.uid import Comprehensive3DSRStorage
from road import changed
from running import RunningNode, eventually
from sqlalchemy import select

from dicom_io.errors import DestinationError
from dicom_io.network.peer import Peer
from dicom_io.network.scu import CStoreDestination
from node.demo.studies import DemoStudy
from node.store.states import JobKind
from node.store.tables import Instance, Result, Study

pytestmark = pytest.mark.acceptance


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    with Pacs().listening() as listening:
        yield listening


@pytest.fixture
def node(tmp_path: Path, eager_bundle: Path, pacs: Pacs, request: pytest.FixtureRequest) -> Iterator[RunningNode]:
    """Its queue is in SQLite; in PostgreSQL for tests that ask for it too."""
    url = request.getfixturevalue("postgresql").fresh() if getattr(request, "param", None) == "postgresql" else None
    settings = SETTINGS.format(bundle=eager_bundle, port=pacs.port, quiet_s=5)
    holds = {held_reports.HOLD: str(tmp_path / "hold"), held_reports.HELD: str(tmp_path / "held")}
    node = RunningNode(
        tmp_path / "node", settings, database_url=url, script=Path(held_reports.__file__), environment=holds
    )
    node.start()
    yield node
    node.end()


in_each_database = pytest.mark.parametrize("node", ["sqlite", "postgresql"], indirect=True)


def kill_while_it_reads(node: RunningNode) -> None:
    """SIGKILL while an image is certain to be read: the node is stopped (SIGSTOP) before the queue is read."""
    process = node.process_id

    def caught() -> bool:
        if not running(node, JobKind.READ_IMAGE):
            return False
        os.kill(process, signal.SIGSTOP)
        if running(node, JobKind.READ_IMAGE):
            return True
        os.kill(process, signal.SIGCONT)
        return False

    eventually("an image is being read", caught, every_s=0.002)
    node.kill()
    assert running(node, JobKind.READ_IMAGE)


def results(node: RunningNode) -> set[str]:
    with node.database() as session:
        return set(session.scalars(select(Result.sop_instance_uid)))


def assert_reported_once(node: RunningNode, pacs: Pacs, images: int) -> None:
    eventually("everything is reported and sent", lambda: all_sent(node), timeout_s=300)
    with node.database() as session:
        assert len(session.scalars(select(Instance).where(Instance.reading.is_not(None))).all()) == images
        assert [study.revision for study in session.scalars(select(Study))] == [1]
    assert {uid for _, uid in pacs.stored} == results(node), "whatever was sent before the kill has the same UIDs"
    assert len(set(pacs.of(Comprehensive3DSRStorage))) == 1


@in_each_database
def test_a_study_killed_mid_read_is_reported_once(node: RunningNode, pacs: Pacs, mammogram_study: DemoStudy) -> None:
    send(node, *mammogram_study.files[:2])
    kill_while_it_reads(node)
    assert pacs.stored == []
    node.start()
    assert_reported_once(node, pacs, images=2)
    assert len(pacs.stored) == len(results(node)), "each object was sent once"


@in_each_database
def test_a_study_killed_when_some_of_its_results_are_written_is_reported_once(
    node: RunningNode, pacs: Pacs, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    (tmp_path / "hold").touch()
    send(node, *mammogram_study.files[:2])
    eventually("a result is written", (tmp_path / "held").exists)
    node.kill()
    assert running(node, JobKind.REPORT)
    assert (pacs.stored, results(node)) == ([], set())
    (tmp_path / "hold").unlink()
    node.start()
    assert_reported_once(node, pacs, images=2)
    assert len(pacs.stored) == len(results(node)), "each object was sent once"


def test_a_study_killed_mid_delivery_is_sent_again_under_the_same_uids(
    node: RunningNode, pacs: Pacs, mammogram_study: DemoStudy
) -> None:
    pacs.go_on.clear()
    send(node, *mammogram_study.files[:2])
    assert pacs.held_up.wait(timeout=300)
    node.kill()
    pacs.go_on.set()
    node.start()
    assert_reported_once(node, pacs, images=2)


def test_an_image_killed_mid_receive_is_not_acknowledged_and_is_accepted_when_sent_again(
    node: RunningNode, pacs: Pacs, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    first, second = mammogram_study.files[:2]
    send(node, first)
    large = tmp_path / "large.dcm"
    changed(second, PixelData=bytes(2 * 9000 * 9000), Rows=9000, Columns=9000).save_as(large)
    answer = sending(node, large)
    eventually("the image is half received", lambda: any(parts(node, at_least=1_000_000)), every_s=0.001)
    node.kill()
    with pytest.raises(DestinationError):
        answer()
    with node.database() as session:
        assert len(session.scalars(select(Instance)).all()) == 1
    node.start()
    assert parts(node) == []
    send(node, first, second)
    assert_reported_once(node, pacs, images=2)


def test_a_stopped_node_exits_cleanly_and_resumes_its_work_at_the_next_start(
    node: RunningNode, pacs: Pacs, mammogram_study: DemoStudy
) -> None:
    send(node, *mammogram_study.files[:2])
    eventually("an image is being read", lambda: running(node, JobKind.READ_IMAGE), every_s=0.002)
    assert node.stop() == 0
    assert not running(node, JobKind.READ_IMAGE), "its leases are given back"
    node.start()
    assert_reported_once(node, pacs, images=2)


def sending(node: RunningNode, file: Path) -> Callable[[], None]:
    """Sends a file in the background; returns a function that waits for the end and raises the sender's exception."""
    faults: list[DestinationError] = []

    def send_it() -> None:
        with CStoreDestination(Peer("MAMMO_NODE", "127.0.0.1", node.port, 30, "TEST")) as destination:
            try:
                destination.send(file)
            except DestinationError as fault:
                faults.append(fault)

    thread = threading.Thread(target=send_it)
    thread.start()

    def answer() -> None:
        thread.join()
        if faults:
            raise faults[0]

    return answer


def parts(node: RunningNode, at_least: int = 0) -> list[Path]:
    return [path for path in (node.data_dir / "incoming").glob("*.part") if path.stat().st_size >= at_least]
