"""Models: whether what they say drifts, what other bundles say, and the bundles with their figures."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from config.settings import Settings
from models.bundles.bundle import Bundle, BundleError
from models.bundles.described import flat
from node.bundles import open_bundle
from node.operations.drift import BASELINE_WEEKS, LEAST_IMAGES, drift
from node.operations.rereading import bundles_to_read_with
from node.operations.shadows import side_by_side
from node.store.database import read_only
from node.web.answers import page
from node.web.control_chart import control_chart, score_chart
from node.web.desk import desk_of

router = APIRouter()
MOST_CHARTED = 10
"""Scanners whose charts are drawn."""


@dataclass(frozen=True)
class _Shown:
    """A bundle with the figures of each part; or, without a bundle, why it cannot be used."""

    name: str
    bundle: Bundle | None
    figures: dict[str, list[tuple[str, str]]]
    problem: str = ""


@router.get("/models")
def models(request: Request) -> Response:
    """The weights themselves are checked by `check`."""
    desk = desk_of(request)
    now = desk.now()
    with read_only(desk.sessions) as session:
        watched = drift(session, now)
        compared = side_by_side(session)
    charts = [
        (entry, [(course, control_chart(course, now)) for course in entry.courses]) for entry in watched[:MOST_CHARTED]
    ]
    return page(
        request,
        "models.html",
        watched=watched,
        charts=charts,
        baseline_weeks=BASELINE_WEEKS,
        least_images=LEAST_IMAGES,
        compared=[(two, score_chart(two.pairs)) for two in compared],
        bundles=[_shown(desk.settings, name) for name in bundles_to_read_with(desk.settings)],
    )


def _shown(settings: Settings, name: str) -> _Shown:
    try:
        bundle = open_bundle(settings, name)
    except BundleError as error:
        return _Shown(name, None, {}, str(error))
    return _Shown(name, bundle, {role: list(flat(bundle.figures.get(role, {}))) for role in bundle.parts})
