"""A real Orthanc: Debian's, started here, or another whose address pytest gets (see tests/conftest.py)."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from ports import held_port
from pydicom import Dataset, dcmread
from running import eventually, running

ROUTING = Path(__file__).parents[2] / "compose" / "corrections.lua"
"""Sends experts' segmentations to the modality "mammo-node"."""
AUTOROUTING = ROUTING.with_name("autorouting.lua")
"""Sends the mammograms of stable studies to it."""
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
"""Debian's package orthanc-dicomweb."""


@dataclass(frozen=True)
class Orthanc:
    """Orthanc as a PACS: its REST API and its DICOM address."""

    url: str
    host: str
    dicom_port: int
    ae_title: str = "ORTHANC"
    credentials: str | None = None
    """ "user:password", where its REST API asks for them."""
    process_id: int = 0
    """Of an Orthanc started here."""

    @property
    def has_dicomweb(self) -> bool:
        plugins = self.get("/plugins")
        return isinstance(plugins, list) and "dicom-web" in plugins

    def get(self, path: str) -> object:
        return json.loads(self._call("GET", path))

    def post(self, path: str, body: object) -> object:
        return json.loads(self._call("POST", path, json.dumps(body).encode()) or b"null")

    def knows_modality(self, name: str, ae_title: str, host: str, port: int, *, by_tls: bool = False) -> None:
        """Makes the node a modality of Orthanc, to send to and to receive from."""
        modality = {
            "AET": ae_title,
            "Host": host,
            "Port": port,
            "AllowStore": True,
            "AllowFind": True,
            "UseDicomTls": by_tls,
        }
        self._call("PUT", f"/modalities/{name}", json.dumps(modality).encode())

    def upload(self, path: Path) -> str:
        """Puts a file into Orthanc and returns the id of its study."""
        answer = json.loads(self._call("POST", "/instances", path.read_bytes()))
        return str(answer["ParentStudy"])

    def study_of(self, study_instance_uid: str) -> str | None:
        found = self.post("/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": study_instance_uid}})
        assert isinstance(found, list)
        return found[0] if found else None

    def instances(self, study: str, modality: str) -> list[Dataset]:
        """The study's instances of a modality (SEG, SR, MG), as data sets."""
        series = self.get(f"/studies/{study}/series")
        assert isinstance(series, list)
        wanted = [entry for entry in series if entry["MainDicomTags"]["Modality"] == modality]
        ids = sorted(instance for entry in wanted for instance in entry["Instances"])
        return [dcmread(BytesIO(self._call("GET", f"/instances/{instance}/file"))) for instance in ids]

    def forget(self, study: str) -> None:
        self._call("DELETE", f"/studies/{study}")

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = Request(self.url + path, data=body, method=method)
        if self.credentials is not None:
            request.add_header("Authorization", "Basic " + b64encode(self.credentials.encode()).decode())
        with urlopen(request, timeout=120) as answer:
            return bytes(answer.read())


@contextmanager
def debian_orthanc(folder: Path, **settings: object) -> Iterator[Orthanc]:
    """Debian's Orthanc on free ports of 127.0.0.1, with some other settings; the test is skipped where it is not
    installed."""
    program = shutil.which("Orthanc")
    if program is None:
        pytest.skip("Orthanc is not installed (Debian package orthanc) and no --orthanc-url was given")
    with held_port() as http_port, held_port() as dicom_port:
        yield from _started(program, folder, http_port, dicom_port, settings)


def _started(
    program: str, folder: Path, http_port: int, dicom_port: int, settings: Mapping[str, object]
) -> Iterator[Orthanc]:
    configuration = {
        "Name": "acceptance",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": dicom_port,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": True,
        "DicomScuTimeout": 120,
        "LuaScripts": [str(ROUTING)],
        "Plugins": [str(plugin) for plugin in [DICOMWEB] if plugin.exists()],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True, "WadoRoot": "/wado"},
        **settings,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with running([program, folder / "orthanc.json"], folder / "orthanc.log") as process:
        orthanc = Orthanc(f"http://127.0.0.1:{http_port}", "127.0.0.1", dicom_port, process_id=process.pid)
        eventually("Orthanc answers", lambda: _answers(orthanc))
        yield orthanc


def _answers(orthanc: Orthanc) -> bool:
    try:
        return bool(orthanc.get("/system"))
    except (URLError, HTTPError, ConnectionError):
        return False
