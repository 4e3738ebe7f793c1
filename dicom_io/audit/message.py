"""Audit messages as PS3.15 section A.5 has them: their parts, and their XML by the schema of A.5.1.

Patients' IDs and UIDs may stand here: an audit trail is the one place for them.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import reduce
from ipaddress import ip_address
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from dicom_io.audit.codes import INSTANCES_TRANSFERRED, PATIENT_NUMBER, STUDY_INSTANCE_UID, Coded

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document can have (XML 1.0 section 2.2)."""
_APPLICATION_SERVER = "4"
_URI_ACCESS = "5"


class Action(StrEnum):
    """EventActionCode."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(IntEnum):
    """EventOutcomeIndicator. MINOR: it may be tried again; SERIOUS: it was ended or refused."""

    SUCCESS = 0
    MINOR = 4
    SERIOUS = 8
    MAJOR = 12


@dataclass(frozen=True)
class Participant:
    """Who took part (ActiveParticipant).

    Attributes:
        user: of a person the name of the account, of a program or process its name or number.
        alternative: AlternativeUserID; of a DICOM application "AETITLES=title".
        name: for people.
        address: the IP address, host name or URI at which it takes part; "" if it is not known.
        media: of a participant with the role DESTINATION_MEDIA: the kind of media.
    """

    user: str
    is_requestor: bool = False
    roles: tuple[Coded, ...] = ()
    alternative: str = ""
    name: str = ""
    address: str = ""
    media: Coded | None = None


@dataclass(frozen=True)
class AuditedObject:
    """What it is about (ParticipantObjectIdentification).

    Attributes:
        type_code: "1" a person, "2" a system object; `role`: see PS3.15 table A.5.1.2.2-1.
        query: of a Query: its content, in base64; then there is no name.
        details: kinds and texts.
        sop_classes: SOP Class UIDs, and how many instances of each.
    """

    id: str
    id_type: Coded
    type_code: str
    role: str
    name: str = ""
    query: str | None = None
    details: tuple[tuple[str, str], ...] = ()
    sop_classes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class AuditSource:
    """The system that reports. `id`: its host name; `site`: the institution, or ""."""

    id: str
    site: str = ""


@dataclass(frozen=True)
class AuditMessage:
    """One event. `at`: when it happened, UTC seconds since the epoch; `types`: EventTypeCode; `why`: in words, if it
    did not succeed, or "" (EventOutcomeDescription)."""

    event: Coded
    action: Action
    at: float
    participants: tuple[Participant, ...]
    objects: tuple[AuditedObject, ...] = ()
    types: tuple[Coded, ...] = ()
    outcome: Outcome = Outcome.SUCCESS
    why: str = ""

    def xml(self, source: AuditSource) -> str:
        """The message by the schema of PS3.15 section A.5.1, in one line of ASCII."""
        root = Element("AuditMessage")
        event = SubElement(
            root,
            "EventIdentification",
            EventActionCode=self.action,
            EventDateTime=moment(self.at),
            EventOutcomeIndicator=str(int(self.outcome)),
        )
        _coded(event, "EventID", self.event)
        for kind in self.types:
            _coded(event, "EventTypeCode", kind)
        if self.why:
            SubElement(event, "EventOutcomeDescription").text = _clean(self.why)
        for participant in self.participants:
            _participant(root, participant)
        reports = SubElement(root, "AuditSourceIdentification", AuditSourceID=_clean(source.id))
        if source.site:
            reports.set("AuditEnterpriseSiteID", _clean(source.site))
        SubElement(reports, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
        for audited in self.objects:
            _object(root, audited)
        encoded: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=False)
        return encoded.decode("ascii")


def patient_object(patient_id: str) -> AuditedObject:
    """The patient that an event is about; "" where none is stated."""
    return AuditedObject(patient_id, PATIENT_NUMBER, type_code="1", role="1")


def study_object(study_instance_uid: str, sop_classes: Iterable[tuple[str, int]] = (), name: str = "") -> AuditedObject:
    """The study that an event is about, with the number of the instances concerned, by their SOP class."""
    counts = tuple(sorted(sop_classes))
    return AuditedObject(study_instance_uid, STUDY_INSTANCE_UID, "2", "3", name=name, sop_classes=counts)


def alike(messages: Sequence[AuditMessage], most_sop_classes: int) -> list[list[int]]:
    """Which messages are one event: those of instances of a study that were transferred alike, as a transfer of four
    images is one event and not four. Their places in `messages`.

    Args:
        most_sop_classes: of an object: where they have more together, they are several events.
    """
    groups: list[list[int]] = []
    open_groups: dict[AuditMessage, tuple[list[int], set[str]]] = {}
    for place, message in enumerate(messages):
        transferred = message.event == INSTANCES_TRANSFERRED
        key = _without_counts(message) if transferred else replace(message, at=float(place))
        classes = {uid for one in message.objects for uid, _ in one.sop_classes}
        if key not in open_groups or len(open_groups[key][1] | classes) > most_sop_classes:
            open_groups[key] = [], set()
            groups.append(open_groups[key][0])
        open_groups[key][0].append(place)
        open_groups[key][1].update(classes)
    return groups


def together(messages: Sequence[AuditMessage]) -> AuditMessage:
    """One message for several that are alike, with the number of all instances and the time of the last."""
    return reduce(_together, messages)


def moment(at: float) -> str:
    """A time as the schema and RFC 5424 have it: `2026-11-30T12:00:00.000Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _without_counts(message: AuditMessage) -> AuditMessage:
    return replace(message, at=0.0, objects=tuple(replace(one, sop_classes=()) for one in message.objects))


def _together(one: AuditMessage, other: AuditMessage) -> AuditMessage:
    objects = []
    for of_one, of_other in zip(one.objects, other.objects, strict=True):
        counts: Counter[str] = Counter()
        for uid, count in (*of_one.sop_classes, *of_other.sop_classes):
            counts[uid] += count
        objects.append(replace(of_one, sop_classes=tuple(sorted(counts.items()))))
    return replace(one, at=max(one.at, other.at), objects=tuple(objects))


def _participant(root: Element, of: Participant) -> None:
    element = SubElement(
        root, "ActiveParticipant", UserID=_clean(of.user), UserIsRequestor=str(of.is_requestor).lower()
    )
    for attribute, value in (("AlternativeUserID", of.alternative), ("UserName", of.name)):
        if value:
            element.set(attribute, _clean(value))
    if of.address:
        element.set("NetworkAccessPointID", _clean(of.address))
        element.set("NetworkAccessPointTypeCode", _access_type(of.address))
    for role in of.roles:
        _coded(element, "RoleIDCode", role)
    if of.media is not None:
        _coded(SubElement(element, "MediaIdentifier"), "MediaType", of.media)


def _object(root: Element, of: AuditedObject) -> None:
    element = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_clean(of.id),
        ParticipantObjectTypeCode=of.type_code,
        ParticipantObjectTypeCodeRole=of.role,
    )
    _coded(element, "ParticipantObjectIDTypeCode", of.id_type)
    if of.query is None:
        SubElement(element, "ParticipantObjectName").text = _clean(of.name)
    else:
        SubElement(element, "ParticipantObjectQuery").text = of.query
    for kind, text in of.details:
        value = b64encode(text.encode("utf-8", "replace")).decode()
        SubElement(element, "ParticipantObjectDetail", type=kind, value=value)
    if of.sop_classes:
        description = SubElement(element, "ParticipantObjectDescription")
        for uid, count in of.sop_classes:
            SubElement(description, "SOPClass", UID=_clean(uid), NumberOfInstances=str(count))


def _coded(parent: Element, name: str, code: Coded) -> None:
    attributes = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    SubElement(parent, name, attributes)


def _access_type(address: str) -> str:
    if "://" in address:
        return _URI_ACCESS
    try:
        ip_address(address)
    except ValueError:
        return "1"
    return "2"


def _clean(text: str) -> str:
    """The text in one line, without what no XML document can have: an identifier of a damaged header must not make a
    message that nobody can read."""
    return _NO_XML.sub("\ufffd", text).replace("\n", " ").replace("\r", " ")
