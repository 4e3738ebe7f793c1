"""Annotations: the node's proposals against the experts' corrections, compared at a button."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from config.web import Role
from node.operations.acts import Act, Deed, note
from node.operations.annotations import AnnotationsView, view_annotations
from node.web.answers import page
from node.web.desk import desk_of
from node.web.dice_chart import dice_chart
from node.web.protection import check_form
from node.web.visitors import require

router = APIRouter()


@router.get("/annotations")
def corrections(request: Request) -> Response:
    return _show(request)


@router.post("/annotations")
def begin(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
    """Begins to compare; the page shows the outcome when it is there."""
    check_form(request, csrf)
    visitor = require(request, Role.OPERATOR)
    desk = desk_of(request)
    with desk.sessions.begin() as session:
        note(session, Act(Deed.COMPARED, visitor.actor), desk.now())
    if not desk.background.begin("annotations", view_annotations, desk.settings, desk.now()):
        return _show(request, "Something else is being calculated or read again: wait until that is done.", 409)
    return _show(request)


def _show(request: Request, refused: str = "", status: int = 200) -> Response:
    outcome = desk_of(request).background.outcome("annotations")
    value = None if outcome is None else outcome.value
    dices = [dice for image in value.images for dice in image.dice] if isinstance(value, AnnotationsView) else []
    return page(request, "annotations.html", status, outcome=outcome, chart=dice_chart(dices), refused=refused)
