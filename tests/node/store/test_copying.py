"""A queue moves to another database with everything in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished_studies import REVISED_EACH, fill
from postgresql import PostgreSQL
from sqlalchemy import select

from node.cli.main import build
from node.store.copying import CannotCopy, copy_queue
from node.store.database import open_database, sessions_of
from node.store.tables import Delivery, Instance, Study, Table


def rows(engine) -> dict[str, list[tuple[object, ...]]]:
    with engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in Table.metadata.sorted_tables
        }


def test_every_row_is_in_the_other_database_and_new_rows_get_new_numbers(tmp_path: Path, queue_url: str) -> None:
    source, target = open_database(f"sqlite:///{tmp_path / 'before.sqlite'}"), open_database(queue_url)
    fill(source, 2 * REVISED_EACH)
    said: list[int] = []
    counts = copy_queue(source, target, lambda done, total, table: said.append(total - done))
    assert said[-1] == 0
    assert counts["study"] == 2 * REVISED_EACH
    assert rows(target) == rows(source)
    with sessions_of(target).begin() as session:
        assert session.scalars(select(Delivery.rejected_by_id).where(Delivery.rejected_by_id.is_not(None))).all()
        last = session.scalars(select(Study.id).order_by(Study.id.desc())).first()
        study = Study(study_instance_uid="1.2.3", source="", first_received_at=0, last_received_at=0, opened_at=0)
        session.add(study)
        session.flush()
        assert study.id == last + 1
    with pytest.raises(CannotCopy, match="no empty queue: study"):
        copy_queue(source, target, lambda *_: None)
    target.dispose()


def test_the_command_copies_the_queue_of_a_node_that_does_not_run(
    tmp_path: Path, postgresql: PostgreSQL, capsys: pytest.CaptureFixture[str]
) -> None:
    before = f"sqlite:///{tmp_path / 'data/queue.sqlite'}"
    (tmp_path / "data").mkdir()
    engine = open_database(before)
    fill(engine, 3)
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "data"\ndatabase_url = "{postgresql.empty()}"\n')
    build()(["database", "copy", "--from", before, "--config", str(config)], standalone_mode=False)
    assert capsys.readouterr().out.endswith("copied: 3 studies, 12 images and other instances\n")
    build()(["status", "--config", str(config)], standalone_mode=False)
    assert "3 reported" in capsys.readouterr().out
    with sessions_of(engine).begin() as session:
        assert len(session.scalars(select(Instance)).all()) == 12, "it stays as it was"
