"""Routes: which images are read and where their results go; and what would be done with a DICOM file."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from config.settings import Settings
from config.web import Role
from dicom_io.errors import NotReadable
from node.operations.acts import Act, Deed, note
from node.operations.routing_of_a_file import RoutedFile, route_file
from node.web.answers import page
from node.web.desk import Desk, desk_of
from node.web.protection import ROUTES_TEST, check_form
from node.web.visitors import Visitor, require

router = APIRouter()


@router.get("/routes")
def routes(request: Request) -> Response:
    return _show(request)


@router.post(ROUTES_TEST)
async def test(request: Request) -> Response:
    """As `mammo-node routes test`. The file is deleted when the answer is known."""
    async with request.form() as form:
        check_form(request, str(form.get("csrf", "")))
        visitor = require(request, Role.OPERATOR)
        file, sender = form.get("file"), str(form.get("sender", ""))
        if not isinstance(file, UploadFile) or not file.filename:
            raise HTTPException(400, "No file was chosen: nothing was done.")
        return await run_in_threadpool(_test, request, desk_of(request), visitor, file, sender)


def _test(request: Request, desk: Desk, visitor: Visitor, file: UploadFile, sender: str) -> Response:
    with desk.sessions.begin() as session:
        note(session, Act(Deed.ROUTES_TESTED, visitor.actor), desk.now())
    with tempfile.NamedTemporaryFile(prefix="routes-test-") as copy:
        shutil.copyfileobj(file.file, copy)
        copy.flush()
        try:
            routed = route_file(desk.settings, Path(copy.name), sender, desk.now())
        except NotReadable as error:
            return _show(request, refused=str(error), sender=sender, status=422)
    return _show(request, routed=routed, sender=sender)


def _show(
    request: Request, routed: RoutedFile | None = None, refused: str = "", sender: str = "", status: int = 200
) -> Response:
    settings = desk_of(request).settings
    return page(
        request,
        "routes.html",
        status,
        routes=[(route, _conditions(settings, number)) for number, route in enumerate(settings.routes)],
        destinations=[to.name for to in settings.destinations],
        senders=[known.ae_title for known in settings.senders],
        sender=sender,
        routed=routed,
        refused=refused,
        most_mb=settings.receiver.max_image_mb,
    )


_DECIDES = {"name", "read", "urgency", "destinations"}


def _conditions(settings: Settings, number: int) -> list[tuple[str, str]]:
    """What must hold for a route to fit, as in the settings."""
    stated = settings.routes[number].model_dump(mode="json", exclude_none=True, exclude=_DECIDES)
    return [(key, ", ".join(value) if isinstance(value, list) else f"{value:g}") for key, value in stated.items()]
