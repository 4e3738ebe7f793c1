"""A study's whole road with the queue in PostgreSQL: as with SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgresql import PostgreSQL
from road import Road

from node.demo.studies import DemoStudy
from node.operations.day import view_day
from node.operations.road import road_of
from node.operations.status import count_studies
from node.operations.studies import StudyFilter, find_studies, needing_a_person
from node.store.database import read_only
from node.store.states import StudyState


@pytest.fixture
def road(tmp_path: Path, postgresql: PostgreSQL) -> Road:
    return Road(tmp_path / "data", database_url=postgresql.fresh())


def test_a_study_is_received_read_reported_and_reopened_by_a_late_image(road: Road, mammogram_study: DemoStudy):
    *first, late = mammogram_study.files
    road.all_of_it(*first)
    assert road.study().state is StudyState.REPORTED
    assert len(road.results("SR")) == 1
    road.all_of_it(late)
    study = road.study()
    assert (study.state, study.revision) == (StudyState.REPORTED, 2)
    with read_only(road.sessions) as session:
        found = road_of(session, study.id)
        assert found is not None
        assert "read and reported" in found.answer
        assert count_studies(session).counts["reported"] == 1
        assert len(find_studies(session, StudyFilter(destination="pacs", unfinished_or_newest=5)).studies) == 1
        assert session.execute(needing_a_person()).all() == []
        assert view_day(session, ["pacs"], road.clock()).read == 4
