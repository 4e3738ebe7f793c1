"""Models: the bundle that reads, its parts, and its figures on held-out patients."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from models.bundles.bundle import BundleError, find_bundle, read_bundle
from models.bundles.described import flat
from node.web.answers import page
from node.web.desk import desk_of

router = APIRouter()


@router.get("/models")
def models(request: Request) -> Response:
    """The bundle of the settings. The weights themselves are checked by `check`."""
    try:
        bundle = read_bundle(find_bundle(desk_of(request).settings.reader.bundle))
    except BundleError as error:
        return page(request, "message.html", 500, title="The models cannot be read", says=str(error))
    figures = {role: list(flat(bundle.figures.get(role, {}))) for role in bundle.parts}
    return page(request, "models.html", bundle=bundle, figures=figures)
