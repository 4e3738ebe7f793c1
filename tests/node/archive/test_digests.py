"""A received file that is changed on the disk is noticed: by `archive verify`, by whoever reads it, and by copies."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest
from audit_messages import assert_events_valid, entered
from road import Road, changed, texts
from sqlalchemy import delete
from typer.testing import CliRunner

from dicom_io.audit.codes import OBJECT_ATTRIBUTES_CHANGED, RESTRICTED_FUNCTION
from dicom_io.audit.message import Outcome
from node.archive.copies import Copier
from node.archive.digests import CHANGED
from node.archive.far_side import Folder
from node.archive.fetching import DamagedCopy, fetch_missing, recall
from node.audit.actors import command_line
from node.cli.main import build
from node.store.states import StudyState
from node.store.tables import Instance, Job

pytestmark = pytest.mark.slow


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


@pytest.fixture
def far(tmp_path: Path) -> Folder:
    (tmp_path / "far").mkdir()
    return Folder(tmp_path / "far")


def damage(path: Path) -> None:
    """One bit of the pixels is another; the file has the same length."""
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def verify(road: Road, *arguments: str):
    config = road.data_dir.parent / "node.toml"
    config.write_text(f'data_dir = "{road.data_dir}"\n')
    return CliRunner().invoke(build(), ["archive", "verify", *arguments, "--config", str(config)])


def test_verify_finds_nothing_in_an_archive_that_is_as_it_was_received(road, mammogram_study):
    road.receive(*mammogram_study.files)
    ran = verify(road)
    assert ran.exit_code == 0, ran.output
    assert "4 files read, 0 not as received" in ran.stdout


def test_verify_names_each_file_that_was_changed_is_gone_or_cannot_be_read(road, mammogram_study, tmp_path):
    road.receive(*mammogram_study.files)
    one, two, three, _ = (road.data_dir / instance.path for instance in road.instances())
    damage(one)
    two.unlink()
    three.unlink()
    three.mkdir()
    ran = verify(road)
    assert ran.exit_code == 1
    assert "study 1: instance 1: changed or damaged since it was received\n" in ran.stdout
    assert "study 1: instance 2: gone\n" in ran.stdout
    assert "study 1: instance 3: cannot be read: Is a directory (EISDIR)\n" in ran.stdout
    assert "4 files read, 3 not as received" in ran.stdout
    assert road.instances()[0].sop_instance_uid not in ran.output
    alert = entered(road.sessions)[-1]
    assert (alert.types, alert.outcome) == ((OBJECT_ATTRIBUTES_CHANGED,), Outcome.SERIOUS)
    assert "3 of 4 stored instances" in alert.objects[0].details[0][1]
    assert_events_valid(road.sessions, tmp_path)


def test_verify_passes_over_what_retention_deleted(road, mammogram_study):
    road.receive(*mammogram_study.files)
    with road.sessions.begin() as session:
        instance = session.get_one(Instance, 1)
        instance.purged_at = 1.0
        (road.data_dir / instance.path).unlink()
    ran = verify(road)
    assert ran.exit_code == 0, ran.output
    assert "3 files read, 0 not as received" in ran.stdout


def test_verify_names_files_that_the_database_does_not_know_and_none_that_is_just_coming(road, mammogram_study):
    """As after a failover to a standby that had not heard of the last images."""
    road.receive(*mammogram_study.files)
    road.receive(changed(mammogram_study.files[0], PatientName="Corrected"))
    forgotten, coming = (road.data_dir / road.instances()[number].path for number in (2, 3))
    os.utime(forgotten, (1e9, 1e9))
    with road.sessions.begin() as session:
        for number in (3, 4):
            session.execute(delete(Job).where(Job.instance_id == number))
            session.execute(delete(Instance).where(Instance.id == number))
    ran = verify(road)
    assert ran.exit_code == 1
    named = [line for line in ran.stdout.splitlines() if line.startswith("not in the database")]
    assert named == [f"not in the database: {forgotten.relative_to(road.data_dir)}"]
    assert coming.exists()
    road.receive(mammogram_study.files[2])
    assert verify(road).exit_code == 0, "sent again"


def test_files_of_an_older_version_get_their_digests_on_demand_and_are_watched_from_then_on(road, mammogram_study):
    road.receive(*mammogram_study.files)
    with road.sessions.begin() as session:
        for number in (1, 2):
            session.get_one(Instance, number).sha256 = None
    assert "the digests of 2 files from an older version were not known" in verify(road).stdout
    assert "the digests of 2 files from an older version were entered" in verify(road, "--complete").stdout
    assert entered(road.sessions)[-1].types == (RESTRICTED_FUNCTION,), "who did it is in the audit trail"
    for instance in road.instances():
        assert instance.sha256 == sha256((road.data_dir / instance.path).read_bytes()).hexdigest()
    damage(road.data_dir / road.instances()[0].path)
    assert verify(road, "--complete").exit_code == 1, "a digest that is known is never replaced"


def test_a_damaged_image_is_not_read_the_others_are_and_the_report_says_why(road, mammogram_study):
    road.receive(*mammogram_study.files)
    damage(road.data_dir / road.instances()[0].path)
    road.close()
    road.read()
    road.report()
    damaged, *others = road.instances()
    assert (damaged.reading, damaged.unread_reason) == (None, CHANGED)
    assert all(instance.reading is not None for instance in others)
    (report,) = road.results("SR")
    assert CHANGED in texts(report)


def test_a_damaged_image_that_is_sent_again_replaces_it_and_is_no_contradiction(road, mammogram_study):
    """Without the digest, its other pixels under the same UID would quarantine the study."""
    road.receive(*mammogram_study.files)
    file = road.data_dir / road.instances()[0].path
    damage(file)
    damaged = file.read_bytes()
    road.receive(mammogram_study.files[0])
    instance = road.instances()[0]
    assert (road.data_dir / instance.path).read_bytes() == mammogram_study.files[0].read_bytes()
    assert instance.sha256 == sha256(mammogram_study.files[0].read_bytes()).hexdigest()
    assert file.read_bytes() == damaged, "what was accepted is never overwritten"
    assert road.study().state is not StudyState.QUARANTINED
    assert verify(road).exit_code == 0


def test_a_corrected_header_has_a_digest_of_its_own(road, mammogram_study):
    road.receive(mammogram_study.files[0])
    before = road.instances()[0].sha256
    road.receive(changed(mammogram_study.files[0], PatientName="Corrected"))
    (after,) = road.instances()
    assert after.sha256 == sha256((road.data_dir / after.path).read_bytes()).hexdigest() != before


def test_a_damaged_file_is_not_copied_to_the_far_side(road, far, mammogram_study, caplog):
    road.receive(*mammogram_study.files)
    damage(road.data_dir / road.instances()[0].path)
    Copier(far, road.sessions, road.data_dir, road.clock).copy_some()
    assert [instance.copied_at is None for instance in road.instances()] == [True, False, False, False]
    assert "instance 1: its file was changed since it came, and was not copied to the far side" in caplog.text


def test_a_damaged_copy_is_not_brought_back(road, far, mammogram_study):
    road.receive(*mammogram_study.files)
    Copier(far, road.sessions, road.data_dir, road.clock).copy_some()
    one, two = (instance.path for instance in road.instances()[:2])
    damage(far.root / one)
    for path in (one, two):
        (road.data_dir / path).unlink()
    assert dict(fetch_missing(road.sessions, road.data_dir, far)) == {1: False, 2: True}
    assert [(road.data_dir / path).exists() for path in (one, two)] == [False, True]
    with road.sessions.begin() as session:
        session.get_one(Instance, 1).purged_at = 1.0
    with pytest.raises(DamagedCopy, match="The copy of instance 1 is not what was received"):
        recall(road.sessions, road.data_dir, far, 1, command_line(), road.clock())
