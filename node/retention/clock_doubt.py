"""Whether the machine's clock may be wrong: one that is years ahead makes everything old, and it would be deleted."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.retention.rules import DAY_S
from node.store.clock import ClockWatch
from node.store.tables import Instance

_QUIET_S = 30 * DAY_S
"""A node to which nothing came for longer stands still, or its clock is wrong."""
_SET_S = DAY_S


def quiet_for_days(session: Session, now: float) -> float | None:
    """For how many days nothing came, if that is so long that the clock may be wrong; None: it is not."""
    newest = session.scalar(select(func.max(Instance.received_at)))
    return (now - newest) / DAY_S if newest is not None and now - newest > _QUIET_S else None


@dataclass
class ClockDoubt:
    """Doubts the clock from the start of the process, or from when it was set, until the process ends.

    Attributes:
        clock: compares the wall clock with one that nobody sets.
        quiet_days: `quiet_for_days` when the process started.
    """

    clock: ClockWatch
    quiet_days: float | None
    _set_by: float = field(default=0.0, init=False)

    def why(self) -> str:
        """Why nothing is deleted; "": the clock is not in doubt."""
        self._set_by = max(self._set_by, self.clock.set_by())
        if self.quiet_days is not None:
            return f"nothing came for {self.quiet_days:.0f} days, or the clock is wrong"
        return f"the clock was set ahead by {self._set_by / DAY_S:.0f} days" if self._set_by > _SET_S else ""
