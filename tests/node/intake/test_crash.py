"""The status Success is kept after SIGKILL and with many simultaneous senders."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pynetdicom import AE

pytestmark = pytest.mark.slow

NODE = """
import sys, threading, time
from pathlib import Path
from dicom_io.network.scp import AllowedSender, Listener
from node.store.database import open_database, sessions_of
from node.intake.receiving import Receiving, ReceivingLimits
data_dir = Path(sys.argv[1])
sessions = sessions_of(open_database(f"sqlite:///{data_dir / 'queue.sqlite'}"))
receiving = Receiving(sessions, data_dir, ReceivingLimits(), frozenset(), time.time)
listener = Listener("NODE", "127.0.0.1", 0, [AllowedSender("PACS")], receiving.incoming, receiving)
listener.start()
print(listener.port, flush=True)
threading.Event().wait()
"""
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"


def start(data_dir: Path) -> tuple[subprocess.Popen[str], int]:
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", NODE, str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def associate(port: int):
    ae = AE("PACS")
    ae.add_requested_context(MAMMOGRAPHY)
    return ae.associate("127.0.0.1", port, ae_title="NODE")


def rows(data_dir: Path) -> dict[str, str]:
    with sqlite3.connect(data_dir / "queue.sqlite") as connection:
        return dict(connection.execute("SELECT sop_instance_uid, path FROM instance"))


def test_every_image_acknowledged_before_a_kill_is_stored_after_it(tmp_path, mammogram):
    process, port = start(tmp_path)
    acknowledged: list[str] = []
    enough = threading.Event()

    def send(sender: int) -> None:
        association = associate(port)
        for number in range(1, 10_000):
            uid = f"1.2.3.{sender}.{number}"
            image = mammogram(uid, Rows=512, Columns=512, PixelData=bytes(1 << 19), StudyInstanceUID=f"1.2.{sender}")
            answer = association.send_c_store(image) if association.is_established else None
            if answer is None or "Status" not in answer:
                return
            assert answer.Status == 0
            acknowledged.append(uid)
            if len(acknowledged) >= 12:
                enough.set()

    senders = [threading.Thread(target=send, args=(number,)) for number in (1, 2, 3)]
    for sender in senders:
        sender.start()
    assert enough.wait(60)
    process.send_signal(signal.SIGKILL)  # while three transfers are under way
    process.wait()
    for sender in senders:
        sender.join(60)
    kept = rows(tmp_path)
    assert set(acknowledged) <= set(kept)
    for path in kept.values():
        assert (tmp_path / path).stat().st_size > 1 << 19
    process, port = start(tmp_path)  # partial files are removed, and what is missing can be sent again
    assert list((tmp_path / "incoming").iterdir()) == []
    association = associate(port)
    for uid in [*acknowledged[-2:], "1.2.3.1.9999"]:
        study = f"1.2.{uid.split('.')[3]}"
        image = mammogram(uid, Rows=512, Columns=512, PixelData=bytes(1 << 19), StudyInstanceUID=study)
        assert association.send_c_store(image).Status == 0
    association.release()
    assert len(rows(tmp_path)) == len(kept) + 1
    process.kill()
    process.wait()


def test_a_file_without_a_database_row_is_replaced_when_sent_again(listening_node, mammogram):
    orphan = listening_node.data_dir / "archive/1.2.3/1.2.3.1.dcm"
    orphan.parent.mkdir()
    orphan.write_bytes(b"left by a crash between the rename and the commit")
    assert listening_node.store(mammogram()).Status == 0
    assert orphan.read_bytes()[128:132] == b"DICM"


def test_sixteen_senders_at_once_lose_nothing(listening_node, mammogram):
    answers: list[int] = []

    def send(sender: int) -> None:
        with listening_node.association((MAMMOGRAPHY, "1.2.840.10008.1.2.1")) as association:
            for number in range(1, 5):
                # all senders share four studies, so that they write the same rows
                image = mammogram(f"1.2.3.{sender}.{number}", seed=sender, StudyInstanceUID=f"1.2.{number}")
                answers.append(association.send_c_store(image).Status)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(1, 17)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(120)
    assert answers == [0] * 64
    assert len(listening_node.instances()) == len(listening_node.files("archive")) == 64
    assert len(listening_node.studies()) == 4
    assert len(listening_node.jobs()) == 64


def test_the_same_new_image_from_two_senders_is_stored_once(listening_node, mammogram):
    both = threading.Barrier(2)
    answers: list[int] = []

    def send() -> None:
        with listening_node.association((MAMMOGRAPHY, "1.2.840.10008.1.2.1")) as association:
            both.wait(120)
            answers.append(association.send_c_store(mammogram()).Status)

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert answers == [0, 0]
    assert len(listening_node.instances()) == len(listening_node.jobs()) == 1
