"""When what two headers state of their patient contradicts."""

from __future__ import annotations

import pytest

from dicom_io.patient_identity import StatedPatient, compared_name, contradiction


def nobody(name: str, birth_date: str = "") -> StatedPatient:
    return StatedPatient("", birth_date, name=compared_name(name))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Smith^Anna", "SMITH^ANNA^^^"),
        ("Smith^Anna", " smith ^ Anna"),
        ("Smith^Anna", "Smith^Anna="),
        ("Yamada^Tarou", "Yamada^Tarou=山田^太郎"),
        ("Yamada^Tarou=山田^太郎", "=山田^太郎"),
        ("Smith^Anna", ""),
    ],
)
def test_one_patients_name_is_written_in_several_ways(left: str, right: str) -> None:
    assert contradiction([nobody(left), nobody(right)]) == ""


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Smith^A", "Jones^B"),
        ("Smith^Anna", "Smith^Anna^Maria"),
        ("Smith^Anna", "Anna^Smith"),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^花子"),
        ("Yamada^Tarou", "=山田^太郎"),
    ],
)
def test_without_an_id_another_name_is_another_patient(left: str, right: str) -> None:
    assert contradiction([nobody(left), nobody(right)]) == "PatientName"


@pytest.mark.parametrize(
    ("left", "right", "keyword"),
    [
        (StatedPatient("1", "", "a"), StatedPatient("1", "", "b"), "IssuerOfPatientID"),
        (StatedPatient("1", "", "a"), StatedPatient("1", "19600101", ""), ""),
        (StatedPatient("1", "19600101"), StatedPatient("1", "19600102"), "PatientBirthDate"),
        (StatedPatient("1", ""), StatedPatient("2", ""), "PatientID"),
        (StatedPatient("1", ""), StatedPatient("", ""), ""),
    ],
)
def test_what_is_not_stated_contradicts_nothing(left: StatedPatient, right: StatedPatient, keyword: str) -> None:
    assert contradiction([left, right]) == keyword
