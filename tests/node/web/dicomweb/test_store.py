"""Images that come by STOW-RS are received as those that come by C-STORE, by a node that listens and a page that is
served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from audit_messages import assert_events_valid, entered
from browsing import application_of
from dicomweb_client import DICOMwebClient
from orthanc import debian_orthanc
from programs import token_of
from pydicom import Dataset, dcmread
from requests import Session
from road import Road, changed
from running import eventually
from serving import serving

from config.settings import Settings
from config.web import Role
from dicom_io.audit.codes import INSTANCES_TRANSFERRED
from dicom_io.audit.message import Action
from dicom_io.errors import NotAccepted
from dicom_io.network.scp import AllowedSender, Listener, ListenerLimits
from dicom_io.network.stow import StowDestination
from dicom_io.network.web_peer import WebPeer
from node.archive.layout import WEB_INCOMING
from node.demo.studies import DemoStudy
from node.web.dicomweb.parts import body_of
from node.web.dicomweb.store import MOST_AT_ONCE

pytestmark = pytest.mark.slow

OTHER_STUDY = "1.2.826.0.1.3680043.8.498.9"
BOUNDARY = "a-boundary"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@dataclass(frozen=True)
class Service:
    """A node's DICOMweb service. `token`: an operator's."""

    road: Road
    url: str
    token: str

    def post(
        self, body: object, media_type: str = MULTIPART, path: str = "/studies", token: str = ""
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": media_type}
        return httpx.post(f"{self.url}{path}", content=body, headers=headers, timeout=120)

    def left_over(self) -> list[Path]:
        return [path for path in (self.road.data_dir / WEB_INCOMING).rglob("*") if path.is_file()]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts a node's listener and its page; settings of the receiver may be given."""
    road = Road(tmp_path / "data")
    listener = Listener(
        "MAMMO_NODE",
        "127.0.0.1",
        0,
        (AllowedSender("MAMMO_NODE", "127.0.0.1"),),
        road.receiving.incoming,
        road.receiving,
        ListenerLimits(),
    )
    listener.start()
    stops = []

    def started(**receiver: object) -> Service:
        limits = {"port": listener.port, "min_free_mb": 0, **receiver}
        settings = Settings(data_dir=road.data_dir, web={"stow": True}, receiver=limits)
        served = serving(application_of(road, settings))
        address = served.__enter__()
        stops.append(served)
        return Service(road, f"{address}/dicom-web", token_of(road, Role.OPERATOR))

    yield started
    for served in stops:
        served.__exit__(None, None, None)
    listener.stop(grace_s=0.2)


def parts(*bodies: bytes, end: bytes = f"\r\n--{BOUNDARY}--\r\n".encode()) -> bytes:
    head = f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + body for body in bodies) + end


