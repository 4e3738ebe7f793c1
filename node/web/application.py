"""The web page as an application: its pages, and what every request passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from threading import Lock

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException as StarletteHTTPException

from config.settings import Settings
from dicom_io.network.throttle import Throttle
from node.audit.refusals import Refusals
from node.store.database import Sessions
from node.web.answers import page, plainly
from node.web.api.interface import ROOT, build_interface
from node.web.background import Background
from node.web.desk import Desk, desk_of
from node.web.dicomweb.results import ROOT as DICOMWEB
from node.web.dicomweb.service import build_dicomweb
from node.web.live import Live
from node.web.metrics import Metrics
from node.web.pages import (
    agreement,
    check,
    corrections,
    models,
    routes,
    settings_in_force,
    sign_in,
    studies,
    study,
    today,
    watched,
)
from node.web.protection import Gate, no_database
from node.web.recent_views import RecentViews
from node.web.rendering import FOLDER, Renderer
from node.web.tokens import Tokens, key_of

PROVIDER_MAY_TAKE_S = 600
REFUSALS_EVERY_S = 5.0


def build_application(settings: Settings, sessions: Sessions, now: Callable[[], float]) -> FastAPI:
    """The application for a node's settings and queue.

    Args:
        now: UTC seconds since the epoch.
    """
    live = Live(sessions, now)
    desk = Desk(
        settings,
        sessions,
        now,
        Renderer(),
        Tokens(key_of(settings.data_dir)),
        Throttle(now),
        RecentViews(now),
        Refusals(now),
        live,
        Metrics(settings, now),
        Background(live.changed),
        Lock(),
        now(),
    )

    @asynccontextmanager
    async def watching(_: FastAPI) -> AsyncIterator[None]:
        desk.live.start()
        entering = asyncio.create_task(_enter_refusals(desk))
        yield
        entering.cancel()
        desk.live.stop()
        await run_in_threadpool(partial(desk.refusals.enter_due, sessions, all_of_them=True))

    application = FastAPI(title="mammo-node", lifespan=watching, docs_url=None, redoc_url=None, openapi_url=None)
    application.state.desk = desk
    for pages in (
        today,
        studies,
        study,
        agreement,
        corrections,
        models,
        routes,
        settings_in_force,
        check,
        sign_in,
        watched,
    ):
        application.include_router(pages.router)
    if settings.oidc.issuer is not None:
        _let_a_provider_sign_people_in(application, settings)
    application.add_api_route("/events", events, include_in_schema=False)
    application.mount(ROOT, build_interface(desk))
    application.mount(DICOMWEB, build_dicomweb(desk))
    application.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    application.middleware("http")(Gate(desk))
    application.add_exception_handler(SQLAlchemyError, _no_database)
    application.add_exception_handler(RequestValidationError, _no_such_page)
    application.add_exception_handler(StarletteHTTPException, _refused)
    return application


async def _enter_refusals(desk: Desk) -> None:
    """Enters refusals into the audit trail from time to time; if the database is away, at the next time."""
    while True:
        await asyncio.sleep(REFUSALS_EVERY_S)
        with suppress(SQLAlchemyError):
            await run_in_threadpool(desk.refusals.enter_due, desk.sessions)


def _let_a_provider_sign_people_in(application: FastAPI, settings: Settings) -> None:
    # Here, so that a page without a provider does not load what it needs.
    from starlette.middleware.sessions import SessionMiddleware

    from node.web.pages import provider
    from node.web.provider import BEGIN

    application.include_router(provider.router)
    # What a browser must bring back from the provider: signed, and nothing else.
    application.add_middleware(
        SessionMiddleware,
        secret_key=key_of(settings.data_dir).hex(),
        session_cookie="provider",
        max_age=PROVIDER_MAY_TAKE_S,
        path=BEGIN,
        same_site="lax",
        https_only=settings.web.is_encrypted,
    )


async def events(request: Request) -> Response:
    """The stream of live updates."""
    live = desk_of(request).live
    if live.is_full:
        return plainly(503, "Too many pages are open.")
    return StreamingResponse(live.stream(), media_type="text/event-stream")


async def _no_database(request: Request, fault: Exception) -> Response:
    if not isinstance(fault, SQLAlchemyError):
        raise fault
    return no_database(request, fault)


async def _no_such_page(request: Request, _: Exception) -> Response:
    if request.method == "POST":
        return page(request, "message.html", 400, title="Refused", says="The form is not complete: nothing was done.")
    return page(request, "message.html", 404, title="Not found", says="There is no such page.")


async def _refused(request: Request, fault: Exception) -> Response:
    status = fault.status_code if isinstance(fault, HTTPException | StarletteHTTPException) else 500
    if status in (404, 405):
        return await _no_such_page(request, fault)
    detail = str(fault.detail) if isinstance(fault, HTTPException) else ""
    return page(request, "message.html", status, title="Refused", says=detail or "This is not possible.")
