"""A browser without a screen: asks the page, and sends its forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from road import Road

from config.settings import Settings
from node.web.application import build_application

ORIGIN = "http://127.0.0.1:8080"


def application_of(road: Road, settings: Settings) -> FastAPI:
    return build_application(settings, road.sessions, road.clock)


def asking(road: Road, address: str = "127.0.0.1", host: str = "127.0.0.1:8080") -> TestClient:
    """A client at an IP address, which asks for the node under a name."""
    application = application_of(road, Settings(data_dir=road.data_dir))
    return TestClient(application, base_url=f"http://{host}", client=(address, 50000))


@dataclass(frozen=True)
class Browsing:
    client: TestClient

    def get(self, address: str, headers: Mapping[str, str] | None = None) -> Response:
        return self.client.get(address, headers=headers)

    def text(self, address: str) -> str:
        """The words of a page, as people read them."""
        answer = self.get(address)
        assert answer.status_code == 200, answer.text
        return words(answer.text)

    def send(self, address: str, of: str, **fields: str) -> Response:
        """Sends a form of the page `of`, with its token."""
        return self.client.post(address, data={"csrf": self.token(of), **fields}, headers={"Origin": ORIGIN})

    def token(self, of: str) -> str:
        """The token of the forms of a page."""
        token = re.search(r'name="csrf" value="([^"]+)"', self.get(of).text)
        assert token, f"{of} has no form"
        return token[1]


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
