"""Each line of the log has its event and the number of its study. (tests/test_docs.py compares the list of events.)"""

from __future__ import annotations

import json
import logging

import pytest

from node.logs import JsonLines


@pytest.mark.parametrize(
    ("message", "values", "event", "study"),
    [
        ("study %d: revision %d reported: %s", (7, 2, "1 object"), "study-revision-reported", 7),
        ("act: %s by %s%s", ("retried", "account 3", ": study 9"), "act-by", 9),
        ("the clock was set by %+.0f s", (5.0,), "the-clock-was-set-by-s", None),
    ],
)
def test_a_line_has_its_event_and_the_number_of_its_study(message, values, event, study):
    record = logging.LogRecord("node.test", logging.INFO, "", 1, message, values, None)
    line = json.loads(JsonLines().format(record))
    assert (line["event"], line.get("study")) == (event, study)
