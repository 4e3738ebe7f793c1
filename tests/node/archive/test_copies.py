"""Received instances are copied to a folder or to S3 (a real server of moto's), and brought back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from keeping import DAY_S, named, on_disk, purge, reported_and_delivered, settings_of
from road import Road, changed
from s3_server import BUCKET, S3Server, s3_server

from config.archive import Archive
from config.settings import SettingsError, load
from node.archive.copies import Copier, not_copied
from node.archive.far_side import FarSide, FarSideFailed, Folder, NotThere, far_side
from node.archive.fetching import NoSuchStudy, fetch_missing, recall
from node.audit.actors import command_line
from node.operations.check import far_side_keeps
from node.operations.needs import needs_now
from node.retention.kept import NOT_COPIED, Keeping
from node.retention.rules import Part
from node.store.tables import Instance, Study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path) -> Archive:
    """The settings of a far side, each with nothing in it."""
    if request.param == "folder":
        (tmp_path / "far").mkdir()
        return Archive(copy_to=str(tmp_path / "far"))
    server = request.getfixturevalue("server")
    (tmp_path / "node.toml").write_text(f'data_dir = "data"\n{server.settings(tmp_path)}')
    of_the_file = load(tmp_path / "node.toml").archive
    return of_the_file.model_copy(update={"copy_to": f"s3://{BUCKET}/{tmp_path.name}"})


@pytest.fixture
def far(place) -> FarSide:
    made = far_side(place)
    assert made is not None
    return made


@pytest.fixture
def road(tmp_path) -> Road:
    return Road(tmp_path / "data")


@pytest.fixture
def copied(far, tmp_path) -> Callable[[str], bytes]:
    """What the far side has under a name."""

    def read(name: str) -> bytes:
        far.get(name, tmp_path / "fetched")
        return (tmp_path / "fetched").read_bytes()

    return read


def copier(road: Road, far: FarSide) -> Copier:
    return Copier(far, road.sessions, road.data_dir, road.clock)


def test_every_received_instance_is_copied_byte_by_byte_and_once(road, far, copied, mammogram_study):
    road.receive(*mammogram_study.files)
    assert copier(road, far).copy_some() == 4
    for instance in road.instances():
        assert copied(instance.path) == (road.data_dir / instance.path).read_bytes()
        assert instance.copied_at == road.clock()
    assert copier(road, far).copy_some() == 0


def test_a_corrected_header_is_copied_too_and_the_copy_before_it_stays(road, far, copied, mammogram_study):
    file = mammogram_study.files[0]
    road.receive(file)
    copier(road, far).copy_some()
    (before,) = road.instances()
    road.receive(changed(file, PatientName="Corrected"))
    (after,) = road.instances()
    assert (after.copied_at, after.path == before.path) == (None, False)
    assert copier(road, far).copy_some() == 1
    assert copied(after.path) == (road.data_dir / after.path).read_bytes()
    assert copied(before.path) != copied(after.path)


def test_a_data_folder_that_lost_its_images_gets_them_back(road, far, mammogram_study):
    road.receive(*mammogram_study.files)
    copier(road, far).copy_some()
    kept = {instance.path: (road.data_dir / instance.path).read_bytes() for instance in road.instances()}
    shutil.rmtree(road.data_dir / "archive")
    came = list(fetch_missing(road.sessions, road.data_dir, far))
    assert came == [(instance.id, True) for instance in road.instances()]
    assert {path: (road.data_dir / path).read_bytes() for path in kept} == kept
    assert list(fetch_missing(road.sessions, road.data_dir, far)) == []
    road.all_of_it()
    assert len(road.results("SR")) == 1


def test_what_retention_deleted_is_neither_copied_nor_brought_back(road, far, mammogram_study):
    road.receive(*mammogram_study.files[:2])
    first, _ = road.instances()
    with road.sessions.begin() as session:
        session.merge(first).purged_at = road.clock()
    assert copier(road, far).copy_some() == 1
    with road.sessions.begin() as session:
        for instance in session.query(Instance):
            instance.copied_at = instance.purged_at = road.clock()
    shutil.rmtree(road.data_dir / "archive")
    assert list(fetch_missing(road.sessions, road.data_dir, far)) == []


def test_retention_waits_for_the_copies_and_a_study_that_it_deleted_can_be_brought_back(road, far, mammogram_study):
    reported_and_delivered(road, *mammogram_study.files)
    kept = {instance.path: (road.data_dir / instance.path).read_bytes() for instance in road.instances()}
    road.clock.seconds += 31 * DAY_S
    copying = settings_of(road, images_days=30).model_copy(update={"archive": Archive(copy_to="/far")})
    with road.sessions.begin() as session:
        assert Keeping.of(copying).why(session, session.query(Study).one(), Part.IMAGES) == NOT_COPIED
    copier(road, far).copy_some()
    with road.sessions.begin() as session:
        assert Keeping.of(copying).why(session, session.query(Study).one(), Part.IMAGES) == ""
    purge(road, images_days=30)
    assert not any((road.data_dir / path).exists() for path in kept)
    study = road.study().id
    assert recall(road.sessions, road.data_dir, far, study, command_line(), road.clock()) == 4
    assert {path: (road.data_dir / path).read_bytes() for path in kept} == kept
    assert recall(road.sessions, road.data_dir, far, study, command_line(), road.clock()) == 0
    purge(road, images_days=30)
    assert on_disk(road) == named(road), "its days begin anew"
    with pytest.raises(NoSuchStudy):
        recall(road.sessions, road.data_dir, far, 77, command_line(), road.clock())


def test_what_has_no_copy_is_told_and_the_others_come_back(road, far, mammogram_study):
    road.receive(*mammogram_study.files[:2])
    copier(road, far).copy_some()
    first, second = road.instances()
    with road.sessions.begin() as session:
        session.merge(first).path = "archive/1.2/never-there.dcm"
    (road.data_dir / second.path).unlink()
    assert list(fetch_missing(road.sessions, road.data_dir, far)) == [(first.id, False), (second.id, True)]


def test_an_instance_whose_file_is_gone_delays_no_other(road, far, mammogram_study, caplog):
    road.receive(*mammogram_study.files[:2])
    gone, _ = road.instances()
    (road.data_dir / gone.path).unlink()
    copying = copier(road, far)
    assert copying.copy_some() == 2
    assert [instance.copied_at is not None for instance in road.instances()] == [False, True]
    assert copying.copy_some() == 0
    assert caplog.text.count("its file is gone") == 1
    assert gone.sop_instance_uid not in caplog.text


@pytest.mark.parametrize("comes_back", ["sent again", "restored from a backup"])
def test_a_lost_file_that_is_there_again_is_copied_without_a_restart(road, far, copied, mammogram_study, comes_back):
    file = mammogram_study.files[0]
    road.receive(file)
    (before,) = road.instances()
    content = (road.data_dir / before.path).read_bytes()
    (road.data_dir / before.path).unlink()
    copying = copier(road, far)
    copying.copy_some()
    if comes_back == "sent again":
        road.receive(file)
    else:
        (road.data_dir / before.path).write_bytes(content)
    assert copying.copy_some() == 1
    (after,) = road.instances()
    assert after.copied_at is not None
    assert copied(after.path) == content


@pytest.mark.parametrize("fault", ["a bad sector", "a folder in its place", "gone"])
def test_an_image_that_cannot_be_read_delays_no_other_and_is_copied_when_it_can(
    road, far, copied, mammogram_study, caplog, fault
):
    road.receive(*mammogram_study.files[:3])
    damaged, *_ = road.instances()
    file = road.data_dir / damaged.path
    content = file.read_bytes()
    file.unlink()
    if fault == "a bad sector":
        file.symlink_to("/proc/self/mem")  # reading its first bytes gives the same error (EIO)
    elif fault == "a folder in its place":
        file.mkdir()  # an error that does not pass, like missing permissions, which root has
    copying = copier(road, far)
    assert copying.copy_some() == 3
    assert [instance.copied_at is not None for instance in road.instances()] == [False, True, True]
    assert copying.copy_some() == 0, "it is set aside, and the node goes on"
    assert f"instance {damaged.id}: its file" in caplog.text
    assert damaged.sop_instance_uid not in caplog.text
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.write_bytes(content)
    road.clock.seconds += 601
    assert copying.copy_some() == 1
    assert copied(damaged.path) == content


def test_an_image_that_was_lost_and_came_again_is_copied_again(road, far, copied, mammogram_study):
    file = mammogram_study.files[0]
    road.receive(file)
    copier(road, far).copy_some()
    (before,) = road.instances()
    (road.data_dir / before.path).unlink()
    road.receive(changed(file, PatientName="Corrected"))
    (after,) = road.instances()
    assert after.copied_at is None
    assert copier(road, far).copy_some() == 1
    assert copied(after.path) == (road.data_dir / after.path).read_bytes()


def test_a_far_side_that_is_away_keeps_nobody_from_receiving_and_is_named(road, tmp_path, closed_port, mammogram_study):
    for name in ("s3.id", "s3.secret"):
        (tmp_path / name).write_text("x")
    keys = {"key_id_file": tmp_path / "s3.id", "secret_key_file": tmp_path / "s3.secret"}
    away = (
        Archive(copy_to=str(tmp_path / "not-mounted")),
        Archive(copy_to=f"s3://{BUCKET}", endpoint=f"http://127.0.0.1:{closed_port}", **keys),
    )
    road.receive(*mammogram_study.files)  # one alone may fail for a reason of its own
    instance, *_ = road.instances()
    for place in away:
        far = far_side(place)
        assert far is not None
        with pytest.raises(FarSideFailed) as failed:
            copier(road, far).copy_some()
        assert str(failed.value).startswith(str(place.copy_to))
        assert instance.sop_instance_uid not in str(failed.value)
    with road.sessions.begin() as session:
        assert not_copied(session) == (4, instance.received_at)
    assert not (tmp_path / "not-mounted").exists(), "a mount point that is not mounted stays empty"


@pytest.mark.parametrize("poisoned", [1, 2, 3, 4])
def test_files_that_the_second_place_does_not_take_delay_no_other_and_are_named(
    road, tmp_path, mammogram_studies, caplog, poisoned
):
    place = tmp_path / "far"
    place.mkdir()
    road.receive(*mammogram_studies[0].files)
    instances = road.instances()
    for instance in instances[:poisoned]:
        (place / instance.path).mkdir(parents=True)  # an error of this file alone, that does not pass
    copying = copier(road, Folder(place))

    def rounds(count: int) -> None:
        for _ in range(count):
            with suppress(FarSideFailed):  # many that fail look like a place that is away: it waits, and goes on
                copying.copy_some()
            road.clock.seconds += 700

    rounds(3)
    assert [each.copied_at is not None for each in road.instances()] == [index >= poisoned for index in range(4)]
    road.receive(*mammogram_studies[1].files)
    rounds(2)
    assert all(each.copied_at is not None for each in road.instances()[4:]), "what comes later is copied"
    road.clock.seconds += 3600
    settings = settings_of(road).model_copy(update={"archive": Archive(copy_to=str(place))})
    with road.sessions() as session:
        (need,) = [each for each in needs_now(session, settings, road.clock()) if each.about == "archive"]
    assert all(f"{each.id} of study {each.study_id}" in need.says for each in instances[: min(poisoned, 3)])
    for instance in instances[:poisoned]:
        assert instance.sop_instance_uid not in caplog.text + need.says
        (place / instance.path).rmdir()
    rounds(2)
    assert all(each.copied_at is not None for each in road.instances())


def test_check_tells_whether_the_far_side_keeps_a_file(place, tmp_path):
    (tmp_path / "plain.toml").write_text('data_dir = "data"\n')
    settings = load(tmp_path / "plain.toml").model_copy(update={"archive": place})
    assert far_side_keeps(settings).ok
    elsewhere = place.model_copy(update={"copy_to": "/not/there" if not place.is_s3 else "s3://no-such-bucket"})
    assert not far_side_keeps(settings.model_copy(update={"archive": elsewhere})).ok


def test_a_copy_that_is_not_there_is_told_apart_from_a_far_side_that_fails(far, tmp_path):
    with pytest.raises(NotThere):
        far.get("archive/1.2/3.dcm", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ('copy_to = "s3://"', "must be s3://BUCKET"),
        ('copy_to = "far"', "a folder from / on"),
        ('copy_to = "gs://bucket"', "must be s3://BUCKET"),
        ('copy_to = "s3://b"\nkey_id_file = "id"', "go together"),
        ('copy_to = "/far"\nendpoint = "https://s3.example"', "for copy_to = s3"),
        ('copy_to = "s3://b"\nendpoint = "s3.example"', "must be an address"),
        ('copy_to = "s3://b"\nendpoint = "http://s3.example"', "must be https"),
    ],
)
def test_a_far_side_that_cannot_be_meant_is_refused(tmp_path: Path, section, says):
    (tmp_path / "node.toml").write_text(f'data_dir = "data"\n[archive]\n{section}\n')
    with pytest.raises(SettingsError, match=says):
        load(tmp_path / "node.toml")
