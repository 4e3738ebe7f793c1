"""Settings: as they are in force, with where each comes from."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from config.web import Role
from node.operations.accounts import accounts
from node.operations.effective import by_section
from node.store.database import read_only
from node.web.answers import page
from node.web.desk import desk_of
from node.web.visitors import visitor_of

router = APIRouter()


@router.get("/settings")
def settings_in_force(request: Request) -> Response:
    """An administrator also sees who may sign in."""
    desk = desk_of(request)
    people = None
    if visitor_of(request).may(Role.ADMINISTRATOR):
        with read_only(desk.sessions) as session:
            people = accounts(session)
    return page(
        request,
        "settings.html",
        sections=by_section(desk.settings),
        people=people,
        sees_patients=desk.settings.web.shows_patients_to,
    )


@router.get("/settings/explained")
def explained() -> Response:
    """The example file, which documents every setting."""
    return PlainTextResponse(files("config").joinpath("node.example.toml").read_text(encoding="utf-8"))
