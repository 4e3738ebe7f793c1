"""Answers to requests: pages, and short texts where there is none."""

from __future__ import annotations

from importlib.metadata import version
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from node.web.desk import desk_of
from node.web.visitors import visitor_of


def page(request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
    """A page for the visitor. `values`: what its template needs besides what every page has."""
    desk, visitor = desk_of(request), visitor_of(request)
    session: str = request.state.session
    common = {
        "visitor": visitor,
        "path": request.url.path,
        "csrf": desk.tokens.csrf(session),
        "now": desk.now(),
        "version": version("mammo-node"),
        "began_at": desk.began_at,
        "accounts": request.state.accounts,
        "encrypted": desk.settings.web.is_encrypted,
        "signed_out_in_s": request.state.signed_out_in_s,
        "provider": urlsplit(desk.settings.oidc.issuer or "").hostname,
    }
    return HTMLResponse(desk.renderer.render(template, {**common, **values}), status)


def not_found(request: Request, what: str) -> HTMLResponse:
    """ "There is no study 7.\""""
    return page(request, "message.html", 404, title="Not found", says=what)


def plainly(status: int, says: str) -> Response:
    """A line of text."""
    return PlainTextResponse(f"{says}\n", status)
