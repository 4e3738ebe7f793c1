"""The DICOM conformance statement (PS3.2), generated from the settings and the code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydicom.sr.coding import Code
from pydicom.uid import UID
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION, build_context

from config.peers import DicomDestination, DicomSource, LosslessSyntax
from config.settings import Settings
from dicom_io.device import MANUFACTURER
from dicom_io.network.answers import Status
from dicom_io.network.commitment import ReportStatus
from dicom_io.network.scp_contexts import (
    STORAGE_CLASSES,
    STORAGE_COMMITMENT,
    TRANSFER_SYNTAXES,
    supported_contexts,
)
from dicom_io.network.scu import MAX_CONTEXTS
from dicom_io.rejection_reasons import RejectionReason
from dicom_io.results import codes, own_codes
from dicom_io.results.outputs import OUTPUTS, preferred_syntaxes
from dicom_io.results.profiles import IN_PROFILES, PROFILES, ResultKind
from node.peers import callers, transfer_syntaxes

_VERIFICATION = UID("1.2.840.10008.1.1")
_FIND, _MOVE, _GET = (UID(f"1.2.840.10008.5.1.4.1.2.2.{number}") for number in (1, 2, 3))
STATUSES: Mapping[Status, str] = {
    Status.SUCCESS: "kept; also of an instance that was there already, and of our own objects (not kept)",
    Status.PROCESSING_FAILURE: "a fault of the node's own: send again",
    Status.NO_SPACE: "the disk is nearly full, or the quota is used up",
    Status.NO_STORAGE: "the disk or the database did not take it: send again",
    Status.TOO_LARGE: "larger than the node takes",
    Status.DOES_NOT_MATCH: "request and data set name different SOP class or instance",
    Status.NOT_DICOM: "no data set in the transfer syntax that was agreed",
    Status.TRUNCATED: "the data set ends before it is complete",
    Status.BAD_UID: "an identifying UID is missing or malformed",
    Status.CONTRADICTS: "another instance of this UID is here: set aside",
}
REPORT_STATUSES: Mapping[ReportStatus, str] = {
    ReportStatus.SUCCESS: "entered",
    ReportStatus.NO_SUCH_EVENT_TYPE: "an event type other than 1 and 2",
    ReportStatus.INVALID_ARGUMENT: "no report that can be read, or a transaction that was not asked for here",
    ReportStatus.NO_SUCH_SOP_CLASS: "not of the Storage Commitment Push Model",
}


def conformance_statement(settings: Settings, of: str) -> str:
    """The statement as Markdown.

    Args:
        of: which settings these are, for its first line.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("conformance.md.j2").render(
        version=version("mammo-node"),
        of=of,
        settings=settings,
        manufacturer=MANUFACTURER,
        implementation_class_uid=PYNETDICOM_IMPLEMENTATION_UID,
        implementation_version_name=PYNETDICOM_IMPLEMENTATION_VERSION,
        services=list(_services()),
        as_scu=list(_as_scu()),
        accepted=list(_accepted()),
        default_syntaxes=_syntaxes(_VERIFICATION),
        max_contexts=MAX_CONTEXTS,
        scp_syntaxes=[{"name": UID(uid).name, "uid": uid} for uid in TRANSFER_SYNTAXES],
        initiates=list(_initiates(settings)),
        callers=callers(settings, lambda: 0.0),  # it lists them, and verifies no token
        statuses=list(_statuses(STATUSES)),
        rejections=list(RejectionReason),
        report_statuses=list(_statuses(REPORT_STATUSES)),
        peers=list(_peers(settings)),
        parameters=list(_parameters(settings)),
        objects=[
            {"kind": kind, "name": OUTPUTS[kind].sop_class_uid.name, "modules": ", ".join(OUTPUTS[kind].modules)}
            for kind in ResultKind
            if kind in OUTPUTS
        ],
        codes=written_codes(),
    )


def written_codes() -> list[Code]:
    """All codes that the node's objects may contain, by scheme and value."""
    found = {
        (code.scheme_designator, code.value): code
        for module in (codes, own_codes)
        for constant in vars(module).values()
        for code in _codes_in(constant)
    }
    return [found[key] for key in sorted(found)]


def _codes_in(constant: object) -> Iterator[Code]:
    if isinstance(constant, Code):
        yield constant
    elif isinstance(constant, Mapping):
        for value in constant.values():
            yield from _codes_in(value)


