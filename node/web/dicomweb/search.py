"""Answers to searches for results and to their retrieval."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Path as InAddress
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydicom import Dataset
from pydicom.datadict import keyword_for_tag

from node.store.database import read_only
from node.web.api.callers import Caller, Viewer, require_patients
from node.web.audited import retrieved, searched, seen
from node.web.desk import Desk, desk_of
from node.web.dicomweb.results import (
    ROOT,
    Object,
    ResultUnreadable,
    Wanted,
    Written,
    boundary_of,
    find_studies,
    instance_match,
    multipart,
    object_of,
    series_matches,
    study_match,
    written_of,
)

router = APIRouter()

DICOM, DICOM_JSON = "application/dicom", "application/dicom+json"
MOST = 100
"""Studies in an answer."""
_PAGING = {"limit", "offset", "includefield", "fuzzymatching"}
_KEYS = {
    "StudyInstanceUID": "study_instance_uid",
    "PatientID": "patient_id",
    "AccessionNumber": "accession_number",
}
_NAME = re.compile(r"[A-Za-z0-9.]{1,64}")
"""What a keyword or tag is made of: only such a name is repeated, in a header."""
Uid = Annotated[str, InAddress(pattern=r"^[0-9.]{1,64}$")]


@router.get("/studies")
def search_studies(request: Request, caller: Viewer) -> Response:
    """Studies that have results, the newest first. Of the matching keys of PS3.18 three are matched, as they are; a
    Warning names others, which are left out of the search."""
    require_patients(caller)
    desk = desk_of(request)
    named = {_keyword(name): value for name, value in request.query_params.items()}
    wanted = Wanted(**{field: named[key] for key, field in _KEYS.items() if named.get(key)})
    searched(desk, caller.actor, f"{ROOT}/studies", request.url.query)
    limit, offset = _number(named.get("limit", str(MOST))), _number(named.get("offset", "0"))
    with read_only(desk.sessions) as session:
        uids = find_studies(session, wanted, min(limit, MOST), offset)
        written = [written_of(session, desk.settings.data_dir, uid) for uid in uids]
    found = [_readable(results) for results in written]
    unmatched = {name if _NAME.fullmatch(name) else "another" for name in named.keys() - _KEYS.keys() - _PAGING}
    said = {"Warning": f'299 mammo-node "not matched: {", ".join(sorted(unmatched))}"'} if unmatched else {}
    return _json([study_match(objects, _root(desk)) for objects in found if objects], said)


@router.get("/studies/{study}/series")
def search_series(request: Request, caller: Viewer, study: Uid) -> Response:
    return _json(series_matches(_objects(request, caller, study), _root(desk_of(request))))


@router.get("/studies/{study}/instances")
def search_instances(request: Request, caller: Viewer, study: Uid) -> Response:
    return _matches(request, _objects(request, caller, study))


@router.get("/studies/{study}/series/{series}/instances")
def search_instances_of_series(request: Request, caller: Viewer, study: Uid, series: Uid) -> Response:
    return _matches(request, _objects(request, caller, study, series))


@router.get("/studies/{study}/metadata")
def study_metadata(request: Request, caller: Viewer, study: Uid) -> Response:
    return _metadata(_objects(request, caller, study))


@router.get("/studies/{study}/series/{series}/metadata")
def series_metadata(request: Request, caller: Viewer, study: Uid, series: Uid) -> Response:
    return _metadata(_objects(request, caller, study, series))


@router.get("/studies/{study}/series/{series}/instances/{instance}/metadata")
def instance_metadata(request: Request, caller: Viewer, study: Uid, series: Uid, instance: Uid) -> Response:
    return _metadata(_objects(request, caller, study, series, instance))


@router.get("/studies/{study}")
def retrieve_study(request: Request, caller: Viewer, study: Uid) -> Response:
    return _files(request, caller, _objects(request, caller, study))


@router.get("/studies/{study}/series/{series}")
def retrieve_series(request: Request, caller: Viewer, study: Uid, series: Uid) -> Response:
    return _files(request, caller, _objects(request, caller, study, series))


@router.get("/studies/{study}/series/{series}/instances/{instance}")
def retrieve_instance(request: Request, caller: Viewer, study: Uid, series: Uid, instance: Uid) -> Response:
    return _files(request, caller, _objects(request, caller, study, series, instance))


def _readable(results: Sequence[Written]) -> list[Object]:
    """One that cannot be read does not keep all other studies from being found: the log names its study."""
    objects = []
    for result in results:
        with suppress(ResultUnreadable):
            objects.append(object_of(result))
    return objects


def _objects(
    request: Request, caller: Caller, study: str, series: str | None = None, instance: str | None = None
) -> list[Object]:
    """The results that an address names.

    Raises:
        HTTPException: the caller may not see patients, or there are none, or they cannot be read.
    """
    require_patients(caller)
    desk = desk_of(request)
    with read_only(desk.sessions) as session:
        written = written_of(session, desk.settings.data_dir, study, instance)
    try:
        found = [object_of(result) for result in written]
    except ResultUnreadable as error:
        says = "Its file is gone or damaged, or the disk does not answer: see the node's log."
        raise HTTPException(503, f"{error} {says}") from error
    found = [one for one in found if series is None or one.header.SeriesInstanceUID == series]
    if not found:
        raise HTTPException(404, "The node has no results there.")
    seen(desk, caller.actor, found[0].study)
    return found


def _matches(request: Request, objects: Sequence[Object]) -> Response:
    root = _root(desk_of(request))
    return _json([instance_match(one, root) for one in objects])


def _metadata(objects: Sequence[Object]) -> Response:
    return _json([one.header for one in objects])


def _json(datasets: Sequence[Dataset], headers: dict[str, str] | None = None) -> Response:
    answer = [dataset.to_json_dict(suppress_invalid_tags=True) for dataset in datasets]
    return JSONResponse(answer, headers=headers, media_type=DICOM_JSON)


def _files(request: Request, caller: Caller, objects: Sequence[Object]) -> Response:
    accepts = request.headers.get("accept", "*/*").lower()
    is_accepted = any(accepted in accepts for accepted in (DICOM, "multipart/related", "*/*", "multipart/*"))
    if not is_accepted:
        raise HTTPException(406, 'Results are given as multipart/related; type="application/dicom".')
    classes = Counter(str(one.header.SOPClassUID) for one in objects)
    retrieved(desk_of(request), caller.actor, objects[0].study, classes)
    if len(objects) == 1 and DICOM in accepts and "multipart" not in accepts:
        return FileResponse(objects[0].path, media_type=DICOM)
    boundary = boundary_of(objects)
    media_type = f'multipart/related; type="{DICOM}"; boundary={boundary}'
    return StreamingResponse(multipart(objects, boundary), headers={"Content-Type": media_type})


def _root(desk: Desk) -> str:
    return f"{desk.settings.web.address or ''}{ROOT}"


def _keyword(name: str) -> str:
    """The keyword of a matching key that may be a tag ("00100020")."""
    try:
        return keyword_for_tag(int(name, 16)) or name if len(name) == 8 else name
    except ValueError:
        return name


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise HTTPException(400, "limit and offset are whole numbers.")
    return int(text)