def file_of(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def reasons(answer: httpx.Response, of: str = "FailedSOPSequence") -> list[int]:
    return [item.FailureReason for item in Dataset.from_json(answer.json()).get(of, [])]


def test_a_study_that_dicomweb_client_stores_is_received_byte_by_byte(
    start: Callable[..., Service], mammogram_study: DemoStudy
):
    service = start()
    session = Session()
    session.headers["Authorization"] = f"Bearer {service.token}"
    images = [dcmread(file) for file in mammogram_study.files]
    answer = DICOMwebClient(service.url, session=session).store_instances(images)
    stored = {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence}
    assert stored == {image.SOPInstanceUID for image in images}
    assert "FailedSOPSequence" not in answer
    for row in service.road.instances():
        kept = dcmread(service.road.data_dir / row.path)
        [sent] = [image for image in images if image.SOPInstanceUID == row.sop_instance_uid]
        assert kept == sent
    assert service.road.study().source == "MAMMO_NODE"
    assert service.left_over() == []


def test_who_stored_an_image_is_in_the_audit_trail_beside_the_node_that_received_it(
    start: Callable[..., Service], mammogram_study: DemoStudy, tmp_path: Path
):
    service = start()
    image = dcmread(mammogram_study.files[0])
    assert service.post(parts(file_of(image))).status_code == 200
    events = [event for event in entered(service.road.sessions) if event.event == INSTANCES_TRANSFERRED]
    assert [event.action for event in events] == [Action.CREATE] * 2
    assert [about.id for about in events[0].objects] == [about.id for about in events[1].objects]
    assert events[0].objects[0].id == image.StudyInstanceUID
    sources = {event.participants[0].user: event.participants[0].alternative for event in events}
    assert sources["MAMMO_NODE"] == "AETITLES=MAMMO_NODE"
    (program,) = (known_as for user, known_as in sources.items() if user != "MAMMO_NODE")
    assert program == "token 1"
    assert_events_valid(service.road.sessions, tmp_path)


def test_the_nodes_own_client_stores_and_is_told_what_is_refused(
    start: Callable[..., Service], mammogram_study: DemoStudy, tmp_path: Path
):
    service = start()
    (tmp_path / "token").write_text(service.token)
    first = mammogram_study.files[0]
    ct = tmp_path / "ct.dcm"
    ct.write_bytes(file_of(changed(first, SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", SOPInstanceUID="1.2.3.4")))
    with StowDestination(WebPeer(service.url, 60, tmp_path / "token")) as destination:
        destination.send(first)
        destination.send(first)
        with pytest.raises(NotAccepted):
            destination.send(ct)
    assert len(service.road.instances()) == 1


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_whoever_has_no_token_of_an_operator_stores_nothing(
    start: Callable[..., Service], mammogram_study: DemoStudy, role
):
    service = start()
    token = "made-up" if role is None else token_of(service.road, role)
    answer = service.post(parts(mammogram_study.files[0].read_bytes()), token=token)
    assert answer.status_code == (401 if role is None else 403)
    assert service.road.instances() == []


def test_it_is_off_unless_it_is_set(mammogram_study: DemoStudy, tmp_path: Path):
    road = Road(tmp_path / "data")
    with serving(application_of(road, Settings(data_dir=road.data_dir))) as address:
        service = Service(road, f"{address}/dicom-web", token_of(road, Role.OPERATOR))
        assert service.post(parts(mammogram_study.files[0].read_bytes())).status_code == 405, "only results are there"


def test_of_several_instances_each_has_its_own_outcome(start: Callable[..., Service], mammogram_study: DemoStudy):
    service = start()
    whole = mammogram_study.files[0].read_bytes()
    second = mammogram_study.files[1].read_bytes()
    answer = service.post(parts(whole, b"no DICOM", second[:-1000]))
    assert answer.status_code == 202
    assert answer.headers["Content-Type"] == "application/dicom+json"
    assert reasons(answer) == [0xC001], "cut short"
    assert reasons(answer, "OtherFailuresSequence") == [0xC000]
    assert len(service.road.instances()) == 1
    assert service.left_over() == []


@pytest.mark.parametrize(
    ("before", "after", "head"),
    [
        (b"", b"", b"Content-Type: application/dicom"),
        (b"This is a message in MIME format.", b"", b"Content-Type: application/dicom\r\nContent-Length: 7"),
        (b"", b"the end", b"content-type:application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
        (b"\r\n\r\n", b"\r\n", b"Content-Location: x\r\nContent-ID: <1>\r\nMIME-Version: 1.0"),
    ],
)
@pytest.mark.parametrize("boundary", ["x", "b" * 73, "a'()+_,-./:=?z"])
@pytest.mark.parametrize("size", [1, 1000, 10**9])
def test_a_body_is_split_as_mime_says_whatever_its_boundary_and_the_size_of_its_chunks(
    tmp_path: Path, before, after, head, boundary, size
):
    contents = [b"one\r\n--", b"", b"\r\n--\r\n\r\n-" * 5]
    line = b"\r\n--" + boundary.encode()
    parts_of_it = [line + b"\r\n" + head + b"\r\n\r\n" + content for content in contents]
    body = before + b"".join(parts_of_it) + line + b"--" + after
    found = []
    with body_of(f'Multipart/Related; boundary="{boundary}"; type="application/dicom"', tmp_path, 1000) as reader:
        for start in range(0, len(body), size):
            found += reader.feed(body[start : start + size])
        found += reader.end()
    assert [part.path.read_bytes() for part in found] == contents


def test_an_instance_of_another_study_than_the_address_is_refused(
    start: Callable[..., Service], mammogram_study: DemoStudy
):
    service = start()
    content = mammogram_study.files[0].read_bytes()
    refused = service.post(parts(content), path=f"/studies/{OTHER_STUDY}")
    assert (refused.status_code, reasons(refused)) == (409, [0xA900])
    study = dcmread(mammogram_study.files[0], stop_before_pixels=True).StudyInstanceUID
    assert service.post(parts(content), path=f"/studies/{study}").status_code == 200


def test_one_instance_may_be_the_whole_body(start: Callable[..., Service], mammogram_study: DemoStudy):
    service = start()
    assert service.post(mammogram_study.files[0].read_bytes(), "application/dicom").status_code == 200
    assert len(service.road.instances()) == 1


def test_an_instance_that_is_too_large_is_refused_and_the_next_is_stored(
    start: Callable[..., Service], mammogram_study: DemoStudy
):
    service = start(max_image_mb=1)
    content = mammogram_study.files[0].read_bytes()
    large = file_of(changed(mammogram_study.files[1], SOPInstanceUID="1.2.3.5")) + bytes(1_100_000)
    answer = service.post(parts(large, content))
    assert (answer.status_code, reasons(answer)) == (202, [0xA702])
    assert len(service.road.instances()) == 1
    assert service.left_over() == []


def test_a_full_disk_is_said_so_that_the_sender_tries_again(start: Callable[..., Service], mammogram_study: DemoStudy):
    service = start(min_free_mb=10**9)
    answer = service.post(parts(mammogram_study.files[0].read_bytes()))
    assert (answer.status_code, reasons(answer)) == (503, [0xA700])
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ('multipart/related; type="application/dicom+json"; boundary=x', b"", 415),
        ('multipart/related; type="application/dicom"', b"", 400),
        (MULTIPART, b"", 400),
        (MULTIPART, b"no boundary at all", 400),
        (MULTIPART, parts(end=b"\r\n--a-boundary--\r\n"), 400),
        (MULTIPART, parts(b"DICM", end=b""), 400),
        ("application/dicom", b"", 400),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(start: Callable[..., Service], media_type, body, status):
    service = start()
    answer = service.post(body, media_type)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert service.left_over() == []


def test_a_sender_that_stops_within_a_body_leaves_nothing_and_what_was_whole_is_stored(
    start: Callable[..., Service], mammogram_study: DemoStudy
):
    service = start()
    content = mammogram_study.files[0].read_bytes()

    def stops() -> Iterator[bytes]:
        yield parts(content, content[:5000], end=b"")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        service.post(stops())
    assert service.post(parts(content)).status_code == 200, "known: only acknowledged"
    assert len(service.road.instances()) == 1


def test_while_the_listener_does_not_answer_nothing_is_said_to_be_stored(
    start: Callable[..., Service], mammogram_study: DemoStudy, closed_port: int
):
    service = start(port=closed_port)
    answer = service.post(parts(mammogram_study.files[0].read_bytes()))
    assert answer.status_code == 503
    assert "send it again" in answer.json()["detail"]


def test_only_so_many_requests_store_at_once(start: Callable[..., Service], mammogram_study: DemoStudy, monkeypatch):
    monkeypatch.setattr("node.web.dicomweb.store.MOST_AT_ONCE", 1)
    service = start()
    content = parts(mammogram_study.files[0].read_bytes())
    answers = []

    def slowly() -> Iterator[bytes]:
        yield content[:1000]
        eventually("the first request has its place", lambda: any((service.road.data_dir / WEB_INCOMING).glob("*")))
        answers.append(service.post(content))
        yield content[1000:]

    assert service.post(slowly()).status_code == 200
    assert [answer.status_code for answer in answers] == [503]
    assert MOST_AT_ONCE > 1


@pytest.mark.slow
def test_orthanc_stores_a_study(start: Callable[..., Service], mammogram_study: DemoStudy, tmp_path: Path):
    service = start()
    node = {"Url": service.url, "HttpHeaders": {"Authorization": f"Bearer {service.token}"}}
    dicomweb = {"Enable": True, "Root": "/dicom-web/", "Servers": {"node": node}}
    with debian_orthanc(tmp_path / "orthanc", DicomWeb=dicomweb) as orthanc:
        if not orthanc.has_dicomweb:
            pytest.skip("Orthanc has no DICOMweb (Debian package orthanc-dicomweb)")
        for file in mammogram_study.files:
            study = orthanc.upload(file)
        orthanc.post("/dicom-web/servers/node/stow", {"Resources": [study], "Synchronous": True})
    assert {row.sop_instance_uid for row in service.road.instances()} == {
        dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in mammogram_study.files
    }
