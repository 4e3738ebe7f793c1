"""The interface /api/v1 as an application of its own, which the page's application mounts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from models.types.words import RESEARCH_USE_ONLY
from node.web.api import acts, events, results, studies
from node.web.api.problems import Problem, catch_faults, problem, refused, unusable
from node.web.body_length import refusal
from node.web.desk import Desk

ROOT = "/api/v1"
MOST_BYTES = 64_000
"""Of a request."""


class Interface(FastAPI):
    """FastAPI, whose description also has the shape of refusals."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            described = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self.routes,
                servers=[{"url": ROOT}],
            )
            shape = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            shapes = described["components"]["schemas"]
            shapes.update(shape.pop("$defs"))
            shapes["Problem"] = shape
            self.openapi_schema = described
        return self.openapi_schema


def build_interface(desk: Desk) -> FastAPI:
    """The interface; each operation is described at /openapi.json."""
    interface = Interface(
        title="mammo-node",
        version="1",
        description=f"Studies, results and acts of a mammo-node. {RESEARCH_USE_ONLY}",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    interface.state.desk = desk
    for part in (studies, results, acts, events):
        interface.include_router(part.router)
    interface.middleware("http")(_small_bodies)
    interface.middleware("http")(catch_faults)
    interface.add_exception_handler(RequestValidationError, unusable)
    interface.add_exception_handler(HTTPException, refused)
    return interface


async def _small_bodies(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuses a body that would fill the memory, which is read before it is known who sends it."""
    match refusal(request, MOST_BYTES):
        case 411:
            return problem(411, "The request does not state its length: nothing was done.")
        case 413:
            return problem(413, f"The request is larger than {MOST_BYTES // 1000} kB: nothing was done.")
    return await call_next(request)
