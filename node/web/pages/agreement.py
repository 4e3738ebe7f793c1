"""Agreement: the models against the radiologists, calculated at a button."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from config.web import Role
from models.birads.calibration import Level
from models.evaluation.report import text
from node.operations.acts import Act, Deed, note
from node.operations.agreement import AgreementView, calculate, discordant_studies
from node.store.database import read_only
from node.web.agreement_charts import agreement_shares, confusion_grid
from node.web.answers import page
from node.web.desk import desk_of
from node.web.protection import check_form
from node.web.visitors import require

router = APIRouter()
MOST_DISCORDANT = 20
LEVELS = (Level.BREAST, Level.EXAM)


@router.get("/agreement")
def agreement(request: Request) -> Response:
    return _show(request)


@router.post("/agreement")
def begin(request: Request, level: Annotated[Level, Form()], csrf: Annotated[str, Form()] = "") -> Response:
    """Begins to calculate; the page shows the tables when they are there."""
    check_form(request, csrf)
    visitor = require(request, Role.OPERATOR)
    desk = desk_of(request)
    with desk.sessions.begin() as session:
        note(session, Act(Deed.CALCULATED, visitor.actor, about=f"{level}s"), desk.now())
    if not desk.background.begin("agreement", calculate, desk.settings, level, desk.now()):
        return _show(request, "Something else is being calculated or read again: wait until that is done.", 409)
    return _show(request)


def _show(request: Request, refused: str = "", status: int = 200) -> Response:
    desk = desk_of(request)
    outcome = desk.background.outcome("agreement")
    value = None if outcome is None else outcome.value
    tables = {table.id: table for table in value.tables} if isinstance(value, AgreementView) else {}
    with read_only(desk.sessions) as session:
        discordant = discordant_studies(session, MOST_DISCORDANT)
    return page(
        request,
        "agreement.html",
        status,
        outcome=outcome,
        grid=confusion_grid(tables["confusion"]) if tables else None,
        shares=agreement_shares(tables["agreement"]) if tables else None,
        discordant=discordant,
        most=MOST_DISCORDANT,
        refused=refused,
        levels=LEVELS,
        text=text,
    )
