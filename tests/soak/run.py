"""Kills and faults on a node between a sender and a real Orthanc, for as long as asked, and then one account by UID.

    make soak                                        60 kills and every fault, in 20 minutes and what the rest takes
    PYTHONPATH=tests:tests/support:. .venv/bin/python tests/soak/run.py --minutes 10 --postgresql --tls --ray

Needs Orthanc. As root the data folder is a small file system that is filled now and then; where that cannot be done, it
is said. Exit status 0: the account is right.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from certificates import Authority
from orthanc import Orthanc, debian_orthanc
from ports import held_port
from postgresql import debian_postgresql
from pydicom.uid import generate_uid
from ray_cluster import ray_cluster
from road import changed
from running import RunningNode, eventually
from small_studies import small_studies
from soak.accounting import account, dataset_digest, is_settled, table, tracebacks
from soak.faults import World, answers_a_sender, keep_failing, possible
from sqlalchemy import select

from dicom_io.errors import DestinationError
from dicom_io.network.peer import Peer
from dicom_io.network.scu import send_files
from dicom_io.network.tls import TlsFiles
from node.demo.studies import DemoStudy, find_cases
from node.store.states import DeliveryState, JobState, StudyState
from node.store.tables import Delivery, Job, Study

SETTINGS = """
[[senders]]
ae_title = "TEST"
[closing]
four_views_quiet_s = 1
quiet_s = 120
[[destinations]]
name = "pacs"
ae_title = "{orthanc.ae_title}"
host = "{orthanc.host}"
port = {orthanc.dicom_port}
{destination}
profile = "all"
timeout_s = 10
retry_first_s = 2
retry_ceiling_s = 10
{reader}
[receiver]
min_free_mb = 40
{receiver}
"""


class Sender:
    """Sends new studies of four views, each image until it is acknowledged, as a PACS does."""

    def __init__(self, node: Peer, studies: list[DemoStudy], folder: Path, every_s: float) -> None:
        self.accepted: dict[str, str] = {}
        self.studies = 0
        self.refused = 0
        self.node, self._models, self._folder, self._every_s = node, studies, folder, every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send_studies, name="sender")

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Starts no new study and completes the current one."""
        self._over.set()
        self._thread.join()

    def _send_studies(self) -> None:
        while not self._over.is_set():
            study, patient = generate_uid(), f"SOAK{self.studies}"
            model = self._models[self.studies % len(self._models)]
            for number, file in enumerate(model.files):
                path = self._folder / f"{patient}_{number}.dcm"
                image = changed(file, StudyInstanceUID=study, SOPInstanceUID=generate_uid(), PatientID=patient)
                image.save_as(path)
                self._send(path)
                self.accepted[str(image.SOPInstanceUID)] = dataset_digest(path)
                path.unlink()
            self.studies += 1
            self._over.wait(self._every_s)

    def _send(self, path: Path) -> None:
        while True:
            try:
                (sent,) = send_files(self.node, [path])
            except DestinationError:
                self.refused += 1
            else:
                if sent.error is None:
                    return
                self.refused += 1
            time.sleep(0.5)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=20, help="how long kills and faults go on")
    options.add_argument("--kills", type=int, default=60)
    options.add_argument("--study-every-s", type=float, default=25)
    options.add_argument("--postgresql", action="store_true", help="the queue is there, and it crashes now and then")
    options.add_argument("--tls", action="store_true", help="images and results go by mutual DICOM TLS alone")
    options.add_argument(
        "--ray", action="store_true", help="actors on a Ray cluster read, and one is killed now and then"
    )
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--folder", type=Path, help="where everything is kept; without it, a temporary folder")
    asked = options.parse_args()
    with ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        secured = Secured(folder) if asked.tls else None
        orthanc = stack.enter_context(debian_orthanc(folder / "orthanc", **(secured.orthanc if secured else {})))
        clock = folder / "clock"
        clock.write_text("0")
        os.environ["CLOCK"] = str(clock)
        server = stack.enter_context(debian_postgresql(durable=True)) if asked.postgresql else None
        cluster = stack.enter_context(ray_cluster(2, tls=secured and secured.ray)) if asked.ray else None
        by_tls = stack.enter_context(held_port())
        settings = SETTINGS.format(
            orthanc=orthanc,
            destination=f"tls = {{ {secured.files} }}" if secured else "",
            reader=f'[reader]\nexecutor = "ray"\n{cluster.settings}\nmin_actors = 1\n' if cluster else "",
            receiver=f"tls = {{ port = {by_tls}, {secured.files} }}" if secured else "",
        )
        url = server.fresh() if server else None
        node = RunningNode(folder / "node", settings, Path(__file__).with_name("serve.py"), url)
        is_small = stack.enter_context(_small_file_system(node.data_dir))
        studies = small_studies(find_cases(), folder / "mammograms")
        start(node)
        stack.callback(node.end)
        port, tls = (by_tls, secured.sender) if secured else (node.port, None)
        sender = Sender(
            Peer("MAMMO_NODE", "127.0.0.1", port, 15, "TEST", tls=tls), studies, folder, asked.study_every_s
        )
        world = World(node, orthanc.process_id, clock, is_small, server, cluster, random.Random(asked.seed), say)
        return soak(world, orthanc, sender, asked.minutes * 60, asked.kills)


