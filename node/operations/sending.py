"""What limits the sending to each destination, in words: its hours, its rate, its transfer syntaxes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.peers import AnyDestination, DicomDestination
from config.settings import Settings
from models.types.words import counted
from node.delivery.window import Window
from node.store.states import DeliveryState
from node.store.tables import Delivery, Study
from node.store.urgency import Urgency


def sending_words(session: Session, settings: Settings, now: float) -> dict[str, str]:
    """A sentence for each destination whose sending is limited, by its name.

    Args:
        now: UTC seconds since the epoch.
    """
    said = {to.name: "; ".join(_limits(session, to, now)) for to in settings.destinations}
    return {name: f"{words}." for name, words in said.items() if words}


def _limits(session: Session, to: AnyDestination, now: float) -> Iterator[str]:
    if to.send_between is not None:
        hours = Window.between(*to.send_between)
        zone = datetime.fromtimestamp(now).astimezone().tzname()
        words = f"what is not urgent is sent between {hours} ({zone})"
        if not hours.is_open(now) and (held := _held(session, to.name)):
            words += f": {counted(held, 'result')} {'waits' if held == 1 else 'wait'} until {hours.start:%H:%M}"
        yield words
    if isinstance(to, DicomDestination):
        if to.max_mbit_s is not None:
            yield f"at most {to.max_mbit_s:g} Mbit/s"
        if to.transfer_syntaxes:
            from node.peers import transfer_syntaxes  # not above: it imports pydicom

            yield f"preferred: {', '.join(uid.name for uid in transfer_syntaxes(to.transfer_syntaxes))}"


def _held(session: Session, name: str) -> int:
    """How many deliveries wait for the hours of a destination."""
    urgent = [urgency for urgency in Urgency if urgency.is_urgent]
    waits = (
        select(func.count())
        .select_from(Delivery)
        .join(Delivery.result)
        .join(Study)
        .where(Delivery.destination == name, Delivery.state == DeliveryState.WAITING, Study.urgency.not_in(urgent))
    )
    return int(session.scalar(waits) or 0)
