"""Whether the node is ready to work: what is not, in words."""

from __future__ import annotations

from sqlalchemy.orm import Session

from config.settings import Settings
from node.operations.check import listener
from node.operations.day import view_day
from node.operations.machine import disk
from node.operations.needs import needs


def not_ready(session: Session, settings: Settings, now: float) -> list[str]:
    """What keeps the node from receiving or reading, one sentence each; none: it is ready. That a destination does not
    answer is no reason: its results wait."""
    answers = listener(settings)
    said = [] if answers.ok else [f"the DICOM listener does not answer: {answers.says}"]
    if not (room := disk(settings)).ok:
        said.append(room.says)
    day = view_day(session, (), now)
    return said + [need.says for need in needs(session, settings, day, (), now) if need.about == "reader"]
