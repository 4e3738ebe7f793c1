"""For programs that watch the node: metrics and health. Nothing of a patient; no account is needed."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from node.operations.readiness import not_ready
from node.store.database import read_only
from node.web.answers import plainly
from node.web.desk import desk_of

router = APIRouter()


@router.get("/metrics")
def metrics(request: Request) -> Response:
    desk = desk_of(request)
    with read_only(desk.sessions) as session:
        return Response(desk.metrics.scrape(session), media_type=CONTENT_TYPE_LATEST)


@router.get("/health/live")
def live() -> Response:
    """The page's process ends with the node's main process: that it answers says that both run."""
    return plainly(200, "alive")


@router.get("/health/ready")
def ready(request: Request) -> Response:
    desk = desk_of(request)
    with read_only(desk.sessions) as session:
        said = not_ready(session, desk.settings, desk.now())
    return plainly(503, "\n".join(f"not ready: {sentence}" for sentence in said)) if said else plainly(200, "ready")
