"""Work that is begun from a page."""

from __future__ import annotations

import math
import resource
from threading import Event

from node.web.background import Background


def test_work_whose_process_cannot_start_has_failed_and_keeps_no_other_from_starting():
    ended = Event()
    background = Background(ended.set)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))  # no descriptor is left for the process's pipes
    try:
        assert background.begin("reread", math.sqrt, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    outcome = background.outcome("reread")
    assert outcome is not None
    assert (outcome.runs, "could not start" in outcome.failed, ended.is_set()) == (False, True, True)
    ended.clear()
    assert background.begin("reread", math.sqrt, 4)
    assert ended.wait(60)
    outcome = background.outcome("reread")
    assert outcome is not None
    assert (outcome.failed, outcome.value) == ("", 2)
