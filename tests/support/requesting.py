"""An association requested by pynetdicom, of which a test asks whether it was rejected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.presentation import PresentationContext


def request(
    ae: AE,
    port: int,
    *,
    called: str = "NODE",
    contexts: list[PresentationContext] | None = None,
    items: Sequence[Any] = (),
) -> Association:
    """Requests an association with 127.0.0.1. `is_rejected` and `acceptor.primitive` tell of a rejection also where it
    arrives before the thread that asked runs again: pynetdicom itself then aborts and forgets the rejection."""
    rejections: list[A_ASSOCIATE_RJ] = []

    def keep(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            rejections.append(event.pdu)

    handlers: list[Any] = [(evt.EVT_PDU_RECV, keep)]
    association = ae.associate("127.0.0.1", port, contexts, ae_title=called, ext_neg=list(items), evt_handlers=handlers)
    for rejection in rejections:
        association.is_rejected, association.is_aborted = True, False
        association.acceptor.primitive = rejection.to_primitive()
    return association
