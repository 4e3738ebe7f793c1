"""What every page works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from fastapi import Request

from config.settings import Settings
from dicom_io.network.throttle import Throttle
from node.audit.refusals import Refusals
from node.store.database import Sessions
from node.web.background import Background
from node.web.live import Live
from node.web.metrics import Metrics
from node.web.recent_views import RecentViews
from node.web.rendering import Renderer
from node.web.tokens import Tokens


@dataclass(frozen=True)
class Desk:
    """The node's settings and queue, and what pages are made with. `now`: UTC seconds since the epoch."""

    settings: Settings
    sessions: Sessions
    now: Callable[[], float]
    renderer: Renderer
    tokens: Tokens
    throttle: Throttle
    views: RecentViews
    refusals: Refusals
    """Of programs without a token that is known."""
    live: Live
    metrics: Metrics
    background: Background
    checking: Lock
    """Held while somebody checks."""
    began_at: float
    """When the page's process began, UTC seconds since the epoch."""


def desk_of(request: Request) -> Desk:
    """The desk of the application that answers a request."""
    desk: Desk = request.app.state.desk
    return desk
