"""Makes destinations, sources and senders from their settings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from config.peers import (
    AnyDestination,
    AnySource,
    Destination,
    DicomDestination,
    DicomSource,
    WebDestination,
    WebSource,
)
from config.settings import Receiver, Settings
from dicom_io.network import retrieve, wado
from dicom_io.network.commitment import ask_commitment
from dicom_io.network.holdings import FetchLimits, Source
from dicom_io.network.peer import Peer
from dicom_io.network.scp import AllowedSender
from dicom_io.network.scu import Content, CStoreDestination
from dicom_io.network.stow import StowDestination
from dicom_io.network.web_peer import WebPeer
from dicom_io.results.profiles import profile_of
from node.delivery.commitment import Request
from node.delivery.outbox import ResultDestination


def web_peer(of: WebDestination | WebSource) -> WebPeer:
    """A DICOMweb service."""
    return WebPeer(of.url, of.timeout_s, of.bearer_token_file, of.ca_file, of.client_certificate, of.client_key)


def dicom_peer(of: DicomDestination | DicomSource, calling_ae_title: str) -> Peer:
    """A DICOM application."""
    return Peer(of.ae_title, of.host, of.port, of.timeout_s, calling_ae_title)


def own_listener(of: Receiver, timeout_s: float) -> Peer:
    """The address of the running node itself on this machine."""
    return Peer(of.ae_title, of.own_host, of.port, timeout_s, calling_ae_title=of.ae_title)


def committing(settings: Settings) -> list[DicomDestination]:
    """The destinations with `commitment`."""
    return [to for to in settings.destinations if isinstance(to, DicomDestination) and to.commitment]


def result_destination(to: Destination) -> ResultDestination:
    """What a destination gets."""
    profile = profile_of(to.profile, to.objects, to.nominal_geometry, to.draws_exam)
    return ResultDestination(to.name, profile, to.only_discordant, to.rejection_notes)


def transport(
    to: AnyDestination, calling_ae_title: str, contents: Iterable[Content]
) -> CStoreDestination | StowDestination:
    """The transport for a destination; `contents`: what will be sent."""
    if isinstance(to, WebDestination):
        return StowDestination(web_peer(to))
    return CStoreDestination(dicom_peer(to, calling_ae_title), contents)


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


def callers(settings: Settings) -> list[AllowedSender]:
    """Who may associate with the node: itself from this machine (for `pull`); its senders; and destinations with
    `commitment`, which may only report on commitments."""
    own_hosts = {"127.0.0.1", "::1", settings.receiver.own_host}
    return [
        *(AllowedSender(settings.receiver.ae_title, host) for host in sorted(own_hosts)),
        *(AllowedSender(sender.ae_title, sender.host) for sender in settings.senders),
        *(AllowedSender(to.ae_title, to.host, stores=False) for to in committing(settings)),
    ]
