"""Programs that use the interface of a real queue, each with a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from browsing import application_of
from fastapi.testclient import TestClient
from programs import token_of
from road import Road

from config.settings import Settings
from config.web import Role


@pytest.fixture
def program() -> Iterator[Callable[..., TestClient]]:
    """A program with a role, on another machine than the node; settings may be given."""
    with ExitStack() as running:

        def start(road: Road, role: Role | None, **settings: object) -> TestClient:
            application = application_of(road, Settings(data_dir=road.data_dir, **settings))
            headers = {} if role is None else {"Authorization": f"Bearer {token_of(road, role)}"}
            client = TestClient(
                application, base_url="http://node.example:8080", client=("192.0.2.7", 50000), headers=headers
            )
            return running.enter_context(client)

        yield start
