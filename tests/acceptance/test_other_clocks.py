"""Two machines of a node with a queue in PostgreSQL, of which one has another time (libfaketime, Debian package
faketime)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_nodes import SETTINGS, Pacs, all_sent, send
from running import RunningNode, eventually
from sqlalchemy import func, select

from node.demo.studies import DemoStudy
from node.store.states import JobKind, JobState
from node.store.tables import Instance, Job, Study

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

LIBRARY = "/usr/lib/*/faketime/libfaketime.so.1"


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    with Pacs().listening() as listening:
        yield listening


def wrong_by(minutes: int) -> dict[str, str]:
    """The environment of a machine whose clock is wrong by so many minutes."""
    libraries = sorted(Path("/").glob(LIBRARY.lstrip("/")))
    if not libraries:
        pytest.skip("libfaketime is not installed (Debian package faketime)")
    return {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME": f"{minutes:+d}m",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


@pytest.mark.parametrize("minutes", [11, -11], ids=["ahead", "behind"])
def test_a_machine_with_another_time_closes_no_study_early_and_reads_no_image_twice(
    tmp_path: Path, eager_bundle: Path, pacs: Pacs, postgresql, mammogram_study: DemoStudy, minutes: int
):
    url, data_dir = postgresql.fresh(), tmp_path / "data"
    settings = SETTINGS.format(bundle=eager_bundle, port=pacs.port, quiet_s=60)
    right = RunningNode(tmp_path / "right", settings, None, url, data_dir, "receive,read,deliver")
    wrong = RunningNode(tmp_path / "wrong", settings, None, url, data_dir, "read,report", wrong_by(minutes))

    def read() -> int:
        with right.database() as session:
            return session.scalar(select(func.count()).where(Instance.reading.is_not(None))) or 0

    try:
        right.start()
        wrong.start()
        eventually("it says that its clock is wrong", lambda: f"{minutes * 60:+d} s from" in wrong.log.read_text())
        send(right, *mammogram_study.files[:2])
        eventually("two images are read", lambda: read() == 2)
        send(right, *mammogram_study.files[2:])
        eventually("everything is reported and sent", lambda: all_sent(right))
        with right.database() as session:
            assert [study.revision for study in session.scalars(select(Study))] == [1], "it was not closed early"
            jobs = session.scalars(select(Job).where(Job.state != JobState.CANCELLED)).all()
            assert [job.attempts for job in jobs if job.kind is JobKind.READ_IMAGE] == [1] * 4
    finally:
        wrong.end()
        right.end()
