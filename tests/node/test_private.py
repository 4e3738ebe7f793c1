"""Patient data from peers stay in archive, results and database, readable only by the node's user."""

from __future__ import annotations

import http.server
import os
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ports import held_port
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from running import RunningNode, eventually
from sqlalchemy import select

from node.demo.studies import DemoStudy
from node.store.tables import Delivery

pytestmark = pytest.mark.slow

NAME = "ZZQXNAME"
UID = "1.2.826.0.1.999777555.1.2.3.4.5"
PATIENT_ID = "ZZQXID"
SECRETS = (NAME, PATIENT_ID, UID)
TEXTS = ("AE", "LO", "SH", "ST", "LT", "UT", "UC", "PN", "UR")
PATIENTS_FILES = ("archive", "results", "quarantine", "hl7-refused", "queue.sqlite")
"""What contains patient data by its purpose (docs/architecture.md)."""
NOT_IN_THE_AUDIT_TRAIL = (NAME,)
"""It has patients' IDs and UIDs (docs/audit.md)."""


@pytest.fixture(scope="module")
def node(eager_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A running node with an existing data folder that is readable by everybody, under a permissive umask."""
    folder = tmp_path_factory.mktemp("private")
    web, held = _WebServer(), ExitStack()
    hl7_port = held.enter_context(held_port())
    node = RunningNode(
        folder,
        f'[reader]\nbundle = "{eager_bundle}"\n'
        f"[hl7]\nport = {hl7_port}\n[closing]\nquiet_s = 1\nfour_views_quiet_s = 1\n"
        '[[senders]]\nae_title = "SENDER"\n'
        f'[[destinations]]\nname = "web"\nurl = "http://127.0.0.1:{web.port}/dicom-web"\n',
    )
    (node.data_dir / "hl7-refused").mkdir(parents=True)
    node.data_dir.chmod(0o755)
    (node.data_dir / "hl7-refused").chmod(0o755)
    before = os.umask(0)
    try:
        node.start()
    finally:
        os.umask(before)
    node.hl7_port = hl7_port  # type: ignore[attr-defined]
    yield node
    node.end()
    held.close()
    web.close()


class _WebServer:
    """Refuses everything, and names the patient in its answer."""

    def __init__(self) -> None:
        class Refuses(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = f"{NAME} {UID} is not known here".encode()
                self.send_response(409, f"no {NAME}")
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def named(dataset: Dataset, number: int) -> Dataset:
    """With the name in every text and the UID in every reference but those that make it an image."""
    for element in dataset:
        if element.VR in TEXTS:
            element.value = NAME
    for keyword in ("PatientComments", "StudyDescription", "SeriesDescription", "InstitutionName", "OtherPatientNames"):
        setattr(dataset, keyword, NAME)
    dataset.PatientID = PATIENT_ID
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(dataset, keyword, UID)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{number}"
    return dataset


def spoilt(image: Dataset) -> Iterator[Dataset]:
    """The same image with a value in each place that is none; blank, as reading one image takes long enough."""
    for number, keyword in enumerate(
        ("PatientBirthDate", "Rows", "ImagerPixelSpacing", "ViewCodeSequence", "ImageType"), 10
    ):
        broken = named(dcmread(image.filename), number)
        broken.PixelData = bytes(len(broken.PixelData))
        broken.pop(keyword, None)
        vr = dictionary_VR(keyword)
        broken.add_new(keyword, vr if vr not in ("SQ", "US", "DS", "DA") else "LO", NAME)
        yield broken


def test_patient_names_are_only_in_archive_results_and_database_and_files_are_private(
    node: RunningNode, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    _send_images(node, dcmread(mammogram_study.files[0]))
    _send_messages(node.hl7_port)  # type: ignore[attr-defined]
    imported = _import(node, tmp_path)
    eventually("a delivery was refused", lambda: _tried(node), timeout_s=300)
    status = node.command("status")

    written = [
        path
        for path in node.data_dir.rglob("*")
        if path.relative_to(node.data_dir).parts[0].split("-wal")[0].split("-shm")[0] not in PATIENTS_FILES
        and path.is_file()
    ]
    texts = {"log": node.log.read_text(), "import": imported}
    texts |= {str(path): path.read_bytes().decode("latin-1") for path in written}
    texts["names of files"] = " ".join(str(path.relative_to(node.data_dir)) for path in written)
    trails = {what for what in texts if what.startswith(str(node.data_dir / "audit"))}
    assert trails
    found = [
        (what, secret)
        for what, text in texts.items()
        for secret in (NOT_IN_THE_AUDIT_TRAIL if what in trails else SECRETS)
        if secret in text
    ]
    assert found == []
    assert NAME not in status.stdout + status.stderr  # which shows UIDs of studies to its user
    assert "Traceback" not in texts["log"]

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in node.data_dir.rglob("*")}
    assert {path for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == set()


def _send_images(node: RunningNode, image: Dataset) -> None:
    requestor = AE(ae_title="SENDER")
    requestor.implementation_version_name = NAME
    requestor.add_requested_context(image.SOPClassUID, [image.file_meta.TransferSyntaxUID, ImplicitVRLittleEndian])
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, NAME.encode(), NAME.encode()
    association = requestor.associate("127.0.0.1", node.port, ae_title="MAMMO_NODE", ext_neg=[identity])
    assert association.is_established
    statuses = [association.send_c_store(entry).get("Status") for entry in (named(image, 1), *spoilt(image))]
    association.release()
    assert statuses[0] == 0


def _send_messages(port: int) -> None:
    """ORU with the name in every field: entered, refused, rejected, and truncated."""
    fields = "|".join([NAME] * 20)
    header = f"MSH|^~\\&|{NAME}|{NAME}|{NAME}|{NAME}|20260101000000|{NAME}|ORU^R01|{NAME}|P|2.5.1"
    patient = f"PID|1||{PATIENT_ID}^^^{NAME}||{fields}"
    order = f"OBR|1|{NAME}|{NAME}|{NAME}^{NAME}|||20260101|||||||||||{NAME}||||||||||F|||||||{NAME}"
    for text in ("BI-RADS 4 left", f"BI-RADS 2-3 {NAME}", "\\XFF\\ BI-RADS", f"{NAME} fine"):
        result = f"OBX|1|TX|{NAME}^{NAME}||{text} {NAME}||||||F|||||{NAME}"
        _exchange(port, "\r".join((header, patient, order, result, f"NTE|1||{NAME}", "")).encode())
    _exchange(port, "\r".join((header.replace("ORU", "ADT"), patient, "")).encode())
    _exchange(port, f"MSH|{NAME}".encode())
    _exchange(port, f"{header}|||||{NAME}|{NAME}\r{patient}\r".encode())


def _exchange(port: int, block: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"\x0b" + block + b"\x1c\r")
        assert connection.recv(4096)


def _import(node: RunningNode, folder: Path) -> str:
    table = folder / "birads.csv"
    table.write_text(
        "study_instance_uid,accession_number,patient_id,laterality,category,assessed_at\n"
        f"{UID},{NAME},{PATIENT_ID},L,4,\n{UID},{NAME},{PATIENT_ID},{NAME},4,\n"
        f"{UID},{NAME},{PATIENT_ID},L,{NAME},\n,{NAME},,L,2,{NAME}\n"
    )
    ran: subprocess.CompletedProcess[str] = node.command("birads", "import", str(table))
    return ran.stdout + ran.stderr


def _tried(node: RunningNode) -> bool:
    with node.database() as session:
        return bool(session.scalars(select(Delivery).where(Delivery.error.is_not(None))).first())
