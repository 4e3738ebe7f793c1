"""In a log, a long command reports its progress and the remaining time at intervals."""

from __future__ import annotations

from node.cli.terminal.progress import ProgressLines


def test_progress_lines_are_printed_at_intervals_with_the_remaining_time() -> None:
    printed: list[str] = []
    now = iter(range(0, 1000, 10))  # ten seconds a step
    lines = ProgressLines(lambda: float(next(now)), printed.append)
    for step in range(1, 9):
        lines(step, 8, "loss 1")
    assert printed == [
        "1 of 8: loss 1",
        "4 of 8, about 0:00:40 left: loss 1",
        "7 of 8, about 0:00:10 left: loss 1",
        "8 of 8: loss 1",
    ]


def test_each_part_of_the_work_has_its_own_remaining_time() -> None:
    printed: list[str] = []
    now = iter(range(0, 1000, 40))
    lines = ProgressLines(lambda: float(next(now)), printed.append)
    for step in (1, 9, 10):
        lines(step, 10, "training")
    for step in (1, 2):
        lines(step, 5, "measuring")
    assert printed[-2:] == ["1 of 5: measuring", "2 of 5, about 0:02:00 left: measuring"]
