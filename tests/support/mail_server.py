"""A real mail server (aiosmtpd), which keeps what it takes."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from ports import held_port

USER, PASSWORD = "mammo-node", "a long secret"


@dataclass
class MailServer:
    """`refuses`: an answer other than 250 to every mail. `unknown`: recipients that it refuses. `goodbye`: its answer
    to QUIT."""

    port: int
    mails: list[Message] = field(default_factory=list)
    refuses: str = ""
    unknown: tuple[str, ...] = ()
    goodbye: str = "221 Bye"

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:
        if address in self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, _: SMTP, __: Session, ___: Envelope) -> str:
        return self.goodbye

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:
        if self.refuses:
            return self.refuses
        self.mails.append(message_from_bytes(envelope.original_content or b""))
        return "250 OK"


def _let_in(_: SMTP, __: Session, ___: Envelope, mechanism: str, given: LoginPassword) -> AuthResult:
    is_known = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_known, handled=False)


@contextmanager
def mail_server(certificate: Path | None = None) -> Iterator[MailServer]:
    """With a certificate it demands STARTTLS and an account."""
    with held_port() as port:
        server = MailServer(port)
        secured: dict[str, Any] = {}
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            secured = {
                "tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": _let_in,
            }  # fmt: skip
        controller = Controller(server, "127.0.0.1", port, **secured)
        controller.start()
        try:
            yield server
        finally:
            controller.stop()
