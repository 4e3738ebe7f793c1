"""The DICOMweb service of the node as an application of its own, which the page's application mounts."""

from __future__ import annotations

import asyncio
import shutil

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from node.archive.layout import WEB_INCOMING
from node.web.api.problems import catch_faults, refused, unusable
from node.web.desk import Desk
from node.web.dicomweb import search, store

OLD_S = 3600.0
"""What is younger may be a request that another process of the node is taking."""


def build_dicomweb(desk: Desk) -> FastAPI:
    """The service. What ended processes left of requests is deleted."""
    for left in (desk.settings.data_dir / WEB_INCOMING).glob("*"):
        if left.stat().st_mtime < desk.now() - OLD_S:
            shutil.rmtree(left, ignore_errors=True)
    service = FastAPI(title="mammo-node", docs_url=None, redoc_url=None, openapi_url=None)
    service.state.desk = desk
    service.state.places = asyncio.Semaphore(store.MOST_AT_ONCE)
    service.include_router(search.router)
    if desk.settings.web.stow:
        service.include_router(store.router)
    service.middleware("http")(catch_faults)
    service.add_exception_handler(RequestValidationError, unusable)
    service.add_exception_handler(HTTPException, refused)
    return service
