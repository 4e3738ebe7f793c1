"""A real OHIF in headless Chromium, operated as a user does: by double clicks on series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, Route, TimeoutError

_FILES = Path(__file__).parents[3] / ".viewer"
_LOOKING = Path(__file__).with_name("looking.js")
WEBGL = (  # without a graphics card
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
_PATIENCE_MS = 240_000

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in the source image, in the coordinates of SCOORD."""


def ohif_files() -> Path:
    """OHIF's folder; the test is skipped where it is missing."""
    pages = sorted(_FILES.glob("ohif-*/index.html"))
    if not pages:
        pytest.skip("The OHIF viewer is not here; get it with: make viewer")
    return pages[-1].parent


@dataclass(frozen=True, eq=False)
class ShownSegment:
    """A segment in the viewer's memory: its pixels and its display colour (red, green, blue)."""

    mask: NDArray[np.bool_]
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class ShownOutline:
    """An outline of a report: the SOP Instance UID of its image, and its box there."""

    image: str
    box: Box


class Ohif:
    """A study in OHIF, its first four images in a grid of 2 × 2."""

    def __init__(self, page: Page, address: str) -> None:
        self._page = page
        self._address = address
        self.faults: list[str] = []
        """Uncaught errors, and addresses outside the viewer's own host that the page requested (without success)."""
        page.set_default_timeout(_PATIENCE_MS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.route("**/*", self._at_home)
        page.add_init_script("localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))")
        page.add_init_script(path=_LOOKING)

    def open(self, study_instance_uid: str, objects: int) -> None:
        """`objects`: how many images, segmentations and reports the study has, each of which OHIF lists."""
        self._page.goto(f"{self._address}/viewer?StudyInstanceUIDs={study_instance_uid}", wait_until="domcontentloaded")
        self._until("looking.drawn() === 1")
        self._until("n => window.services.displaySetService.getActiveDisplaySets().length === n", objects)
        self._page.evaluate("window.commandsManager.run('setViewportGridLayout', { numRows: 2, numCols: 2 })")
        self._until("looking.drawn() === 4")

    @property
    def grid(self) -> list[str]:
        """The viewports' ids, in rows."""
        return list(self._page.evaluate("looking.grid()"))

    def image(self, viewport: str) -> str:
        """The SOP Instance UID of the displayed image."""
        return str(self._page.evaluate("id => looking.image(id)", viewport))

    def overlay(self, series_description: str, viewport: str) -> None:
        """Opens a segmentation in a viewport and accepts the question whether to show it on the image."""
        self._open_series(series_description, viewport)
        yes = self._page.locator('[data-cy="yes-hydrate-btn"]').first
        yes.click()
        yes.wait_for(state="hidden")
        self._until("image => Object.keys(looking.segments(image)).length > 0", self.image(viewport))

    def segments(self, image: str) -> dict[str, ShownSegment]:
        """All segments of an image, by Segment Label."""
        found = self._page.evaluate("instance => looking.segments(instance)", image)
        return {
            label: ShownSegment(_mask(entry["runs"], (entry["rows"], entry["columns"])), tuple(entry["colour"]))
            for label, entry in found.items()
        }

    def colours(self, viewport: str, box: Box, within: float) -> bool:
        """Waits until all that is coloured on the screen fills a box of the image, give or take `within` (overlays are
        drawn one by one); False where that does not come about.

        OHIF 3.12 at times loses the event upon which the overlay is drawn; then it is sent once more.
        """
        condition = """([id, box, within]) => {
            if (!looking.coloured(id)) window.cornerstoneTools.utilities.segmentation.triggerSegmentationRender(id);
            const seen = looking.drawn() === 4 && looking.coloured(id);
            return seen && seen.every((edge, i) => Math.abs(edge - box[i]) <= within);
        }"""
        try:
            self._until(condition, [viewport, box, within])
        except TimeoutError:
            return False
        return True

    def report(self, series_description: str, viewport: str, image: str) -> Box:
        """Opens a report in a viewport at its first outline on an image, and gives the outline's box on the screen.

        OHIF 3.12's arrows do not go on from one image to another where each is a display set of its own, as in
        mammography; so the report is made to begin with this image.
        """
        self._page.evaluate("([name, image]) => looking.startReportAt(name, image)", [series_description, image])
        self._open_series(series_description, viewport)
        box = self._until(
            """([id, image]) =>
                looking.drawn() === 4 && looking.image(id) === image ? looking.pickedOut(id) : null""",
            [viewport, image],
        )
        first, second, third, fourth = map(float, box)
        return first, second, third, fourth

    def outlines(self) -> dict[str, ShownOutline]:
        """All outlines of the report, by Tracking UID."""
        found = self._page.evaluate("looking.outlines()")
        return {uid: ShownOutline(entry["instance"], tuple(entry["box"])) for uid, entry in found.items()}

    def screenshot(self, path: Path) -> None:
        self._page.screenshot(path=path)

    def _open_series(self, series_description: str, viewport: str) -> None:
        self._page.evaluate("id => window.services.viewportGridService.setActiveViewportId(id)", viewport)
        self._page.locator('[data-cy="study-browser-thumbnail-no-image"]').filter(
            has_text=series_description
        ).dblclick()

    def _until(self, condition: str, argument: object = None) -> Any:
        return self._page.wait_for_function(condition, arg=argument, polling=200).json_value()

    def _at_home(self, route: Route) -> None:
        address = route.request.url
        if address.startswith((self._address, "blob:", "data:")):
            route.continue_()
        else:
            self.faults.append(f"the page asked for {urlsplit(address).netloc}")
            route.abort()


def _mask(runs: Sequence[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(shape)
