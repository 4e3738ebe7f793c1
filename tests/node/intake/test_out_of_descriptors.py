"""A listening node without a file descriptor for the next connection: no sender is lost, and it recovers."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from wire import Wire, association_request, one_store

from dicom_io.network.answers import Status

pytestmark = pytest.mark.slow

LISTENS = """
import logging, sys
from pathlib import Path
from dicom_io.network.scp import AllowedSender, Listener
from node.store.database import open_database, sessions_of
from node.intake.receiving import Receiving, ReceivingLimits

logging.basicConfig(stream=sys.stdout, format="%(message)s")
folder = Path(sys.argv[1])
sessions = sessions_of(open_database(f"sqlite:///{folder / 'queue.sqlite'}"))
receiving = Receiving(sessions, folder, ReceivingLimits(), frozenset(), lambda: 1.7e9)
listener = Listener("NODE", "127.0.0.1", 0, [AllowedSender("PACS")], receiving.incoming, receiving)
listener.start()
print(listener.port, flush=True)
sys.stdin.read()
"""
ACCEPTED, CLOSED = 2, None


class Listening:
    """The process, and its limit of descriptors."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        self.port = int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def has_none_left(self) -> None:
        """It keeps its open descriptors: the next one would be over its limit."""
        held = {int(path.name) for path in Path(f"/proc/{self.process.pid}/fd").iterdir()}
        next_one = min(set(range(len(held) + 1)) - held)
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (next_one, self._limits[1]))

    def has_enough(self) -> None:
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, self._limits)


@pytest.fixture
def listening(tmp_path: Path, migrated_database: Path) -> Iterator[Listening]:
    shutil.copy(migrated_database, tmp_path / "queue.sqlite")
    with subprocess.Popen(
        [sys.executable, "-c", LISTENS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Listening(process)
        process.communicate()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_a_connection_without_a_free_descriptor_waits_and_is_served_later(
    listening: Listening, mammogram, raw_bytes
) -> None:
    with ExitStack() as stack:
        assert stack.enter_context(Wire.to(listening.port)).associate() == ACCEPTED
        listening.has_none_left()
        first, second = (stack.enter_context(Wire.to(listening.port)) for _ in range(2))  # the kernel accepts both
        assert listening.line() == "a connection waits: Too many open files (logged once)"
        spent = cpu_s(listening.process.pid)
        second.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            second.associate()
        assert cpu_s(listening.process.pid) - spent < 0.5, "it does not ask without a pause"
        second.socket.settimeout(20)
        listening.has_enough()
        assert second.pdu()[0] == ACCEPTED
        assert first.associate() == ACCEPTED
        for number, sender in enumerate((first, second)):
            uid = f"1.2.3.{number}"
            sender.send(one_store(1, raw_bytes(mammogram(uid)), uid))
            assert sender.status() == Status.SUCCESS


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_a_connection_without_free_descriptors_is_logged_and_does_not_count_as_association(
    listening: Listening, mammogram, raw_bytes
) -> None:
    image = raw_bytes(mammogram())
    with ExitStack() as stack:
        unlucky, sender = (stack.enter_context(Wire.to(listening.port)) for _ in range(2))
        unlucky.send(association_request()[:1])
        assert sender.associate() == ACCEPTED  # and so the connection before it was accepted as well
        listening.has_none_left()
        unlucky.send(association_request()[1:])
        assert unlucky.pdu()[0] is CLOSED
        assert listening.line() == "an association could not be started: OSError"
        sender.send(one_store(1, image))
        assert sender.status() == Status.NO_STORAGE
        listening.has_enough()
        sender.send(one_store(1, image))
        assert sender.status() == Status.SUCCESS
        others = [stack.enter_context(Wire.to(listening.port)) for _ in range(15)]  # with the sender, all connections
        assert [other.associate() for other in others] == [ACCEPTED] * 15


def cpu_s(process: int) -> float:
    """The processor time that a process has taken, in seconds."""
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
