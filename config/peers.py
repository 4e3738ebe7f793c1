"""The applications that the node communicates with: senders, destinations of results, sources of studies."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from config.fields import AETitle, HL7Name, Name, Port, Section, TimeOfDay, Urgency, is_this_machine
from config.tls import TlsPeer

PublicKeySignature = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
]  # fmt: skip
"""A signature with a public key (RFC 7518 section 3.1): no "none", and none with a shared secret."""


class Token(Section):
    """A JSON Web Token (RFC 7519) that a sender must state as its user identity: whose, for whom, and signed how."""

    keys_file: Path
    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    subject: str | None = Field(default=None, min_length=1)
    algorithms: tuple[PublicKeySignature, ...] = Field(default=("RS256", "PS256", "ES256"), min_length=1)


class Sender(Section):
    """A PACS or modality that may send to the node. `find_tls` is of the connection to find_host."""

    ae_title: AETitle
    host: str | None = None
    reads_secondary_capture: bool = False
    urgency: Urgency | None = None
    heeds_priority: bool = True
    find_host: str | None = None
    find_port: Port | None = None
    find_tls: TlsPeer | None = None
    certificates: tuple[str, ...] = ()
    username: str | None = None
    passcode_file: Path | None = None
    token: Token | None = None
    max_associations: int | None = Field(default=None, ge=1)
    max_objects_per_minute: int | None = Field(default=None, ge=1)
    max_disk_share: float | None = Field(default=None, gt=0, lt=1)

    @field_validator("host")
    @classmethod
    def _is_a_network(cls, host: str | None) -> str | None:
        if host is not None and "/" in host:
            try:
                ip_network(host)
            except ValueError as error:
                raise ValueError("must be a name, an address, or a network such as 192.0.2.0/24") from error
        return host

    @model_validator(mode="after")
    def _find_is_whole(self) -> Sender:
        if (self.find_host is None) != (self.find_port is None):
            raise ValueError("find_host and find_port go together")
        if self.passcode_file is not None and self.username is None:
            raise ValueError("passcode_file needs username")
        if self.token is not None and self.username is not None:
            raise ValueError("token and username exclude each other: the token names the user")
        return self


_TWO_DAYS_S = 48 * 3600


class Destination(Section):
    """The settings of all destinations: which studies they get, and the retries."""

    name: Name
    only_discordant: bool = False
    send_between: tuple[TimeOfDay, TimeOfDay] | None = None
    timeout_s: float = Field(default=30, gt=0)
    retry_first_s: float = Field(default=30, gt=0)
    retry_ceiling_s: float = Field(default=3600, gt=0)
    dead_after_s: float = Field(default=72 * 3600, gt=0)

    @model_validator(mode="after")
    def _window_has_hours(self) -> Self:
        if self.send_between is not None and self.send_between[0] == self.send_between[1]:
            raise ValueError("send_between needs two different times")
        if self.send_between is not None and self.dead_after_s < _TWO_DAYS_S:
            raise ValueError(
                f"dead_after_s must be at least {_TWO_DAYS_S} (48 h) with send_between, since it counts on while the "
                "hours are closed: raise dead_after_s, or leave send_between out"
            )
        return self


class ObjectDestination(Destination):
    """The settings of destinations of DICOM objects: which objects they get."""

    profile: Literal["ohif", "workstation-cad-sr", "overlay-only", "all"] = "ohif"
    objects: tuple[Literal["SEG", "SR", "CAD-SR", "GSPS", "SC", "KO"], ...] | None = Field(default=None, min_length=1)
    nominal_geometry: bool | None = None
    draws_exam: bool = False
    rejection_notes: bool = False


LosslessSyntax = Literal["RLELossless", "JPEGLSLossless", "JPEG2000Lossless", "DeflatedExplicitVRLittleEndian"]
"""A transfer syntax that compresses without loss, by its keyword (PS3.6 table A-1)."""


class ByTls(Section):
    """The settings of a peer that the node may connect to by TLS."""

    tls: TlsPeer | None = None


SLOWEST_MBIT_S = 0.1
"""A piece of 16 KiB takes 1.3 s then. Many receivers end an association that sends nothing for some seconds, and a
summary page of some megabytes has to leave within their time-outs of some minutes."""


class DicomDestination(ByTls, ObjectDestination):
    """A PACS that receives results by C-STORE."""

    kind: Literal["dicom"] = "dicom"
    ae_title: AETitle
    host: str
    port: Port
    commitment: bool = False
    commitment_timeout_s: float = Field(default=3600, gt=0)
    transfer_syntaxes: tuple[LosslessSyntax, ...] = ()
    max_mbit_s: float | None = Field(default=None, ge=SLOWEST_MBIT_S)


class WebService(Section):
    """A DICOMweb service or FHIR server: its root URL, and how the node authenticates. Secrets are in files, never
    here."""

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
            raise ValueError("must be the root address of the service, such as https://pacs.example/dicom-web")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no user, password, query or fragment; a token goes into bearer_token_file")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _secrets_stay_secret(self) -> Self:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("client_key needs client_certificate")
        parts = urlsplit(self.url)
        if self.bearer_token_file and parts.scheme != "https" and not is_this_machine(parts.hostname or ""):
            raise ValueError("bearer_token_file needs an https url: over http the network can read the token")
        return self


class WebDestination(WebService, ObjectDestination):
    """A DICOMweb service that receives results by STOW-RS."""

    kind: Literal["dicomweb"] = "dicomweb"


class FhirDestination(WebService, Destination):
    """A FHIR server (R4) that receives the report as DiagnosticReport and Observations."""

    kind: Literal["fhir"]


class Hl7Destination(ByTls, Destination):
    """A RIS that receives the report as an HL7 v2 message (ORU^R01 over MLLP)."""

    kind: Literal["hl7"]
    host: str
    port: Port
    sending_application: HL7Name = "MAMMO_NODE"
    sending_facility: HL7Name = ""
    receiving_application: HL7Name = ""
    receiving_facility: HL7Name = ""
    charset: Literal[
        "UNICODE UTF-8", "ASCII", "8859/1", "8859/2", "8859/3", "8859/4", "8859/5", "8859/6", "8859/7", "8859/8",
        "8859/9", "8859/15",
    ] = "UNICODE UTF-8"  # fmt: skip


class Source(Section):
    """The settings of all sources of `mammo-node pull`."""

    name: Name
    timeout_s: float = Field(default=120, gt=0)


class DicomSource(ByTls, Source):
    """A PACS that is queried by C-FIND."""

    ae_title: AETitle
    host: str
    port: Port
    retrieve: Literal["c-get", "c-move"] = "c-get"


class WebSource(WebService, Source):
    """A DICOMweb service that is queried by QIDO-RS and WADO-RS."""


def _kind(entry: object) -> str:
    """The kind of a destination or source: as it states, else one with a url uses DICOMweb."""
    if not isinstance(entry, Mapping):
        return str(getattr(entry, "kind", "dicomweb" if isinstance(entry, WebService) else "dicom"))
    return str(entry.get("kind") or ("dicomweb" if "url" in entry else "dicom"))


AnyDestination = Annotated[
    Annotated[DicomDestination, Tag("dicom")]
    | Annotated[WebDestination, Tag("dicomweb")]
    | Annotated[FhirDestination, Tag("fhir")]
    | Annotated[Hl7Destination, Tag("hl7")],
    Discriminator(_kind),
]
AnySource = Annotated[
    Annotated[DicomSource, Tag("dicom")] | Annotated[WebSource, Tag("dicomweb")], Discriminator(_kind)
]
