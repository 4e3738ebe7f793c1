"""The migrations and the table classes define the same schema."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from node.store.database import engine_for, migrate, open_database, sessions_of
from node.store.states import DeliveryState
from node.store.tables import Delivery, Instance, Result, Table
from node.store.unread import Unread

ROWS_OF_0002 = (
    "INSERT INTO study (id, study_instance_uid, source, state, why, revision, first_received_at, last_received_at,"
    " opened_at) VALUES (1, '1.2', 'PACS', 'REPORTED', '', 2, 0, 0, 0)",
    "INSERT INTO instance (id, study_id, sop_instance_uid, sop_class_uid, series_instance_uid, patient_id,"
    " patient_birth_date, transfer_syntax_uid, kind, full_field, path, received_at)"
    " VALUES (1, 1, '1.2.3', '1', '1', 'P', '', '1', 'for-presentation', 1, 'a.dcm', 0)",
    "INSERT INTO instance (id, study_id, sop_instance_uid, sop_class_uid, series_instance_uid, patient_id,"
    " patient_birth_date, transfer_syntax_uid, kind, view, full_field, path, received_at)"
    " VALUES (2, 1, '1.2.4', '1', '1', 'P', '', '1', 'for-presentation', 'CC', 0, 'b.dcm', 0),"
    " (3, 1, '1.2.5', '1', '1', 'P', '', '1', 'for-presentation', 'SPECIMEN', 0, 'c.dcm', 0),"
    " (4, 1, '1.2.6', '1', '1', 'P', '', '1', 'tomosynthesis', 'CC', 1, 'd.dcm', 0)",
    "INSERT INTO job (id, kind, study_id, instance_id, revision, state, attempts, token, error)"
    " VALUES (1, 'READ_IMAGE', 1, 1, 1, 'DONE', 1, 1, '')",
    "INSERT INTO result (id, study_id, revision, kind, sop_instance_uid, path, written_at)"
    " VALUES (1, 1, 2, 'SR', '2.25.1', 'sr.dcm', 0)",
    "INSERT INTO delivery (id, result_id, destination, state, attempts, created_at, next_at, error)"
    " VALUES (1, 1, 'pacs', 'SENT', 1, 0, 0, '')",
    "INSERT INTO annotation (id, instance_id, creator, source, images, automatic_by, predecessors)"
    " VALUES (1, 1, '', '', '[]', '[]', '[]')",
)


def test_a_migrated_database_has_the_schema_of_the_code(queue_url: str) -> None:
    engine = open_database(queue_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()


def test_a_used_queue_keeps_its_rows_when_the_node_is_upgraded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'queue.sqlite'}"
    before = engine_for(url)
    migrate(before, to="0002")
    with before.begin() as connection:
        for row in ROWS_OF_0002:
            connection.execute(text(row))
    before.dispose()
    engine = open_database(url)
    with sessions_of(engine).begin() as session:
        instance, spot, specimen, slices = session.scalars(select(Instance)).all()
        result, delivery = session.scalars(select(Result)).one(), session.scalars(select(Delivery)).one()
        assert (instance.sop_instance_uid, instance.accession_number, instance.left_out) == ("1.2.3", "", False)
        assert (instance.extent, spot.extent, specimen.extent) == ("", "spot/magnified", "specimen")
        assert [bool(entry.no_view) for entry in (instance, spot, specimen, slices)] == [False, False, True, True]
        assert (result.profile, result.last_revision) == ("ohif", 2)
        assert delivery.state is DeliveryState.SENT
        assert session.execute(text("PRAGMA foreign_key_check")).all() == []


BEFORE_0010 = {  # why an image was not read, as a sentence, and its state
    "an image, but no mammogram": ("other-image", "", 0, Unread.NO_MAMMOGRAM),
    "the study is in quarantine": ("for-presentation", "", 0, Unread.IN_QUARANTINE),
    "raw image: the image for presentation of the same view was read instead": (
        "for-processing",
        "",
        0,
        Unread.RAW_COPY,
    ),
    "a specimen": ("for-presentation", "a specimen", 0, Unread.NO_VIEW),
    "the route research says that it is not read": ("for-presentation", "", 1, Unread.LEFT_OUT),
    "unreadable: damaged": ("for-presentation", "", 0, Unread.UNREADABLE),
    "two patients are named": ("report", "", 0, None),
}


def test_the_reason_why_an_image_was_not_read_is_kept_by_an_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'queue.sqlite'}"
    before = engine_for(url)
    migrate(before, to="0009")
    row = text(
        "INSERT INTO instance (study_id, sop_instance_uid, sop_class_uid, series_instance_uid, patient_id,"
        " patient_birth_date, accession_number, transfer_syntax_uid, extent, path, received_at,"
        " kind, no_view, left_out, unread_reason)"
        " VALUES (1, :uid, '1', '1', 'P', '', '', '1', '', 'a.dcm', 0, :kind, :no_view, :left_out, :why)"
    )
    with before.begin() as connection:
        connection.execute(text(ROWS_OF_0002[0]))
        for number, (why, (kind, no_view, left_out, _)) in enumerate(BEFORE_0010.items()):
            values = {"uid": f"1.{number}", "kind": kind, "no_view": no_view, "left_out": left_out, "why": why}
            connection.execute(row, values)
    before.dispose()
    with sessions_of(open_database(url)).begin() as session:
        for instance, (why, (_, _, _, unread)) in zip(
            session.scalars(select(Instance)), BEFORE_0010.items(), strict=True
        ):
            assert (instance.unread, instance.unread_reason or instance.refusal) == (unread, why)
