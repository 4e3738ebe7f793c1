"""No more bytes leave in a second than the limit allows."""

from __future__ import annotations

from dataclasses import dataclass, field

from clock import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_io.network.pace import PIECE, Pace


@dataclass
class Waits:
    """A clock that a pause moves."""

    clock: Clock = field(default_factory=Clock)
    paused: list[float] = field(default_factory=list)

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.clock.seconds += seconds


@settings(max_examples=50)
@given(
    rate=st.floats(1e3, 1e9),
    sent=st.lists(st.tuples(st.integers(1, 5 * PIECE), st.floats(0, 10)), min_size=1, max_size=8),
)
def test_all_bytes_arrive_and_never_faster_than_the_limit(rate: float, sent: list[tuple[int, float]]):
    waits = Waits()
    pace = Pace(rate, waits.clock, waits.pause)
    began, left = waits.clock(), 0
    for size, idle_s in sent:
        data = bytes(range(256)) * (size // 256 + 1)
        arrived = b""
        for piece in pace.pieces(data):
            assert len(piece) <= PIECE
            left += len(piece)
            arrived += piece
            assert left - len(piece) <= rate * (waits.clock() - began) * (1 + 1e-6) + PIECE
        assert arrived == data
        waits.clock.seconds += idle_s
    assert all(seconds > 0 for seconds in waits.paused)


def test_an_idle_link_gives_no_credit():
    waits = Waits()
    pace = Pace(PIECE, waits.clock, waits.pause)
    list(pace.pieces(bytes(PIECE)))
    waits.clock.seconds += 3600
    list(pace.pieces(bytes(3 * PIECE)))
    assert [round(seconds, 3) for seconds in waits.paused] == [1, 1]
