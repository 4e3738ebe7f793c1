"""An answer that never ends holds no thread and fills no memory of the process that receives images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom.examples
import pytest
from endless import endless

from dicom_io.errors import DestinationError, Rejected, Unreachable
from dicom_io.network.holdings import FetchLimits, HeldInstance
from dicom_io.network.stow import StowDestination
from dicom_io.network.wado import WebSource
from dicom_io.network.web_peer import MOST_BYTES, WebPeer, web_echo
from node.delivery.fhir_server import FhirServer, fhir_echo
from node.delivery.mllp import MllpDestination, MllpPeer
from node.store.events import StudyEvent
from node.webhooks.message import Message
from node.webhooks.teller import WebhookPeer

HEAD = b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
FAST, SLOW = (b" " * (1 << 16), 0.0), (b" ", 0.02)


def a_fhir_server(peer: WebPeer, folder: Path) -> None:
    (folder / "report.json").write_text('{"entry": []}')
    with FhirServer(peer, "ehr") as server:
        server.send(folder / "report.json")


def a_dicomweb_service(peer: WebPeer, folder: Path) -> None:
    written = pydicom.examples.get_path("ct")
    with StowDestination(peer) as service:
        service.send(written)


def a_search(peer: WebPeer, _: Path) -> None:
    WebSource(peer, FetchLimits(max_bytes=MOST_BYTES)).instances("1.2.3")


def a_retrieval(peer: WebPeer, folder: Path) -> None:
    source = WebSource(peer, FetchLimits(max_bytes=MOST_BYTES))
    found = source.retrieve("1.2.3", [HeldInstance("1.2.3.4", "1.2.3.4.5", "1.2.3")], folder, lambda _: None)
    raise Rejected("; ".join(found.faults))


def asking_a_dicomweb_service(peer: WebPeer, _: Path) -> None:
    web_echo(peer)


def asking_a_fhir_server(peer: WebPeer, _: Path) -> None:
    fhir_echo(peer)


@pytest.mark.parametrize("status", [200, 422])
@pytest.mark.parametrize(
    ("pieces", "timeout_s", "refused", "says"),
    [(FAST, 60.0, Rejected, "answers more than 4 MiB"), (SLOW, 0.5, Unreachable, "does not end its answer")],
)
@pytest.mark.parametrize(
    "request_of",
    [a_fhir_server, a_dicomweb_service, a_search, a_retrieval, asking_a_dicomweb_service, asking_a_fhir_server],
)
def test_whoever_never_ends_an_answer_is_left(
    request_of: Callable[[WebPeer, Path], None], status: int, pieces: tuple[bytes, float], timeout_s: float,
    refused: type[DestinationError], says: str, tmp_path: Path,
):  # fmt: skip
    with endless(HEAD % status, *pieces) as port, pytest.raises(refused, match=says):
        request_of(WebPeer(f"http://127.0.0.1:{port}", timeout_s), tmp_path)


@pytest.mark.parametrize("status", [200, 422])
def test_an_answer_that_is_nested_without_measure_is_a_refusal(status: int, tmp_path: Path):
    (tmp_path / "report.json").write_text('{"entry": []}')
    begin = (HEAD % status).replace(b"\r\n\r\n", b"\r\nContent-Length: 200000\r\n\r\n") + b"[" * 200_000
    with endless(begin, *SLOW) as port:
        peer = WebPeer(f"http://127.0.0.1:{port}", 60.0)
        with FhirServer(peer, "ehr") as server, pytest.raises(Rejected):
            server.send(tmp_path / "report.json")


@pytest.mark.parametrize("pieces", [FAST, SLOW])
def test_a_webhook_has_taken_the_message_when_its_status_says_so(pieces: tuple[bytes, float], tmp_path: Path):
    (tmp_path / "secret").write_text("whsec_" + "c2VjcmV0" * 5)
    message = Message("msg_1", StudyEvent.REPORTED, 1, 1, 0.5, 0.0, None)
    with endless(HEAD % 200, *pieces) as port:
        webhook = WebhookPeer(WebPeer(f"http://127.0.0.1:{port}", 60.0), tmp_path / "secret")
        webhook.send(message, 0.0)
        webhook.close()
    with endless(HEAD % 503, *pieces) as port, pytest.raises(Unreachable, match="503"):
        WebhookPeer(WebPeer(f"http://127.0.0.1:{port}", 60.0), tmp_path / "secret").send(message, 0.0)


@pytest.mark.parametrize(("pieces", "timeout_s", "refused"), [(FAST, 60.0, Rejected), (SLOW, 0.5, Unreachable)])
def test_an_acknowledgement_that_never_ends_is_left(
    pieces: tuple[bytes, float], timeout_s: float, refused: type[DestinationError], tmp_path: Path
):
    (tmp_path / "report.hl7").write_bytes(b"MSH|^~\\&|||||20260304||ORU^R01^ORU_R01|1|P|2.5.1\r")
    with endless(b"\x0b", *pieces) as port:
        peer = MllpPeer("127.0.0.1", port, timeout_s, "", "", "", "", "UNICODE UTF-8")
        with MllpDestination(peer, "ris") as ris, pytest.raises(refused):
            ris.send(tmp_path / "report.hl7")
