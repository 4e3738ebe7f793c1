"""How long the server works for each page, with 100,000 studies in the database.

    .venv/bin/python benchmarks/web.py [--studies N] [--repeat N] [--json]

The studies are spread over a year, the last of them real: four views of an exam, read by simple models. Each page is
asked for by a signed-in operator, in the same process, so that neither network nor browser is measured; the median and
the slowest of the repeats count. Ends with status 1 if the median of a page takes 300 ms or more.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from browsing import ORIGIN, Browsing, application_of
from clock import Clock
from fastapi.testclient import TestClient
from finished_studies import DESTINATION, NOW, fill
from rich.console import Console
from rich.table import Table
from road import Road
from small_studies import small_studies
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from config.peers import DicomDestination, Sender
from config.settings import Settings
from config.web import Role
from node.demo.studies import find_cases
from node.operations.accounts import add
from node.reporting.weeks import week_of
from node.store.database import open_database
from node.store.tables import ReadingWeek, ShadowReading

LIMIT_MS = 300.0
PASSWORD = "a long enough one"
SPREAD_S = 365 * 86400.0
SPREAD = (
    "UPDATE study SET first_received_at = :now - (:studies - id) * :step, "
    "last_received_at = :now - (:studies - id) * :step + 20, score = (id * 37 % 100) / 100.0, "
    "discordant = id % 500 = 0",
    "UPDATE instance SET received_at = :now - (:studies - study_id) * :step, "
    "read_at = :now - (:studies - study_id) * :step + 30, patient_id = 'P' || study_id, "
    "accession_number = 'A' || study_id",
    "UPDATE result SET written_at = :now - (:studies - study_id) * :step + 60",
    "UPDATE delivery SET created_at = :now - (:studies - (id + 2) / 3) * :step + 60, "
    "sent_at = :now - (:studies - (id + 2) / 3) * :step + 70",
    "UPDATE study SET state = 'QUARANTINED', why = 'two patients' WHERE id % 10000 = 7",
    "UPDATE job SET state = 'FAILED', error = 'damaged' WHERE id % 20000 = 9",
    "UPDATE delivery SET state = 'DEAD', error = 'refused', sent_at = NULL WHERE id % 15000 = 11",
)
SCANNERS, SENDERS, WEEKS = 10, 3, 104


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measured = dict(measure(Path(scratch), arguments.studies, arguments.repeat))
    if arguments.json:
        print(json.dumps(measured, indent=2))
    else:
        show(measured, arguments.studies)
    if any(median >= LIMIT_MS for median, _ in measured.values()):
        sys.exit(f"A page takes {LIMIT_MS:.0f} ms or more.")


def measure(scratch: Path, studies: int, repeat: int) -> Iterator[tuple[str, tuple[float, float]]]:
    """Each page with the median and the longest of its times, in ms."""
    data = scratch / "data"
    data.mkdir()
    engine = open_database(f"sqlite:///{data / 'queue.sqlite'}")
    fill(engine, studies)
    spread(engine, studies)
    fill_weeks(engine, studies)
    engine.dispose()
    road = Road(data, clock=Clock(NOW), destinations=(DESTINATION,))
    road.all_of_it(*small_studies(find_cases(), scratch / "mammograms")[1].files)
    with road.sessions.begin() as session:
        add(session, "operator", Role.OPERATOR, PASSWORD, NOW)
    settings = Settings(
        data_dir=data,
        senders=(Sender(ae_title="PACS"),),
        destinations=(DicomDestination(name=DESTINATION, ae_title="PACS", host="127.0.0.1", port=1),),
    )
    real, middle = studies + 1, studies // 2
    client = TestClient(application_of(road, settings), base_url="http://127.0.0.1:8080", client=("127.0.0.1", 5))
    with client:
        browser = Browsing(client)
        browser.send("/sign-in", "/sign-in", name="operator", password=PASSWORD)
        for path in (
            "/",
            "/studies",
            f"/studies?before={middle}",
            "/studies?before=60",
            "/studies?state=reported",
            "/studies?state=quarantined",
            "/studies?problems=on",
            "/studies?discordant=on",
            "/studies?score=0.99",
            "/studies?source=PACS",
            f"/studies?destination={DESTINATION}",
            "/studies?destination=none",
            "/studies?since=2026-10-01&until=2026-10-02",
            f"/studies/{real}",
            f"/studies/{middle}",
            f"/studies/{real}/images/{4 * studies + 1}.jpg",
            "/agreement",
            "/annotations",
            "/models",
            "/routes",
            "/settings",
            "/check",
            "/metrics",
        ):
            yield path, timed(partial(browser.get, path), repeat)
        token = browser.token("/studies")
        yield "find an accession number", timed(lambda: find(browser, token, f"A{middle}"), repeat)
        yield "find a patient ID", timed(lambda: find(browser, token, f"P{middle}"), repeat)


def spread(engine: Engine, studies: int) -> None:
    """Gives the studies times over a year, patients, scores, and some of them troubles."""
    values = {"now": NOW - 60, "studies": studies, "step": SPREAD_S / studies}
    with engine.begin() as connection:
        for statement in SPREAD:
            wanted = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), wanted)


def fill_weeks(engine: Engine, studies: int) -> None:
    """What the models said in two years, by ten scanners at three senders; and a thousand shadow readings."""
    draw, last = random.Random(1), week_of(NOW)
    with Session(engine) as session, session.begin():
        for week, scanner, sender in product(range(last - WEEKS + 1, last + 1), range(SCANNERS), range(SENDERS)):
            images = 400
            score = draw.gauss(0.2, 0.01)
            session.add(
                ReadingWeek(
                    week=week, scanner=f"Maker Model {scanner}", source=f"PACS{sender}", bundle="a 1", images=images,
                    score_sum=images * score, score_squares=images * (score**2 + 0.03),
                    findings=draw.randint(160, 240), exams=100, exams_above=draw.randint(2, 9),
                )
            )  # fmt: skip
        for number in range(min(studies, 1000)):
            session.add(
                ShadowReading(
                    study_id=number + 1, revision=1, read_at=NOW, bundle="a 1", other_bundle="b 1",
                    score=draw.random(), other_score=draw.random(), category="3",
                    other_category=draw.choice(("3", "4A")),
                    findings_kept=1, findings_new=0, findings_gone=0,
                )
            )  # fmt: skip


def find(browser: Browsing, token: str, name: str) -> None:
    answer = browser.client.post(
        "/studies/find", data={"csrf": token, "name": name}, headers={"Origin": ORIGIN}, follow_redirects=False
    )
    assert answer.headers["location"].startswith("/studies/"), answer.text


def timed(ask: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Median and maximum in ms, after one call that is not counted."""
    ask()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times), max(times)


def show(measured: dict[str, tuple[float, float]], studies: int) -> None:
    table = Table(title=f"Pages with {studies:,} studies")
    for heading in ("", "median, ms", "slowest, ms"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, (median, slowest) in measured.items():
        table.add_row(name, f"{median:.0f}", f"{slowest:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
