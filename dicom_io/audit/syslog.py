"""Audit messages in syslog messages (RFC 5424), and their transport (PS3.15 sections A.6 and A.7)."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from dicom_io.audit.message import moment
from dicom_io.errors import CertificatesUnusable, Unreachable
from dicom_io.network.tls import TlsFiles, in_words

log = logging.getLogger(__name__)

_PRI = 10 * 8 + 5
"""Facility 10, security and authorization messages; severity 5, notice."""
_APPLICATION = "mammo-node"
_MSGID = "DICOM+RFC3881"
_MOST_NUMBERED = (1 << 31) - 1
_SHORTEST_DATAGRAM = 480
"""Octets that every receiver takes (RFC 5426 section 3.2)."""
_REFUSED_WITHIN_S = 0.2
_NOBODY_LISTENS = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)


def syslog_message(xml: str, *, at: float, host: str, process: int, number: int) -> str:
    """A syslog message in one line.

    Args:
        xml: ASCII, so that MSG needs no byte order mark (RFC 5424 section 6.4).
        at: UTC seconds since the epoch.
        process: the id of the sending process.
        number: 1, 2, …: the sequenceId, by which a receiver sees that one is missing (section 7.3.1).
    """
    sequence_id = (number - 1) % _MOST_NUMBERED + 1
    meta = f'[meta sequenceId="{sequence_id}"]'
    return f"<{_PRI}>1 {moment(at)} {_printable(host)} {_APPLICATION} {process} {_MSGID} {meta} {xml}"


def _printable(host: str) -> str:
    return "".join(letter for letter in host if "!" <= letter <= "~")[:255] or "-"


@dataclass(frozen=True)
class SyslogReceiver:
    """A syslog receiver: by TLS (RFC 5425), or by UDP (RFC 5426) if `tls` is None."""

    host: str
    port: int
    tls: TlsFiles | None = None
    timeout_s: float = 10.0

    def __str__(self) -> str:
        return f"syslog receiver {self.host}:{self.port}"

    def send(self, messages: Sequence[str]) -> None:
        """Returns when the receiver has read the messages (TLS), or when they have left and it is not known that nobody
        listens (UDP).

        Raises:
            Unreachable: the receiver is away, or is not the one of the certificate. It may have got some or all of the
                messages.
        """
        encoded = [message.encode("utf-8", "replace") for message in messages]
        try:
            if self.tls is None:
                self._by_udp(encoded)
            else:
                self._by_tls(encoded, self.tls)
        except CertificatesUnusable as error:
            raise Unreachable(f"{self}: {error}") from error
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"{self}: its certificate: {error.verify_message}") from error
        except ssl.SSLEOFError as error:
            says = "it ended the connection without TLS's close_notify (RFC 5425 section 4.4): what it has is not known"
            raise Unreachable(f"{self}: {says}") from error
        except ssl.SSLError as error:
            raise Unreachable(f"{self}: TLS: {in_words(error)}") from error
        except OSError as error:
            raise Unreachable(f"{self}: {error.strerror or error}") from error

    def _by_tls(self, messages: Sequence[bytes], tls: TlsFiles) -> None:
        """RFC 5425 has no acknowledgement. But a receiver must answer our close_notify with its own (section 4.4),
        which it sees behind all messages: then it has read them. So each batch has its own connection. One that ended
        without it may have read any part of the messages: they are sent again."""
        framed = b"".join(b"%d %b" % (len(message), message) for message in messages)
        with tls.connected(self.host, self.port, self.timeout_s) as connection:
            connection.sendall(framed)
            connection.unwrap()

    def _by_udp(self, messages: Sequence[bytes]) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as udp:
            udp.connect(address)
            for message in messages:
                _send_what_fits(udp, message)
            udp.settimeout(_REFUSED_WITHIN_S)
            with suppress(TimeoutError):  # nothing is answered where somebody listens
                udp.recv(1)


def _send_what_fits(udp: socket.socket, message: bytes) -> None:
    """A datagram; one that is too long is sent shortened (RFC 5426 section 3.2), so that it does not hold up the
    others."""
    short = message
    while True:
        try:
            udp.send(short)
        except OSError as error:
            if error.errno != errno.EMSGSIZE or len(short) < _SHORTEST_DATAGRAM:
                raise
            short = short[: len(short) * 3 // 4]
        else:
            break
    if short is not message:
        log.warning("an audit message of %d octets is too long for UDP: sent shortened to %d", len(message), len(short))
