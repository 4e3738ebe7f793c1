"""What is not urgent is sent in its destination's hours, and what is urgent at once."""

from __future__ import annotations

import time as system_time
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from clock import Clock
from hypothesis import example, given, settings
from hypothesis import strategies as st
from outbox import wait_for
from pydantic import ValidationError
from sqlalchemy import select

from config.settings import Settings
from dicom_io.results.profiles import ResultKind
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.delivery.window import Window
from node.operations.sending import sending_words
from node.store.database import Sessions, open_database, read_only, sessions_of
from node.store.states import DeliveryState
from node.store.tables import Delivery
from node.store.urgency import Urgency

ZONE = "Europe/Berlin"
NIGHT = Window(time(19), time(6))


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", ZONE)
    system_time.tzset()
    yield
    monkeypatch.undo()
    system_time.tzset()


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> float:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(ZONE)).timestamp()


@pytest.mark.parametrize(
    ("window", "hour", "minute", "is_open"),
    [
        (NIGHT, 18, 59, False), (NIGHT, 19, 0, True), (NIGHT, 0, 0, True), (NIGHT, 5, 59, True), (NIGHT, 6, 0, False),
        (Window(time(12), time(13, 30)), 11, 59, False), (Window(time(12), time(13, 30)), 13, 29, True),
        (Window(time(12), time(13, 30)), 13, 30, False), (Window(time(0), time(6)), 0, 0, True),
        (Window(time(19), time(0)), 23, 59, True), (Window(time(19), time(0)), 0, 0, False),
    ],
)  # fmt: skip
def test_a_window_is_open_from_its_start_to_before_its_end(window: Window, hour: int, minute: int, is_open: bool):
    assert window.is_open(at(2026, 3, 4, hour, minute)) is is_open


def test_a_closed_window_opens_at_its_next_start():
    assert NIGHT.opens_at(at(2026, 3, 4, 6, 0)) == at(2026, 3, 4, 19, 0)
    assert Window(time(1), time(2)).opens_at(at(2026, 12, 31, 2, 0)) == at(2027, 1, 1, 1, 0)
    assert NIGHT.opens_at(at(2026, 3, 4, 20, 0)) == at(2026, 3, 4, 20, 0), "it is open"


_TIMES = st.times().map(lambda found: found.replace(second=0, microsecond=0))


@settings(max_examples=200)
@given(start=_TIMES, end=_TIMES, now=st.integers(int(at(2026, 1, 1)), int(at(2027, 1, 1))))
@example(start=time(2, 30), end=time(3, 30), now=int(at(2026, 3, 29, 1, 0)))  # 02:30 is not there on that day
@example(start=time(2, 30), end=time(6), now=int(at(2026, 10, 25, 1, 0)))  # and twice on that one
def test_a_window_opens_within_a_day_and_is_closed_until_then(start: time, end: time, now: int):
    window = Window(start, end)
    opens_at = window.opens_at(now)
    assert 0 <= opens_at - now <= 25 * 3600
    if opens_at > now:
        assert not window.is_open(now)
        # On the day on which the clocks skip its start it opens at the hour after it.
        if datetime.fromtimestamp(opens_at).astimezone().time() == start:
            assert not window.is_open(opens_at - 1)


class Taken:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def send(self, path: Path) -> None:
        self.files.append(path.name)

    def close(self) -> None: ...


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return sessions_of(open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}"))


def waiting(sessions: Sessions, urgency: Urgency, now: float) -> None:
    wait_for(sessions, "pacs", f"{urgency}.dcm", now, ResultKind.SR, urgency)


def test_outside_its_hours_a_destination_gets_urgent_studies_only(sessions: Sessions, tmp_path: Path):
    clock, taken = Clock(at(2026, 3, 4, 10, 0)), Taken()
    delivering = Deliverer("pacs", taken, RetryPolicy(30, 3600, 259200), sessions, tmp_path, clock, window=NIGHT)
    for urgency in Urgency:
        waiting(sessions, urgency, clock())
    delivering.deliver_due()
    assert sorted(taken.files) == ["HIGH.dcm", "STAT.dcm"]
    assert delivering.deliver_due() == 0
    assert delivering._next_due(clock()) == at(2026, 3, 4, 19, 0), "it sleeps until then, and looks after commits"
    clock.seconds = at(2026, 3, 4, 19, 0)
    delivering.deliver_due()
    assert sorted(taken.files) == ["HIGH.dcm", "LOW.dcm", "ROUTINE.dcm", "STAT.dcm"]
    with read_only(sessions) as session:
        assert set(session.scalars(select(Delivery.state))) == {DeliveryState.SENT}


def test_what_is_not_sent_when_the_hours_end_waits_for_the_next(sessions: Sessions, tmp_path: Path):
    clock = Clock(at(2026, 3, 4, 5, 59))

    class Slow(Taken):
        def send(self, path: Path) -> None:
            super().send(path)
            clock.seconds += 60

    taken = Slow()
    delivering = Deliverer("pacs", taken, RetryPolicy(30, 3600, 259200), sessions, tmp_path, clock, window=NIGHT)
    for urgency in (Urgency.LOW, Urgency.ROUTINE):
        waiting(sessions, urgency, clock())
    delivering.deliver_due()
    assert taken.files == ["ROUTINE.dcm"]


@pytest.mark.parametrize(
    "to",
    [
        {"ae_title": "PACS", "host": "192.0.2.1", "port": 104},
        {"url": "https://pacs.example/dicom-web"},
        {"kind": "fhir", "url": "https://ehr.example/fhir"},
        {"kind": "hl7", "host": "192.0.2.1", "port": 2575},
    ],
)
def test_with_hours_a_result_lives_through_more_than_one_night(to: dict[str, object], tmp_path: Path):
    def stated(**more: object) -> Settings:
        return Settings.model_validate({"data_dir": tmp_path, "destinations": [{"name": "there", **to, **more}]})

    night = {"send_between": ["19:00", "06:00"]}
    with pytest.raises(ValidationError, match=r"at least 172800 \(48 h\) with send_between.*raise dead_after_s"):
        stated(**night, dead_after_s=172799)
    for allowed in ({**night, "dead_after_s": 172800}, night, {"dead_after_s": 1}):
        assert stated(**allowed).destinations[0].name == "there"


def test_status_says_how_a_destination_is_limited_and_what_waits(sessions: Sessions, tmp_path: Path):
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "192.0.2.1", "port": 104, "send_between": ["19:00", "06:00"]}
    pacs |= {"max_mbit_s": 20, "transfer_syntaxes": ["JPEGLSLossless"]}
    ris = {"name": "ris", "kind": "hl7", "host": "192.0.2.1", "port": 2575}
    stated = Settings.model_validate({"data_dir": tmp_path, "destinations": [pacs, ris]})
    now = at(2026, 3, 4, 10, 0)
    for urgency in (Urgency.ROUTINE, Urgency.STAT):
        waiting(sessions, urgency, now)
    with read_only(sessions) as session:
        by_day, by_night = (sending_words(session, stated, when) for when in (now, at(2026, 3, 4, 20, 0)))
    always = "at most 20 Mbit/s; preferred: JPEG-LS Lossless Image Compression."
    hours = "what is not urgent is sent between 19:00 and 06:00 (CET)"
    assert by_day == {"pacs": f"{hours}: 1 result waits until 19:00; {always}"}
    assert by_night == {"pacs": f"{hours}; {always}"}
