"""Every setting of the node: parsed and validated once, when it is loaded.

`load(path)` reads a TOML file; environment variables named MAMMO_NODE__SECTION__KEY override it. The only reader of
the environment. config/node.example.toml documents each key (a test holds it to this file).
"""

from __future__ import annotations

import os
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as EnvironmentUnreadable

from config.archive import Archive
from config.audit import Audit
from config.bundles import Bundles
from config.fields import (
    AETitle,
    EquipmentText,
    Name,
    Port,
    Section,
    TimeZone,
    Urgency,
    Uri,
    beside,
    matching,
    secret_parameter_in,
)
from config.hl7 import Hl7
from config.mail import Mail
from config.mistakes import BETWEEN, PREFIX, not_toml, sentences, unknown_variables
from config.oidc import Oidc
from config.peers import AnyDestination, AnySource, Sender
from config.ray import Ray
from config.retention import Retention
from config.tls import TlsListener
from config.tracing import Tracing
from config.web import Web
from config.webhooks import Webhook

Peer = TypeVar("Peer", AnyDestination, AnySource)


class SettingsError(Exception):
    """The configuration cannot be used; the message names the file, the keys and what is wrong with each."""


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
    tls: TlsListener | None = None

    @property
    def own_host(self) -> str:
        """The host at which this machine reaches the listener."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host


class Closing(Section):
    """When a study counts as complete."""

    four_views_quiet_s: float = Field(default=5, ge=0)
    quiet_s: float = Field(default=60, gt=0)
    deadline_s: float = Field(default=1800, gt=0)


class Reader(Section):
    """The process that reads images."""

    bundle: str = "research-default"
    other_bundles: tuple[str, ...] = ()
    executor: Literal["local", "ray"] = "local"
    device: Annotated[str, matching(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or one device, such as cuda:0")] = "auto"
    batch: int | None = Field(default=None, ge=1)
    mixed_precision: bool = True
    prevalence: float = Field(default=0.006, gt=0, lt=1)
    reference: Path | None = None
    threads: int | None = Field(default=None, ge=1)
    attempts: int = Field(default=3, ge=1)
    lease_s: float = Field(default=600, gt=0)


class Birads(Section):
    """BI-RADS in reports."""

    recall_threshold: float = Field(default=0.02, gt=0, lt=1)
    coded_category: bool = False


class Route(Section):
    """A route: whether matching images are read, and who gets the results. The first route that matches decides."""

    name: Name
    calling_ae_titles: tuple[AETitle, ...] | None = Field(default=None, min_length=1)
    sop_class_uids: tuple[str, ...] | None = Field(default=None, min_length=1)
    procedures: tuple[str, ...] | None = Field(default=None, min_length=1)
    institutions: tuple[str, ...] | None = Field(default=None, min_length=1)
    older_than_days: float | None = Field(default=None, ge=0)
    younger_than_days: float | None = Field(default=None, ge=0)
    read: bool = True
    urgency: Urgency | None = None
    destinations: tuple[Name, ...] | None = None


class Review(Section):
    """Which studies an expert should review while the node runs unattended."""

    share: float = Field(default=0, ge=0, le=1)


class Installation(Section):
    """The equipment that every object names, besides the node's device identity, and the site's patient IDs."""

    station_name: EquipmentText = Field(default="", max_length=16)
    institution_name: EquipmentText = Field(default="", max_length=64)
    patient_id_system: Uri | None = None


class Settings(BaseSettings):
    """All settings. Frozen: a running node does not read its settings again."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter=BETWEEN)

    data_dir: Path
    database_url: str | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    time_zone: TimeZone | None = None
    language: Literal["en", "de", "es", "fr"] = "en"
    installation: Installation = Installation()
    receiver: Receiver = Receiver()
    archive: Archive = Archive()
    senders: tuple[Sender, ...] = ()
    closing: Closing = Closing()
    reader: Reader = Reader()
    ray: Ray = Ray()
    bundles: Bundles = Bundles()
    birads: Birads = Birads()
    hl7: Hl7 = Hl7()
    review: Review = Review()
    retention: Retention = Retention()
    web: Web = Web()
    tracing: Tracing = Tracing()
    oidc: Oidc = Oidc()
    mail: Mail = Mail()
    audit: Audit = Audit()
    destinations: tuple[AnyDestination, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
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
        """The environment overrides the file, whose contents are the init arguments."""
        return env_settings, init_settings

    @field_validator("database_url")
    @classmethod
    def _has_its_password_before_the_host(cls, url: str | None) -> str | None:
        if url is not None and (secret := secret_parameter_in(url)):
            raise ValueError(
                f"must hold no {secret}: it would be shown. The password is hidden where it stands before the host "
                "(postgresql+psycopg://mammo:PASSWORD@/mammo?host=…), or give it by PGPASSFILE"
            )
        return url

    @model_validator(mode="after")
    def _provider_knows_the_way_back(self) -> Settings:
        if self.oidc.issuer is not None and self.web.url is None:
            raise ValueError("oidc.issuer needs web.url: the provider sends browsers back there")
        return self

    @model_validator(mode="after")
    def _cluster_is_known(self) -> Settings:
        if self.reader.executor == "ray":
            if self.ray.address is None:
                raise ValueError('reader.executor = "ray" needs ray.address')
            if self.reader.device.startswith("cuda:"):
                raise ValueError(f'reader.device = "{self.reader.device}": with executor = "ray", Ray chooses the GPU')
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        for what, names in (
            ("senders: ae_title", [sender.ae_title for sender in self.senders]),
            ("destinations, webhooks: name", [to.name for to in (*self.destinations, *self.webhooks)]),
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

    @model_validator(mode="after")
    def _certificates_can_be_seen(self) -> Settings:
        asks = self.receiver.tls is not None and self.receiver.tls.client_certificates
        if named := [sender.ae_title for sender in self.senders if sender.certificates and not asks]:
            raise ValueError(f"senders: certificates of {', '.join(named)} need [receiver.tls] that asks for them")
        return self

    @model_validator(mode="after")
    def _purges_before_it_refuses(self) -> Settings:
        below, refused = self.retention.purge_below_free_mb, self.receiver.min_free_mb
        if below is not None and below <= refused:
            raise ValueError(
                f"retention.purge_below_free_mb must be more than receiver.min_free_mb ({refused}): "
                "space is freed before images are refused"
            )
        return self

    @property
    def reads_here(self) -> bool:
        """Whether images are decoded and read on this machine, and not on a cluster."""
        return self.reader.executor == "local"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the queue: `database_url`, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir / 'queue.sqlite'}"


def load(path: Path) -> Settings:
    """The settings in a TOML file, overridden by the environment; relative paths are taken from the file's folder.

    If a time zone is set, it becomes that of this process and of those that it starts.

    Raises:
        SettingsError: the file is missing, is not TOML, or has a setting that cannot be used.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows' editors put a mark before the text
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror}. Start from config/node.example.toml."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not TOML: its text is not UTF-8. Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not TOML: {not_toml(error)}") from error
    if unknown := list(unknown_variables(Settings, os.environ)):
        raise SettingsError(_listed("The environment", unknown))
    try:
        settings = Settings(**values)
    except EnvironmentUnreadable as error:
        raise SettingsError(f"The environment: {error}. Lists and sections are given there as JSON.") from error
    except ValidationError as error:
        raise SettingsError(_listed(str(path), list(sentences(Settings, _errors(error), os.environ)))) from error
    if settings.time_zone is not None:
        _set_time_zone(settings.time_zone)
    folder = path.parent.resolve()
    return beside(settings, folder).model_copy(update={"data_dir": (folder / settings.data_dir).resolve()})


def _set_time_zone(time_zone: str) -> None:
    """Sets the time zone of this process, for all local times.

    Raises:
        SettingsError: the C library does not know it, and would use UTC without an error.
    """
    os.environ["TZ"] = time_zone
    time.tzset()
    for month in (1, 7):
        moment = datetime(2026, month, 1, tzinfo=UTC)
        if moment.astimezone().utcoffset() != moment.astimezone(ZoneInfo(time_zone)).utcoffset():
            raise SettingsError(f"time_zone: this machine has no data on {time_zone}: install tzdata.")


def _errors(error: ValidationError) -> list[ErrorDetails]:
    """The errors without the kinds of destinations and sources in their places, which are no keys."""
    return [
        {**fault, "loc": (*fault["loc"][:2], *fault["loc"][3:])}
        if fault["loc"] and fault["loc"][0] in ("destinations", "sources")
        else fault
        for fault in error.errors()
    ]


def _listed(where: str, lines: list[str]) -> str:
    settings = "1 setting" if len(lines) == 1 else f"{len(lines)} settings"
    return "\n".join([f"{where}: {settings} cannot be used:", *(f"  {line}" for line in lines)])
