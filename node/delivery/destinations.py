"""Makes the transports to destinations from their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pydicom.uid import UID

from config.peers import AnyDestination, DicomDestination, FhirDestination, Hl7Destination, WebDestination
from dicom_io.network.pace import Pace
from dicom_io.network.scu import CStoreDestination
from dicom_io.network.stow import StowDestination
from dicom_io.results.outputs import contents_of, preferred_syntaxes
from node.audit.events import Recipient
from node.delivery.deliverer import Transport
from node.delivery.fhir_server import FhirServer
from node.delivery.mllp import MllpDestination, MllpPeer
from node.peers import dicom_peer, profile, tls_files, transfer_syntaxes, web_peer

BYTES_PER_MBIT = 125_000


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
        tls=tls_files(to.tls),
    )


def recipient(to: AnyDestination, calling_ae_title: str) -> Recipient:
    """How the audit trail names a destination. FHIR servers and HL7 receivers get reports in another form than DICOM
    objects: an export."""
    if isinstance(to, FhirDestination):
        return Recipient(to.name, to.url, exports=True)
    if isinstance(to, Hl7Destination):
        return Recipient(to.receiving_application or to.name, to.host, exports=True)
    if isinstance(to, WebDestination):
        return Recipient(to.name, to.url)
    return Recipient(to.ae_title, to.host, calling_ae_title)


def transport(
    to: AnyDestination, calling_ae_title: str, clock: Callable[[], float], pause: Callable[[float], object]
) -> Transport:
    """The transport for a destination. `clock` and `pause` keep its pace (network/pace.py)."""
    if isinstance(to, FhirDestination):
        return FhirServer(web_peer(to), to.name)
    if isinstance(to, Hl7Destination):
        return MllpDestination(mllp_peer(to), to.name)
    if isinstance(to, WebDestination):
        return StowDestination(web_peer(to))
    peer = dicom_peer(to, calling_ae_title)
    if to.max_mbit_s is not None:
        peer = replace(peer, pace=Pace(to.max_mbit_s * BYTES_PER_MBIT, clock, pause))
    return CStoreDestination(peer, contents_of(profile(to), rejection_notes=to.rejection_notes), preferred(to))


def preferred(to: DicomDestination) -> Mapping[UID, Sequence[UID]]:
    """The transfer syntaxes that a destination prefers, in their order, by the SOP classes that it gets."""
    syntaxes = transfer_syntaxes(to.transfer_syntaxes)
    return preferred_syntaxes(profile(to), syntaxes, rejection_notes=to.rejection_notes)
