"""A web service (DICOMweb, PS3.18; FHIR): the node's credentials for it, and the meaning of its HTTP answers.

Every wait has a time-out. Messages contain the service's root URL, and no query, UID or token.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import NoReturn, cast

from dicomweb_client import DICOMwebClient
from requests import PreparedRequest, RequestException, Response, Session
from requests.auth import AuthBase
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    HTTPError,
    SSLError,
    Timeout,
    TooManyRedirects,
)
from urllib3.exceptions import HTTPError as BrokenAnswer

from dicom_io.errors import NotAccepted, Rejected, Unreachable

JSON = "application/dicom+json"
"""The media type that the node requests (PS3.18 Annex F)."""
_BUSY = (408, 429, 502, 503, 504)
"""Statuses of a temporary failure: the same request may succeed later."""
_UNAUTHORIZED = (401, 403)
_UNSUPPORTED_MEDIA_TYPE = 415
MOST_BYTES = 4 << 20
"""The longest answer that is read: a FHIR server may answer with all the resources that it stored."""


@dataclass(frozen=True)
class WebPeer:
    """A web service's root URL, and the node's credentials for it.

    Attributes:
        url: without user, password, query and fragment.
        bearer_token_file: read for each request, so that the token can be rotated.
        ca_file: certificates of the trusted authorities; None: those that come with `requests`.
        client_certificate, client_key: the node's TLS certificate and key; the key may be in the certificate's file.
        service: what it is, for messages.
    """

    url: str
    timeout_s: float
    bearer_token_file: Path | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    service: str = "DICOMweb service"

    def __str__(self) -> str:
        return self.url

    def session(self, most_bytes: int = MOST_BYTES, setting: str = "url") -> Session:
        """An HTTP session with the node's credentials. It follows no redirect, and uses no proxy or credentials of the
        environment.

        Args:
            most_bytes: the longest answer that it reads; see `_read` for what is raised otherwise.
            setting: what to look at if an answer is longer.
        """
        session = Session()
        session.trust_env = False  # credentials of ~/.netrc would replace the token
        session.max_redirects = 0  # a redirected POST becomes a GET, whose answer looks like success
        session.auth = _Credentials(self)
        if self.ca_file is not None:
            session.verify = str(self.ca_file)
        if self.client_certificate is not None:
            key = self.client_key or self.client_certificate
            session.cert = (str(self.client_certificate), str(key))
        session.headers["Accept"] = JSON

        def read(answer: Response, *_: object, stream: bool = False, **__: object) -> None:
            self._read(answer, most_bytes, setting, stream=stream)

        session.hooks["response"].append(read)
        return session

    def client(self, session: Session) -> DICOMwebClient:
        """A client without retries."""
        # One chunk: the data is in memory anyway, and some services require a Content-Length.
        client = DICOMwebClient(self.url, session=session, timeout=self.timeout_s, chunk_size=sys.maxsize)
        client.set_http_retry_params(False)
        return client

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Converts the exceptions of a request.

        Raises:
            Unreachable: no answer in time, a temporary failure, or TLS fails.
            Rejected: the service refuses, or is no such service; or a file with credentials is missing.
            NotAccepted: the service does not accept this kind of object.
        """
        try:
            yield
        except HTTPError as error:
            self.refused(cast(Response, error.response).status_code)
        except TooManyRedirects as error:
            raise Rejected(f"{self} sends the node elsewhere: set url to the address that it leads to") from error
        except SSLError as error:
            raise Unreachable(
                f"{self}: no secure connection: look at ca_file, client_certificate and client_key"
            ) from error
        except (ConnectionError, Timeout, ChunkedEncodingError) as error:
            raise Unreachable(f"{self} does not answer (waited up to {self.timeout_s:g} s)") from error
        except (RequestException, KeyError, TypeError, ValueError, RecursionError) as error:
            raise Rejected(f"{self} answers what no {self.service} would: look at url") from error
        except OSError as error:
            raise Rejected(f"{self}: ca_file, client_certificate or client_key is not there") from error

    def _read(self, answer: Response, most_bytes: int, setting: str, *, stream: bool) -> None:
        """Reads the body of an answer, unless the request has `stream=True`: the requests library has no limit.

        Raises:
            Unreachable: it comes more slowly than 4 MiB in `timeout_s`, or breaks off.
            Rejected: it is longer than `most_bytes`.
        """
        if stream:
            return
        began, content = time.monotonic(), bytearray()
        try:
            while piece := answer.raw.read1(1 << 16, decode_content=True):
                content += piece
                if len(content) > most_bytes:
                    answer.close()
                    raise Rejected(f"{self} answers more than {most_bytes / (1 << 20):.3g} MiB: look at {setting}")
                if time.monotonic() - began > self.timeout_s * (1 + len(content) / MOST_BYTES):
                    answer.close()
                    raise Unreachable(f"{self} does not end its answer within {self.timeout_s:g} s")
        except BrokenAnswer as error:
            raise Unreachable(f"{self} does not end its answer within {self.timeout_s:g} s") from error
        answer._content = bytes(content)

    def refused(self, status: int, why: str = "") -> NoReturn:
        """Raises the error for an HTTP status that is none of success.

        Args:
            why: what else the answer says, without patient data.
        """
        answer = f"{self} answers {status} ({_phrase(status)}){why and f': {why}'}"
        if status in _BUSY:
            raise Unreachable(answer)
        if status in _UNAUTHORIZED:
            raise Rejected(f"{answer}: look at bearer_token_file and client_certificate")
        if status == _UNSUPPORTED_MEDIA_TYPE:
            raise NotAccepted(answer)
        raise Rejected(answer)


class _Credentials(AuthBase):
    """Adds the bearer token (RFC 6750), if there is one."""

    def __init__(self, peer: WebPeer) -> None:
        self._peer = peer

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        # Dicomweb-client's value lacks the port; without it, the HTTP library sets the right one.
        request.headers.pop("Host", None)
        if self._peer.bearer_token_file is not None:
            request.headers["Authorization"] = f"Bearer {_token(self._peer.bearer_token_file)}"
        return request


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"bearer_token_file {path} cannot be read") from error
    if not token or not token.isprintable() or " " in token:
        raise Rejected(f"bearer_token_file {path} must hold one token and nothing else")
    return token


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "a status of its own"


def web_echo(peer: WebPeer) -> None:
    """Verifies that a DICOMweb service answers, by a search for studies (QIDO-RS) with a limit of one.

    Raises:
        Unreachable, Rejected: as for `WebPeer.answering`.
    """
    with peer.session() as session, peer.answering():
        peer.client(session).search_for_studies(limit=1)
