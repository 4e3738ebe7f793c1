"""Every setting of the node: parsed and validated once, at the edge.

`load(path)` reads a TOML file; environment variables named MAMMO_NODE__SECTION__KEY override it. The only reader of
the environment. config/node.example.toml documents each key (a test holds it to this file).
"""

from __future__ import annotations

import codecs
import os
import re
import time
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as EnvironmentUnreadable

from config.mistakes import BETWEEN, PREFIX, sentences, unknown_variables


def _written(pattern: str, words: str) -> AfterValidator:
    """Holds a text to a pattern; `words` say of one that does not fit what it must be."""

    def fits(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {words}")
        return text

    return AfterValidator(fits)


AETitle = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=16),
    _written(r"[ -\[\]-~]+", "1 to 16 printable characters without backslash"),
]
"""A DICOM application entity title: 1..16 printable characters without backslash (PS3.5 section 6.2, VR AE)."""
Port = Annotated[int, Field(ge=1, le=65535)]


EquipmentText = Annotated[
    str, StringConstraints(strip_whitespace=True), _written(r"[^\\\x00-\x1f]*", "one line without backslash")
]
"""Text of an object (PS3.5 section 6.2, VR SH and LO)."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("no time zone of this name is known here; Europe/Berlin is one") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""A name of the IANA Time Zone Database."""

