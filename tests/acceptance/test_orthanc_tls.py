"""Orthanc and the node exchange images by DICOM TLS, each with a certificate of one authority."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import Authority
from orthanc import Orthanc, debian_orthanc
from ports import held_port
from running import RunningNode, eventually

from node.demo.studies import DemoStudy
from node.store.states import DeliveryState
from node.store.tables import Delivery

pytestmark = pytest.mark.acceptance


@contextmanager
def both(folder: Path, bundle: Path) -> Iterator[tuple[RunningNode, Orthanc, int]]:
    """A node and an Orthanc that know each other by TLS alone, and the node's port for it."""
    authority = Authority(folder, "authority")
    own, theirs = authority.issue("node", "127.0.0.1"), authority.issue("orthanc", "127.0.0.1", "orthanc.example")
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(theirs[0]),
        "DicomTlsPrivateKey": str(theirs[1]),
        "DicomTlsTrustedCertificates": str(authority.path),
        "DicomTlsRemoteCertificateRequired": True,
    }
    with debian_orthanc(folder / "orthanc", **settings) as orthanc, held_port() as port:
        files = f'certificate = "{own[0]}", key = "{own[1]}", ca_file = "{authority.path}"'
        node = RunningNode(
            folder / "node",
            f"""
[reader]
bundle = "{bundle}"
[closing]
quiet_s = 1
[[senders]]
ae_title = "{orthanc.ae_title}"
certificates = ["orthanc.example"]
[[destinations]]
name = "orthanc"
ae_title = "{orthanc.ae_title}"
host = "127.0.0.1"
port = {orthanc.dicom_port}
tls = {{ {files} }}
[receiver]
tls = {{ port = {port}, {files} }}
""",
        )
        node.start()
        try:
            yield node, orthanc, port
        finally:
            node.end()


def test_a_study_goes_from_orthanc_to_the_node_and_back_by_tls_alone(
    tmp_path: Path, blind_bundle: Path, mammogram_study: DemoStudy
) -> None:
    with both(tmp_path, blind_bundle) as (node, orthanc, port):
        study = {orthanc.upload(file) for file in mammogram_study.files}.pop()
        orthanc.knows_modality("by-tls", "MAMMO_NODE", "127.0.0.1", port, by_tls=True)
        orthanc.knows_modality("plain", "MAMMO_NODE", "127.0.0.1", node.port)
        with pytest.raises(OSError):  # without TLS it may not send
            orthanc.post("/modalities/plain/store", {"Resources": [study], "Synchronous": True})
        orthanc.post("/modalities/by-tls/store", {"Resources": [study], "Synchronous": True})
        eventually("the report is in Orthanc", lambda: orthanc.instances(study, "SR"), timeout_s=300)

        def delivered() -> bool:
            with node.database() as session:
                return {row.state for row in session.query(Delivery)} == {DeliveryState.SENT}

        eventually("everything is delivered", delivered)
