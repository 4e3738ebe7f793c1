"""Which device wrote an object, when, and in which time zone."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydicom import dcmread
from road import Road, changed

from config.settings import SettingsError, load
from node.demo.studies import DemoStudy
from node.reporting.reporter import Reporter
from node.store.database import open_database, sessions_of
from node.store.installation import IDENTITY, OtherDataFolder, UnknownInstallation, belongs_here, identity_of

pytestmark = pytest.mark.slow


def test_an_installation_generates_its_identity_once_and_keeps_it(tmp_path: Path) -> None:
    drawn = identity_of(tmp_path / "data", uuid4)
    assert identity_of(tmp_path / "data", uuid4) == drawn == UUID((tmp_path / "data" / IDENTITY).read_text().strip())
    assert identity_of(tmp_path / "other", uuid4) != drawn


def test_a_damaged_identity_is_reported_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / IDENTITY).write_text("not a uuid")
    with pytest.raises(UnknownInstallation, match="holds no UUID"):
        identity_of(tmp_path, uuid4)
    assert (tmp_path / IDENTITY).read_text() == "not a uuid"


def test_the_creation_time_of_objects_is_when_they_are_written_not_when_the_study_closed(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path, profile="all")
    road.receive(*mammogram_study.files)
    road.close()
    road.clock.seconds += 3600  # an hour of reading
    road.read()
    road.report()
    written = time.localtime(road.clock())
    for result in road.results():
        assert result.InstanceCreationTime == time.strftime("%H%M%S", written)
        assert result.InstanceCreationDate == time.strftime("%Y%m%d", written)


def test_a_report_that_is_killed_before_it_is_published_is_written_again_with_the_same_bytes(
    tmp_path: Path, mammogram_study: DemoStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    road = Road(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Reporter, "_store", killed)
        with pytest.raises(KeyboardInterrupt):
            road.all_of_it(*mammogram_study.files)
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.dcm")}
    for path in before:
        path.unlink()
    road.clock.seconds += 3600  # its lease is over
    road.report()
    assert before
    assert {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.dcm")} == before
    assert len(road.results()) == len(before)


def test_the_time_zone_offset_of_the_images_is_kept_and_used_for_the_times_of_the_node(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path, profile="all")
    road.all_of_it(*(changed(file, TimezoneOffsetFromUTC="+0530") for file in mammogram_study.files))
    here = time.gmtime(road.clock() + 5.5 * 3600)
    kinds = road.results()
    assert kinds
    for result in kinds:
        assert result.TimezoneOffsetFromUTC == "+0530"
        assert result.InstanceCreationDate == time.strftime("%Y%m%d", here)
        assert result.InstanceCreationTime == time.strftime("%H%M%S", here)
        assert result.StudyTime == dcmread(mammogram_study.files[0]).StudyTime


@pytest.mark.parametrize("offset", ["+1500", "-1300", "+0160", "0100", "UTC"])
def test_an_impossible_time_zone_offset_is_not_copied(offset: str, tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path)
    road.all_of_it(changed(mammogram_study.files[0], TimezoneOffsetFromUTC=offset))
    assert all("TimezoneOffsetFromUTC" not in result for result in road.results())


@pytest.fixture
def _own_time_zone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")  # so that it is put back afterwards
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_own_time_zone")
def test_the_time_zone_of_the_settings_applies_to_the_whole_process(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('data_dir = "d"\ntime_zone = "Asia/Kathmandu"\n')
    load(config)
    assert time.strftime("%z", time.localtime(0)) == "+0530"
    assert time.strftime("%z", time.localtime(1_700_000_000)) == "+0545"


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../etc/passwd", ""])
def test_an_unknown_time_zone_is_reported(name: str, tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "d"\ntime_zone = "{name}"\n')
    with pytest.raises(SettingsError, match="time_zone: no time zone of this name"):
        load(config)


def test_a_queue_works_in_its_own_data_folder_only(tmp_path, queue_url):
    engine = open_database(queue_url)
    sessions, its, other = sessions_of(engine), uuid4(), uuid4()
    for _ in range(2):
        with sessions.begin() as session:
            belongs_here(session, its, tmp_path)
    with pytest.raises(OtherDataFolder, match=f"{its} in its file .* has {other}"), sessions.begin() as session:
        belongs_here(session, other, tmp_path)
    engine.dispose()