class Secured:
    """Certificates of one authority for the sender, the node and Orthanc, with the settings that name them."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        node, orthanc, sender = (authority.issue(name, "127.0.0.1") for name in ("node", "orthanc", "sender"))
        self.files = f'certificate = "{node[0]}", key = "{node[1]}", ca_file = "{authority.path}"'
        self.sender = TlsFiles(*sender, authority.path)
        self.ray = (*node, authority.path)
        self.orthanc = {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(orthanc[0]),
            "DicomTlsPrivateKey": str(orthanc[1]),
            "DicomTlsTrustedCertificates": str(authority.path),
            "DicomTlsRemoteCertificateRequired": True,
        }


def soak(world: World, orthanc: Orthanc, sender: Sender, lasts_s: float, kills: int) -> int:
    node, began, done, longest_stop_s, restarts = world.node, time.monotonic(), dict[str, int](), 0.0, 0
    until = began + lasts_s
    sender.start()
    failing = threading.Thread(target=keep_failing, args=(world, until, done), name="faults")
    failing.start()
    moments = sorted(world.chance.uniform(began, until) for _ in range(kills))
    for number, moment in enumerate(moments, 1):
        time.sleep(max(0, moment - time.monotonic()))
        if number % 10 == 0:  # every tenth is asked to end, as systemd and Docker do
            asked_at = time.monotonic()
            node.stop()
            longest_stop_s = max(longest_stop_s, time.monotonic() - asked_at)
        else:
            node.kill()
        restarts += start(node)
        say(f"{number} of {kills} kills; {sender.studies} studies sent, {sender.refused} refusals; {_queue(node)}")
    failing.join()
    sender.finish()
    say("no more faults: what is left is read, reported and delivered")
    eventually("a sender is answered", lambda: answers_a_sender(sender.node))
    _retry_what_was_given_up(node)
    eventually("everything is read, reported and delivered", lambda: is_settled(node), timeout_s=1800, every_s=2)
    rows = account(node, orthanc, sender.accepted)
    log = node.log.read_text(encoding="utf-8", errors="replace")
    print(table(rows))
    print(f"{kills} kills, the longest SIGTERM {longest_stop_s:.1f} s, {restarts} starts that had to be tried again")
    print("faults: " + ", ".join(f"{done.get(name, 0)} × {name}" for name in possible(world)))
    print(f"{sender.studies} studies, {len(sender.accepted)} images, {sender.refused} times not taken at first")
    own, orphans = tracebacks(log)
    print(
        f"tracebacks in the log: {own}; of processes whose parent was killed while it started them: {orphans}; "
        f"patients named: {log.count('SOAK')}"
    )
    return 1 if any(row.wrong for row in rows) or own or "SOAK" in log else 0


def start(node: RunningNode) -> int:
    """Starts the node as a supervisor does, until it listens; returns the number of failed starts."""
    tries = 0
    while True:
        try:
            node.start()
        except pytest.fail.Exception:
            tries += 1
            time.sleep(1)
        else:
            return tries


def _retry_what_was_given_up(node: RunningNode) -> None:
    with node.database() as session:
        failed = set(session.scalars(select(Job.study_id).where(Job.state == JobState.FAILED)))
        dead = select(Delivery).where(Delivery.state == DeliveryState.DEAD)
        failed |= {delivery.result.study_id for delivery in session.scalars(dead)}
    for study in sorted(failed):
        answer = node.command("retry", str(study))
        say(f"retry of study {study}: {answer.stdout.strip() or answer.stderr.strip()}")


def _queue(node: RunningNode) -> str:
    with node.database() as session:
        states = list(session.scalars(select(Study.state)))
    return ", ".join(f"{states.count(state)} {state}" for state in StudyState if state in states)


@contextmanager
def _small_file_system(folder: Path) -> Iterator[bool]:
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "soak", folder], check=False).returncode == 0
    if not mounted:
        say("not done: the disk is never full (mounting a small one takes root)")
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=False)


def say(what: str) -> None:
    print(time.strftime("%H:%M:%S"), what, flush=True)


if __name__ == "__main__":
    sys.exit(main())
