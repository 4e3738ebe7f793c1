"""Sends results to a DICOMweb service: the Store Transaction (STOW-RS, PS3.18 section 10.5)."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from pydicom import Dataset, dcmread
from requests import Response, Session
from requests.exceptions import HTTPError

from dicom_io.attributes import items, number
from dicom_io.errors import NotAccepted, NotReadable, Rejected
from dicom_io.network.peer import meaning
from dicom_io.network.scu import content_of
from dicom_io.network.web_peer import JSON, WebPeer

_JSON = (JSON, "application/json")
_XML = ("application/dicom+xml", "application/xml")
_NOT_SUPPORTED = (0x0122, 0xC122)
"""Failure Reasons (PS3.18 table I.2-2): the SOP class, the transfer syntax."""


class StowDestination:
    """A DICOMweb service that stores instances. The connection is kept open between sends.

    Not thread-safe. Use as a context manager, or call `close`.
    """

    def __init__(self, peer: WebPeer) -> None:
        self._peer = peer
        self._session: Session | None = None

    def __enter__(self) -> StowDestination:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, path: Path) -> None:
        """Sends one file. On return the service has stored it, with or without a warning.

        Raises:
            Unreachable: no answer in time, or a temporary failure.
            Rejected: the service refuses the node or the object, or the file is not DICOM.
            NotAccepted: the service does not accept this kind of object.
        """
        try:
            content_of(path)
            dataset = dcmread(path)
        except (NotReadable, EOFError) as error:
            raise Rejected("it cannot be sent: it is not a whole DICOM file") from error
        if self._session is None:
            self._session = self._peer.session()
            self._session.hooks["response"].append(_with_plain_media_type)
        with self._peer.answering():
            try:
                answer = self._peer.client(self._session).store_instances([dataset])
            except HTTPError as error:
                answer = _store_response(cast(Response, error.response))
                if not _failures(answer):
                    raise
        for failure in _failures(answer):
            reason = int(number(failure, "FailureReason") or 0)
            refused = NotAccepted if reason in _NOT_SUPPORTED else Rejected
            raise refused(f"{self._peer} does not store it: reason 0x{reason:04X} ({meaning(reason)})", reason)

    def close(self) -> None:
        """Closes the connection, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _with_plain_media_type(response: Response, *_: object, **__: object) -> Response:
    """Removes the parameters of the answer's media type, and refuses unknown media types. dicomweb-client counts such
    an answer as one without failures: a login page would count as success.

    Raises:
        ValueError: a success answer whose media type is not that of a store response.
    """
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if response.ok and response.content and media_type not in (*_JSON, *_XML):
        raise ValueError(f"Not a store response: {media_type}")
    response.headers["Content-Type"] = media_type
    return response


def _store_response(refusal: Response) -> Dataset:
    """The store response module (PS3.18 section I.2) of a refusal; empty if it has none."""
    if refusal.headers["Content-Type"] not in _JSON:
        return Dataset()
    return Dataset.from_json(refusal.json())


def _failures(answer: Dataset) -> list[Dataset]:
    """At most one item, because each request stores one instance."""
    return [*items(answer, "FailedSOPSequence"), *items(answer, "OtherFailuresSequence")]
