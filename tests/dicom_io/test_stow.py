"""Results stored by DICOMweb: in a real Orthanc, and at services that refuse, hang or are no DICOMweb services."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from orthanc import Orthanc, debian_orthanc
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from road import Road

from dicom_io.errors import NotAccepted, Rejected, Unreachable
from dicom_io.network.stow import StowDestination
from dicom_io.network.web_peer import WebPeer, web_echo
from node.demo.studies import DemoStudy
from node.store.tables import Delivery

pytestmark = pytest.mark.slow


class Service:
    """A web service on 127.0.0.1 that gives every POST the same answer and records the requests."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.status, self.media_type, self.body = 200, "application/dicom+json", b"{}"
        self.location: str | None = None
        self.requests: list[tuple[str, str | None, str | None]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def _answer(self) -> None:
                service.requests.append((self.command, self.headers["Authorization"], self.headers["Host"]))
                self.send_response(service.status)
                if service.location:
                    self.send_header("Location", service.location)
                self.send_header("Content-Type", service.media_type)
                self.send_header("Content-Length", str(len(service.body)))
                self.end_headers()
                self.wfile.write(service.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.scheme = "http"
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def peer(self, **changed: object) -> WebPeer:
        return WebPeer(**{"url": f"{self.scheme}://127.0.0.1:{self.port}/dicom-web", "timeout_s": 60.0} | changed)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    started = Service()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def result(mammogram_study: DemoStudy, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], DemoStudy]:
    """The results of a study, as the node writes them."""
    road = Road(tmp_path_factory.mktemp("road"))
    road.all_of_it(*mammogram_study.files)
    with road.sessions.begin() as session:
        paths = [road.data_dir / delivery.result.path for delivery in session.query(Delivery)]
    assert paths
    return paths, mammogram_study


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    report = Dataset()
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    report.SOPInstanceUID = generate_uid(entropy_srcs=["a report"])
    report.StudyInstanceUID = generate_uid(entropy_srcs=["a study"])
    report.PatientID = "SECRET-7"
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    return tmp_path / "report.dcm"


def send(peer: WebPeer, path: Path) -> None:
    with StowDestination(peer) as destination:
        destination.send(path)


def failing(reason: int) -> bytes:
    """A store response that names one failed instance."""
    item = {
        "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.88.33"]},
        "00081155": {"vr": "UI", "Value": ["1.2.3.4.5.6.7"]},
        "00081197": {"vr": "US", "Value": [reason]},
    }
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


def test_the_results_of_a_study_are_stored_in_orthanc_as_they_were_written(result, tmp_path):
    paths, study = result
    with debian_orthanc(tmp_path) as orthanc:
        if not orthanc.has_dicomweb:
            pytest.skip("this Orthanc has no DICOMweb plugin (Debian package orthanc-dicomweb)")
        peer = WebPeer(f"{orthanc.url}/dicom-web", 20)
        web_echo(peer)
        with StowDestination(peer) as destination:
            for path in paths:
                destination.send(path)
        assert _held(orthanc, study.study_instance_uid) == {
            str(written.SOPInstanceUID): written for written in map(dcmread, paths)
        }


def _held(orthanc: Orthanc, study_instance_uid: str) -> dict[str, Dataset]:
    study = orthanc.study_of(study_instance_uid)
    assert study is not None
    held = [instance for modality in ("SEG", "SR") for instance in orthanc.instances(study, modality)]
    return {str(instance.SOPInstanceUID): instance for instance in held}


def test_a_success_with_or_without_a_body_counts_as_sent(service, a_file):
    for service.status, service.body in ((200, b"{}"), (200, b""), (202, b"{}")):
        send(service.peer(), a_file)
    service.media_type = "application/dicom+json; charset=utf-8"
    send(service.peer(), a_file)
    assert len(service.requests) == 4


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_busy_service_is_requested_once_and_again_later(service, a_file, status):
    service.status = status
    with pytest.raises(Unreachable, match=str(status)):
        send(service.peer(), a_file)
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 409, 415, 500])
def test_a_refusal_is_reported_with_its_status_and_without_patient_data(service, a_file, status):
    service.status, service.media_type, service.body = status, "text/html", b"<p>SECRET-7 is not welcome</p>"
    with pytest.raises(Rejected, match=str(status)) as raised:
        send(service.peer(), a_file)
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(("status", "reason"), [(415, 0), (409, 0x0122), (202, 0xC122)])
def test_a_sop_class_that_the_service_does_not_accept_is_distinguished_from_other_refusals(
    service, a_file, status, reason
):
    service.status, service.body = status, failing(reason)
    if not reason:
        service.media_type, service.body = "text/plain", b"no"
    with pytest.raises(NotAccepted):
        send(service.peer(), a_file)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_is_reported_with_its_setting_and_without_the_token(service, a_file, tmp_path, status):
    (tmp_path / "token").write_text("hush-hush\n")
    service.status = status
    with pytest.raises(Rejected, match=r"bearer_token_file") as raised:
        send(service.peer(bearer_token_file=tmp_path / "token"), a_file)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "media_type"),
    [
        (202, "application/dicom+json"),
        (409, "application/json; charset=utf-8"),
        (202, "application/dicom+json; charset=utf-8"),
    ],
)
def test_a_store_response_with_a_failure_is_reported_as_a_refusal_with_its_reason(service, a_file, status, media_type):
    service.status, service.media_type, service.body = status, media_type, failing(0xA700)
    with pytest.raises(Rejected, match=r"0xA700 \(out of resources\)") as raised:
        send(service.peer(), a_file)
    assert raised.value.status == 0xA700
    assert "1.2.3.4" not in str(raised.value)


