"""A deliverer that requests storage commitment, and what the database says of its deliveries."""

from __future__ import annotations

from itertools import count

from committing import CommittingPacs, requested
from pydicom import Dataset
from road import Road

from config.peers import DicomDestination
from dicom_io.network.commitment import CommitmentReport
from dicom_io.network.peer import Peer
from dicom_io.network.scu import CStoreDestination
from dicom_io.results.outputs import contents_of
from dicom_io.results.profiles import PROFILES
from node.delivery.backoff import RetryPolicy
from node.delivery.commitment import Commitment
from node.delivery.deliverer import Deliverer
from node.peers import commitment_request
from node.store.states import DeliveryState

POLICY = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=72 * 3600)
TIMEOUT_S = 3600


def deliverer(road: Road, pacs: CommittingPacs, name: str = "pacs", commits: bool = True) -> Deliverer:
    """As the node makes it, except clock and transaction UIDs; a second one stands for a restarted node."""
    of = DicomDestination(name=name, ae_title="PACS", host="127.0.0.1", port=pacs.port, timeout_s=60)
    uids = (f"2.25.{number}" for number in count(len(pacs.asked) + 1))
    request = commitment_request(of, "NODE")
    commitment = Commitment(name, request, POLICY, TIMEOUT_S, road.sessions, road.clock, lambda: next(uids))
    destination = CStoreDestination(Peer("PACS", "127.0.0.1", pacs.port, 60, "NODE"), contents_of(PROFILES["ohif"]))
    return Deliverer(
        name, destination, POLICY, road.sessions, road.data_dir, road.clock, commitment if commits else None
    )


def work(deliverer: Deliverer) -> None:
    """What its thread does periodically."""
    deliverer.deliver_due()
    deliverer.transport.close()
    assert deliverer.commitment is not None
    deliverer.commitment.request_due()


def take_report(
    deliverer: Deliverer, request: Dataset, failed: dict[str, int] | None = None, *, without: int = 0
) -> bool:
    """The node hears that what was requested is committed, but for what `failed` and for the first `without`."""
    assert deliverer.commitment is not None
    kept = frozenset(requested(request)[without:]) - (failed or {}).keys()
    return deliverer.commitment.take_report(CommitmentReport(str(request.TransactionUID), kept, failed or {}))


def states(road: Road) -> list[DeliveryState]:
    return [delivery.state for delivery in road.deliveries()]


def rows(road: Road) -> list[tuple[object, ...]]:
    return [
        (delivery.state, delivery.attempts, delivery.next_at, delivery.error, delivery.transaction_uid)
        for delivery in road.deliveries()
    ]
