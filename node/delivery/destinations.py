"""Makes the transports to destinations from their settings."""

from __future__ import annotations

from config.peers import AnyDestination, FhirDestination, Hl7Destination, WebDestination
from dicom_io.network.scu import CStoreDestination
from dicom_io.network.stow import StowDestination
from dicom_io.results.outputs import contents_of
from node.delivery.deliverer import Transport
from node.delivery.fhir_server import FhirServer
from node.delivery.mllp import MllpDestination, MllpPeer
from node.peers import dicom_peer, profile, web_peer


def mllp_peer(to: Hl7Destination) -> MllpPeer:
    """A receiver of HL7 messages."""
    return MllpPeer(
        host=to.host,
        port=to.port,
        timeout_s=to.timeout_s,
        sending_application=to.sending_application,
        sending_facility=to.sending_facility,
        receiving_application=to.receiving_application,
        receiving_facility=to.receiving_facility,
        charset=to.charset,
    )


def transport(to: AnyDestination, calling_ae_title: str) -> Transport:
    """The transport for a destination."""
    if isinstance(to, FhirDestination):
        return FhirServer(web_peer(to))
    if isinstance(to, Hl7Destination):
        return MllpDestination(mllp_peer(to))
    if isinstance(to, WebDestination):
        return StowDestination(web_peer(to))
    contents = contents_of(profile(to), rejection_notes=to.rejection_notes)
    return CStoreDestination(dicom_peer(to, calling_ae_title), contents)