def test_a_login_page_does_not_count_as_success(service, a_file):
    service.media_type, service.body = "text/html", b"<h1>Log in</h1>"
    with pytest.raises(Rejected, match="no DICOMweb service"):
        send(service.peer(), a_file)


def test_a_redirect_is_not_followed_with_the_token(service, a_file, tmp_path):
    """A redirected POST would be repeated as a GET, whose answer looks like a success."""
    (tmp_path / "token").write_text("hush-hush")
    service.status, service.location = 301, f"http://127.0.0.1:{service.port}/elsewhere"
    with pytest.raises(Rejected, match="set url"):
        send(service.peer(bearer_token_file=tmp_path / "token"), a_file)
    assert [method for method, _, _ in service.requests] == ["POST"]


def test_a_changed_token_is_used_at_once(service, a_file, tmp_path):
    token = tmp_path / "token"
    with StowDestination(service.peer(bearer_token_file=token)) as destination:
        for value in ("first", "second"):
            token.write_text(value + "\n")
            destination.send(a_file)
    assert [shown for _, shown, _ in service.requests] == ["Bearer first", "Bearer second"]
    assert {host for _, _, host in service.requests} == {f"127.0.0.1:{service.port}"}


@pytest.mark.parametrize("content", [None, b"", b"two tokens", b"a\nb", b"\xff"])
def test_an_unusable_token_file_is_reported_without_its_content(service, a_file, tmp_path, content):
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(Rejected, match="bearer_token_file") as raised:
        send(service.peer(bearer_token_file=tmp_path / "token"), a_file)
    assert "two" not in str(raised.value)
    assert service.requests == []


def test_a_service_that_does_not_listen_or_never_answers_is_unreachable(a_file, closed_port, silent_port):
    for port, timeout_s in ((silent_port, 0.3), (closed_port, 5)):
        with pytest.raises(Unreachable, match="does not answer"):
            send(WebPeer(f"http://127.0.0.1:{port}", timeout_s), a_file)


def test_a_result_that_is_no_dicom_file_is_rejected_and_the_deliverer_continues(service, tmp_path):
    (tmp_path / "torn").write_bytes(b"\0" * 128 + b"DICM")
    for name in ("torn", "gone"):
        with pytest.raises(Rejected, match="cannot be sent"):
            send(service.peer(), tmp_path / name)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority (ca.pem) and the certificates that it signed for a service and a node."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=Authority", "-days", "2")
    for name, extension in (("service", "subjectAltName=IP:127.0.0.1"), ("node", "extendedKeyUsage=clientAuth")):
        (folder / "extension").write_text(extension)
        openssl("req", *new, "-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", "extension")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
    return folder


@pytest.fixture
def secure(certificates: Path) -> Iterator[Service]:
    """A service that accepts only clients with a certificate signed by the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "service.pem", certificates / "service-key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    started = Service(context)
    yield started
    started.stop()


def test_a_file_is_sent_if_both_sides_present_their_certificates(secure, certificates, a_file):
    known = {"client_certificate": certificates / "node.pem", "client_key": certificates / "node-key.pem"}
    send(secure.peer(ca_file=certificates / "ca.pem", **known), a_file)
    assert len(secure.requests) == 1


def test_a_service_with_an_untrusted_certificate_gets_no_file(secure, certificates, a_file):
    with pytest.raises(Unreachable, match="ca_file"):
        send(secure.peer(), a_file)
    assert secure.requests == []


def test_a_service_that_requires_a_client_certificate_gets_no_file_without_one(secure, certificates, a_file):
    with pytest.raises(Unreachable):
        send(secure.peer(ca_file=certificates / "ca.pem"), a_file)
    assert secure.requests == []


@pytest.mark.parametrize("key", ["ca_file", "client_certificate"])
def test_a_missing_certificate_file_is_reported(secure, certificates, a_file, key):
    with pytest.raises(Rejected, match="is not there"):
        send(secure.peer(**{"ca_file": certificates / "ca.pem"} | {key: certificates / "gone.pem"}), a_file)
