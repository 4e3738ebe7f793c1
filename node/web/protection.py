"""What every request passes: the Host it names, where it comes from, and the headers of the answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response

from config.web import Web
from node.logs import place_of
from node.web.answers import page, plainly
from node.web.desk import desk_of
from node.web.visitors import NOBODY

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
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
_BY_A_PROXY = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

Next = Callable[[Request], Awaitable[Response]]


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


def _name_of(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


class Gate:
    """Lets requests in. Without accounts only those from this machine."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def __call__(self, request: Request, call_next: Next) -> Response:
        answer = await self._answer(request, call_next)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        if self._web.is_encrypted:
            answer.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        return answer

    async def _answer(self, request: Request, call_next: Next) -> Response:
        if not is_at_this_machine(request):
            return plainly(
                403,
                "There are no accounts yet, so the page is shown at the node's own machine only. An administrator "
                "makes the first one there.",
            )
        if request.method not in ("GET", "HEAD") and not is_from_here(request, self._web):
            return plainly(403, "The request was not made by a page of this node: nothing was done.")
        request.state.visitor = NOBODY
        request.state.session = ""
        try:
            return await call_next(request)
        except Exception as fault:  # noqa: BLE001 - logged without its message, which may quote a patient's data
            log.error("a page failed: %s", place_of(fault))
            says = "An error of the program: the node's log says where."
            return page(request, "message.html", 500, title="This page failed", says=says)
