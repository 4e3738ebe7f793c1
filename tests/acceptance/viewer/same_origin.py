"""OHIF's files and a PACS's DICOMweb behind one address of 127.0.0.1, as a web server in a hospital would have them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_CONFIG = Path(__file__).with_name("app-config.js")
_FORWARDED = ("/dicom-web/", "/wado")
_OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length")


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, pacs: str, **others: Any) -> None:
        self._pacs = pacs
        super().__init__(*arguments, **others)

    def do_GET(self) -> None:
        if self.path.startswith(_FORWARDED):
            self._forward()
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        """OHIF is a single page: every address without a file is answered with that page."""
        if urlsplit(path).path == "/app-config.js":
            return str(_CONFIG)
        file = Path(super().translate_path(path))
        return str(file if file.is_file() else Path(self.directory) / "index.html")

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Logs nothing, because addresses contain UIDs."""

    def _forward(self) -> None:
        """Keeps the Host header: the PACS builds the addresses in its answers from it."""
        pacs = HTTPConnection(self._pacs, timeout=120)
        try:
            pacs.request("GET", self.path, headers=dict(self.headers.items()))
            answer = pacs.getresponse()
            body = answer.read()
        finally:
            pacs.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def same_origin(viewer: Path, pacs_url: str) -> Iterator[str]:
    """Serves the viewer in the folder `viewer` and, behind it, the PACS at `pacs_url`; returns their common address."""
    handler = partial(_Handler, directory=str(viewer), pacs=urlsplit(pacs_url).netloc)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
