"""The page with the queue in PostgreSQL: every statement of it is understood there too."""

from __future__ import annotations

from pathlib import Path

from postgresql import PostgreSQL
from road import Road

from node.demo.studies import DemoStudy

PAGES = (
    "/", "/studies", "/studies?state=reported&score=0.01&destination=pacs&source=PACS", "/studies?problems=1",
    "/studies?discordant=1&since=2026-01-31", "/studies/1", "/agreement", "/annotations", "/models", "/settings",
    "/metrics",
)  # fmt: skip


def test_every_page_is_shown(browse, tmp_path: Path, postgresql: PostgreSQL, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path / "data", database_url=postgresql.fresh())
    road.all_of_it(*mammogram_study.files)
    browser = browse(road, database_url=road.database_url)
    assert {page: browser.get(page).status_code for page in PAGES} == dict.fromkeys(PAGES, 200)
    assert browser.get("/health/live").status_code == 200
