"""What `serve --only` is told."""

from __future__ import annotations

import pytest

from node.parts import EVERYTHING, NoSuchPart, Part, parts_of, worker_name


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], EVERYTHING),
        (["read"], {Part.READ}),
        (["report", "deliver"], {Part.REPORT, Part.DELIVER}),
        (["report, deliver", "web"], {Part.REPORT, Part.DELIVER, Part.WEB}),
    ],
)
def test_parts_are_named_one_by_one_or_with_commas(words, parts):
    assert parts_of(words) == parts


@pytest.mark.parametrize("word", ["reader", "read,", "", "READ"])
def test_what_is_no_part_is_refused_and_the_parts_are_named(word):
    with pytest.raises(NoSuchPart, match="Parts are receive, read, report, deliver, web"):
        parts_of([word])


def test_without_other_processes_a_worker_has_the_name_that_it_had_before_a_restart_or_an_upgrade():
    assert [worker_name("MAMMO_NODE", part, "") for part in (Part.READ, Part.REPORT)] == [
        "MAMMO_NODE/reader",
        "MAMMO_NODE/reporter",
    ]
    assert worker_name("MAMMO_NODE", Part.READ, "host-1a2b3c4d") == "MAMMO_NODE/reader@host-1a2b3c4d"
