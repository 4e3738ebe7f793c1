"""A DICOMweb service (PS3.18): how the node shows who it is, and what HTTP's answers mean.

Every wait ends. Messages hold the service's root and never a query, a UID or a token.
"""

from __future__ import annotations

import sys
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

from dicom_io.errors import NotAccepted, Rejected, Unreachable

JSON = "application/dicom+json"
"""What is asked for wherever there is a choice (PS3.18 Annex F)."""
_BUSY = (408, 429, 502, 503, 504)
"""Statuses of a server that cannot answer for now: the same request may succeed later."""
_WHO_ARE_YOU = (401, 403)
_UNSUPPORTED_MEDIA_TYPE = 415


@dataclass(frozen=True)
class WebPeer:
    """A DICOMweb service's root and the node's credentials for it.

    Attributes:
        url: without user, password, query and fragment.
        bearer_token_file: read anew for each request, so that a token may be rotated.
        ca_file: the authorities that may vouch for the service; None: those that come with `requests`.
        client_certificate, client_key: what the node shows in TLS; the key may stand in the certificate's file.
    """

    url: str
    timeout_s: float
    bearer_token_file: Path | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None

    def __str__(self) -> str:
        return self.url

    def session(self) -> Session:
        """Connections to it, with the node's credentials; they follow nobody elsewhere and take nothing from the
        environment."""
        session = Session()
        session.trust_env = False  # ~/.netrc would put its password in the token's place
        session.max_redirects = 0  # a POST would be repeated as a GET, whose answer looks like success
        session.auth = _Credentials(self)
        if self.ca_file is not None:
            session.verify = str(self.ca_file)
        if self.client_certificate is not None:
            key = self.client_key or self.client_certificate
            session.cert = (str(self.client_certificate), str(key))
        session.headers["Accept"] = JSON
        return session

    def client(self, session: Session) -> DICOMwebClient:
        """A client that asks once."""
        # What is sent lies in memory anyway, and some services take no request without its length.
        client = DICOMwebClient(self.url, session=session, timeout=self.timeout_s, chunk_size=sys.maxsize)
        client.set_http_retry_params(False)
        return client

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turns the faults of a request into ours.

        Raises:
            Unreachable: nobody answers, not in time, or the service is too busy for now; or TLS fails.
            Rejected: it answers and refuses, or is no DICOMweb service; or a file with credentials is not there.
            NotAccepted: it does not take objects of this kind.
        """
        try:
            yield
        except HTTPError as error:
            self._refused(cast(Response, error.response).status_code)
        except TooManyRedirects as error:
            raise Rejected(f"{self} sends the node elsewhere: set url to the address that it leads to") from error
        except SSLError as error:
            raise Unreachable(
                f"{self}: no secure connection: look at ca_file, client_certificate and client_key"
            ) from error
        except (ConnectionError, Timeout, ChunkedEncodingError) as error:
            raise Unreachable(f"{self} does not answer (waited up to {self.timeout_s:g} s)") from error
        except (RequestException, KeyError, TypeError, ValueError) as error:
            raise Rejected(f"{self} answers what no DICOMweb service would: look at url") from error
        except OSError as error:
            raise Rejected(f"{self}: ca_file, client_certificate or client_key is not there") from error

    def _refused(self, status: int) -> NoReturn:
        answer = f"{self} answers {status} ({_phrase(status)})"
        if status in _BUSY:
            raise Unreachable(answer)
        if status in _WHO_ARE_YOU:
            raise Rejected(f"{answer}: look at bearer_token_file and client_certificate")
        if status == _UNSUPPORTED_MEDIA_TYPE:
            raise NotAccepted(answer)
        raise Rejected(answer)


class _Credentials(AuthBase):
    """Shows the bearer token (RFC 6750), if there is one."""

    def __init__(self, peer: WebPeer) -> None:
        self._peer = peer

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers.pop("Host", None)  # dicomweb-client's lacks the port; left out, it is set right on the way
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
    """Verifies that a DICOMweb service answers: a search for studies (QIDO-RS) that asks for no more than one.

    Raises:
        Unreachable, Rejected: as for `WebPeer.answering`.
    """
    with peer.session() as session, peer.answering():
        peer.client(session).search_for_studies(limit=1)
