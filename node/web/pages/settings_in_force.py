"""Settings: as they are in force, with where each comes from."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from node.operations.effective import by_section
from node.web.answers import page
from node.web.desk import desk_of

router = APIRouter()


@router.get("/settings")
def settings_in_force(request: Request) -> Response:
    return page(request, "settings.html", sections=by_section(desk_of(request).settings))
