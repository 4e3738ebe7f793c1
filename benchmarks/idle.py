"""What an idle node costs with 1,000 and with 100,000 finished studies in its database.

    .venv/bin/python benchmarks/idle.py [--studies N N] [--seconds S] [--json]

Each study has four images that were read, three results with their deliveries, and five finished jobs. Only rows are
written, no files. Measured are

- each query that the node repeats, called as `serve` calls it: milliseconds, the median of 20, or of as many as take
  10 s;
- CPU time of the main process and of the reader process of a real `mammo-node serve` in which nothing happens, with one
  destination: percent of one core.

Other programs on the same cores make both larger, since caches are shared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from finished_studies import DESTINATION, fill, repeated
from rich.console import Console
from rich.table import Table
from running import RunningNode, eventually

from node.store.database import open_database, sessions_of

STEADY_S = 5.0
"""After the models are loaded, until the measurement begins."""
SETTINGS = f"""
[[senders]]
ae_title = "BENCH"
[[destinations]]
name = "{DESTINATION}"
ae_title = "PACS"
host = "127.0.0.1"
port = 1
commitment = true
rejection_notes = true
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, nargs=2, default=(1_000, 100_000), metavar="N")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = {}
    for studies in arguments.studies:
        with tempfile.TemporaryDirectory() as scratch:
            measured[studies] = measure(Path(scratch), studies, arguments.seconds)
    if arguments.json:
        print(json.dumps(measured, indent=2))
    else:
        show(measured)


def measure(scratch: Path, studies: int, seconds: float) -> dict[str, float]:
    node = RunningNode(scratch, SETTINGS)
    node.data_dir.mkdir()
    engine = open_database(f"sqlite:///{node.data_dir / 'queue.sqlite'}")
    fill(engine, studies)
    asked = repeated(sessions_of(engine), node.data_dir)
    queries = {f"{name}, ms": 1000 * median_s(ask) for name, ask in asked.items()}
    engine.dispose()
    if not seconds:
        return queries
    try:
        node.start()
        reader = eventually("the reader has loaded its models", lambda: loaded(node.process_id))
        time.sleep(STEADY_S)
        began = time.monotonic()
        before = cpu_s(node.process_id), cpu_s(reader)
        time.sleep(seconds)
        took, after = time.monotonic() - began, (cpu_s(node.process_id), cpu_s(reader))
    finally:
        node.end()
    main_share, reader_share = (100 * (end - start) / took for start, end in zip(before, after, strict=True))
    return {**queries, "main process, % of a core": main_share, "reader process, % of a core": reader_share}


def median_s(ask: Callable[[], object], times: int = 20, at_most_s: float = 10) -> float:
    seconds: list[float] = []
    while len(seconds) < times and sum(seconds) < at_most_s:
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def loaded(node: int) -> int | None:
    """The reader's process, once it has loaded its models: only then it opens the database.

    A process that is being started has the node's open files for a moment, until it runs its own program.
    """
    tasks = Path(f"/proc/{node}/task").glob("*/children")
    try:
        for process in (int(child) for task in tasks for child in task.read_text().split()):
            opened = Path(f"/proc/{process}/fd")
            spawned = b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
            if spawned and any(file.readlink().name == "queue.sqlite" for file in opened.iterdir()):
                return process
    except FileNotFoundError:  # closed, or ended, meanwhile
        pass
    return None


def cpu_s(process: int) -> float:
    """CPU seconds of a process so far, user and system (proc(5), /proc/pid/stat)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(measured: dict[int, dict[str, float]]) -> None:
    few, many = measured
    table = Table(title="An idle node")
    for heading in ("", f"{few:,} studies", f"{many:,} studies", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, value in measured[few].items():
        table.add_row(name, f"{value:.2f}", f"{measured[many][name]:.2f}", f"{measured[many][name] / value:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
