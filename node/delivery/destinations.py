"""Makes the transports to destinations from their settings."""

from __future__ import annotations

from config.peers import AnyDestination, FhirDestination, WebDestination
from dicom_io.network.scu import CStoreDestination
from dicom_io.network.stow import StowDestination
from dicom_io.results.outputs import contents_of
from node.delivery.deliverer import Transport
from node.delivery.fhir_server import FhirServer
from node.peers import dicom_peer, profile, web_peer


def transport(to: AnyDestination, calling_ae_title: str) -> Transport:
    """The transport for a destination."""
    if isinstance(to, FhirDestination):
        return FhirServer(web_peer(to))
    if isinstance(to, WebDestination):
        return StowDestination(web_peer(to))
    contents = contents_of(profile(to), rejection_notes=to.rejection_notes)
    return CStoreDestination(dicom_peer(to, calling_ae_title), contents)
