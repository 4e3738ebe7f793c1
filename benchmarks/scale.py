"""What the queue costs, and how many studies an hour several readers read from one queue.

    .venv/bin/python benchmarks/scale.py [--quick] [--rows N …] [--json]

1. The queue's share of a study: a study of four images is received, read by simple models, closed, reported and
   delivered, step by step in one process, in a database that holds so many finished studies already (10, 1,000,
   100,000; `--rows 1000000` for more). Counted are the statements, and the time for which the program waits for the
   database.
2. Readers: 1, 2 and 4 processes with the node's own loop share a queue of waiting images. Reading an image takes a
   known time, in which the processor is free, as while a GPU computes. Studies an hour, and the share that is reached
   of what would be possible without any queue.
3. The same with 1, 2 and 4 actors of a Ray cluster on this machine (`--without-ray`: not), for a queue in SQLite. The
   images' files go through Ray's object store, are decoded there, and the readings come back.

The first two on SQLite and on PostgreSQL (Debian package postgresql-15), which writes to the disk at each commit as
SQLite does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import numpy as np
from clock import Clock
from cluster_models import bundle_of, install
from finished_studies import DESTINATION, NOW, fill
from postgresql import debian_postgresql
from ray_cluster import RayCluster, ray_cluster
from rich.console import Console
from rich.table import Table
from road import Road, changed
from simple_models import OneMass, pipeline_of
from small_studies import small_studies
from sqlalchemy import Engine, Select, event, func, select, update

from config.settings import load
from models.types.mammogram import Mammogram
from node.archive.digests import ArchivedFile
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.demo.studies import find_cases
from node.reader.executor import OnReading, Outcome, Outcomes, Read
from node.reader.images import ImageReader, ReadingLimits
from node.reader.main import run_reader
from node.store.database import engine_for, open_database, read_only, sessions_of
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import ActorPoolState, Instance, Job, Study

ROWS = (10, 1_000, 100_000)
READERS = (1, 2, 4)
IMAGE_S = 0.1
"""Of reading an image, where it is known: 9,000 studies of four images an hour with one reader."""
IMAGES = 4
FILLS_S = 3600.0
"""Time for a database to write the rows of finished studies: the node waits for 30 s."""
SUPPORT = Path(__file__).parents[1] / "tests" / "support"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer studies")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="finished studies in the database")
    parser.add_argument("--without-ray", action="store_true", help="measure nothing on a Ray cluster")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured: dict[str, Any] = {"queue": {}, "readers": {}}
    repeats, studies = (5, 20) if arguments.quick else (30, 100)
    tell = progress()
    with ExitStack() as stack:
        server = stack.enter_context(debian_postgresql(durable=True))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        exam = small_studies(find_cases(), scratch / "exam")[1].files
        for kind in ("SQLite", "PostgreSQL"):
            for rows in arguments.rows:
                folder = scratch / f"{kind}-{rows}"
                url = server.fresh() if kind == "PostgreSQL" else f"sqlite:///{folder / 'queue.sqlite'}"
                measured["queue"][f"{kind}, {rows:,}"] = queue_costs(url, folder, rows, exam, repeats)
                tell(f"the queue's share on {kind} with {rows:,} finished studies")
            for readers in READERS:
                folder = scratch / f"{kind}-readers-{readers}"
                url = server.fresh() if kind == "PostgreSQL" else f"sqlite:///{folder / 'queue.sqlite'}"
                measured["readers"][f"{kind}, {readers}"] = reading_rate(url, folder, readers, readers * studies)
                tell(f"readers on {kind}: {readers}")
        if not arguments.without_ray:
            measured["actors"] = rates_on_ray(scratch, exam[0], studies, tell)
    print(json.dumps(measured, indent=2)) if arguments.json else show(measured)


def progress() -> Callable[[str], None]:
    """Tells what has been measured, and after how long, beside what is printed at the end."""
    began = time.perf_counter()
    return lambda what: print(f"{time.perf_counter() - began:6.0f} s  {what}", file=sys.stderr, flush=True)


@dataclass
class Waits:
    """How often the program asked a database, and for how long it waited."""

    statements: int = 0
    seconds: float = 0.0


@contextmanager
def waits_of(engine: Engine) -> Iterator[Waits]:
    """Counts all statements and commits of an engine."""
    waits, dialect = Waits(), engine.dialect
    commit = dialect.do_commit

    def before(*_: object) -> None:
        waits.seconds -= time.perf_counter()

    def after(*_: object) -> None:
        waits.statements += 1
        waits.seconds += time.perf_counter()

    def timed_commit(connection: Any) -> None:
        before()
        commit(connection)
        after()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    dialect.do_commit = timed_commit  # type: ignore[method-assign,assignment]
    yield waits
    dialect.do_commit = commit  # type: ignore[method-assign]
    event.remove(engine, "before_cursor_execute", before)
    event.remove(engine, "after_cursor_execute", after)


class Nowhere:
    """A destination that takes everything."""

    def send(self, path: Path) -> None:
        assert path.is_file()

    def close(self) -> None:
        pass


def queue_costs(url: str, folder: Path, rows: int, exam: Sequence[Path], repeats: int) -> dict[str, float]:
    """Of a study on its whole road: statements, and milliseconds of waiting for the database (medians)."""
    folder.mkdir()
    open_database(url).dispose()
    engine = engine_for(url, answer_s=FILLS_S)
    fill(engine, rows)
    analyse(engine)
    engine.dispose()
    road = Road(folder, destinations=(DESTINATION,), clock=Clock(NOW), database_url=url)
    deliverer = Deliverer(DESTINATION, Nowhere(), RetryPolicy(30, 3600, 72 * 3600), road.sessions, folder, road.clock)
    statements, waited = [], []
    for number in range(repeats + 1):  # the first is not counted
        uid = f"1.2.826.0.1.3680043.8.498.{number + 1}"
        images = [
            changed(file, StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", SOPInstanceUID=f"{uid}.1.{image + 1}")
            for image, file in enumerate(exam)
        ]
        with waits_of(road.sessions.kw["bind"]) as waits:
            road.all_of_it(*images)
            while deliverer.deliver_due():
                pass
        statements.append(waits.statements)
        waited.append(1000 * waits.seconds)
    with read_only(road.sessions) as session:
        reported = session.scalar(select(func.count()).where(Study.state == StudyState.REPORTED))
    assert reported == rows + repeats + 1, "not all were reported"
    road.sessions.kw["bind"].dispose()
    return {"statements": statistics.median(statements[1:]), "waits, ms": statistics.median(waited[1:])}


@dataclass(frozen=True)
class KnownCost:
    """An executor whose models take IMAGE_S for an image, and no processor."""

    reading: Any
    ahead = False

    def begin(self, files: Sequence[ArchivedFile]) -> Outcomes:
        def outcomes(on_reading: OnReading) -> Iterator[tuple[int, Outcome]]:
            on_reading(range(len(files)))
            time.sleep(IMAGE_S * len(files))
            for place in range(len(files)):
                yield place, Read(self.reading)

        return outcomes


def reading_rate(url: str, folder: Path, readers: int, studies: int) -> dict[str, float]:
    """Studies an hour that some readers read together, and the share of what they could without a queue."""
    folder.mkdir()
    engine = open_database(url)
    fill(engine, studies)
    let_all_wait(engine)
    engine.dispose()
    spawn = multiprocessing.get_context("spawn")
    ready, begin = spawn.Barrier(readers + 1), spawn.Event()
    processes = [spawn.Process(target=read_all, args=(url, folder, number, ready, begin)) for number in range(readers)]
    for process in processes:
        process.start()
    ready.wait()
    began = time.perf_counter()
    begin.set()
    for process in processes:
        process.join()
    took = time.perf_counter() - began
    return rate_of(url, readers, studies, took)


def let_all_wait(engine: Engine, **columns: Any) -> None:
    """The images of finished studies wait to be read again."""
    with engine.begin() as connection:
        of_images = Job.kind == JobKind.READ_IMAGE
        connection.execute(update(Study).values(state=StudyState.CLOSED))
        connection.execute(update(Instance).values(reading=None, masks_path=None, **columns))
        connection.execute(update(Job).where(of_images).values(state=JobState.WAITING, attempts=0, turn=Job.id))
    analyse(engine)


def rate_of(url: str, readers: int, studies: int, took: float) -> dict[str, float]:
    """What was reached, once it is sure that each image was read once."""
    engine = open_database(url)
    with engine.connect() as connection:
        tokens = connection.execute(select(func.count(), func.max(Job.token)).where(Job.kind == JobKind.READ_IMAGE))
        assert tuple(tokens.one()) == (IMAGES * studies, 2), "an image was claimed twice"
        unread = select(func.count()).select_from(Instance).where(Instance.masks_path.is_(None))
        assert connection.scalar(unread) == 0, "an image was not read"
    engine.dispose()
    possible = IMAGES * studies * IMAGE_S / readers
    return {"studies an hour": 3600 * studies / took, "of what is possible": possible / took}


def rates_on_ray(scratch: Path, image: Path, studies: int, tell: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """As `reading_rate`, for each number of actors."""
    bundle = bundle_of(scratch / "bundle", IMAGE_S, scratch / "marks")
    rates = {}
    with ray_cluster(1, cpus=max(READERS), paths=(install(scratch / "installed"), SUPPORT)) as cluster:
        tell("the Ray cluster has started")
        for actors in READERS:
            folder = scratch / f"actors-{actors}"
            rates[f"{actors}"] = rate_on_ray(folder, cluster, bundle, image, actors, actors * studies)
            tell(f"actors on Ray: {actors}")
    return rates


def rate_on_ray(
    folder: Path, cluster: RayCluster, bundle: Path, image: Path, actors: int, studies: int
) -> dict[str, float]:
    folder.mkdir()
    url = f"sqlite:///{folder / 'queue.sqlite'}"
    engine = open_database(url)
    fill(engine, studies)
    config = folder / "node.toml"
    reader = f'[reader]\nexecutor = "ray"\nbundle = "{bundle}"\nbatch = {IMAGES}\n'
    limits = f"min_actors = {actors}\nmax_actors = {actors}\n"
    config.write_text(f'data_dir = "{folder}"\ndatabase_url = "{url}"\n{reader}{cluster.settings}{limits}')
    process = multiprocessing.get_context("spawn").Process(target=run_reader, args=(load(config), "reader"))
    process.start()
    try:
        wait_for(engine, select(ActorPoolState.worker).where(ActorPoolState.actors == actors), there=True)
        began = time.perf_counter()
        let_all_wait(engine, path=str(image))
        open_jobs = Job.state.in_([JobState.WAITING, JobState.RUNNING])
        wait_for(engine, select(Job.id).where(Job.kind == JobKind.READ_IMAGE, open_jobs).limit(1), there=False)
        took = time.perf_counter() - began
    finally:
        process.terminate()
        process.join()
        engine.dispose()
    return rate_of(url, actors, studies, took)


def wait_for(engine: Engine, rows: Select[Any], there: bool) -> None:
    """Until there are such rows, or none."""
    while True:
        with engine.connect() as connection:
            if bool(connection.execute(rows).first()) is there:
                return
        time.sleep(0.02)


def read_all(url: str, folder: Path, number: int, ready: Any, begin: Any) -> None:
    """A reader process: reads until nothing waits."""
    sessions = sessions_of(open_database(url))
    reading = pipeline_of(OneMass()).read([Mammogram(np.ones((600, 400), np.float32), (0.4, 0.4))])[0]
    reader = ImageReader(
        sessions, folder, KnownCost(reading), f"reader-{number}", ReadingLimits(IMAGES, 3, 600), time.time
    )
    ready.wait()
    begin.wait()
    while reader.read_some():
        pass


def analyse(engine: Engine) -> None:
    """Tells the database how its tables are filled, as PostgreSQL does by itself after a minute."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def show(measured: dict[str, Any]) -> None:
    costs = Table(title="The queue's share of a study of four images")
    for heading in ("database, finished studies", "statements", "waits for it, ms"):
        costs.add_column(heading, justify="left" if not costs.columns else "right")
    for name, cost in measured["queue"].items():
        costs.add_row(name, f"{cost['statements']:.0f}", f"{cost['waits, ms']:.0f}")
    rates = Table(title=f"Readers that take {IMAGE_S:g} s for an image")
    for heading in ("database, readers", "studies an hour", "of what is possible"):
        rates.add_column(heading, justify="left" if not rates.columns else "right")
    for name, rate in measured["readers"].items():
        rates.add_row(name, f"{rate['studies an hour']:,.0f}", f"{rate['of what is possible']:.0%}")
    by_ray = Table(title="Actors of a Ray cluster with the same models")
    for heading in ("actors", "studies an hour", "of what is possible"):
        by_ray.add_column(heading, justify="right")
    for name, rate in measured.get("actors", {}).items():
        by_ray.add_row(name, f"{rate['studies an hour']:,.0f}", f"{rate['of what is possible']:.0%}")
    Console().print(costs, rates, *([by_ray] if by_ray.rows else []))


if __name__ == "__main__":
    main()
