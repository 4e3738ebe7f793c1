"""SIGTERM ends the node within 8 seconds, whatever hangs: Docker kills after 10."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation as Mammogram
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made from tables at run time
from running import RunningNode, eventually
from sqlalchemy import select

from node.demo.studies import DemoStudy
from node.store.database import open_database, sessions_of
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Result, Study
from node.store.unread import Unread

pytestmark = pytest.mark.acceptance

LIMIT_S = 8.0
SETTINGS = """
[[senders]]
ae_title = "TEST"
find_host = "127.0.0.1"
find_port = {silent}
[closing]
four_views_quiet_s = 1
[reader]
bundle = "{bundle}"
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {silent}
"""


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Accepts connections and never answers: the destination and the source."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def node(tmp_path: Path, eager_bundle: Path, silent: socket.socket) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path / "node", SETTINGS.format(bundle=eager_bundle, silent=silent.getsockname()[1]))
    yield node
    node.end()


def association(node: RunningNode) -> Association:
    ae = AE("TEST")
    for context in (Verification, Mammogram):
        ae.add_requested_context(context)
    made = ae.associate("127.0.0.1", node.port, ae_title="MAMMO_NODE")
    assert made.is_established
    return made


def half_a_request(node: RunningNode) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", node.port))
    peer.sendall(bytes.fromhex("0100000000d0"))  # an A-ASSOCIATE-RQ without its body
    return peer


def half_a_pdu(node: RunningNode) -> object:
    made = association(node)
    made.dul.socket.socket.sendall(bytes.fromhex("040000004000"))  # a P-DATA-TF without its body
    return made


@contextmanager
def locked(node: RunningNode) -> Iterator[None]:
    other = sqlite3.connect(node.data_dir / "queue.sqlite", isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def hang_on_reading_reporting_and_delivering(node: RunningNode, mammogram: Path) -> None:
    """Work for which the node waits: a file that is read, and one that is reported, are pipes into which nobody writes;
    a result is to go to a destination that says nothing."""
    node.data_dir.mkdir(parents=True)
    (node.data_dir / "result.dcm").write_bytes(mammogram.read_bytes())
    with sessions_of(open_database(f"sqlite:///{node.data_dir / 'queue.sqlite'}")).begin() as session:
        for number, state in enumerate((StudyState.OPEN, StudyState.CLOSED, StudyState.REPORTED)):
            now = time.time()
            times = dict.fromkeys(("first_received_at", "last_received_at", "opened_at", "closed_at"), now)
            study = Study(study_instance_uid=f"1.2.{number}", source="TEST", state=state, **times)
            session.add(study)
            session.flush()
            os.mkfifo(node.data_dir / f"{number}.dcm")
            image = Instance(
                study_id=study.id, sop_instance_uid=f"1.2.{number}.1", sop_class_uid="1.2", series_instance_uid="1.2",
                patient_id="", patient_birth_date="", transfer_syntax_uid="1.2.840.10008.1.2.1",
                kind="for-presentation", path=f"{number}.dcm", received_at=now,
                unread=None if state is StudyState.OPEN else Unread.UNREADABLE,
            )  # fmt: skip
            session.add(image)
            session.flush()
            match state:
                case StudyState.OPEN:
                    session.add(Job(kind=JobKind.READ_IMAGE, study_id=study.id, instance_id=image.id, revision=1))
                case StudyState.CLOSED:
                    session.add(Job(kind=JobKind.REPORT, study_id=study.id, revision=1))
                case _:
                    result = Result(
                        study_id=study.id, revision=1, last_revision=1, profile="ohif", kind="SR",
                        sop_instance_uid="1.2.3", path="result.dcm", written_at=now,
                    )  # fmt: skip
                    session.add(result)
                    session.flush()
                    session.add(Delivery(result_id=result.id, destination="pacs", created_at=now, next_at=now))


def is_running(node: RunningNode, kind: JobKind) -> bool:
    with node.database() as session:
        running = select(Job.id).where(Job.kind == kind, Job.state == JobState.RUNNING)
        return session.scalars(running).first() is not None


def stopped_in_s(node: RunningNode) -> float:
    began = time.monotonic()
    assert node.stop() == 0
    return time.monotonic() - began


def test_a_stop_ends_the_node_while_reading_reporting_and_delivery_all_hang(
    node: RunningNode, silent: socket.socket, mammogram_study: DemoStudy
) -> None:
    hang_on_reading_reporting_and_delivering(node, mammogram_study.files[0])
    called = threading.Semaphore(0)
    calls: list[socket.socket] = []

    def answer_nothing() -> None:
        while True:
            try:
                calls.append(silent.accept()[0])
            except OSError:
                return
            called.release()

    threading.Thread(target=answer_nothing, daemon=True).start()
    node.start()
    for _ in range(2):
        assert called.acquire(timeout=60), "the destination is called, and the source is asked"
    for kind in JobKind:
        eventually(f"a {kind} job hangs", partial(is_running, node, kind), timeout_s=300)
    with ExitStack() as held:
        for call in calls:
            held.callback(call.close)
        peers = [make(node) for make in (half_a_request, association, half_a_pdu) for _ in range(5)]
        held.enter_context(locked(node))
        assert stopped_in_s(node) < LIMIT_S
        del peers
