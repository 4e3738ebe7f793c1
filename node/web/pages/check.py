"""Check: everything that the node needs, as `mammo-node check`."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response

from config.settings import Settings
from node.operations.check import check_everything
from node.operations.machine import CheckResult
from node.web.answers import page
from node.web.desk import desk_of
from node.web.protection import check_form

router = APIRouter()


@router.get("/check")
def check(request: Request) -> Response:
    return page(request, "check.html", results=None)


@router.post("/check")
def run_check(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
    """Runs the checks in a process of their own: some of them import torch."""
    check_form(request, csrf)
    desk = desk_of(request)
    if not desk.checking.acquire(blocking=False):
        raise HTTPException(409, "Somebody else checks at this moment: try again when that is done.")
    try:
        return page(request, "check.html", results=_check(desk.settings, desk.now()))
    finally:
        desk.checking.release()


def _check(settings: Settings, now: float) -> list[CheckResult]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(check_everything, settings, now).result()
        except BrokenProcessPool:
            return [CheckResult("check", False, "the process that checks ended: is there too little memory?")]
