"""STOW-RS into the node (PS3.18 section 10.5): instances are handed to the node's own DICOM listener.

So they pass the same code as those that a PACS sends, with the same promises: an instance is stored, for good, when the
listener has answered, and only then is it named as stored. Nothing of HTTP is in the process that receives: a fault
here costs a request, and at most the page.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Path as InAddress
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydicom import Dataset, dcmread
from starlette.requests import ClientDisconnect

from config.settings import Settings
from dicom_io.attributes import text
from dicom_io.errors import NotAccepted, Rejected, Unreachable
from dicom_io.network.answers import Status
from dicom_io.network.scp_contexts import STORAGE_CLASSES
from dicom_io.network.scu import CStoreDestination
from dicom_io.network.store_response import NoSuchKind, Stored, http_status, response_dataset
from dicom_io.pixels.file_meta import read_file_meta
from node.archive.layout import WEB_INCOMING
from node.audit.events import Arrived, enter_stored
from node.peers import own_listener
from node.web.api.callers import Caller, Operator
from node.web.desk import Desk, desk_of
from node.web.dicomweb.parts import Body, Malformed, Part, WrongMediaType, body_of

router = APIRouter()

DICOM_JSON = "application/dicom+json"
MB = 1_000_000
MOST_AT_ONCE = 4
"""Requests: each writes to the disk that receiving uses, and holds an association."""
STALLED_S = 60.0
"""A request of which nothing comes for so long has ended."""
ANSWERS_WITHIN_S = 60.0
_Uid = Annotated[str, InAddress(pattern=r"^[0-9.]{1,64}$")]


@router.post("/studies")
async def store(request: Request, caller: Operator) -> Response:
    """Stores the instances of a request."""
    return await _store(request, caller, None)


@router.post("/studies/{study}")
async def store_in_study(request: Request, caller: Operator, study: _Uid) -> Response:
    """Stores the instances of a request, which must be of one study."""
    return await _store(request, caller, study)


async def _store(request: Request, caller: Caller, study: str | None) -> Response:
    desk, places = desk_of(request), request.app.state.places
    if places.locked():
        raise HTTPException(503, "Too many requests store at once: send it again.", {"Retry-After": "10"})
    async with places:
        folder = desk.settings.data_dir / WEB_INCOMING
        folder.mkdir(exist_ok=True)
        try:
            with TemporaryDirectory(dir=folder) as own:
                outcomes = await _outcomes(request, desk, caller, Path(own), study)
        except WrongMediaType as error:
            accepted = 'multipart/related; type="application/dicom", or application/dicom'
            raise HTTPException(415, f"Send {accepted}.") from error
        except Malformed as error:
            raise HTTPException(400, f"{str(error)[:1].upper()}{str(error)[1:]}: send it again.") from error
        except (Unreachable, OSError) as error:
            says = "The node does not receive now: send it again, known instances are only acknowledged."
            raise HTTPException(503, says, {"Retry-After": "30"}) from error
    if not outcomes:
        raise HTTPException(400, "The request has no instance.")
    status = http_status(outcomes)
    return JSONResponse(
        response_dataset(outcomes).to_json_dict(),
        status,
        {"Retry-After": "30"} if status == 503 else None,
        DICOM_JSON,
    )


async def _outcomes(request: Request, desk: Desk, caller: Caller, folder: Path, study: str | None) -> list[Stored]:
    settings = desk.settings
    receiver = settings.receiver
    outcomes = []
    listener = CStoreDestination(own_listener(receiver, ANSWERS_WITHIN_S))
    with body_of(request.headers.get("content-type", ""), folder, receiver.max_image_mb * MB) as body:
        try:
            async for parts in _parts(request, body):
                for part in parts:
                    outcomes.append(await run_in_threadpool(_hand_over, part, listener, desk, caller, study))
        finally:
            await run_in_threadpool(listener.close)
    return outcomes


async def _parts(request: Request, body: Body) -> AsyncIterator[list[Part]]:
    """The parts, as they are complete; the disk is not waited for in the event loop.

    Raises:
        Malformed: also if the sender stops.
    """
    chunks = aiter(request.stream())
    try:
        while chunk := await asyncio.wait_for(anext(chunks), STALLED_S):
            yield await run_in_threadpool(body.feed, chunk)
    except StopAsyncIteration:
        pass
    except (TimeoutError, ClientDisconnect) as error:
        raise Malformed("the body does not come to its end") from error
    yield await run_in_threadpool(body.end)


def _hand_over(part: Part, listener: CStoreDestination, desk: Desk, caller: Caller, study: str | None) -> Stored:
    """Gives a file to the listener, and deletes it.

    Raises:
        Unreachable: the listener does not answer.
    """
    try:
        stored = _stored(part, listener, desk.settings, study)
        if stored.failure is None:
            header = _header_of(part.path)
            uid, patient_id = text(header, "StudyInstanceUID"), text(header, "PatientID")
            with desk.sessions.begin() as session:
                enter_stored(session, Arrived(uid, patient_id, stored.sop_class_uid, None), caller.actor, desk.now())
        return stored
    finally:
        part.path.unlink()


def _stored(part: Part, listener: CStoreDestination, settings: Settings, study: str | None) -> Stored:
    try:
        meta, _ = read_file_meta(part.path)
        kind, instance = str(meta.get("MediaStorageSOPClassUID", "")), str(meta.get("MediaStorageSOPInstanceUID", ""))
    except Exception:  # noqa: BLE001 - a damaged file can raise anything, and is told so
        return Stored("", "", Status.NOT_DICOM)
    if not part.is_whole:
        return Stored(kind, instance, Status.TOO_LARGE)
    if shutil.disk_usage(settings.data_dir).free < settings.receiver.min_free_mb * MB:
        return Stored(kind, instance, Status.NO_SPACE)
    if study is not None and text(_header_of(part.path), "StudyInstanceUID") != study:
        return Stored(kind, instance, Status.DOES_NOT_MATCH)
    try:
        listener.send(part.path)
    except NotAccepted:
        known = kind in STORAGE_CLASSES
        return Stored(kind, instance, NoSuchKind.TRANSFER_SYNTAX if known else NoSuchKind.SOP_CLASS)
    except Rejected as refusal:
        return Stored(kind, instance, Status.NOT_DICOM if refusal.status is None else refusal.status)
    return Stored(kind, instance)


def _header_of(path: Path) -> Dataset:
    """Study and patient; none where the file is damaged."""
    try:
        tags = ["SpecificCharacterSet", "StudyInstanceUID", "PatientID"]
        return dcmread(path, stop_before_pixels=True, specific_tags=tags)
    except Exception:  # noqa: BLE001 - as above
        return Dataset()
