"""What people do to the node. Every act passes `note`, in the transaction that does it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy.orm import Session

log = logging.getLogger(__name__)


COMMAND_LINE = "the command line"


@dataclass(frozen=True)
class Act:
    """Something that a person does.

    Attributes:
        what: the act, in the past: "retried", "signed in".
        by: "account 3", or COMMAND_LINE.
        study: the id of the study that it is about.
        about: anything else that it is about; never a name, id, date or UID of a patient.
    """

    what: str
    by: str
    study: int | None = None
    about: str = ""


def note(session: Session, act: Act) -> None:
    """Notes an act. It is logged so far; an audit trail enters it with `session`, so that an act and its entry are
    stored together or not at all."""
    on = ", ".join(filter(None, ("" if act.study is None else f"study {act.study}", act.about)))
    log.info("act: %s by %s%s", act.what, act.by, f": {on}" if on else "")
