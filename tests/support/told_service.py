"""A service that is sent messages by POST, and keeps them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ToldService:
    """`answers`: the statuses of its next answers; afterwards it answers 204."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    told: list[tuple[Message, bytes]] = field(default_factory=list)


@contextmanager
def told_service() -> Iterator[ToldService]:
    service = ToldService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.told.append((self.headers, body))
            self.send_response(service.answers.pop(0) if service.answers else 204)
            self.send_header("Content-Length", "0")
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_address[1]}/told"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
