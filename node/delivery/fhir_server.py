"""Sends reports to a FHIR server (R4): each file is a transaction Bundle (hl7.org/fhir/R4/http, section 3.1.0.11).

A refusal may quote patient data: the node's messages name only its issue codes, and the answer is kept beside the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from requests import Session

from dicom_io.durable import write_durably
from dicom_io.errors import NotAccepted, Rejected
from dicom_io.network.web_peer import WebPeer
from node.archive.layout import FHIR_ANSWER, answer_to

JSON = "application/fhir+json"
_ISSUES = frozenset(
    [
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "security",
        "login",
        "unknown",
        "expired",
        "forbidden",
        "suppressed",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "too-long",
        "code-invalid",
        "extension",
        "too-costly",
        "business-rule",
        "conflict",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "informational",
    ]
)
"""hl7.org/fhir/R4/valueset-issue-type."""


class FhirServer:
    """A FHIR server that takes transactions, by its name in the settings. The connection is kept open between sends.

    Not thread-safe. Use as a context manager, or call `close`.
    """

    def __init__(self, peer: WebPeer, name: str) -> None:
        self._peer = peer
        self._name = name
        self._session: Session | None = None

    def __enter__(self) -> FhirServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, path: Path) -> None:
        """Sends one Bundle. On return the server has stored all of its resources.

        Raises:
            Unreachable: no answer in time, or a temporary failure.
            Rejected: the server refuses the node or the report.
            NotAccepted: the file is no Bundle, or the server takes no FHIR in JSON.
            OSError: the file could not be read.
        """
        content = path.read_bytes()
        entries = _entries(content)
        if self._session is None:
            self._session = _session(self._peer)
        with self._peer.answering():
            answer = self._session.post(
                self._peer.url, data=content, headers={"Content-Type": JSON}, timeout=self._peer.timeout_s
            )
            stored = [str(entry["response"]["status"]) for entry in answer.json()["entry"]] if answer.ok else []
        if not answer.ok:
            self._refused(answer.status_code, answer.content, path)
        if len(stored) != entries or not all(status.startswith("2") for status in stored):
            raise Rejected(f"{self._peer} did not store all of the report: look at url")

    def close(self) -> None:
        """Closes the connection, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _refused(self, status: int, said: bytes, path: Path) -> NoReturn:
        issues = list(dict.fromkeys(_issues(said)))
        why = ""
        if issues:
            kept = answer_to(path, self._name, FHIR_ANSWER)
            write_durably(kept, said)
            why = f"{', '.join(issues)}; its answer is kept as {kept.name} beside the report"
        self._peer.refused(status, why)


def fhir_echo(peer: WebPeer) -> None:
    """Verifies that a FHIR server of R4 answers, by its capability statement.

    Raises:
        Unreachable: no answer in time, or a temporary failure.
        Rejected: it refuses, is no FHIR server, or speaks another release.
        NotAccepted: it takes no transactions.
    """
    with _session(peer) as session, peer.answering():
        answer = session.get(f"{peer.url}/metadata", timeout=peer.timeout_s)
        answer.raise_for_status()
        stated = answer.json()
        version = str(stated["fhirVersion"])
        modes = {str(of.get("code")) for rest in stated.get("rest", ()) for of in rest.get("interaction", ())}
    if not version.startswith(("4.0", "4.3")):
        raise Rejected(f"{peer} speaks FHIR {version}: the node writes R4 (4.0)")
    if modes and "transaction" not in modes:
        raise NotAccepted(f"{peer} takes no transactions")


def _session(peer: WebPeer) -> Session:
    session = peer.session()
    session.headers["Accept"] = JSON
    return session


def _entries(content: bytes) -> int:
    try:
        bundle: Any = json.loads(content)
        return len(bundle["entry"])
    except (ValueError, KeyError, TypeError) as error:
        raise NotAccepted("it cannot be sent: it is no FHIR Bundle") from error


def _issues(answer: bytes) -> Iterator[str]:
    """The codes of an OperationOutcome; none if the answer is not one."""
    try:
        for issue in json.loads(answer)["issue"]:
            if issue["code"] in _ISSUES:
                yield issue["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
