"""Refusals for programs: problem details as JSON (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from node.logs import place_of
from node.store.database import why_not_opened

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Mistake(BaseModel):
    """One value of a request that cannot be used. The value itself is not repeated: it may be a patient's."""

    where: str = Field(description="Its place in the request, such as query.state.")
    says: str


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(default="about:blank", description="about:blank: the status says what kind of problem it is.")
    title: str = Field(description="The status's name.")
    status: int
    detail: str = Field(description="What is wrong and what to do, in a sentence.")
    mistakes: list[Mistake] = Field(default=[], description="With status 422: the values that cannot be used.")


def problem(
    status: int, detail: str, mistakes: list[Mistake] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that is refused. `detail` has no data of a patient."""
    said = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, mistakes=mistakes or [])
    return JSONResponse(said.model_dump(), status, headers, MEDIA_TYPE)


def refusals(*statuses: int) -> dict[int | str, dict[str, object]]:
    """The refusals of an operation, for its description in OpenAPI."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


async def refused(_: Request, fault: Exception) -> Response:
    """Of an HTTPException, also those of the framework: no such address, no such method."""
    if not isinstance(fault, HTTPException):
        raise fault
    detail = "There is no such address." if fault.detail == HTTPStatus.NOT_FOUND.phrase else str(fault.detail)
    return problem(fault.status_code, detail, headers=fault.headers)


async def unusable(_: Request, fault: Exception) -> Response:
    """Of a request with values that cannot be used."""
    if not isinstance(fault, RequestValidationError):
        raise fault
    mistakes = [Mistake(where=".".join(map(str, error["loc"])), says=str(error["msg"])) for error in fault.errors()]
    return problem(422, "The request has values that cannot be used: nothing was done.", mistakes)


async def catch_faults(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """A middleware: what went wrong at the node is a problem too. Faults are logged without their messages, which may
    quote a patient's data."""
    try:
        return await call_next(request)
    except SQLAlchemyError as fault:
        log.error("a request of a program failed: %s", place_of(fault))
        return problem(503, f"The queue does not answer: {why_not_opened(fault)}. Nothing was changed; try again.")
    except Exception as fault:  # noqa: BLE001 - logged, and answered
        log.error("a request of a program failed: %s", place_of(fault))
        return problem(500, "An error of the program: the node's log says where.")
