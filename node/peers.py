"""Makes the applications that the node communicates with from their settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from pydicom import uid
from pydicom.uid import UID

from config.peers import (
    AnySource,
    Destination,
    DicomDestination,
    DicomSource,
    FhirDestination,
    Hl7Destination,
    LosslessSyntax,
    ObjectDestination,
    Sender,
    WebDestination,
    WebSource,
)
from config.settings import Receiver, Settings
from config.tls import TlsListener, TlsPeer, TlsServer
from dicom_io.audit.message import AuditedObject
from dicom_io.audit.query import study_query
from dicom_io.network import retrieve, wado
from dicom_io.network.commitment import ask_commitment
from dicom_io.network.holdings import FetchLimits, Source
from dicom_io.network.peer import Peer
from dicom_io.network.scp import AllowedSender, TlsAddress
from dicom_io.network.tls import ServerTls, TlsFiles
from dicom_io.network.user_identity import AllowedToken, AllowedUser, Demand
from dicom_io.network.web_peer import WebPeer
from dicom_io.results.profiles import MESSAGE_PROFILES, Profile, ResultKind, profile_of
from node.audit.events import Recipient, search_of
from node.delivery.commitment import Request
from node.delivery.outbox import ResultDestination
from node.delivery.window import Window


def web_peer(of: WebDestination | WebSource | FhirDestination) -> WebPeer:
    """A DICOMweb service or a FHIR server."""
    service = "FHIR server" if isinstance(of, FhirDestination) else "DICOMweb service"
    files = of.bearer_token_file, of.ca_file, of.client_certificate, of.client_key
    return WebPeer(of.url, of.timeout_s, *files, service=service)


def tls_files(of: TlsPeer | None) -> TlsFiles | None:
    """How the node connects to a peer by TLS; None: without."""
    return None if of is None else TlsFiles(of.certificate, of.key, of.ca_file, of.profile, of.server_name)


def tls_address(of: TlsListener | None) -> TlsAddress | None:
    """The listener's address for TLS.

    Raises:
        CertificatesUnusable: a file is missing, is no certificate or key, or they do not fit each other.
    """
    if of is None:
        return None
    return TlsAddress(of.host, of.port, server_tls(of))


def server_tls(of: TlsServer) -> ServerTls:
    """The node's side of TLS where it is the server. Raises as `tls_address`."""
    return ServerTls(TlsFiles(of.certificate, of.key, of.ca_file, of.profile), asks=of.client_certificates)


def dicom_peer(of: DicomDestination | DicomSource, calling_ae_title: str) -> Peer:
    """A DICOM application."""
    return Peer(of.ae_title, of.host, of.port, of.timeout_s, calling_ae_title, tls=tls_files(of.tls))


def find_peer(of: Sender, calling_ae_title: str) -> Peer | None:
    """The application that is asked how many instances a sender's studies have; None: it is not asked."""
    if of.find_host is None or of.find_port is None:
        return None
    return Peer(of.ae_title, of.find_host, of.find_port, 10, calling_ae_title, tls=tls_files(of.find_tls))


def own_listener(of: Receiver, timeout_s: float) -> Peer:
    """The address of the running node itself on this machine."""
    return Peer(of.ae_title, of.own_host, of.port, timeout_s, calling_ae_title=of.ae_title)


def committing(settings: Settings) -> list[DicomDestination]:
    """The destinations with `commitment`."""
    return [to for to in settings.destinations if isinstance(to, DicomDestination) and to.commitment]


def profile(to: Destination) -> Profile:
    """What a destination gets."""
    if isinstance(to, ObjectDestination):
        return profile_of(to.profile, to.objects, to.nominal_geometry, to.draws_exam)
    return MESSAGE_PROFILES[ResultKind.ORU if isinstance(to, Hl7Destination) else ResultKind.FHIR]


def result_destination(to: Destination) -> ResultDestination:
    """A destination as the outbox knows it."""
    rejects = isinstance(to, ObjectDestination) and to.rejection_notes
    return ResultDestination(to.name, profile(to), to.only_discordant, rejects)


def window(to: Destination) -> Window | None:
    """The hours in which a destination gets what is not urgent; None: at any time."""
    return None if to.send_between is None else Window.between(*to.send_between)


def transfer_syntaxes(keywords: Iterable[LosslessSyntax]) -> list[UID]:
    """The transfer syntaxes of a setting, in its order."""
    return [UID(getattr(uid, keyword)) for keyword in keywords]


def commitment_request(to: DicomDestination, calling_ae_title: str) -> Request:
    """The function that requests storage commitment from a destination."""
    return partial(ask_commitment, dicom_peer(to, calling_ae_title))


def source(of: AnySource, receiver: Receiver) -> Source:
    """The source of studies for the node with these `receiver` settings."""
    limits = FetchLimits(receiver.max_image_mb * 1_000_000, receiver.min_free_mb * 1_000_000)
    if isinstance(of, WebSource):
        return wado.WebSource(web_peer(of), limits)
    move_to = receiver.ae_title if of.retrieve == "c-move" else None
    return retrieve.DicomSource(dicom_peer(of, receiver.ae_title), move_to, limits)


def audited_source(of: AnySource, receiver: Receiver) -> Recipient:
    """How the audit trail names a source."""
    if isinstance(of, WebSource):
        return Recipient(of.name, of.url)
    return Recipient(of.ae_title, of.host, receiver.ae_title)


def audited_query(of: AnySource, keyword: str, value: str) -> AuditedObject:
    """How it names a search there for studies by an attribute."""
    if isinstance(of, WebSource):
        return search_of(f"{of.url}/studies", f"{keyword}={value}")
    return study_query(keyword, value)


def callers(settings: Settings, now: Callable[[], float]) -> list[AllowedSender]:
    """Who may associate with the node: itself from this machine (for `pull`); its senders; and destinations with
    `commitment`, which may only report on commitments. `now`: UTC seconds since the epoch."""
    own_hosts = {"127.0.0.1", "::1", settings.receiver.own_host}
    senders = {sender.ae_title: _allowed(sender, now) for sender in settings.senders}
    reporting = [
        # A PACS that is a sender too must show the same certificate and state the same user to report.
        replace(senders.get(to.ae_title, AllowedSender(to.ae_title)), host=to.host, stores=False)
        for to in committing(settings)
    ]
    own = [AllowedSender(settings.receiver.ae_title, host) for host in sorted(own_hosts)]
    return [*own, *senders.values(), *reporting]


def user_of(sender: Sender, now: Callable[[], float]) -> Demand | None:
    """The user that a sender must state; None: none. `now`: UTC seconds since the epoch."""
    if sender.token is not None:
        token = sender.token
        return AllowedToken(token.keys_file, token.issuer, token.audience, token.subject, token.algorithms, now)
    return None if sender.username is None else AllowedUser(sender.username, sender.passcode_file)


def _allowed(sender: Sender, now: Callable[[], float]) -> AllowedSender:
    return AllowedSender(
        sender.ae_title,
        sender.host,
        certificates=frozenset(sender.certificates),
        user=user_of(sender, now),
        max_associations=sender.max_associations,
    )
