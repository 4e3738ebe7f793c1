"""The page over a real queue, asked as a browser asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from browsing import Browsing, application_of
from fastapi.testclient import TestClient
from programs import token_of
from road import Road

from config.settings import Settings
from config.web import Role
from node.demo.studies import DemoStudy


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, mammogram_study: DemoStudy) -> Road:
    """A node that has reported one study and delivered nothing. Do not change it."""
    road = Road(tmp_path_factory.mktemp("reported") / "data")
    road.all_of_it(*mammogram_study.files)
    return road


@pytest.fixture
def browse() -> Iterator[Callable[..., Browsing]]:
    """A browser at the node's own machine; settings may be given."""
    with ExitStack() as open_pages:

        def start(road: Road, **settings: object) -> Browsing:
            application = application_of(road, Settings(data_dir=road.data_dir, **settings))
            client = TestClient(application, base_url="http://127.0.0.1:8080", client=("127.0.0.1", 50000))
            return Browsing(open_pages.enter_context(client))

        yield start


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
