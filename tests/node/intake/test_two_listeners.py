"""Two listeners of a node on one PostgreSQL and one data folder; one of them loses its connection to the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from postgresql import PostgreSQL, lose_locks
from pydicom import Dataset
from sqlalchemy import select

from dicom_io.headers import InstanceHeader
from dicom_io.network.answers import Status
from dicom_io.network.scp import ReceivedFile
from node.archive.space import Space
from node.intake.receiving import Receiving, ReceivingLimits
from node.routing import Decision, everything
from node.store.database import Sessions, open_database, sessions_of
from node.store.tables import Instance

pytestmark = pytest.mark.slow

Hook = Callable[[], object]


class _ToldOfFiles(Space):
    """Calls `placed` when a file has been moved into the archive."""

    placed: Hook = staticmethod(lambda: None)

    def took(self, size: int) -> None:
        super().took(size)
        self.placed()


@dataclass
class Two:
    """The intakes of two listeners."""

    data_dir: Path
    sessions: Sessions
    mammogram: Callable[..., Dataset]

    def listener(self, name: str, routed: Hook = lambda: None, placed: Hook = lambda: None) -> Receiving:
        """`routed`: called before a file is moved into the archive; `placed`: after it."""

        def route(header: InstanceHeader, calling_ae_title: str, now: float) -> Decision:
            routed()
            return everything(header, calling_ae_title, now)

        space = _ToldOfFiles([], self.data_dir, 0, None)
        space.placed = placed
        limits = ReceivingLimits()
        return Receiving(
            self.sessions, self.data_dir, limits, frozenset(), lambda: 1.7e9, route, process=name, space=space
        )

    def accept(self, receiving: Receiving, seed: int = 0) -> Status:
        image = self.mammogram(seed=seed)
        receiving.incoming.mkdir(parents=True, exist_ok=True)
        path = receiving.incoming / "x.part"
        image.save_as(path, enforce_file_format=True)
        uids = image.SOPClassUID, image.SOPInstanceUID, image.file_meta.TransferSyntaxUID
        return receiving.accept(ReceivedFile(path, "PACS", "127.0.0.1", *uids)).status

    def lose_locks(self) -> None:
        lose_locks(self.sessions)

    def file(self) -> Path:
        with self.sessions.begin() as session:
            return self.data_dir / session.scalars(select(Instance)).one().path


@pytest.fixture
def two(postgresql: PostgreSQL, tmp_path: Path, mammogram: Callable[..., Dataset]) -> Iterator[Two]:
    engine = open_database(postgresql.fresh())
    yield Two(tmp_path, sessions_of(engine), mammogram)
    engine.dispose()


@pytest.mark.parametrize("when", ["routed", "placed"])
@pytest.mark.parametrize("seed", [0, 1], ids=["the same bytes", "other bytes"])
def test_an_acknowledged_image_stays_as_it_is_when_a_listener_without_its_lock_goes_on_with_it(
    two: Two, when: str, seed: int
) -> None:
    kept: list[bytes] = []

    def overtaken() -> None:
        two.lose_locks()
        assert two.accept(two.listener("other"), seed) is Status.SUCCESS
        kept.append(two.file().read_bytes())

    slow = two.listener("slow", **{when: overtaken})
    assert two.accept(slow) is Status.NO_STORAGE
    assert [two.file().read_bytes()] == kept
    expected = Status.SUCCESS if seed == 0 else Status.CONTRADICTS
    assert two.accept(two.listener("slow")) is expected, "when its sender tries again"