def _services() -> Iterator[dict[str, object]]:
    scu, scp = {sop_class["uid"] for sop_class in _as_scu()}, {_VERIFICATION, *map(UID, STORAGE_CLASSES)}
    for uid in dict.fromkeys(
        (_VERIFICATION, *(sop_class["uid"] for sop_class in _as_scu()), *map(UID, STORAGE_CLASSES))
    ):
        yield {"name": UID(uid).name, "scu": uid in scu, "scp": uid in scp}


def _as_scu() -> Iterator[dict[str, str]]:
    lossless = transfer_syntaxes(get_args(LosslessSyntax))
    preferred = preferred_syntaxes(PROFILES["all"], lossless, rejection_notes=True)
    yield {"name": _VERIFICATION.name, "uid": _VERIFICATION, "syntaxes": _syntaxes(_VERIFICATION)}
    for content in dict.fromkeys(OUTPUTS[kind].content for kind in ResultKind if kind in OUTPUTS):
        uid, otherwise = content.sop_class_uid, content.otherwise()
        syntaxes = [encoded.transfer_syntax_uid.name for encoded in (content, otherwise) if encoded is not None]
        syntaxes += [f"{syntax.name} (if the destination prefers it)" for syntax in preferred[uid]]
        yield {"name": uid.name, "uid": uid, "syntaxes": ", ".join(syntaxes)}
    for uid in (UID(STORAGE_COMMITMENT), _FIND, _MOVE, _GET):
        yield {"name": uid.name, "uid": uid, "syntaxes": _syntaxes(uid)}


def _accepted() -> Iterator[dict[str, str]]:
    for context in supported_contexts(reports=True):
        uid = UID(context.abstract_syntax or "")
        yield {"name": uid.name, "uid": uid, "role": "SCU" if context.scp_role else "SCP"}  # the peer has the other


def _syntaxes(uid: UID) -> str:
    """The transfer syntaxes that are proposed and accepted by default."""
    return ", ".join(syntax.name for syntax in build_context(uid).transfer_syntax)


def _statuses(meanings: Mapping[Status, str] | Mapping[ReportStatus, str]) -> Iterator[dict[str, str]]:
    for status, meaning in meanings.items():
        yield {"name": status.name, "code": f"0x{status:04X}", "meaning": meaning}


def _initiates(settings: Settings) -> Iterator[dict[str, str]]:
    results = ", ".join(OUTPUTS[kind].sop_class_uid.name for kind in IN_PROFILES)
    to = [destination for destination in settings.destinations if isinstance(destination, DicomDestination)]
    yield {
        "activity": "Results (C-STORE)",
        "sop_classes": results,
        "to": _names(destination.name for destination in to),
    }
    committing = _names(destination.name for destination in to if destination.commitment)
    yield {"activity": "Storage commitment (N-ACTION)", "sop_classes": UID(STORAGE_COMMITMENT).name, "to": committing}
    asked = _names(sender.ae_title for sender in settings.senders if sender.find_host)
    yield {"activity": "How many instances a study has (C-FIND)", "sop_classes": _FIND.name, "to": asked}
    dicom = [source for source in settings.sources if isinstance(source, DicomSource)]
    yield {"activity": "`pull` (C-FIND, C-GET or C-MOVE)", "sop_classes": f"{_FIND.name}, {_GET.name}, {_MOVE.name}",
           "to": _names(source.name for source in dicom)}  # fmt: skip
    yield {
        "activity": "`check` (C-ECHO)",
        "sop_classes": _VERIFICATION.name,
        "to": _names(destination.name for destination in to),
    }


def _peers(settings: Settings) -> Iterator[dict[str, object]]:
    for sender in settings.senders:
        yield {"ae_title": sender.ae_title, "role": "sender", "host": sender.host or "any", "port": "–"}
    for to in settings.destinations:
        if isinstance(to, DicomDestination):
            yield {"ae_title": to.ae_title, "role": f"destination {to.name}", "host": to.host, "port": to.port}
    for source in settings.sources:
        if isinstance(source, DicomSource):
            role = f"source {source.name}"
            yield {"ae_title": source.ae_title, "role": role, "host": source.host, "port": source.port}


def _parameters(settings: Settings) -> Iterator[dict[str, object]]:
    for section in (settings.receiver, settings.closing):
        for name, value in section.model_dump().items():
            yield {"name": name, "value": "not set" if value is None else value}


def _names(names: Iterator[str]) -> str:
    return ", ".join(names) or "none configured"
