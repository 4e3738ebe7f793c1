"""Queries for the expected number of images: when, how often, and the effect of a source that does not answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from road import Road, changed

from dicom_io.errors import Rejected, Unreachable
from node.demo.studies import DemoStudy
from node.store.states import StudyState
from node.store.tables import Study
from node.studies.source_counts import ask_sources


@dataclass
class Source:
    """The answer of a PACS: a count, or an error."""

    says: int | Exception | None
    asked: list[str] = field(default_factory=list)

    def __call__(self, study_instance_uid: str) -> int | None:
        self.asked.append(study_instance_uid)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


def ask(road: Road, **sources: Source) -> None:
    ask_sources(road.sessions, sources, quiet_s=5, now=road.clock())


def two_studies(study: DemoStudy) -> list[object]:
    return [changed(study.files[0], StudyInstanceUID=f"1.2.3.{n}", SOPInstanceUID=f"1.2.3.{n}.1") for n in (1, 2)]


def test_a_study_without_new_images_gets_the_image_count_of_its_source(road: Road, mammogram_study: DemoStudy) -> None:
    road.receive(mammogram_study.files[0])
    source = Source(4)
    ask(road, PACS=source)
    assert source.asked == []
    road.clock.seconds += 5
    ask(road, PACS=source)
    assert road.study().expected_instances == 4


@pytest.mark.parametrize("silence", [Unreachable("nobody answers"), Rejected("not now")])
def test_a_failing_source_is_queried_once_per_round_and_its_studies_wait_for_the_quiet_period(
    road: Road, mammogram_study: DemoStudy, silence: Exception
) -> None:
    road.receive(*two_studies(mammogram_study))
    road.clock.seconds += 5
    ask(road, PACS=Source(9))
    dead = Source(silence)
    ask(road, PACS=dead)
    assert len(dead.asked) == 1
    with road.sessions.begin() as session:
        assert [study.expected_instances for study in session.query(Study)] == [None, None]
    ask(road, PACS=dead)
    assert len(dead.asked) == 2


def test_a_failing_source_does_not_delay_another(road: Road, mammogram_study: DemoStudy) -> None:
    first, second = two_studies(mammogram_study)
    road.receive(first, sender="DEAD")
    road.receive(second, sender="PACS")
    road.clock.seconds += 5
    ask(road, DEAD=Source(Unreachable("nobody answers")), PACS=Source(4))
    with road.sessions.begin() as session:
        assert [study.expected_instances for study in session.query(Study)] == [None, 4]


def test_after_the_first_report_the_source_is_not_queried_and_its_old_count_is_dropped(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(*mammogram_study.files[:3])
    road.clock.seconds += 5
    ask(road, PACS=Source(3))
    road.close(after_s=0)
    road.read()
    road.report()
    assert road.study().state is StudyState.REPORTED
    road.receive(mammogram_study.files[3])
    road.clock.seconds += 5
    source = Source(100)
    ask(road, PACS=source)
    assert source.asked == []
    assert (road.study().revision, road.study().expected_instances) == (2, None)
