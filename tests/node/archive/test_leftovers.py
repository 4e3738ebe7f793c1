"""Lost and leftover files in the data folder, and what to do about them."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from road import Road
from sqlalchemy.exc import SQLAlchemyError

from dicom_io.results.profiles import MESSAGE_PROFILES, PROFILES, ResultKind
from node.archive.layout import ACKNOWLEDGEMENT, FHIR_ANSWER, answer_to
from node.archive.leftovers import remove_leftovers
from node.delivery.orphaned import OtherKind, drop, move, orphaned
from node.demo.studies import DemoStudy
from node.operations.retry import lost_masks, retry_study
from node.store.database import OneWriter, open_database, sessions_of, why_not_opened
from node.store.states import DeliveryState, JobKind, JobState, StudyState
from node.store.tables import Delivery, Job

pytestmark = pytest.mark.slow

LOSSES = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "no masks": lambda path: path.write_bytes(b"something else"),
    "not given by the disk": lambda path: (path.unlink(), path.symlink_to("/proc/self/mem")),
}


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("reported", [False, True], ids=["before the report", "after it"])
def test_an_image_whose_masks_are_lost_is_read_again_by_retry(
    road: Road, mammogram_study: DemoStudy, lose, reported: bool
) -> None:
    road.receive(*mammogram_study.files)
    road.read()
    road.close()
    if reported:
        road.report()
    lose(road.data_dir / road.instances()[1].masks_path)
    road.report()
    if lose is LOSSES["gone"] and not reported:
        assert "the masks of image 2 are gone: `mammo-node retry 1` has it read again" in road.study().why
    with road.sessions.begin() as session:
        sentences = retry_study(session, 1, road.clock(), lost=lost_masks(session, 1, road.data_dir))
    assert "image 2 will be read again: its masks are damaged or gone" in sentences
    road.read()
    road.close()
    road.report()
    assert road.study().state is StudyState.REPORTED
    assert len(road.results("SEG", revision=road.study().revision)) == 4
    with road.sessions.begin() as session:
        assert lost_masks(session, 1, road.data_dir) == frozenset()


def test_deliveries_to_a_removed_destination_are_named_and_can_be_moved_or_dropped(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path / "data", destinations=("old", "older", "pacs"))
    road.all_of_it(*mammogram_study.files)
    each = len(road.deliveries()) // 3
    with road.sessions.begin() as session:
        first, second = session.query(Delivery).filter_by(destination="old").limit(2)
        first.state, second.state = DeliveryState.SENT, DeliveryState.DEAD
    with road.sessions.begin() as session:
        assert orphaned(session, ["pacs", "new"]) == {"old": each - 1, "older": each}
        with pytest.raises(OtherKind):
            move(session, "old", "ris", MESSAGE_PROFILES[ResultKind.FHIR], road.clock())
        assert move(session, "old", "new", PROFILES["ohif"], road.clock()) == each - 1
        assert move(session, "older", "pacs", PROFILES["ohif"], road.clock()) == each, "which it is to get anyway"
        assert orphaned(session, ["pacs", "new"]) == {}
    fared = {(delivery.destination, delivery.state) for delivery in road.deliveries()}
    waiting = DeliveryState.WAITING
    assert fared == {("old", DeliveryState.SENT), ("new", waiting), ("pacs", waiting)}
    assert len(road.deliveries()) == 2 * each
    with road.sessions.begin() as session:
        assert drop(session, "new") == each - 1
        assert orphaned(session, ["pacs"]) == {}


def test_only_partial_files_of_a_killed_node_are_removed_at_the_next_start(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.all_of_it(*mammogram_study.files)
    with road.sessions.begin() as session:
        session.add(Job(kind=JobKind.REPORT, study_id=1, revision=2, state=JobState.WAITING))
    for kind, suffix in (("ORU.hl7", ACKNOWLEDGEMENT), ("FHIR.json", FHIR_ANSWER)):
        message = road.data_dir / "results" / "1" / "revision-1" / f"01-{kind}"
        for destination in ("ris", "other-ris"):
            answer_to(message, destination, suffix).write_bytes(b"what a destination answered")
    kept = {path for path in road.data_dir.rglob("*") if path.is_file() and "queue.sqlite" not in path.name}
    left = [
        road.data_dir / "readings" / "1-7.npz",
        road.data_dir / "readings" / "2-1.npz.part",
        road.data_dir / "results" / "1" / "revision-1" / "ohif" / "01-SEG.dcm.part",
        road.data_dir / "results" / "1" / "revision-2" / "ohif" / "01-SEG.dcm",
    ]
    fresh = road.data_dir / "readings" / "1-revision-2.npz"
    for path in (*left, fresh):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    now = time.time() + 60
    for path in (*left, *kept):
        os.utime(path, (now - 3600, now - 3600))
    with road.sessions.begin() as session:
        assert remove_leftovers(session, road.data_dir, now) == 4
    assert all(path.exists() for path in (*kept, fresh))
    assert sum("ris" in path.name for path in kept) == 4, "answers have no row, and each destination its own"
    assert not any(path.exists() for path in left)


def test_while_another_program_holds_the_database_all_writers_wait_together(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'queue.sqlite'}"
    one_writer = OneWriter(sessions_of(open_database(url)), patience_s=1)
    other = sqlite3.connect(tmp_path / "queue.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused: list[SQLAlchemyError] = []

    def write() -> None:
        try:
            with one_writer.begin():
                pass
        except SQLAlchemyError as fault:
            refused.append(fault)

    threads = [threading.Thread(target=write) for _ in range(20)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 20
    assert time.monotonic() - began < 10, "not twenty times as long as one of them"
    other.execute("ROLLBACK")
    with one_writer.begin() as session:
        assert session.query(Job).count() == 0


def test_a_database_that_cannot_be_opened_is_reported_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(SQLAlchemyError) as caught:
        open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    assert why_not_opened(caught.value) == (
        "file is not a database: it is damaged, or no queue at all: restore the copy made last"
    )
    with pytest.raises(SQLAlchemyError) as caught:
        open_database(f"sqlite:///{tmp_path / 'nowhere' / 'queue.sqlite'}")
    assert "mend its permissions and those of its folder" in why_not_opened(caught.value)
