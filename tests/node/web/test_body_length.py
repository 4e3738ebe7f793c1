"""A body that would fill memory or disk is refused before it is read, whoever sends it and however long it is said to
be."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from browsing import application_of
from road import Road
from serving import serving

from config.settings import Settings

FORM = "Content-Type: multipart/form-data; boundary=x"
JSON = "Content-Type: application/json"
CHUNKED, SMALL, LARGE = "Transfer-Encoding: chunked", "Content-Length: 10", "Content-Length: 6000000000"
LENGTHS = {(CHUNKED,): 411, (SMALL, CHUNKED): 411, (CHUNKED, SMALL): 411, (CHUNKED.lower(), LARGE): 411, (LARGE,): 413}
ADDRESSES = [("/api/v1/search", JSON), ("/sign-in", FORM), ("/sign-in", JSON), ("/routes/test", FORM), ("/check", FORM)]


def test_a_body_that_is_too_long_or_whose_length_does_not_count_is_refused_unread(road: Road):
    with serving(application_of(road, Settings(data_dir=road.data_dir))) as address:
        for path, content in ADDRESSES:
            says = {lengths: status_of(address, path, content, *lengths) for lengths in LENGTHS}
            assert says == LENGTHS, (path, content)


def status_of(address: str, path: str, *headers: str) -> int:
    """The answer to a request of which only the beginning is sent."""
    host = urlsplit(address)
    lines = [f"POST {path} HTTP/1.1", f"Host: {host.netloc}", f"Origin: {address}", *headers, "", ""]
    with socket.create_connection((host.hostname, host.port), timeout=60) as wire:
        wire.sendall("\r\n".join(lines).encode() + b"400\r\n" + bytes(0x300))
        return int(wire.recv(100).split()[1])
