"""How urgent a received instance is: the highest of what the settings and the instance itself state. Pure."""

from __future__ import annotations

from config.peers import Sender
from dicom_io.headers import InstanceHeader
from dicom_io.network.priority import HIGH
from node.store.urgency import Urgency, highest, in_words


def urgency_of(header: InstanceHeader, priority: int, sender: Sender | None, of_route: str | None) -> Urgency | None:
    """The urgency that an instance gives its study; None if nothing is stated.

    Only HIGH of a C-STORE's Priority counts: MEDIUM or LOW is what a toolkit writes when nobody has chosen (DCMTK and
    Orthanc MEDIUM, pynetdicom LOW), and states nothing.

    Args:
        priority: of the C-STORE request, see `ReceivedFile`.
        sender: the settings of the sender, if it has any; they may say that what its instances state does not count.
        of_route: `urgency` of the route that decides.
    """
    of_sender = None if sender is None else sender.urgency
    settings = [Urgency(word) for word in (of_route, of_sender) if word is not None]
    if sender is not None and not sender.heeds_priority:
        return highest(settings)
    stated = [in_words(word) for word in header.requested_priorities]
    return highest([*settings, *stated, Urgency.HIGH if priority == HIGH else None])
