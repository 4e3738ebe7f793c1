"""What the node would do with an image: whether it is read, who gets the results, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings
from dicom_io.headers import describe
from dicom_io.instance_kinds import InstanceKind
from dicom_io.network.priority import MEDIUM
from dicom_io.pixels.intact import read_whole_file
from node.intake.register import never_read
from node.intake.urgency import urgency_of
from node.routing import route
from node.store.unread import sentence
from node.store.urgency import Urgency


@dataclass(frozen=True)
class RoutedFile:
    """The decision for an image.

    Attributes:
        why: one sentence for each route that was tried.
        against: why it is not read; None: it is read.
        urgency: before the C-STORE's Priority, which may raise it.
        destinations: the names of those that get the results.
    """

    kind: InstanceKind
    why: tuple[str, ...]
    against: str | None
    urgency: Urgency
    destinations: tuple[str, ...]

    @property
    def unless(self) -> str:
        """When it is not read after all: ", unless …", or ""."""
        raw = self.kind is InstanceKind.FOR_PROCESSING
        return ", unless an image for presentation of the same view comes too" if raw else ""


def route_file(settings: Settings, file: Path, calling_ae_title: str, now: float) -> RoutedFile:
    """The decision for a DICOM file, as if a sender sent it. Nothing is stored or sent.

    Args:
        calling_ae_title: the sender's; "": a file.
        now: UTC seconds since the epoch.

    Raises:
        NotReadable: it is no DICOM file, damaged, or larger than the node takes.
    """
    header = describe(read_whole_file(file, settings.receiver.max_image_mb * 1_000_000).dataset)
    decision = route(settings.routes, header, calling_ae_title, now)
    sender = next((sender for sender in settings.senders if sender.ae_title == calling_ae_title), None)
    why = never_read(header, reads_secondary_capture=sender is not None and sender.reads_secondary_capture)
    against = None if why is None else sentence(why, header.no_view)
    if not decision.read:
        against = f"the route {decision.route} says that it is not read"
    known = tuple(destination.name for destination in settings.destinations)
    return RoutedFile(
        header.kind,
        decision.why,
        against,
        urgency_of(header, MEDIUM, sender, decision.urgency) or Urgency.ROUTINE,
        () if against else known if decision.destinations is None else decision.destinations,
    )
