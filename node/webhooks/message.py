"""What a webhook is sent: a body without patient data, signed as Standard Webhooks says
(github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md)."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from models.errors import UserError
from models.types.words import RESEARCH_USE_ONLY

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64


class SecretUnusable(UserError):
    """The file of a secret is not there, or holds none; the message never quotes it."""


@dataclass(frozen=True)
class Message:
    """An event to be told.

    Attributes:
        id: the same for every try, so that the receiver can drop a repeated one.
        event: StudyEvent's name, or "test".
        study: the study's number at this node; None: it is a test.
        score: of the exam, 0..1; no probability.
        at: when it happened, UTC seconds since the epoch.
        link: the study's page; None: there is no page.
    """

    id: str
    event: str
    study: int | None
    revision: int | None
    score: float | None
    at: float
    link: str | None

    @property
    def body(self) -> bytes:
        """UTF-8 JSON."""
        about = {"study": self.study, "revision": self.revision, "score": self.score, "link": self.link}
        values = {
            "type": f"study.{self.event}" if self.study is not None else self.event,
            "timestamp": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "data": {**about, "intended_use": RESEARCH_USE_ONLY},
        }
        return json.dumps(values).encode()

    def headers(self, secret: bytes, now: float) -> dict[str, str]:
        """The headers of a try at `now` (UTC seconds since the epoch)."""
        timestamp = int(now)
        return {
            "Content-Type": "application/json",
            "webhook-id": self.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, self.id, timestamp, self.body),
        }


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """ "v1," and the HMAC-SHA256 of id, timestamp and body in base64."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, sha256)).decode()}"


def secret_of(path: Path) -> bytes:
    """The secret in a file: whsec_ and 24 to 64 bytes in base64.

    Raises:
        SecretUnusable
    """
    try:
        text = path.read_text(encoding="ascii").strip()
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (OSError, UnicodeDecodeError, binascii.Error):
        secret = b""
        text = ""
    if not text.startswith(PREFIX) or not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        raise SecretUnusable(
            f"secret_file {path} must hold {PREFIX} and {LEAST_BYTES} to {MOST_BYTES} random bytes in base64, as "
            f'`echo "{PREFIX}$(openssl rand -base64 32)"` prints'
        )
    return secret
