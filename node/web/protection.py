"""What every request passes: who it is from, the Host it names, where it comes from, and the headers of the answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

from fastapi import HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from sqlalchemy.exc import SQLAlchemyError

from config.web import Web
from node.logs import place_of
from node.operations.accounts import account, any_accounts
from node.store.database import read_only, why_not_opened
from node.web.answers import page, plainly
from node.web.api.interface import ROOT
from node.web.body_length import refusal
from node.web.desk import Desk, desk_of
from node.web.dicomweb.results import ROOT as DICOMWEB
from node.web.visitors import NOBODY, Visitor, address_of, visitor_with

log = logging.getLogger(__name__)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then state no Origin where a form is sent.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SIGN_IN = "/sign-in"
ROUTES_TEST = "/routes/test"
"""Takes a file."""
MB = 1_000_000
_FOR_EVERYBODY = ("/static/", "/health/", "/metrics", SIGN_IN)
"""Shown without an account, also to other machines: nothing of a patient."""
_BY_TOKEN = (f"{ROOT}/", f"{DICOMWEB}/")
"""Parts of the application that let in by token."""
REFRESHES = "x-refresh"
"""A header of the requests that an open page makes by itself (page.js)."""
_SEEN = "seen"
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
_BY_A_PROXY = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

Next = Callable[[Request], Awaitable[Response]]


def cookie_name(web: Web, of: str = "session") -> str:
    """The session's cookie, or another; with https one that only https may set, for this host alone."""
    return f"__Host-{of}" if web.is_encrypted else of


def set_cookie(answer: Response, web: Web, name: str, token: str) -> None:
    """Sets a cookie that no script can read; it goes when the browser is closed."""
    # Lax: a link in a message leads to the page and not to signing in again.
    answer.set_cookie(cookie_name(web, name), token, secure=web.is_encrypted, httponly=True, samesite="lax")


def is_a_persons(request: Request) -> bool:
    """Whether somebody opened a page or pressed a button: no picture, and no page that refreshes itself."""
    if request.method not in ("GET", "HEAD"):
        return True
    return "text/html" in request.headers.get("accept", "") and REFRESHES not in request.headers


def is_at_this_machine(request: Request) -> bool:
    """Whether the browser runs on this machine: by its address, and by the name that it asked for, so that no other
    site's name leads here (DNS rebinding) and no proxy passes others on."""
    if request.client is None or any(name in request.headers for name in _BY_A_PROXY):
        return False
    try:
        is_local = ip_address(request.client.host).is_loopback
    except ValueError:
        return False
    return is_local and _name_of(request.headers.get("host", "")) in _LOCAL_NAMES


def is_from_here(request: Request, web: Web) -> bool:
    """Whether a request that changes something was made by a page of this node: by its Origin."""
    origin = request.headers.get("origin")
    if origin is None:  # browsers state it for every POST
        return False
    if web.url is not None and origin == web.url:
        return True
    return urlsplit(origin).netloc == request.headers.get("host", "")


def check_form(request: Request, token: str) -> None:
    """Refuses a form that no page of this node gave to this session.

    Raises:
        HTTPException: it did not; nothing may be done.
    """
    session: str = request.state.session
    if not desk_of(request).tokens.is_csrf(token, session):
        raise HTTPException(403, "This form is not of your session: load the page again. Nothing was done.")