Name = Annotated[
    str,
    StringConstraints(max_length=64),
    _written(r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, - and _, the first a letter or digit"),
]


class SettingsError(Exception):
    """The configuration cannot be used; the message names the file, the keys and what is wrong with each."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Receiver(Section):
    """The DICOM listener."""

    ae_title: AETitle = "MAMMO_NODE"
    host: str = "127.0.0.1"
    port: Port = 11112
    max_associations: int = Field(default=32, ge=1)
    max_associations_per_peer: int = Field(default=16, ge=1)
    max_pdu_bytes: int = Field(default=131072, ge=4096)
    association_timeout_s: float = Field(default=10, gt=0)
    idle_timeout_s: float = Field(default=60, gt=0)
    min_free_mb: int = Field(default=2048, ge=0)
    quota_mb: int | None = Field(default=None, ge=1)
    max_image_mb: int = Field(default=1024, ge=1)
    max_image_pixels: int = Field(default=100_000_000, ge=1)

    @property
    def own_host(self) -> str:
        """Where this machine itself reaches the listener."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host


class Sender(Section):
    """A PACS or modality that may send to the node."""

    ae_title: AETitle
    host: str | None = None
    reads_secondary_capture: bool = False
    find_host: str | None = None
    find_port: Port | None = None

    @model_validator(mode="after")
    def _find_is_whole(self) -> Sender:
        if (self.find_host is None) != (self.find_port is None):
            raise ValueError("find_host and find_port go together")
        return self


class Closing(Section):
    """When a study counts as complete."""

    four_views_quiet_s: float = Field(default=5, ge=0)
    quiet_s: float = Field(default=60, gt=0)
    deadline_s: float = Field(default=1800, gt=0)


class Reader(Section):
    """The process that reads images."""

    bundle: str = "research-default"
    device: Annotated[str, _written(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or one device, such as cuda:0")] = "auto"
    batch: int = Field(default=4, ge=1)
    mixed_precision: bool = True
    prevalence: float = Field(default=0.006, gt=0, lt=1)
    threads: int | None = Field(default=None, ge=1)
    attempts: int = Field(default=3, ge=1)
    lease_s: float = Field(default=600, gt=0)


class Birads(Section):
    """What is said of a probability where BI-RADS is concerned."""

    recall_threshold: float = Field(default=0.02, gt=0, lt=1)
    coded_category: bool = False


class Outlet(Section):
    """What all destinations have in common: which results they get, and how often they are tried."""

    name: Name
    profile: Literal["ohif", "workstation-cad-sr", "overlay-only", "all"] = "ohif"
    objects: tuple[Literal["SEG", "SR", "CAD-SR", "GSPS", "SC", "KO"], ...] | None = Field(default=None, min_length=1)
    nominal_geometry: bool | None = None
    draws_exam: bool = False
    only_discordant: bool = False
    rejection_notes: bool = False
    timeout_s: float = Field(default=30, gt=0)
    retry_first_s: float = Field(default=30, gt=0)
    retry_ceiling_s: float = Field(default=3600, gt=0)
    dead_after_s: float = Field(default=72 * 3600, gt=0)


class Destination(Outlet):
    """A PACS that receives results by C-STORE."""

    ae_title: AETitle
    host: str
    port: Port
    commitment: bool = False
    commitment_timeout_s: float = Field(default=3600, gt=0)


class Web(Section):
    """A DICOMweb service: its root, and how the node shows who it is. Secrets stand in files, never here."""

    url: str
    bearer_token_file: Path | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_a_root(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be the address of a DICOMweb service, such as https://pacs.example/dicom-web")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no user, password, query or fragment; a token goes into bearer_token_file")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _secrets_stay_secret(self) -> Self:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("client_key needs client_certificate")
        parts = urlsplit(self.url)
        if self.bearer_token_file and parts.scheme != "https" and not _is_this_machine(parts.hostname or ""):
            raise ValueError("bearer_token_file needs an https url: over http everybody on the way reads the token")
        return self

    def beside(self, folder: Path) -> Self:
        """The same with its files' paths taken from `folder`."""
        files = ("bearer_token_file", "ca_file", "client_certificate", "client_key")
        return self.model_copy(update={key: folder / path for key in files if (path := getattr(self, key)) is not None})


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WebDestination(Web, Outlet):
    """A DICOMweb service that receives results by STOW-RS."""


class Source(Section):
    """What all sources of `mammo-node pull` have in common."""

    name: Name
    timeout_s: float = Field(default=120, gt=0)


class DicomSource(Source):
    """A PACS that is asked by C-FIND."""

    ae_title: AETitle
    host: str
    port: Port
    retrieve: Literal["c-get", "c-move"] = "c-get"


class WebSource(Web, Source):
    """A DICOMweb service that is asked by QIDO-RS and WADO-RS."""


_DICOM, _WEB = "by DICOM", "by DICOMweb"


def _kind(entry: object) -> str:
    """Which of the two a destination or source is: what has a url speaks DICOMweb."""
    is_web = "url" in entry if isinstance(entry, Mapping) else isinstance(entry, Web)
    return _WEB if is_web else _DICOM


AnyDestination = Annotated[
    Annotated[Destination, Tag(_DICOM)] | Annotated[WebDestination, Tag(_WEB)], Discriminator(_kind)
]
AnySource = Annotated[Annotated[DicomSource, Tag(_DICOM)] | Annotated[WebSource, Tag(_WEB)], Discriminator(_kind)]


Place = Annotated[
    str,
    _written(
        r"[A-Z][A-Z0-9]{2}(\([^()^|]+\))?-[1-9]\d?(\.[1-9]\d?)?",
        "a field of a message, such as OBR-18, PID-3.1 or OBX(111005)-5",
    ),
]
"""A field of an HL7 v2 message: "OBR-18", "PID-3.1"; where a segment's field 3 has an identifier: "OBX(111005)-5"."""


class Hl7(Section):
    """Radiologists' reports that come as HL7 v2 messages (ORU^R01 over MLLP)."""

    host: str = "127.0.0.1"
    port: Port | None = None
    sender_hosts: tuple[str, ...] = Field(default=("127.0.0.1",), min_length=1)
    sender_applications: tuple[str, ...] = ()
    charset: str = "utf-8"
    max_message_kb: int = Field(default=1024, ge=1)
    study_instance_uid: tuple[Place, ...] = ("IPC-3", "ZDS-1", "OBX(113014)-5")
    accession_number: tuple[Place, ...] = ("IPC-1", "OBR-18", "OBR-3")
    patient_id: tuple[Place, ...] = ("PID-3",)
    observer: tuple[Place, ...] = ("OBX-16", "OBR-32")
    category: tuple[Place, ...] = ("OBX(111005)-5",)
    laterality: tuple[Place, ...] = ("OBX-20", "OBX(272741003)-5")
    assessed_at: tuple[Place, ...] = ("OBR-22", "OBX-14", "MSH-7")
    reads_text: bool = True

    @field_validator("charset")
    @classmethod
    def _is_known(cls, charset: str) -> str:
        try:
            return codecs.lookup(charset).name
        except LookupError as error:
            raise ValueError("no such character set; utf-8 and iso8859-1 are two") from error


class Route(Section):
    """What is read and who gets the results, for images on which all conditions given hold; the first that fits."""

    name: Name
    calling_ae_titles: tuple[AETitle, ...] | None = Field(default=None, min_length=1)
    sop_class_uids: tuple[str, ...] | None = Field(default=None, min_length=1)
    procedures: tuple[str, ...] | None = Field(default=None, min_length=1)
    institutions: tuple[str, ...] | None = Field(default=None, min_length=1)
    older_than_days: float | None = Field(default=None, ge=0)
    younger_than_days: float | None = Field(default=None, ge=0)
    read: bool = True
    destinations: tuple[Name, ...] | None = None


class Review(Section):
    """Which studies an expert should look at while the node runs unattended."""

    share: float = Field(default=0, ge=0, le=1)


class Installation(Section):
    """What every object says of the equipment that made it, beside its own identity."""

    station_name: EquipmentText = Field(default="", max_length=16)
    institution_name: EquipmentText = Field(default="", max_length=64)


class Settings(BaseSettings):
    """All of them. Frozen: a running node never re-reads its settings."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter=BETWEEN)

    data_dir: Path
    database_url: str | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    time_zone: TimeZone | None = None
    installation: Installation = Installation()
    receiver: Receiver = Receiver()
    senders: tuple[Sender, ...] = ()
    closing: Closing = Closing()
    reader: Reader = Reader()
    birads: Birads = Birads()
    hl7: Hl7 = Hl7()
    review: Review = Review()
    destinations: tuple[AnyDestination, ...] = ()
    routes: tuple[Route, ...] = ()
    sources: tuple[AnySource, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file, whose contents come as init arguments."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        for what, names in (
            ("senders: ae_title", [sender.ae_title for sender in self.senders]),
            ("destinations: name", [destination.name for destination in self.destinations]),
            ("routes: name", [route.name for route in self.routes]),
            ("sources: name", [source.name for source in self.sources]),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"{what} is used twice: {', '.join(sorted(twice))}")
        return self

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Settings:
        known = {destination.name for destination in self.destinations}
        for route in self.routes:
            if unknown := sorted(set(route.destinations or ()) - known):
                raise ValueError(f"route {route.name}: there is no destination {', '.join(unknown)}")
        return self

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the queue: `database_url`, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir / 'queue.sqlite'}"


def load(path: Path) -> Settings:
    """The settings in a TOML file, overridden by the environment; relative paths are taken from the file's folder.

    A time zone among them holds from here on for this process and those that it starts.

    Raises:
        SettingsError: the file is missing, is not TOML, or says what the node cannot use.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror}. Start from config/node.example.toml."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from error
    if unknown := list(unknown_variables(Settings, os.environ)):
        raise SettingsError(_listed("The environment", unknown))
    try:
        settings = Settings(**values)
    except EnvironmentUnreadable as error:
        raise SettingsError(f"The environment: {error}. Lists and sections are given there as JSON.") from error
    except ValidationError as error:
        raise SettingsError(_listed(str(path), list(sentences(Settings, _errors(error), os.environ)))) from error
    folder = path.parent.resolve()
    found = {
        "data_dir": (folder / settings.data_dir).resolve(),
        "destinations": tuple(to.beside(folder) if isinstance(to, Web) else to for to in settings.destinations),
        "sources": tuple(source.beside(folder) if isinstance(source, Web) else source for source in settings.sources),
    }
    if settings.time_zone is not None:
        _live_in(settings.time_zone)
    return settings.model_copy(update=found)


def _live_in(time_zone: str) -> None:
    """Makes a time zone the process's own, by which all local times are read and written.

    Raises:
        SettingsError: the C library does not know it, and would silently take UTC.
    """
    os.environ["TZ"] = time_zone
    time.tzset()
    for month in (1, 7):
        moment = datetime(2026, month, 1, tzinfo=UTC)
        if moment.astimezone().utcoffset() != moment.astimezone(ZoneInfo(time_zone)).utcoffset():
            raise SettingsError(f"time_zone: this machine has no data on {time_zone}: install tzdata.")


def _errors(error: ValidationError) -> list[ErrorDetails]:
    """Without the names of the two kinds of destinations and sources, which no key has."""
    return [
        {**fault, "loc": tuple(part for part in fault["loc"] if part not in (_DICOM, _WEB))} for fault in error.errors()
    ]


def _listed(where: str, lines: list[str]) -> str:
    settings = "1 setting" if len(lines) == 1 else f"{len(lines)} settings"
    return "\n".join([f"{where}: {settings} cannot be used:", *(f"  {line}" for line in lines)])
