"""Server-sent events for programs."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from node.web.api.callers import Viewer
from node.web.api.problems import refusals
from node.web.desk import desk_of

router = APIRouter(tags=["events"], responses=refusals(401, 503))

EVENT_STREAM = "text/event-stream"


@router.get(
    "/events",
    response_class=Response,
    responses={200: {"description": "Server-sent events.", "content": {EVENT_STREAM: {"schema": {"type": "string"}}}}},
)
async def events(request: Request, _: Viewer) -> Response:
    """Server-sent events: `changed`, without data, when something was committed, at most every three seconds. A stream
    ends after 15 minutes: ask again."""
    live = desk_of(request).live
    if live.is_full:
        raise HTTPException(503, "Too many programs and pages listen.")
    return StreamingResponse(live.stream(), media_type=EVENT_STREAM)
