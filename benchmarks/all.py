"""All benchmarks in one run: one table, and the ratios held against stored ones.

    .venv/bin/python benchmarks/all.py [--quick] [--only NAME ...] [--json FILE] [--against FILE]

`--quick` runs each in its short form, less than five minutes in all on a quiet machine of two cores. `--against`
compares the ratios with those of a file that `--json` wrote, such as benchmarks/baseline.json, and ends with status 1
if one is worse by more than the file's tolerance. Each ratio compares two things of the same run, since the figures
themselves depend on the machine, and is better the larger it is. On a busy machine they differ from run to run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent
QUICK: Mapping[str, list[str]] = {
    "receive": ["--quick"],
    "reading": ["--rounds", "1"],
    "latency": ["--repeat", "1"],
    "idle": ["--studies", "100", "2000", "--seconds", "0"],
}
"""The benchmarks, each with the options of its short form."""
TOLERANCE = 0.3
"""By which share of itself a ratio may fall before it counts as worse."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=QUICK, default=list(QUICK), metavar="NAME")
    parser.add_argument("--json", type=Path, help="write the ratios, and all that was measured, into this file")
    parser.add_argument("--against", type=Path, help="a file that --json wrote")
    arguments = parser.parse_args()
    runs = {name: run(name, QUICK[name] if arguments.quick else []) for name in arguments.only}
    measured = {name: figures for name, figures in runs.items() if figures is not None}
    ratios = ratios_of(measured)
    baseline = json.loads(arguments.against.read_text()) if arguments.against else None
    show(ratios, baseline["ratios"] if baseline else {})
    if arguments.json:
        stored = {"cores": os.cpu_count(), "load_average": os.getloadavg()[0], "tolerance": TOLERANCE}
        arguments.json.write_text(json.dumps({**stored, "ratios": ratios, "measured": measured}, indent=2) + "\n")
    if failed := [name for name in runs if name not in measured]:
        sys.exit(f"Not measured: {', '.join(failed)}.")
    if baseline and (fallen := worse(ratios, baseline["ratios"], baseline["tolerance"])):
        sys.exit(f"Worse than {arguments.against} by more than {baseline['tolerance']:.0%}: {', '.join(fallen)}.")


def run(name: str, options: list[str]) -> Any:
    """What a benchmark measured; None if it failed: the others are still run."""
    began = time.monotonic()
    ended = subprocess.run([sys.executable, str(FOLDER / f"{name}.py"), "--json", *options], stdout=subprocess.PIPE)
    outcome = f"failed with exit status {ended.returncode}" if ended.returncode else "measured"
    print(f"{name}: {outcome} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return None if ended.returncode else json.loads(ended.stdout)


def ratios_of(measured: Mapping[str, Any]) -> dict[str, float]:
    """The ratios of what the benchmarks print with --json, by benchmark; each is better the larger it is."""
    ratios: dict[str, float] = {}
    if "receive" in measured:
        for load, against in measured["receive"]["ratios"].items():
            ratios[f"receiving, {load.partition(', ')[2]}: node / storescp"] = against["storescp"]
    if "reading" in measured:
        old, new, *_ = measured["reading"]["median"].values()
        for figure in ("exam", "load, once"):
            ratios[f"CPU-seconds, {figure}: 77422d6 / now"] = old[figure] / new[figure]
    if "latency" in measured:
        median = measured["latency"]["median"]
        work = sum(median[stage] for stage in ("decode", "detect", "segment", "classify"))
        ratios["last image to SR in the PACS: reader's work / all"] = work / median["total"]
    if "idle" in measured:
        few, many = (
            sum(value for name, value in figures.items() if name.endswith(", ms"))
            for figures in measured["idle"].values()
        )
        ratios["an idle node's queries: few / many finished studies"] = few / many
    return ratios


def worse(ratios: Mapping[str, float], baseline: Mapping[str, float], tolerance: float) -> list[str]:
    """The names of the ratios that fell by more than the tolerance (a share); what only one has is not compared."""
    return [name for name, value in ratios.items() if name in baseline and value < (1 - tolerance) * baseline[name]]


def show(ratios: Mapping[str, float], baseline: Mapping[str, float]) -> None:
    table = Table(title="Ratios: better the larger")
    for heading in ("", "now", *(["baseline"] if baseline else [])):
        table.add_column(heading, justify="right" if heading else "left")
    for name, value in ratios.items():
        stored = f"{baseline[name]:.2f}" if name in baseline else ""
        table.add_row(name, f"{value:.2f}", *([stored] if baseline else []))
    Console().print(table)


if __name__ == "__main__":
    main()
