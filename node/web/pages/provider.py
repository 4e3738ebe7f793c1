"""Signing in and out with an account of the OpenID provider."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from config.oidc import Oidc
from node.audit.actors import Actor
from node.operations.accounts import AccountView, from_provider, without_role
from node.operations.acts import Act, Deed, note
from node.operations.provider import host_of
from node.web.answers import page
from node.web.desk import Desk, desk_of
from node.web.pages.sign_in import enter, inside
from node.web.provider import BACK, BEGIN, LEAVE, NotSignedIn, Person, begin, end_address, person
from node.web.visitors import address_of

router = APIRouter()

_LONGEST_TO = 1000
"""Bytes of an address in the cookie of a sign-in. Browsers drop a cookie of more than 4,096, and what is needed for the
sign-in is in it too."""


@router.get(BEGIN)
async def ask(request: Request, to: Annotated[str, Query(max_length=2000)] = "/") -> Response:
    oidc, url = _provider(request)
    request.session.clear()  # of sign-ins that were begun before and left
    request.session["to"] = inside(to) if len(json.dumps(to)) <= _LONGEST_TO else "/"
    try:
        return await begin(request, oidc, url)
    except NotSignedIn as refusal:
        return _refused(request, str(refusal), 502)


@router.get(BACK)
async def back(request: Request) -> Response:
    oidc, _ = _provider(request)
    to = inside(str(request.session.pop("to", "/")))
    try:
        who = await person(request, oidc)
    except NotSignedIn as refusal:
        return _refused(request, str(refusal), 403)
    known = await run_in_threadpool(_account, desk_of(request), who, address_of(request))
    if known is None:
        says = f"{host_of(oidc)} knows you, but gives you no role here: ask who looks after the accounts there."
        return _refused(request, says, 403)
    return enter(desk_of(request), known, to)


@router.get(LEAVE)
async def leave(request: Request) -> Response:
    """Leads to the provider's own page for signing out."""
    oidc, url = _provider(request)
    try:
        address = await end_address(oidc, url)
    except NotSignedIn as refusal:
        return _refused(request, str(refusal), 502)
    if address is None:
        return _refused(request, f"{host_of(oidc)} has no page for signing out.", 404)
    return RedirectResponse(address, 303)


def _provider(request: Request) -> tuple[Oidc, str]:
    settings = desk_of(request).settings
    if settings.web.url is None:
        raise ValueError("oidc.issuer needs web.url")
    return settings.oidc, settings.web.url


def _account(desk: Desk, who: Person, address: str) -> AccountView | None:
    """The person's account, made or brought up to date; None: no role, and an account of theirs is signed out."""
    with desk.sessions.begin() as session:
        if who.role is None:
            somebody = Actor("somebody", who.name, address)
            note(session, Act(Deed.REFUSED, somebody, about="the provider gives no role"), desk.now())
            without_role(session, who.issuer, who.subject, address, desk.now())
            return None
        known = from_provider(session, who.issuer, who.subject, who.name, who.role, address, desk.now())
        by = Actor(f"account {known.id}", known.name, address)
        note(session, Act(Deed.SIGNED_IN, by, about="by the provider"), desk.now())
        return known


def _refused(request: Request, says: str, status: int) -> Response:
    return page(request, "sign_in.html", status, to="/", name="", refused=says)
