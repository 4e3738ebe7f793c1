"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from models.types.words import counted
from node.audit.actors import Actor
from node.operations.accounts import MOST_LETTERS, AccountView, sign_out, with_password
from node.operations.acts import Act, Deed, note
from node.store.database import read_only
from node.web.answers import page
from node.web.desk import Desk, desk_of
from node.web.protection import SIGN_IN, check_form, cookie_name, set_cookie
from node.web.tokens import SignedIn
from node.web.visitors import address_of, visitor_of

router = APIRouter()


@router.get(SIGN_IN)
def ask(request: Request, to: Annotated[str, Query(max_length=2000)] = "/", left: str = "") -> Response:
    if not request.state.accounts or visitor_of(request).account is not None:
        return RedirectResponse(inside(to), 303)
    return page(request, "sign_in.html", to=to, name="", refused="", left=bool(left))


@router.post(SIGN_IN)
def sign_in(
    request: Request,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=MOST_LETTERS)],
    to: Annotated[str, Form(max_length=2000)] = "/",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Whoever fails often waits, by address and by name."""
    check_form(request, csrf)
    desk = desk_of(request)
    address = address_of(request)
    keys = (f"address {address}", f"name {name}")
    wait_s = desk.throttle.wait_s(*keys)
    if wait_s:
        refused = f"Too many failures: try again in {counted(round(wait_s + 0.5), 'second')}."
        return page(request, "sign_in.html", 429, to=to, name=name, refused=refused)
    with read_only(desk.sessions) as session:
        known = with_password(session, name, password)
    if known is None:
        desk.throttle.failed(*keys)
        with desk.sessions.begin() as session:
            note(session, Act(Deed.REFUSED, Actor("somebody", name, address)), desk.now())
        refused = "There is no account with this name and password."
        return page(request, "sign_in.html", 403, to=to, name=name, refused=refused)
    desk.throttle.succeeded(*keys)
    with desk.sessions.begin() as session:
        note(session, Act(Deed.SIGNED_IN, Actor(f"account {known.id}", known.name, address)), desk.now())
    return enter(desk, known, inside(to))


def enter(desk: Desk, known: AccountView, to: str) -> Response:
    """Leads somebody who has signed in to an address of this page, with the cookie of a session."""
    answer = RedirectResponse(to, 303)
    web = desk.settings.web
    set_cookie(answer, web, "session", desk.tokens.session(SignedIn(known.id, known.created_at, desk.now())))
    return answer


@router.post("/sign-out")
def leave(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
    """Ends all sessions of the account, in every browser."""
    check_form(request, csrf)
    desk, visitor = desk_of(request), visitor_of(request)
    if visitor.account is not None:
        with desk.sessions.begin() as session:
            sign_out(session, visitor.account, desk.now())
            note(session, Act(Deed.SIGNED_OUT, visitor.actor), desk.now())
    answer = RedirectResponse(f"{SIGN_IN}?left=on" if visitor.issuer else SIGN_IN, 303)
    answer.delete_cookie(cookie_name(desk.settings.web))
    return answer


def inside(address: str) -> str:
    """An address of this page; any other becomes the first page."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else "/"
