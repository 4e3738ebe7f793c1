"""The types of the settings' values, with their validation."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import unquote_plus
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator


def secret_in(address: str) -> str:
    """What secret an address holds, in words: a user or password before the host, or a parameter such as password or
    token; "" if it holds none."""
    _, is_address, rest = address.partition("://")
    if not is_address:
        return ""
    if "@" in re.split("[/?#]", rest)[0]:
        return "user or password"
    return secret_parameter_in(address)


def secret_parameter_in(address: str) -> str:
    """The name of the first parameter of an address that is a secret; "" if there is none."""
    parameters = re.split("[?&;#]", address)[1:]
    names = (unquote_plus(parameter.partition("=")[0]).strip() for parameter in parameters)
    return next((f"parameter {name}" for name in names if _SECRET.search(name) and not _OF_A_FILE.search(name)), "")


_SECRET = re.compile("pass|pwd|secret|token|api.?key|credential|signature|scram", re.IGNORECASE)
_OF_A_FILE = re.compile("file$", re.IGNORECASE)


class Section(BaseModel):
    """The settings of a section: whatever shows them shows no secret, since none of them may hold one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and (secret := secret_in(text)):
                    raise ValueError(f"{name} must hold no {secret}: settings are shown and logged")
        return self


Value = TypeVar("Value")


def beside(value: Value, folder: Path) -> Value:
    """The same value, with each relative path that was set in it taken from `folder`. What was left out stays known as
    a default (origins.py)."""
    match value:
        case Path():
            return folder / value
        case tuple():
            return type(value)(beside(one, folder) for one in value)
        case BaseModel():
            found = {name: getattr(value, name) for name in value.model_fields_set}
            return value.model_copy(update={name: beside(one, folder) for name, one in found.items()})
        case _:
            return value


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine's own address, which others cannot reach."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def matching(pattern: str, description: str) -> AfterValidator:
    """Validates a text by a pattern; `description` completes the message "must be …"."""

    def fits(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {description}")
        return text

    return AfterValidator(fits)


AETitle = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=16),
    matching(r"[ -\[\]-~]+", "1 to 16 printable characters without backslash"),
]
"""A DICOM application entity title: 1..16 printable characters without backslash (PS3.5 section 6.2, VR AE)."""
Port = Annotated[int, Field(ge=1, le=65535)]
Urgency = Literal["LOW", "ROUTINE", "HIGH", "STAT"]
"""How urgent a study is (PS3.3 section C.4.11)."""


EquipmentText = Annotated[
    str, StringConstraints(strip_whitespace=True), matching(r"[^\\\x00-\x1f]*", "one line without backslash")
]
"""Text of an object (PS3.5 section 6.2, VR SH and LO)."""


HL7Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=180),
    matching(r"[^|~&\\\r\n\x00-\x1f]*", "one line without | ~ & and backslash"),
]
"""A name of an application or facility in MSH; ^ separates its components (HL7 v2.5.1 section 2.15.9)."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("no time zone of this name is known here; Europe/Berlin is one") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""A name of the IANA Time Zone Database."""

TimeOfDay = Annotated[str, matching(r"([01]\d|2[0-3]):[0-5]\d", 'a time of day, such as "19:00"')]
"""Hours and minutes, by the node's local time."""

Uri = Annotated[
    str,
    matching(
        r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", "an address or a URN, such as urn:oid:1.2.3 or https://hospital.example/id"
    ),
]
"""A URI (RFC 3986)."""

Name = Annotated[
    str,
    StringConstraints(max_length=64),
    matching(r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, - and _, the first a letter or digit"),
]
