"""No transaction is open while files are fetched, read or measured, which may take days: PostgreSQL could remove no old
rows meanwhile, and SQLite's write-ahead log would grow."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from annotating import segmentation, smaller_proposal
from keeping import reported_and_delivered
from postgresql import PostgreSQL
from pydicom import dcmread
from road import Road
from sqlalchemy import create_engine, make_url, text

from models.birads.calibration import Level
from models.types.reading import BundleId
from node.agreement.stats import gather
from node.annotations.truth import read_annotations
from node.archive.copies import Copier
from node.archive.far_side import Folder
from node.archive.fetching import fetch_missing
from node.demo.studies import DemoStudy
from node.operations.reference import count_exams
from node.store.database import read_only

pytestmark = pytest.mark.slow


@pytest.fixture
def road(tmp_path: Path, postgresql: PostgreSQL, mammogram_study: DemoStudy) -> Road:
    """A node that has reported a study."""
    road = Road(tmp_path / "data", database_url=postgresql.fresh())
    reported_and_delivered(road, *mammogram_study.files)
    return road


@pytest.fixture
def transactions(road: Road) -> Callable[[], int]:
    """How many transactions are open in the queue, as the server says."""
    queue = make_url(road.database_url)

    def count() -> int:
        engine = create_engine(queue.set(database="postgres"))
        with engine.connect() as connection:
            activity = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND xact_start IS NOT NULL"
            found = connection.scalar(text(activity), {"name": queue.database})
        engine.dispose()
        return int(found)

    with road.sessions.begin() as session:
        session.execute(text("SELECT 1"))
        assert count() == 1, "it would be seen"
    return count


def test_none_while_copies_are_fetched(road: Road, tmp_path: Path, transactions: Callable[[], int]) -> None:
    class Watched(Folder):
        def get(self, name: str, target: Path) -> None:
            seen.append(transactions())
            super().get(name, target)

    seen: list[int] = []
    (tmp_path / "far").mkdir()
    far = Watched(tmp_path / "far")
    Copier(far, road.sessions, road.data_dir, road.clock).copy_some()
    for instance in road.instances():
        (road.data_dir / instance.path).unlink()
    assert [there for _, there in fetch_missing(road.sessions, road.data_dir, far)] == [True] * 4
    assert seen == [0] * 4


def test_none_between_the_studies_of_a_reference_set_and_of_the_agreement(
    road: Road, transactions: Callable[[], int]
) -> None:
    seen: list[int] = []
    with read_only(road.sessions) as session:
        count_exams(session, road.data_dir, BundleId("a", "1"), lambda *_: seen.append(transactions()))
        pathology = {road.study().id: {None: True}}
        gather(session, road.data_dir, Level.EXAM, pathology, lambda *_: seen.append(transactions()))
    assert seen == [0, 0]


def test_none_while_an_experts_correction_is_read(
    road: Road, mammogram_study: DemoStudy, transactions: Callable[[], int]
) -> None:
    (image, *_) = (dcmread(file) for file in mammogram_study.files)
    road.receive(segmentation({"mass": smaller_proposal(road, image)}, image))
    correction = road.data_dir / road.instances()[-1].path
    correction.unlink()
    os.mkfifo(correction)

    def read() -> int:
        with read_only(road.sessions) as session:
            return len(read_annotations(session, road.data_dir).not_counted)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        with correction.open("wb"):  # returns when it is being read
            assert transactions() == 0
        assert reading.result() == 1
