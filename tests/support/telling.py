"""What a radiologist says to a node by HL7, and what its latest report makes of it."""

from __future__ import annotations

from assessing import oru
from pydicom import Dataset
from road import Road

from node.assessments.hl7.intake import Hl7Intake

HERE = "127.0.0.1"


def tell(intake: Hl7Intake, *results: str, **named: str) -> None:
    assert b"MSA|AA" in intake.answer(oru(*results, **named), HERE)


def about(image: Dataset) -> dict[str, str]:
    return {"study": image.StudyInstanceUID, "patient": image.PatientID}


def latest_report(road: Road) -> Dataset:
    return road.results("SR", road.study().revision)[0]
