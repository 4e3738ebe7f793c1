"""The node counts results as delivered only after Orthanc has committed to store them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from orthanc import Orthanc, debian_orthanc
from running import RunningNode, eventually
from sqlalchemy import select

from dicom_io.network.peer import Peer
from dicom_io.network.scu import send_files
from node.demo.studies import DemoStudy
from node.store.states import DeliveryState
from node.store.tables import Delivery

pytestmark = pytest.mark.acceptance

SETTINGS = """
[[senders]]
ae_title = "TEST"
[closing]
four_views_quiet_s = 1
[reader]
bundle = "{bundle}"
[[destinations]]
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {port}
profile = "all"
retry_first_s = 1
commitment = true
"""


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Orthanc]:
    """A separate Orthanc that is not a sender: it may only send reports on storage commitment."""
    with debian_orthanc(tmp_path / "orthanc") as started:
        yield started


@pytest.fixture
def node(tmp_path: Path, eager_bundle: Path, pacs: Orthanc) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path / "node", SETTINGS.format(bundle=eager_bundle, port=pacs.dicom_port))
    node.start()
    yield node
    node.end()


def deliveries(node: RunningNode) -> list[Delivery]:
    with node.database() as session:
        return list(session.scalars(select(Delivery)))


def test_results_are_delivered_once_orthanc_has_committed_to_store_them(
    pacs: Orthanc, node: RunningNode, mammogram_study: DemoStudy
) -> None:
    for sent in send_files(Peer("MAMMO_NODE", "127.0.0.1", node.port, 30, "TEST"), mammogram_study.files):
        assert sent.error is None

    def refused() -> bool:
        found = deliveries(node)
        return bool(found) and all(entry.state is DeliveryState.UNCOMMITTED and entry.error for entry in found)

    eventually("Orthanc has everything and promises nothing to a node it does not know", refused, timeout_s=300)
    pacs.knows_modality("mammo-node", "MAMMO_NODE", "127.0.0.1", node.port)
    eventually(
        "everything is committed",
        lambda: {delivery.state for delivery in deliveries(node)} == {DeliveryState.COMMITTED},
        timeout_s=120,
    )
    study = pacs.study_of(mammogram_study.study_instance_uid)
    assert study is not None
    assert pacs.instances(study, "SR"), "it has what it promised to keep"
    output = node.command("status", "1").stdout
    assert "to pacs: committed" in output
    with pytest.raises(HTTPError) as refusal:  # it may report here, and store nothing
        pacs.post("/modalities/mammo-node/store", {"Resources": [study], "Synchronous": True})
    assert b"No acceptable presentation context" in refusal.value.read()
