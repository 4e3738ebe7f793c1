"""Audit messages are those of DICOM PS3.15 section A.5."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from audit_messages import assert_valid
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr._concepts_dict import concepts

from dicom_io.audit import codes
from dicom_io.audit.codes import INSTANCES_TRANSFERRED, STUDY_DELETED, Coded
from dicom_io.audit.message import (
    Action,
    AuditMessage,
    AuditSource,
    Outcome,
    Participant,
    alike,
    patient_object,
    study_object,
    together,
)

HERE = AuditSource("node-1", "A hospital")
CONCEPTS = concepts["DCM"].values()
CODES = {name: code for name, code in vars(codes).items() if isinstance(code, Coded)}


def transfer(at: float, count: int = 1, study: str = "1.2") -> AuditMessage:
    about = study_object(study, [("1.2.840.10008.5.1.4.1.1.1.2", count)]), patient_object("P")
    return AuditMessage(INSTANCES_TRANSFERRED, Action.CREATE, at, (Participant("PACS"),), about)


@pytest.mark.parametrize("name", [name for name, code in CODES.items() if code.scheme == "DCM"])
def test_every_code_and_its_meaning_is_one_of_the_standards(name: str) -> None:
    code = CODES[name]
    assert {concept[code.value][0] for concept in CONCEPTS if code.value in concept} == {code.meaning}


def test_a_message_holds_against_the_schema_of_the_standard(tmp_path: Path) -> None:
    everything = AuditMessage(
        codes.EXPORT,
        Action.READ,
        1.5,
        (
            Participant("anna", True, (codes.SOURCE,), "account 3", "Anna", "192.0.2.1"),
            Participant("ehr", False, (codes.DESTINATION_MEDIA,), address="https://ehr.example", media=codes.URI_MEDIA),
            Participant("12", address="node-1.example"),
        ),
        (study_object("1.2", [("1.3", 2), ("1.4", 1)], "study 7"), patient_object("")),
        (codes.LOGIN,),
        Outcome.SERIOUS,
        "it was refused",
    )
    assert_valid([everything.xml(HERE), everything.xml(AuditSource("h")), transfer(0.0).xml(HERE)], tmp_path)


@given(st.text())
def test_no_identifier_makes_a_message_that_cannot_be_read(identifier: str) -> None:
    message = AuditMessage(STUDY_DELETED, Action.DELETE, 0.0, (Participant(identifier),), (patient_object(identifier),))
    xml = message.xml(HERE)
    root = ElementTree.fromstring(xml)
    assert "\n" not in xml
    assert "\r" not in xml
    patient = root.find("ParticipantObjectIdentification")
    assert patient is not None
    if identifier.isprintable():
        assert patient.get("ParticipantObjectID") == identifier


def test_images_that_were_transferred_alike_are_one_message_with_their_number() -> None:
    other = transfer(3.0, study="1.9")
    deleted = [AuditMessage(STUDY_DELETED, Action.DELETE, at, (Participant("x"),)) for at in (1.0, 1.0)]
    messages = [transfer(1.0), deleted[0], transfer(2.0, 2), other, deleted[1], transfer(1.5)]
    groups = [[messages[place] for place in places] for places in alike(messages, most_sop_classes=64)]
    assert [together(group) for group in groups] == [transfer(2.0, 4), deleted[0], other, deleted[1]]
