"""What was not read may show a lesion: it is named in every result, and nothing negative is stated of its breast."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from assessing import oru, text_row
from pydicom import Dataset
from road import Road, changed, texts
from simple_models import OneMass
from sqlalchemy import select

from config.hl7 import Hl7
from config.settings import Route
from models.birads.calibration import Calibration, Level, Method
from node.assessments.hl7.intake import Hl7Intake
from node.demo.studies import DemoStudy
from node.reporting.exams import exam_of
from node.routing import route
from node.store.database import read_only
from node.store.tables import Result, Study

pytestmark = pytest.mark.slow

CALIBRATION = {
    level: Calibration(level, Method.PLATT, {"slope": (1.0,), "offset": (0.0,)}, 0.5, 100, 100, prior=0.006)
    for level in Level
}
LOW, HIGH = OneMass(0.3), OneMass(0.95)
"""0.26 %, in the range of 1 and 2, and 10 %, above the threshold."""
WITHHELD = "nothing negative is stated, because these images were not read: R CC, R MLO"


def broken_on_the_right(study: DemoStudy) -> list[Dataset]:
    right_cc, left_cc, right_mlo, left_mlo = study.files
    return [changed(left_cc), changed(left_mlo)] + [changed(file, BitsAllocated=64) for file in (right_cc, right_mlo)]


def said(road: Road) -> str:
    """All texts of the results, as their receivers have them."""
    with read_only(road.sessions) as session:
        rows = session.scalars(select(Result)).all()
    messages = [(road.data_dir / row.path).read_text() for row in rows if row.kind in ("FHIR", "ORU")]
    return "\n".join([*messages, *(texts(report) for kind in ("SR", "CAD-SR") for report in road.results(kind))])


@pytest.mark.parametrize("profile", ["ohif", "all", "fhir", "oru"])
def test_a_breast_of_which_nothing_could_be_read_is_named_and_the_exam_is_not_negative(
    tmp_path: Path, mammogram_study: DemoStudy, profile: str
) -> None:
    road = Road(tmp_path, models=LOW, calibration=CALIBRATION, profile=profile)
    road.all_of_it(*broken_on_the_right(mammogram_study))
    words = said(road)
    assert f"Exam: {WITHHELD}" in words
    assert f"Right breast: {WITHHELD}" in words
    assert "Not read: R CC (for-presentation)" in words
    assert "Not read: R MLO (for-presentation)" in words
    assert "Left breast: score 0.30, probability 0.26 %, not above" in words, "all of it was read"
    assert "of an exam, the range of 1 and 2" not in words


def test_a_breast_above_the_threshold_makes_the_exam_so_whatever_was_not_read(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path, models=HIGH, calibration=CALIBRATION)
    road.all_of_it(*broken_on_the_right(mammogram_study))
    words = said(road)
    assert "Exam: score 0.95, probability 10.3 %, above the recall threshold" in words
    assert f"Right breast: {WITHHELD}" in words
    assert f"Exam: {WITHHELD}" not in words


@pytest.mark.parametrize(("models", "compared"), [(LOW, "not compared"), (HIGH, "agree on recall")])
def test_the_models_recall_an_exam_of_which_a_part_was_read_or_are_not_compared(
    tmp_path: Path, mammogram_study: DemoStudy, models: OneMass, compared: str
) -> None:
    road = Road(tmp_path, models=models, calibration=CALIBRATION)
    images = broken_on_the_right(mammogram_study)
    road.all_of_it(*images)
    message = oru(text_row("BI-RADS 4"), study=images[0].StudyInstanceUID, patient=images[0].PatientID)
    Hl7Intake(road.sessions, road.data_dir, Hl7(), road.clock).answer(message, "127.0.0.1")
    road.report()
    with read_only(road.sessions) as session:
        study = session.scalars(select(Study)).one()
        (concordance,) = exam_of(session, study, road.data_dir).concordances
    assert concordance.agreement == compared


def test_images_that_a_route_leaves_out_make_the_report_partial(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    routes = [Route(name="extra", procedures=("*extra*",), read=False)]
    road = Road(tmp_path, models=LOW, calibration=CALIBRATION, profile="all", router=partial(route, routes))
    right_cc, left_cc, right_mlo, left_mlo = map(changed, mammogram_study.files)
    for image in (right_cc, right_mlo):
        image.PerformedProcedureStepDescription = "extra views"
    road.all_of_it(left_cc, left_mlo, right_cc, right_mlo)
    words = said(road)
    assert "Not read: R CC (for-presentation): the route extra says that it is not read." in words
    assert f"Exam: {WITHHELD}" in words
    assert "Missing view" not in words
    assert [road.results(kind)[0].CompletionFlag for kind in ("SR", "CAD-SR")] == ["PARTIAL", "PARTIAL"]
    outcome = "Not all algorithms succeeded; with findings"
    assert all(outcome in str(road.results(kind)[0]) for kind in ("SR", "CAD-SR"))
