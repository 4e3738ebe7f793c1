"""Server-sent events, from a server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from browsing import application_of
from programs import token_of
from road import Road
from serving import serving

from config.settings import Settings
from config.web import Role
from node.operations.api_tokens import add


@pytest.fixture
def events(road: Road) -> Iterator[str]:
    """The address of a node's events."""
    with serving(application_of(road, Settings(data_dir=road.data_dir))) as address:
        yield f"{address}/api/v1/events"


def test_a_program_is_told_when_something_is_committed(road: Road, events: str):
    headers = {"Authorization": f"Bearer {token_of(road, Role.VIEWER)}"}
    with httpx.stream("GET", events, headers=headers, timeout=60) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) == "retry: 3000"
        with road.sessions.begin() as session:
            add(session, "another", Role.VIEWER, "another", 0.0)
        assert "event: changed" in lines


def test_a_program_that_comes_when_as_many_listen_as_may_is_told_so(road: Road, events: str, monkeypatch):
    monkeypatch.setattr("node.web.live.MOST_LISTENERS", 1)
    headers = {"Authorization": f"Bearer {token_of(road, Role.VIEWER)}"}
    with httpx.stream("GET", events, headers=headers, timeout=60) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 3000"
        answer = httpx.get(events, headers=headers, timeout=60)
    assert answer.status_code == 503
    assert "Too many" in answer.json()["detail"]
