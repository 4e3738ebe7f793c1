"""Images of two patients under one Study Instance UID are held, and nothing of them is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from road import Road, changed

from node.demo.studies import DemoStudy
from node.operations.disagreement import disagreement
from node.operations.retry import StillTwoPatients, retry_study
from node.store.states import StudyState
from node.store.tables import Study

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"PatientID": "", "PatientBirthDate": "", "PatientName": "Smith^A"},
            {"PatientID": "", "PatientBirthDate": "", "PatientName": "Jones^B"},
        ),
        ({"IssuerOfPatientID": "HOSPITAL A"}, {"IssuerOfPatientID": "HOSPITAL B"}),
        ({"PatientBirthDate": "19600101"}, {"PatientBirthDate": "19600102"}),
        ({"PatientID": "1"}, {"PatientID": "2"}),
        ({"PatientID": "1"}, {"PatientID": ""}),
    ],
    ids=["names without an ID", "issuers of one ID", "birth dates", "IDs", "an ID and none"],
)
def test_two_patients_are_never_in_one_report(
    tmp_path: Path, mammogram_study: DemoStudy, first: dict[str, str], second: dict[str, str]
) -> None:
    road = Road(tmp_path)
    road.all_of_it(changed(mammogram_study.files[0], **first), changed(mammogram_study.files[1], **second))
    assert road.study().state is StudyState.QUARANTINED
    assert not road.results()
    with road.sessions.begin() as session:
        assert "image 1 states one" in disagreement(session.get_one(Study, 1).instances)
    with road.sessions.begin() as session, pytest.raises(StillTwoPatients):
        retry_study(session, 1, road.clock())
    road.receive(changed(mammogram_study.files[1], **first))  # corrected at its source
    with road.sessions.begin() as session:
        retry_study(session, 1, road.clock())
    road.all_of_it()
    assert road.study().state is StudyState.REPORTED


def test_one_name_in_two_spellings_is_one_patient(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path)
    nobody = {"PatientID": "", "PatientBirthDate": ""}
    road.all_of_it(
        changed(mammogram_study.files[0], PatientName="Smith^Anna", **nobody),
        changed(mammogram_study.files[1], PatientName="SMITH^ANNA^^", **nobody),
    )
    assert road.study().state is StudyState.REPORTED