class Gate:
    """Lets requests in: people who have signed in, or whoever is at this machine while there are no accounts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._web = desk.settings.web
        self._has_accounts = desk.settings.oidc.issuer is not None

    async def __call__(self, request: Request, call_next: Next) -> Response:
        request.state.visitor, request.state.session, request.state.accounts = NOBODY, "", True
        request.state.signed_out_in_s = None
        try:
            answer = await self._answer(request, call_next)
        except SQLAlchemyError as fault:
            answer = no_database(request, fault)
        except Exception as fault:  # noqa: BLE001 - logged without its message, which may quote a patient's data
            log.error("a page failed: %s", place_of(fault))
            says = "An error of the program: the node's log says where."
            answer = page(request, "message.html", 500, title="This page failed", says=says)
        if request.url.path.startswith("/static/"):
            answer.headers.setdefault("Cache-Control", "no-cache")  # asked for again by its ETag
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        if self._web.is_encrypted:
            answer.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        return answer

    async def _answer(self, request: Request, call_next: Next) -> Response:
        if request.url.path.startswith(_BY_TOKEN):  # no cookie counts there
            return await call_next(request)
        if request.method not in ("GET", "HEAD") and not is_from_here(request, self._web):
            return plainly(403, "The request was not made by a page of this node: nothing was done.")
        if too_large := self._too_large(request):
            return too_large
        cookie = request.cookies.get(cookie_name(self._web), "")
        seen = self._desk.tokens.last_seen(request.cookies.get(cookie_name(self._web, _SEEN), ""), cookie)
        there_are_accounts, visitor, ends_at = await run_in_threadpool(
            self._look_up, cookie, seen, address_of(request), is_a_persons(request)
        )
        request.state.accounts = there_are_accounts
        if visitor is not None:
            request.state.visitor, request.state.session = visitor, cookie
            request.state.signed_out_in_s = ends_at - self._desk.now()
            answer = await call_next(request)
            if is_a_persons(request):
                set_cookie(answer, self._web, _SEEN, self._desk.tokens.seen(cookie, self._desk.now()))
            return answer
        if request.url.path.startswith(_FOR_EVERYBODY):
            pass
        elif there_are_accounts:
            return _to_sign_in(request)
        elif not is_at_this_machine(request):
            return plainly(
                403,
                "There are no accounts yet, so the page is shown at the node's own machine only. An administrator "
                "makes the first one there: mammo-node users add NAME --role administrator",
            )
        return await call_next(request)

    def _too_large(self, request: Request) -> Response | None:
        """Refuses a body before any of it is kept: it would fill the memory, and the files of a form the disk, also
        those of somebody who has not signed in."""
        most_mb = 1 + (self._desk.settings.receiver.max_image_mb if request.url.path == ROUTES_TEST else 0)
        match refusal(request, most_mb * MB):
            case 411:
                return plainly(411, "The request does not state its length: nothing was done.")
            case 413:
                return plainly(413, f"The request is larger than {most_mb} MB: nothing was done.")
        return None

    def _look_up(
        self, cookie: str, seen: float, address: str, is_a_persons: bool
    ) -> tuple[bool, Visitor | None, float]:
        """Whether there are accounts, who the cookie's session belongs to, and when it ends (UTC seconds since the
        epoch). `seen`: when its person did something last."""
        signed_in = self._desk.tokens.signed_in(cookie) if cookie else None
        with read_only(self._desk.sessions) as session:
            if signed_in is None:
                return self._has_accounts or any_accounts(session), None, 0.0
            known = account(session, signed_in.account)
            if known is None or known.created_at != signed_in.created_at:
                return self._has_accounts or any_accounts(session), None, 0.0
        now, idle_s = self._desk.now(), self._web.idle_minutes * 60
        last, over_at = max(signed_in.at, seen), signed_in.at + self._web.session_hours * 3600
        if signed_in.at <= known.signed_out_at or not (signed_in.at <= now < min(over_at, last + idle_s)):
            return True, None, 0.0
        ends_at = min(over_at, (now if is_a_persons else last) + idle_s)
        return True, visitor_with(known, self._web.shows_patients_to, address), ends_at


def no_database(request: Request, fault: SQLAlchemyError) -> Response:
    """The answer while the queue cannot be used."""
    log.error("a page failed: %s", place_of(fault))
    says = f"{why_not_opened(fault)}. Nothing was changed; try again in a moment."
    return page(request, "message.html", 503, title="The queue does not answer", says=says)


def _to_sign_in(request: Request) -> Response:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(SIGN_IN if asked == "/" else f"{SIGN_IN}?{urlencode({'to': asked})}", 303)
    return plainly(401, f"Sign in first: {SIGN_IN}")


def _name_of(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""
