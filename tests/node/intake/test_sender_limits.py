"""The limits of one sender: it is refused as the Standard has it, others are not, and its retry loses nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset

from config.peers import Sender
from config.settings import load
from dicom_io.network.answers import Status
from dicom_io.network.scp import AllowedSender
from node.archive.space import Space
from node.cli.main import build
from node.intake.limited_senders import limited_senders
from node.intake.receiving import ReceivingLimits
from node.intake.refused_instances import RefusedInstances, refused_instances
from node.intake.sender_limits import SenderLimits
from node.operations.needs import needs_now
from node.store.database import Sessions
from node.web.metrics import Metrics

Mammogram = Callable[..., Dataset]


@dataclass
class Steady:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Limited:
    """Makes the limits of a node, and keeps them for the test."""

    senders: tuple[Sender, ...]
    clock: Steady
    made: SenderLimits | None = None

    def __call__(self, space: Space) -> SenderLimits:
        self.made = SenderLimits(self.senders, space, self.clock)
        return self.made

    def told(self, sessions: Sessions) -> list[tuple[str, str, int]]:
        assert self.made is not None
        self.made.store(sessions, 1000.0)
        with sessions.begin() as session:
            return sorted((one.calling_ae_title, one.limit, one.times) for one in limited_senders(session))


def of(**limits: object) -> Limited:
    return Limited((Sender.model_validate({"ae_title": "PACS", **limits}),), Steady())


def test_a_sender_with_too_many_objects_a_minute_is_out_of_resources_and_its_retry_is_taken(
    start_node, mammogram: Mammogram
) -> None:
    limits = of(max_objects_per_minute=3)
    node = start_node(sender_limits=limits)
    images = [mammogram(f"1.2.3.{number}", seed=number) for number in range(5)]
    answers = [node.store(image) for image in images]
    assert [answer.Status for answer in answers] == [Status.SUCCESS] * 3 + [Status.NO_SPACE] * 2
    assert "minute" in answers[-1].ErrorComment
    assert node.store(images[4], calling="CBIS").Status == Status.SUCCESS, "another sender is not concerned"
    limits.clock.seconds += 20
    assert [node.store(images[number]).Status for number in (3, 4)] == [Status.SUCCESS, Status.NO_SPACE]
    limits.clock.seconds += 60
    assert node.store(images[4]).Status == Status.SUCCESS
    assert len(node.instances()) == len(node.files("archive")) == 5
    assert limits.told(node.sessions) == [("PACS", "max_objects_per_minute", 3)]
    assert limits.told(node.sessions) == [("PACS", "max_objects_per_minute", 3)], "counted once"


@pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu is not installed (Debian package dcmtk)")
def test_dcmtks_sender_that_is_refused_sends_the_rest_later_and_all_is_there_once(
    start_node, mammogram: Mammogram, tmp_path: Path
) -> None:
    limits = of(max_objects_per_minute=4)
    node = start_node(sender_limits=limits)
    folder = tmp_path / "to-send"
    folder.mkdir()
    for number in range(6):
        mammogram(f"1.2.3.{number}", seed=number).save_as(folder / f"{number}.dcm", enforce_file_format=True)

    def send() -> str:
        arguments = ["storescu", "-v", "-aet", "PACS", "-aec", "NODE", "--no-halt", "+sd", "127.0.0.1"]
        whole = [*arguments, str(node.listener.port), folder]
        ran = subprocess.run(whole, capture_output=True, text=True, check=False)
        return ran.stdout + ran.stderr

    assert send().count("OutOfResources") == 2
    assert len(node.instances()) == 4
    for file in node.files("archive"):  # a PACS sends again what was refused
        (folder / f"{file.removesuffix('.dcm').rpartition('.')[2]}.dcm").unlink()
    limits.clock.seconds += 120
    assert "OutOfResources" not in send()
    assert len(node.instances()) == len(node.files("archive")) == 6


def test_a_sender_has_so_many_associations_at_once_and_others_have_theirs(start_node, mammogram: Mammogram) -> None:
    limits = of()
    node = start_node(senders=(AllowedSender("PACS", max_associations=1), AllowedSender("CBIS")), sender_limits=limits)
    with node.association() as held:
        assert held.is_established
        with node.association() as second:
            assert second.is_rejected
            answer = second.acceptor.primitive
            assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2), "transient, local limit"
        with node.association(calling="CBIS") as other:
            assert other.is_established
    image = mammogram()
    assert node.store(image).Status == Status.SUCCESS, "once the first has ended"
    assert limits.told(node.sessions) == [("PACS", "max_associations", 1)]


def test_a_sender_is_refused_once_its_share_of_the_room_is_used_and_the_rest_is_for_others(
    start_node, mammogram: Mammogram
) -> None:
    limits = of(max_disk_share=0.5)
    quota = 40_000  # four images of 8 KB and their headers
    node = start_node(limits=ReceivingLimits(quota_bytes=quota), sender_limits=limits)
    images = [mammogram(f"1.2.3.{number}", seed=number) for number in range(6)]
    statuses = [node.store(image).Status for image in images]
    assert set(statuses) == {Status.SUCCESS, Status.NO_SPACE}
    taken = statuses.index(Status.NO_SPACE)
    assert 2 <= taken <= 3
    assert "max_disk_share" in node.store(images[-1]).ErrorComment
    assert node.store(images[-1], calling="CBIS").Status == Status.SUCCESS
    for file in list(node.files("archive")):
        (node.data_dir / "archive" / file).unlink()
    assert limits.made is not None
    limits.made.space.measure()
    assert node.store(images[taken]).Status == Status.SUCCESS, "there is room again"


def test_status_and_metrics_say_who_was_refused_and_by_which_limit(
    start_node, mammogram: Mammogram, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = of(max_objects_per_minute=1)
    node = start_node(sender_limits=limits)
    for number in range(3):
        node.store(mammogram(f"1.2.3.{number}", seed=number))
    limits.told(node.sessions)
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "data"\ndatabase_url = "sqlite:///{tmp_path / "queue.sqlite"}"\n')
    build()(["status", "--config", str(config)], standalone_mode=False)
    assert "PACS was refused 2 times by its max_objects_per_minute, last 1970-01-01" in capsys.readouterr().out
    with node.sessions.begin() as session:
        scraped = Metrics(load(config), lambda: 2000.0).scrape(session).decode()
    assert 'mammo_node_sender_refused{limit="max_objects_per_minute",sender="PACS"} 2.0' in scraped


def test_refused_instances_are_logged_once_a_minute_and_counted_for_status_and_metrics(
    start_node,
    mammogram: Mammogram,
    raw_bytes: Callable[[Dataset], bytes],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock, bad = Steady(1000.0), "The header's StudyInstanceUID is not a valid DICOM UID."
    refused = RefusedInstances(clock)
    node = start_node(tell_not_taken=refused.note)
    image = raw_bytes(mammogram(StudyInstanceUID="1." * 40 + "1"))
    full = start_node(limits=ReceivingLimits(min_free_bytes=1 << 62), tell_not_taken=refused.note)
    for _ in range(3):
        assert node.store_bytes(image).Status == Status.BAD_UID
    assert full.store(mammogram("1.2.3.2")).Status == Status.NO_SPACE
    warned = [record.getMessage() for record in caplog.records if record.name == "node.intake.refused_instances"]
    assert warned == [
        f"an instance of 'PACS' is refused: 0xC002 ({bad})",
        "an instance of 'PACS' is refused: 0xA700 (disk nearly full (min_free_mb): free some and send again)",
    ]
    refused.store(node.sessions)
    clock.seconds += 60
    refused.store(node.sessions)
    assert caplog.records[-1].getMessage() == (f"instances of 'PACS' are refused: 2 more: 0xC002 ({bad})")
    with node.sessions.begin() as session:
        told = {(one.calling_ae_title, one.status): one.times for one in refused_instances(session)}
        assert limited_senders(session) == ()
    assert told == {("PACS", "0xC002"): 3, ("PACS", "0xA700"): 1}
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "data"\ndatabase_url = "sqlite:///{tmp_path / "queue.sqlite"}"\n')
    settings = load(config)
    with node.sessions.begin() as session:
        scraped = Metrics(settings, clock).scrape(session).decode()
        (need,) = [need for need in needs_now(session, settings, clock()) if need.about == "refused"]
    assert 'mammo_node_instances_refused{sender="PACS",status="0xC002"} 3.0' in scraped
    assert need.says == "PACS: 3 instances refused with 0xC002 (a UID is missing or malformed)"
    build()(["status", "--config", str(config)], standalone_mode=False)
    assert "PACS: 3 instances refused with 0xC002" in capsys.readouterr().out
