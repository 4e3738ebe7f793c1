"""The whole node beside a real Orthanc; each test file has its own two, without data of other tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from orthanc import Orthanc, debian_orthanc
from running import RunningNode

AE_TITLE = "MAMMO_NODE"


@pytest.fixture(scope="module")
def orthanc(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    url = request.config.getoption("--orthanc-url")
    if url is None:
        with debian_orthanc(tmp_path_factory.mktemp("orthanc")) as started:
            yield started
    else:
        yield Orthanc(
            url.rstrip("/"),
            urlsplit(url).hostname or "127.0.0.1",
            request.config.getoption("--orthanc-dicom-port"),
            request.config.getoption("--orthanc-ae-title"),
            request.config.getoption("--orthanc-credentials"),
        )


@pytest.fixture(scope="module")
def node(
    request: pytest.FixtureRequest, orthanc: Orthanc, eager_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningNode]:
    """A node that Orthanc has as the modality "mammo-node" and that sends its results to Orthanc."""
    host = request.config.getoption("--node-host")
    node = RunningNode(
        tmp_path_factory.mktemp("node"),
        f"""
[[senders]]
ae_title = "{orthanc.ae_title}"
[[senders]]
ae_title = "TEST"
[closing]
four_views_quiet_s = 1
quiet_s = 3
[reader]
bundle = "{eager_bundle}"
[[destinations]]
name = "orthanc"
ae_title = "{orthanc.ae_title}"
host = "{orthanc.host}"
port = {orthanc.dicom_port}
[receiver]
ae_title = "{AE_TITLE}"
host = "{host}"
""",
    )
    orthanc.knows_modality("mammo-node", AE_TITLE, host, node.port)
    node.start()
    yield node
    node.end()
