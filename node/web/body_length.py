"""How long the body of a request is, before any of it is read."""

from __future__ import annotations

from fastapi import Request


def refusal(request: Request, most_bytes: int) -> int | None:
    """The status with which a body must be refused: 411, it comes in chunks and so without a length, whatever
    Content-Length says beside them (RFC 9112 section 6.3: it does not count then); 413, it is longer than `most_bytes`.
    None: it is short enough, or there is none."""
    if "transfer-encoding" in request.headers:
        return 411
    length = request.headers.get("content-length", "0")
    return None if length.isdecimal() and int(length) <= most_bytes else 413
