"""A small FHIR server (R4): transactions with conditional updates, every resource validated by fhir.resources.

Debian and PyPI have no light one that does this (searched in November 2026: they wrap one resource, or need Java).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from fhir.resources.R4B import get_fhir_model_class

from dicom_io.network.web_peer import WebPeer

TOKEN = "a-token-of-the-tests"


def valid(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource. Raises ValueError if it is not valid by R4."""
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    return resource


class FhirServer:
    """Listens on 127.0.0.1.

    Attributes:
        resources: by "Type/id".
        written: how often each was written.
        refusal: status and body of the answer to the next transactions, if they are refused.
        token: which Authorization must bear; "": none.
    """

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.written: dict[str, int] = {}
        self.refusal: tuple[int, bytes] | None = None
        self.capabilities: dict[str, Any] = {
            "resourceType": "CapabilityStatement", "status": "active", "date": "2026-01-01", "kind": "instance",
            "fhirVersion": "4.0.1", "format": ["json"],
            "rest": [{"mode": "server", "interaction": [{"code": "transaction"}]}],
        }  # fmt: skip
        self.token = ""
        self.port = 0

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [resource for resource in self.resources.values() if resource["resourceType"] == kind]

    def peer(self, **changed: Any) -> WebPeer:
        told = {"url": f"http://127.0.0.1:{self.port}/r4", "timeout_s": 60.0, "service": "FHIR server"}
        return WebPeer(**{**told, **changed})

    @contextmanager
    def listening(self) -> Iterator[FhirServer]:
        fhir = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(200, json.dumps(fhir.capabilities).encode())

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if fhir.token and self.headers["Authorization"] != f"Bearer {fhir.token}":
                    self._answer(401, b"")
                elif fhir.refusal is not None:
                    self._answer(*fhir.refusal)
                elif self.path != "/r4" or self.headers["Content-Type"] != "application/fhir+json":
                    self._answer(404, b"")
                else:
                    self._answer(*fhir.transaction(content))

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def transaction(self, content: bytes) -> tuple[int, bytes]:
        """All resources are stored, or none (hl7.org/fhir/R4/http, sections 3.1.0.5.3 and 3.1.0.11)."""
        try:
            bundle = valid(json.loads(content))
            entries = [(entry, self._place(entry)) for entry in bundle["entry"]]
        except ValueError:
            issue = {"severity": "error", "code": "invalid", "diagnostics": "of Doe^Jane"}
            return 422, json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()
        names = {entry["fullUrl"]: name for entry, name in entries}
        response = []
        for entry, name in entries:
            is_new = name not in self.resources
            self.resources[name] = valid(_resolved(entry["resource"], names))
            self.written[name] = self.written.get(name, 0) + 1
            response.append({"response": {"status": "201 Created" if is_new else "200 OK", "location": name}})
        return 200, json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": response}).encode()

    def _place(self, entry: dict[str, Any]) -> str:
        """Where a conditional update writes: the one resource that matches, or a new one. Raises ValueError."""
        kind, _, query = entry["request"]["url"].partition("?")
        (sought,) = parse_qs(query)["identifier"]
        if entry["request"]["method"] != "PUT" or entry["resource"]["resourceType"] != kind:
            raise ValueError("no conditional update")
        matching = [name for name, resource in self.resources.items() if name.startswith(f"{kind}/") and
                    sought in _identifiers(resource)]  # fmt: skip
        if len(matching) > 1 or sought not in _identifiers(entry["resource"]):
            raise ValueError("no one match")
        return matching[0] if matching else f"{kind}/{len(self.resources)}-{entry['fullUrl'][-8:]}"


def _identifiers(resource: dict[str, Any]) -> set[str]:
    return {f"{identifier['system']}|{identifier['value']}" for identifier in resource["identifier"]}


def _resolved(value: Any, names: dict[str, str]) -> Any:
    """The resource with references to the Bundle's resources as the server names them."""
    if isinstance(value, dict):
        return {
            key: _resolved(names.get(part, part) if key == "reference" else part, names) for key, part in value.items()
        }
    return [_resolved(part, names) for part in value] if isinstance(value, list) else value
