"""What is brought back from its copies meets resends, purges, kills and copies that are missing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from keeping import DAY_S, files, named, on_disk, purge, reported_and_delivered
from pydicom import dcmread
from road import Road, changed
from sqlalchemy import event
from sqlalchemy.orm import Session

from node.archive.copies import Copier
from node.archive.far_side import Folder, NotThere
from node.archive.fetching import fetch_missing, recall, remove_unfinished_fetch
from node.archive.lock import AlreadyRunning
from node.audit.actors import command_line
from node.demo.studies import DemoStudy
from node.retention.deleting import delete_doomed
from node.store.tables import DoomedFile, Instance

pytestmark = pytest.mark.slow


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


@pytest.fixture
def far(tmp_path: Path) -> Folder:
    (tmp_path / "far").mkdir()
    return Folder(tmp_path / "far")


class Meanwhile(Folder):
    """A far side at which something happens while the first copy is fetched."""

    happens: Callable[[], object] | None = None

    def get(self, name: str, target: Path) -> None:
        if self.happens is not None:
            happens, self.__dict__["happens"] = self.happens, None
            happens()
        super().get(name, target)


def meanwhile(far: Folder, happens: Callable[[], object]) -> Meanwhile:
    slow = Meanwhile(far.root)
    slow.__dict__["happens"] = happens
    return slow


def copy_all(road: Road, far: Folder) -> None:
    Copier(far, road.sessions, road.data_dir, road.clock).copy_some()


def purged(road: Road, far: Folder) -> None:
    """Copies everything, and lets retention delete the images."""
    copy_all(road, far)
    road.clock.seconds += 31 * DAY_S
    purge(road, images_days=30)
    assert files(road, "archive") == set()


def recalled(road: Road, far: Folder) -> int:
    return recall(road.sessions, road.data_dir, far, road.study().id, command_line(), road.clock())


def institution(road: Road, instance: Instance) -> str:
    return str(dcmread(road.data_dir / instance.path).get("InstitutionName"))


def doomed(road: Road) -> int:
    with road.sessions.begin() as session:
        return session.query(DoomedFile).count()


def test_a_correction_that_comes_during_a_recall_is_neither_overwritten_nor_taken_for_copied(
    road, far, mammogram_study
):
    file = mammogram_study.files[0]
    reported_and_delivered(road, *mammogram_study.files)
    road.receive(changed(file, InstitutionName="FIRST"))  # in the second version of its file
    purged(road, far)
    before = road.instances()[0]
    slow = meanwhile(far, lambda: road.receive(changed(file, InstitutionName="CORRECTED")))
    assert recalled(road, slow) == 3
    after = road.instances()[0]
    assert institution(road, after) == "CORRECTED"
    assert (after.copied_at, after.purged_at) == (None, None)
    assert on_disk(road) == named(road)
    copy_all(road, far)
    assert (far.root / after.path).read_bytes() == (road.data_dir / after.path).read_bytes()
    assert dcmread(far.root / before.path).InstitutionName == "FIRST", "no copy is overwritten by another file"


def test_a_lost_file_that_comes_again_while_its_copy_is_fetched_is_not_overwritten(road, far, mammogram_study):
    file = mammogram_study.files[0]
    road.receive(file)
    copy_all(road, far)
    (before,) = road.instances()
    (road.data_dir / before.path).unlink()
    slow = meanwhile(far, lambda: road.receive(changed(file, InstitutionName="CORRECTED")))
    list(fetch_missing(road.sessions, road.data_dir, slow))
    (after,) = road.instances()
    assert institution(road, after) == "CORRECTED"
    assert after.copied_at is None
    assert files(road, "archive") == {after.path}


def test_an_image_that_retention_deletes_while_missing_files_are_fetched_stays_deleted(road, far, mammogram_study):
    reported_and_delivered(road, *mammogram_study.files)
    copy_all(road, far)
    road.clock.seconds += 31 * DAY_S
    (road.data_dir / road.instances()[0].path).unlink()
    list(fetch_missing(road.sessions, road.data_dir, meanwhile(far, lambda: purge(road, images_days=30))))
    assert files(road, "archive") == set()


def test_of_a_study_with_a_copy_missing_nothing_is_brought_back_and_no_file_is_left(road, far, mammogram_study):
    reported_and_delivered(road, *mammogram_study.files)
    purged(road, far)
    (far.root / road.instances()[3].path).unlink()
    with pytest.raises(NotThere):
        recalled(road, far)
    assert not files(road, "archive") | files(road, "fetching")
    assert all(instance.purged_at is not None for instance in road.instances())
    assert doomed(road) == 0


def test_a_recall_between_whose_steps_a_purge_runs_brings_all_back(road, far, mammogram_study):
    reported_and_delivered(road, *mammogram_study.files)
    purged(road, far)
    looks: list[str] = []
    purges: list[object] = []

    def purge_once(_: Session) -> None:
        """The first time that a commit has named files, they are purged."""
        if not looks and not purges:
            looks.append("now")
            if doomed(road):
                purges.append(delete_doomed(road.sessions, road.data_dir))
            looks.clear()

    event.listen(road.sessions, "after_commit", purge_once)
    try:
        assert recalled(road, far) == 4
    finally:
        event.remove(road.sessions, "after_commit", purge_once)
    assert len(purges) == 1
    assert on_disk(road) == named(road)
    assert doomed(road) == 0


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from node.cli.main import main

step, left = sys.argv.pop(1), [int(sys.argv.pop(1))]
done = {"fetched": os.fsync, "placed": Path.rename}[step]

def cut_off(*given):
    result = done(*given)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

if step == "fetched":
    os.fsync = cut_off
else:
    Path.rename = cut_off
main()
"""


@pytest.mark.parametrize("then", ["purged", "recalled"])
@pytest.mark.parametrize(("step", "count"), [("fetched", 1), ("fetched", 5), ("placed", 1), ("placed", 4)])
def test_of_a_recall_killed_at_any_moment_no_image_is_left_without_a_row_that_names_it(
    road: Road, far: Folder, mammogram_study: DemoStudy, tmp_path: Path, step: str, count: int, then: str
) -> None:
    reported_and_delivered(road, *mammogram_study.files)
    purged(road, far)
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{road.data_dir}"\n[archive]\ncopy_to = "{far.root}"\n')
    command = [sys.executable, "-c", KILLED, step, str(count), "archive", "fetch", "--study", "1", "--config", config]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert all(instance.purged_at is not None for instance in road.instances())
    assert files(road, "archive") | files(road, "fetching"), "it was killed in the middle"
    if then == "recalled":
        assert recalled(road, far) == 4
    else:
        delete_doomed(road.sessions, road.data_dir)  # as each purge begins
        remove_unfinished_fetch(road.data_dir)  # as each start of the node
    assert on_disk(road) == named(road)
    assert len(files(road, "archive")) == (4 if then == "recalled" else 0)
    assert not files(road, "fetching")
    assert doomed(road) == 0


def test_a_second_fetch_at_the_same_time_is_refused_and_a_start_of_the_node_leaves_the_first_alone(
    road, far, mammogram_study
):
    reported_and_delivered(road, *mammogram_study.files)
    purged(road, far)

    def others() -> None:
        with pytest.raises(AlreadyRunning, match="wait until it has ended"):
            recalled(road, far)
        remove_unfinished_fetch(road.data_dir)

    assert recalled(road, meanwhile(far, others)) == 4
