"""Settings of the HL7 listener, and the fields of the messages."""

from __future__ import annotations

import codecs
from typing import Annotated

from pydantic import Field, field_validator

from config.fields import Port, Section, matching
from config.tls import TlsServer

FieldPathText = Annotated[
    str,
    matching(
        r"[A-Z][A-Z0-9]{2}(\([^()^|]+\))?-[1-9]\d?(\.[1-9]\d?)?",
        "a field of a message, such as OBR-18, PID-3.1 or OBX(111005)-5",
    ),
]
"""A field of an HL7 v2 message: "OBR-18", "PID-3.1"; where a segment's field 3 has an identifier: "OBX(111005)-5"."""


class Hl7(Section):
    """Radiologists' reports that come as HL7 v2 messages (ORU^R01 over MLLP)."""

    host: str = "127.0.0.1"
    port: Port | None = None
    tls: TlsServer | None = None
    sender_hosts: tuple[str, ...] = Field(default=("127.0.0.1",), min_length=1)
    sender_applications: tuple[str, ...] = ()
    charset: str = "utf-8"
    max_message_kb: int = Field(default=1024, ge=1)
    study_instance_uid: tuple[FieldPathText, ...] = ("IPC-3", "ZDS-1", "OBX(113014)-5")
    accession_number: tuple[FieldPathText, ...] = ("IPC-1", "OBR-18", "OBR-3")
    patient_id: tuple[FieldPathText, ...] = ("PID-3",)
    observer: tuple[FieldPathText, ...] = ("OBX-16", "OBR-32")
    category: tuple[FieldPathText, ...] = ("OBX(111005)-5",)
    laterality: tuple[FieldPathText, ...] = ("OBX-20", "OBX(272741003)-5")
    assessed_at: tuple[FieldPathText, ...] = ("OBR-22", "OBX-14", "MSH-7")
    reads_text: bool = True

    @field_validator("charset")
    @classmethod
    def _is_known(cls, charset: str) -> str:
        try:
            return codecs.lookup(charset).name
        except LookupError as error:
            raise ValueError("no such character set; utf-8 and iso8859-1 are two") from error
