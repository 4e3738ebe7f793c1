"""The quota is measured while the node runs, whoever deletes files; a dry run; a backup around a purge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from keeping import DAY_S, files, named, on_disk, reported_and_delivered, settings_of
from road import Road

from dicom_io.network.answers import Status
from node.archive.space import Space
from node.cli.main import build
from node.demo.studies import DemoStudy
from node.operations.needs import needs_now
from node.store.database import open_database, read_only, sessions_of

SETTINGS = """
data_dir = "data"
[retention]
images_days = 30
readings_days = 10
quarantine_days = 1
purge_below_free_mb = 3000
purge_until_free_mb = 4000
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 9
"""


class Steady:
    """A clock that a test sets, and that each look takes `cost` of."""

    def __init__(self, cost: float = 0.0) -> None:
        self.seconds, self.cost = 0.0, cost

    def __call__(self) -> float:
        self.seconds += self.cost
        return self.seconds


def test_files_that_another_program_deletes_no_longer_count_against_the_quota(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / "1.2.3").mkdir(parents=True)
    (archive / "1.2.3/1.dcm").write_bytes(bytes(1000))
    space = Space([archive], tmp_path, 0, 1000, Steady())
    space.measure()
    refusal = space.refusal()
    assert refusal is not None
    assert (refusal.status, "quota_mb" in refusal.comment) == (Status.NO_SPACE, True)
    (archive / "1.2.3/1.dcm").unlink()
    space.measure()
    assert space.refusal() is None
    assert space.free() == 1000


def test_what_is_stored_while_it_is_measured_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space([tmp_path], tmp_path, 0, 1000, Steady())

    def measured(_: Path) -> int:
        space.took(300)
        return 0

    monkeypatch.setattr("node.archive.space._size", measured)
    space.measure()
    assert space.used == 300
    monkeypatch.undo()
    space.gave_back(100)
    assert space.used == 200
    (tmp_path / "one.dcm").write_bytes(bytes(250))
    space.measure()
    assert space.used == 250, "what was counted before is in what was measured"


@pytest.mark.parametrize("seen_before", [True, False])
def test_what_is_deleted_while_it_is_measured_is_never_taken_off_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen_before: bool
) -> None:
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / name).write_bytes(bytes(100))
    space = Space([tmp_path], tmp_path, 0, 1000, Steady())

    def measured(_: Path) -> int:
        space.gave_back(100)
        return 200 if seen_before else 100

    monkeypatch.setattr("node.archive.space._size", measured)
    space.measure()
    assert space.used >= 100, "what is there"
    monkeypatch.undo()
    (tmp_path / "1.dcm").unlink()
    space.measure()
    assert space.used == 100


def test_measuring_takes_no_more_than_a_fiftieth_of_the_time(tmp_path: Path) -> None:
    clock = Steady(cost=1.0)
    space = Space([tmp_path], tmp_path, 0, 1000, clock)
    space.measure()
    (tmp_path / "one.dcm").write_bytes(bytes(10))
    clock.seconds = 40
    space.measure()
    assert space.used == 0
    clock.seconds = 60
    space.measure()
    assert space.used == 10


def test_the_room_that_one_process_frees_another_has_without_measuring(tmp_path: Path, queue_url: str) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    file = archive / "one.dcm"
    file.write_bytes(bytes(1000))

    def process() -> Space:
        return Space([archive], tmp_path, 0, 1000, Steady(), sessions_of(open_database(queue_url)))

    reports = process()
    assert not reports.is_known, "nothing was measured before it listens"
    reports.measure()
    assert reports.is_known
    receives = process()
    assert receives.refusal() is not None, "what was measured before holds after a start too"
    file.unlink()
    reports.gave_back(1000)
    reports.share()
    receives.share()
    assert (receives.refusal(), receives.used) == (None, 0)


def test_what_several_processes_store_counts_together_and_is_measured_once(tmp_path: Path, queue_url: str) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    spaces = [Space([archive], tmp_path, 0, 1000, Steady(), sessions_of(open_database(queue_url))) for _ in range(3)]
    for space in spaces:
        (archive / f"{spaces.index(space)}.dcm").write_bytes(bytes(300))
        space.took(300)
        space.share()
    assert spaces[2].used == 900
    assert spaces[0].refusal() is None
    spaces[2].took(200)
    (archive / "4.dcm").write_bytes(bytes(200))
    for space in [*spaces[::-1], *spaces]:
        space.share()
    assert all(space.refusal() for space in spaces)
    for file in archive.glob("*.dcm"):
        file.unlink()
    for space in [*spaces, *spaces]:
        space.measure()
    assert [space.used for space in spaces] == [0, 0, 0]


def test_two_measurements_at_the_same_time_do_not_count_twice(
    tmp_path: Path, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (
        Space([tmp_path], tmp_path, 0, 1000, Steady(), sessions_of(open_database(queue_url))) for _ in range(2)
    )

    def measured(_: Path) -> int:
        monkeypatch.setattr("node.archive.space._size", lambda _: 700)
        other.measure()
        return 700

    monkeypatch.setattr("node.archive.space._size", measured)
    one.measure()
    assert (one.used, other.used) == (700, 700)


@pytest.mark.slow
def test_a_dry_run_says_what_would_go_and_deletes_nothing_and_the_purge_deletes_just_that(
    tmp_path: Path, mammogram_studies: list[DemoStudy], capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(SETTINGS)
    road = Road(tmp_path / "data")
    reported_and_delivered(road, *mammogram_studies[0].files)  # its clock stands in 2023
    before = on_disk(road)

    def run(*arguments: str) -> str:
        build()([*arguments, "--config", str(config)], standalone_mode=False)
        return capsys.readouterr().out

    said = run("purge", "--dry-run")
    assert "images_days: 1 study, 8 files of" in said
    assert "readings_days: 1 study, 4 files of" in said
    assert on_disk(road) == before
    planned = {one["setting"]: one for one in json.loads(run("purge", "--dry-run", "--json"))}
    assert planned["images_days"]["size"]["files"] == 8
    assert "Retention, images_days: 1 study would go now" in run("status")
    with pytest.raises(Exception, match=r"Nothing came for \d+ days, or the clock is wrong"):
        run("purge")
    assert on_disk(road) == before
    assert "images_days: 1 study\n8 files deleted" in run("purge", "--yes")
    assert on_disk(road) == named(road)
    assert not files(road, "archive")
    assert "images_days: nothing" in run("purge", "--dry-run").replace("0 studies", "nothing")
    assert "were purged on" in run("status", "1")


@pytest.mark.slow
def test_a_purge_without_settings_says_that_nothing_is_ever_deleted(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('data_dir = "data"\n')
    with pytest.raises(Exception, match="Nothing is ever deleted"):
        build()(["purge", "--config", str(config)], standalone_mode=False)


@pytest.mark.slow
def test_a_backup_around_a_purge_is_consistent_if_the_folder_is_copied_before_and_after_the_queue(
    tmp_path: Path, mammogram_studies: list[DemoStudy]
) -> None:
    import shutil

    config = tmp_path / "node.toml"
    config.write_text(SETTINGS)
    road = Road(tmp_path / "data")
    first, second = mammogram_studies
    reported_and_delivered(road, *first.files)
    run = build()

    def copy_folder() -> None:
        ignored = shutil.ignore_patterns("queue.sqlite*")
        shutil.copytree(tmp_path / "data", tmp_path / "copy", ignore=ignored, dirs_exist_ok=True)

    copy_folder()
    road.clock.seconds += DAY_S
    road.receive(*second.files)  # between the copies, like the purge
    copy = str(tmp_path / "queue.copy")
    run(["database", "backup", copy, "--config", str(config)], standalone_mode=False)
    run(["purge", "--yes", "--config", str(config)], standalone_mode=False)
    assert len(files(road, "archive")) == 4
    copy_folder()

    shutil.copy(copy, tmp_path / "copy/queue.sqlite")
    restored = Road(tmp_path / "copy")
    assert named(restored) <= on_disk(restored)
    assert len(restored.instances()) == 8


@pytest.mark.slow
@pytest.mark.parametrize(("below_mb", "told"), [(1 << 40, True), (2049, False)])
def test_a_person_is_told_while_retention_does_not_free_enough(tmp_path: Path, below_mb: int, told: bool) -> None:
    road = Road(tmp_path / "data")
    settings = settings_of(road, purge_below_free_mb=below_mb, purge_until_free_mb=below_mb + 1)
    with read_only(road.sessions) as session:
        needs = [need.says for need in needs_now(session, settings, road.clock()) if need.of == "retention"]
    assert any("retention has not freed enough" in says for says in needs) is told
