"""All images of a study are read by one bundle at one prevalence before it is reported: other scores do not compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from road import Road, texts
from simple_models import OneMass, pipeline_of
from sqlalchemy import select

from models.birads.calibration import Calibration, Level, Method, prior_of
from models.types.exam import ExamReading
from models.types.mammogram import Laterality
from models.types.reading import BundleId
from node.demo.studies import DemoStudy
from node.reader.decoding import DecoderHere
from node.reader.local import LocalExecutor
from node.reporting.exams import exam_of
from node.store.states import StudyState
from node.store.tables import Instance, Study

pytestmark = pytest.mark.slow


def calibration(offset: float, prevalence: float = 0.006) -> dict[Level, Calibration]:
    """A score of 0.8 is 0.1 % with an offset of -3, and one of 0.3 is 8 % with 3.5."""
    return {
        level: Calibration(
            level,
            Method.PLATT,
            {"slope": (1.0,), "offset": (offset,)},
            0.5,
            100,
            100,
            prior=prior_of(level, prevalence),
        )
        for level in Level
    }


@pytest.fixture
def road(tmp_path: Path, mammogram_study: DemoStudy) -> Road:
    """A study whose left breast was reported by the first bundle."""
    road = Road(tmp_path, models=OneMass(0.8), calibration=calibration(-3.0))
    road.all_of_it(mammogram_study.files[1], mammogram_study.files[3])
    return road


def update(road: Road, version: str = "2", prevalence: float = 0.006, score: float = 0.3) -> None:
    """The reader starts again with other models, or another prevalence in its settings."""
    models = pipeline_of(OneMass(score), calibration(3.5, prevalence))
    models = replace(models, bundle=BundleId("test", version), prevalence=prevalence)
    road.reader = replace(road.reader, executor=LocalExecutor(models, DecoderHere(100_000_000)))


def finish(road: Road) -> None:
    while road.study().state is not StudyState.REPORTED:
        road.report()
        road.read()
        if road.study().state is StudyState.OPEN:
            road.close()


def exam(road: Road) -> ExamReading:
    with road.sessions.begin() as session:
        return exam_of(session, session.scalars(select(Study)).one(), road.data_dir)


@pytest.mark.parametrize(("version", "prevalence"), [("2", 0.006), ("1", 0.02)])
def test_a_late_image_after_an_update_has_the_whole_study_read_by_one_bundle_at_one_prevalence(
    road: Road, mammogram_study: DemoStudy, version: str, prevalence: float
) -> None:
    update(road, version, prevalence)
    road.receive(mammogram_study.files[0])
    road.read()
    road.close()
    finish(road)
    now = exam(road)
    by = {(image.reading.bundle.version, image.reading.prevalence) for image in now.images}
    assert (len(now.images), by) == (3, {(version, prevalence)})
    assert (now.malignancy, now.withheld) == (0.3, {})
    report = texts(road.results("SR")[-1])
    assert f"with the models test {version}." in report
    assert "not above the recall threshold" not in report
    assert all(f"{of}: score 0.30, probability " in report for of in ("Left breast", "Right breast", "Exam"))


def test_while_the_others_are_read_anew_nothing_negative_is_stated(road: Road, mammogram_study: DemoStudy) -> None:
    update(road, score=0.001)
    road.receive(mammogram_study.files[0])
    road.read()
    road.close()
    road.report()
    assert exam(road).withheld[None] == "these images were not read: L CC, L MLO"


def test_images_that_cannot_be_read_anew_leave_the_study_without_a_value_and_it_says_why(
    road: Road, mammogram_study: DemoStudy
) -> None:
    update(road, score=0.001)
    with road.sessions.begin() as session:
        for image in session.scalars(select(Instance)):
            image.purged_at = 1.0  # retention deleted the file, and kept the masks
    road.receive(mammogram_study.files[0])
    road.read()
    road.close()
    road.report()
    now = exam(road)
    assert (now.malignancy, now.likelihood, now.breasts) == (None, None, ())
    assert now.withheld[Laterality.LEFT].startswith("these images were read by different models or at different preval")
    assert "R CC (test 2, 0.6 %)" in now.withheld[None]


def test_two_readers_that_never_agree_do_not_read_a_study_for_ever(road: Road, mammogram_study: DemoStudy) -> None:
    update(road, score=0.001)
    road.receive(mammogram_study.files[0])
    road.read()
    road.close()
    for version in "3456789":
        update(road, version, score=0.001)
        road.report()
        road.reader.read_some()
        update(road, f"{version}b", score=0.001)
        road.read()
    assert road.study().state is StudyState.REPORTED
    assert max(job.attempts for job in road.jobs()) < 10
